"""A recovery by hand, as the documentation tells people to do it: the Python driver on every live node, REST, and restarts.

    recover_by_hand.py NODE_PROGRAM ADDRESS...

Starts a node of its own at each of the (at least four) addresses of 127.0.0.0/8, upgrades them, destroys all but the last two with their
data, and brings these two back: first through the state `recovery`, then, after two more have joined and been destroyed, with
`recovery_leader`. Prints what it does, and ends with 0 if every acknowledged schema change is still there and the dead are refused.
"""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from cassandra import InvalidRequest, Unauthorized
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, WhiteListRoundRobinPolicy

ENTER = "UPDATE system.scylla_local SET value='recovery' WHERE key='group0_upgrade_state'"
LEAVE = "DELETE value FROM system.scylla_local WHERE key='group0_upgrade_state'"
FORGET = [
    "TRUNCATE system.discovery",
    "TRUNCATE system.group0_history",
    "DELETE value FROM system.scylla_local WHERE key='raft_group0_id'",
]
FINAL = "use_post_raft_procedures"
# Nothing takes longer on a busy machine than this, unless it never comes.
SECONDS_MAX = 90
# A node that does not answer for so long is down.
DOWN_AFTER_MS = 2000


def say(line):
    print(line, flush=True)


def wait(what, condition):
    """Looks again and again until it holds, and returns what it gave."""
    end, last = time.monotonic() + SECONDS_MAX, None
    while time.monotonic() < end:
        try:
            last = condition()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.1)
    raise SystemExit(f"waited {SECONDS_MAX} s for {what}: {last}")


class Node:
    """One process, with its folder."""

    def __init__(self, program, address, seed, folder):
        self.program, self.address, self.seed, self.folder = program, address, seed, folder / address
        self.extra, self.process = {}, None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "cluster_name": "by hand",
            "workdir": str(self.folder / "data"),
            "seeds": [self.seed],
            "failure_detector_timeout_in_ms": DOWN_AFTER_MS,
            "consistent_cluster_management": True,
            **{key: self.address for key in ("listen_address", "rpc_address", "admin_address", "api_address", "prometheus_address")},
            **self.extra,
        }
        # JSON is YAML.
        (self.folder / "node.yaml").write_text(json.dumps(config))
        with open(self.folder / "log", "ab") as log:
            command = [self.program, "--config", str(self.folder / "node.yaml")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(SECONDS_MAX)

    def destroy(self):
        self.end(signal.SIGKILL)
        shutil.move(self.folder / "data", self.folder / "lost")

    def rest(self, path, method="GET"):
        request = urllib.request.Request(f"http://{self.address}:10000{path}", method=method)
        with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
            return answer.read().decode()

    def state(self):
        return json.loads(self.rest("/storage_service/raft_upgrade"))

    def host_id(self):
        return json.loads(self.rest("/storage_service/hostid/local"))

    def is_ready(self):
        try:
            return bool(self.rest("/readyz"))
        except urllib.error.HTTPError:
            return False

    def run(self, *statements):
        """Statements through the driver, connected to this node only."""
        profile = ExecutionProfile(
            load_balancing_policy=WhiteListRoundRobinPolicy([self.address]),
            retry_policy=FallthroughRetryPolicy(),
            request_timeout=SECONDS_MAX,
        )
        with Cluster([self.address], execution_profiles={EXEC_PROFILE_DEFAULT: profile}) as cluster:
            session = cluster.connect()
            return [session.execute(statement).all() for statement in statements]

    def tables(self):
        (rows,) = self.run("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'by_hand'")
        return {row.table_name for row in rows}


def restart_each(nodes):
    for node in nodes:
        node.end()
        node.start()
        wait(f"{node.address} to serve again", node.is_ready)


def become_final(nodes):
    for node in nodes:
        wait(f"{node.address} to be final", lambda node=node: node.state()["state"] == FINAL)


def see_down(live, lost):
    for node in live:
        down = lambda node=node: set(lost) <= set(json.loads(node.rest("/gossiper/endpoint/down/")))
        wait(f"{node.address} to see the lost down", down)


def remove(live, hosts):
    for host in hosts:
        ignore = ",".join(other for other in hosts if other != host)
        query = urllib.parse.urlencode({"host_id": host, "ignore_nodes": ignore})
        live[0].rest(f"/storage_service/remove_node?{query}", "POST")


def refused(node, statement):
    try:
        node.run(statement)
    except (InvalidRequest, Unauthorized) as error:
        say(f"  refused, as it must be: {statement}: {error}")
        return
    raise SystemExit(f"{node.address} takes {statement}")


def check(live, made):
    for node in live:
        missing = made - node.tables()
        if missing:
            raise SystemExit(f"{node.address} has lost {sorted(missing)}")


def through_recovery(live, hosts):
    say("every live node: state recovery, restart")
    for node in live:
        node.run(ENTER)
    restart_each(live)
    say("remove the dead; truncate discovery and history, delete the group id, on every live node")
    remove(live, hosts)
    for node in live:
        node.run(*FORGET)
    versions = {str(node.run("SELECT schema_version FROM system.local WHERE key='local'")[0][0].schema_version) for node in live}
    if len(versions) != 1:
        raise SystemExit(f"schema versions differ: {versions}")
    say("schema versions agree; take the marker away, restart")
    for node in live:
        node.run(LEAVE)
    restart_each(live)
    become_final(live)


def with_a_leader(live, hosts):
    say(f"every live node: truncate discovery, delete the group id, recovery_leader {live[0].address}, restart")
    leader = live[0].host_id()
    for node in live:
        node.run("TRUNCATE system.discovery", FORGET[2])
        node.extra["recovery_leader"] = leader
    restart_each(live)
    for node in live:
        voters = lambda node=node: len({row.server_id for row in node.run("SELECT server_id FROM system.raft_state")[0]}) == len(live)
        wait(f"{node.address} to be in the new group", voters)
    become_final(live)
    remove(live, hosts)
    for node in live:
        node.extra.pop("recovery_leader")


def main():
    program, addresses = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as folder:
        nodes = [Node(program, address, addresses[0], pathlib.Path(folder)) for address in addresses]
        try:
            story(nodes)
        finally:
            for node in nodes:
                node.end(signal.SIGKILL)


def story(nodes):
    for node in nodes:
        node.start()
    become_final(nodes)
    say(f"{len(nodes)} nodes are final")
    nodes[0].run("CREATE KEYSPACE by_hand WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    made = {"before"}
    nodes[0].run("CREATE TABLE by_hand.before (a int PRIMARY KEY)")
    refused(nodes[0], FORGET[2])
    refused(nodes[0], "UPDATE system.scylla_local SET value='synchronize' WHERE key='group0_upgrade_state'")
    lost, live = nodes[:-2], nodes[-2:]
    for way, name in ((through_recovery, "recovered"), (with_a_leader, "led")):
        hosts = [node.host_id() for node in lost]
        for node in lost:
            node.destroy()
        see_down(live, [node.address for node in lost])
        say(f"{len(lost)} of {len(lost) + 2} nodes are destroyed: a majority")
        way(live, hosts)
        live[0].run(f"CREATE TABLE by_hand.{name} (a int PRIMARY KEY)")
        made.add(name)
        check(live, made)
        say(f"a new group works, and all schema is there: {sorted(made)}")
        come_back(lost[0], live, made)
        lost = replaced(lost, live, made)
    say("recovered by hand, twice")


def come_back(dead, live, made):
    """The data was not destroyed after all: the old host starts, and nobody hears it."""
    shutil.move(dead.folder / "lost", dead.folder / "data")
    dead.start()
    time.sleep(3)
    for node in live:
        if dead.address in json.loads(node.rest("/gossiper/endpoint/live")):
            raise SystemExit(f"{node.address} takes the dead {dead.address} in again")
    check(live, made)
    dead.end(signal.SIGKILL)
    shutil.rmtree(dead.folder / "data")
    say(f"{dead.address} came back and was refused")


def replaced(lost, live, made):
    """Fresh hosts take the places of the lost; the seed is one that lives."""
    for node in lost:
        shutil.rmtree(node.folder)
        node.seed = live[0].address
        node.start()
    become_final(lost)
    check(lost, made)
    say(f"{len(lost)} fresh nodes have joined")
    return lost


if __name__ == "__main__":
    main()
