"""The Python driver as a client of a whole upgrade: connected once, told what to check by lines on standard input.

    driver.py ADDRESS...

Commands, each answered by one line, `ok ...` or `failed ...`:
    changes NAME   schema changes through every node; agreement must not wait, and drivers at every node see the tables
    refused NAME   a schema change that must be refused, while reads go on
    types          every table of system and system_schema, with the types that system_schema.columns declares
    quit
"""

import re
import sys
import time
import traceback

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, WhiteListRoundRobinPolicy

# What nodes say while the cluster is in `synchronize`.
REFUSAL = "Cannot perform schema or topology changes during this time"
# An event may take its time on a busy machine; a lost one takes for ever.
EVENT_SECONDS_MAX = 20
# A request that is not answered by then has failed.
REQUEST_SECONDS_MAX = 60


class CountingTime:
    """The clock of the driver's control connection, which counts its polls for schema agreement."""

    def __init__(self):
        self.sleeps = 0

    def sleep(self, seconds):
        self.sleeps += 1
        time.sleep(seconds)

    def __getattr__(self, name):
        return getattr(time, name)


class Client:
    """A driver that talks to one node only, for requests and for metadata."""

    def __init__(self, address, follows_events):
        self.address = address
        profile = ExecutionProfile(
            load_balancing_policy=WhiteListRoundRobinPolicy([address]),
            retry_policy=FallthroughRetryPolicy(),
            request_timeout=REQUEST_SECONDS_MAX,
        )
        self.cluster = Cluster(
            [address],
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=REQUEST_SECONDS_MAX,
            # An event makes the driver look for agreement too, some time in the next 2 s, under the lock that a change of its own needs.
            # Such a look in the middle of the next change waits without fault of the nodes: who changes does not follow events.
            schema_event_refresh_window=2 if follows_events else -1,
        )
        self.clock = CountingTime()
        self.cluster.control_connection._time = self.clock
        self.session = self.cluster.connect()

    def change(self, statement):
        """Executes a schema change and demands that agreement is there at the first look. Gives the seconds it took."""
        sleeps, start = self.clock.sleeps, time.monotonic()
        future = self.session.execute_async(statement)
        future.result()
        taken = time.monotonic() - start
        assert future.is_schema_agreed, f"{self.address}: no agreement after {statement}"
        waited = self.clock.sleeps - sleeps
        assert waited == 0, f"{self.address}: agreement waited {waited} polls ({taken:.3f} s) after {statement}"
        return taken

    def sees(self, keyspace, table, column):
        """Whether the driver's metadata has the column, which events keep up to date."""
        known = self.cluster.metadata.keyspaces.get(keyspace)
        return known is not None and table in known.tables and column in known.tables[table].columns

    def execute(self, statement):
        return self.session.execute(statement)


def eventually(what, holds):
    """The driver gives no signal when it has digested an event, so this one looks again until it has."""
    end = time.monotonic() + EVENT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {EVENT_SECONDS_MAX} s"
        time.sleep(0.02)


def changes(clients, name):
    taken = []
    observers = [Client(client.address, follows_events=True) for client in clients]
    for number, client in enumerate(clients):
        keyspace = f"{name}_{number}"
        replication = "{'class': 'SimpleStrategy', 'replication_factor': 3}"
        taken.append(client.change(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}"))
        taken.append(client.change(f"CREATE TABLE {keyspace}.t (a int, b text, c set<uuid>, PRIMARY KEY (a, b)) WITH comment = 'x'"))
        taken.append(client.change(f"ALTER TABLE {keyspace}.t ADD d frozen<map<text, bigint>>"))
        assert client.sees(keyspace, "t", "d"), f"{client.address} does not see what it changed"
        for observer in observers:
            eventually(f"{observer.address} sees {keyspace}.t", lambda: observer.sees(keyspace, "t", "d"))
            assert list(observer.execute(f"SELECT * FROM {keyspace}.t")) == []
        taken.append(client.change(f"CREATE TABLE {keyspace}.gone (a int PRIMARY KEY)"))
        taken.append(client.change(f"DROP TABLE {keyspace}.gone"))
        assert not client.sees(keyspace, "gone", "a")
    for observer in observers:
        observer.cluster.shutdown()
    return f"{len(taken)} schema changes, the slowest {max(taken) * 1000:.0f} ms, agreement never waited"


def refused(clients, name):
    for client in clients:
        try:
            client.execute(f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}")
        except Exception as error:  # the driver's classes differ between its versions
            assert REFUSAL in str(error), f"{client.address}: refused otherwise: {error}"
        else:
            raise AssertionError(f"{client.address}: a schema change succeeded in synchronize")
        assert len(list(client.execute("SELECT * FROM system.local"))) == 1
    return f"refused on {len(clients)} nodes, reads go on"


def as_sent(kind):
    """A type as the protocol has it: `frozen` is not sent, and the driver calls text by its other name."""
    while "frozen<" in kind:
        kind = re.sub(r"frozen<((?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*)>", r"\1", kind, count=1)
    return re.sub(r"\bvarchar\b", "text", kind)


def types(clients):
    counted = 0
    for client in clients:
        assert len(client.cluster.metadata.all_hosts()) == 3, f"{client.address} tells of {client.cluster.metadata.all_hosts()}"
        assert client.cluster.metadata.token_map is not None, f"{client.address} tells of no tokens"
        declared = {}
        for row in client.execute("SELECT keyspace_name, table_name, column_name, type FROM system_schema.columns"):
            if row.keyspace_name in ("system", "system_schema"):
                declared.setdefault((row.keyspace_name, row.table_name), {})[row.column_name] = row.type
        for table in [("system", "local"), ("system", "peers"), ("system", "scylla_local"), ("system", "group0_history"),
                      ("system_schema", "keyspaces"), ("system_schema", "tables"), ("system_schema", "columns")]:
            assert table in declared, f"{client.address}: system_schema.columns does not list {table}"
        for (keyspace, table), columns in declared.items():
            result = client.execute(f'SELECT * FROM "{keyspace}"."{table}"')
            names = result.column_names
            given = dict(zip(names, [kind.cql_parameterized_type() for kind in result.column_types]))
            for row in result:
                assert len(row) == len(names)
            for column, kind in columns.items():
                answered = given.pop(column, "nothing")
                assert as_sent(kind) == as_sent(answered), f"{client.address}: {keyspace}.{table}.{column} is {kind}, answered {answered}"
            assert not given, f"{client.address}: {keyspace}.{table} answers {given}, which are not declared"
            counted += 1
    return f"{counted} tables read, types as declared"


def main():
    clients = [Client(address, follows_events=False) for address in sys.argv[1:]]
    print("ok connected", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "quit":
            break
        try:
            answer = {"changes": changes, "refused": refused, "types": types}[command](clients, *arguments)
            print("ok", answer, flush=True)
        except Exception as error:  # whatever failed is the answer
            traceback.print_exc()
            print("failed", repr(error).replace("\n", " "), flush=True)
    for client in clients:
        client.cluster.shutdown()


main()
