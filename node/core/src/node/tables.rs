//! What `SELECT` and `DESCRIBE` see, and the statements that change no schema.

use super::{Node, recovery};
use crate::{
    cql::{
        ast::{Modify, Name, Select, Statement},
        select,
    },
    gossip::Endpoint,
    io::{ClientReply, ClientRequest, CqlError, ResultSet},
    schema::{ClusterDescription, Table, describe},
    system,
    value::Value,
};
use std::{collections::BTreeMap, net::SocketAddr};

/// What drivers take this node for: a release whose schema tables they know.
const RELEASE_VERSION: &str = "3.0.8";
const CQL_VERSION: &str = "3.4.5";
const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";
const SNITCHES: &str = "org.apache.cassandra.locator";

/// A row by column name; what is not there is null.
type Named = BTreeMap<&'static str, Value>;

impl Node {
    pub(super) fn answer_client(&self, request: &ClientRequest) -> ClientReply {
        let keyspace = request.keyspace.as_deref();
        let answer = match &request.statement {
            Statement::Use(name) => self.use_keyspace(name),
            Statement::Select(select) => self.select(select, keyspace).map(ClientReply::Rows),
            Statement::Describe(statement) => {
                let name = self.settings.cluster_name.as_str();
                let cluster = ClusterDescription { name, partitioner: PARTITIONER, snitch: &self.snitch() };
                describe(&self.schema, statement, keyspace, &cluster).map(ClientReply::Rows)
            }
            Statement::Unsupported(what) => Err(CqlError::Invalid(format!("{what} is not offered by a metadata node"))),
            other => Err(CqlError::Server(format!("{other:?} changes the schema and came the wrong way"))),
        };
        answer.unwrap_or_else(ClientReply::Error)
    }

    /// The class, as the configuration names it with its package or without.
    fn snitch(&self) -> String {
        let configured = self.settings.config.get("endpoint_snitch").map_or("", String::as_str);
        let class = configured.rsplit('.').next().filter(|class| !class.is_empty()).unwrap_or("SimpleSnitch");
        format!("{SNITCHES}.{class}")
    }

    fn use_keyspace(&self, name: &str) -> Result<ClientReply, CqlError> {
        let exists = system::catalog::KEYSPACES.contains(&name) || self.schema.has_keyspace(name);
        let missing = || CqlError::Invalid(format!("Keyspace '{name}' does not exist"));
        if exists { Ok(ClientReply::SetKeyspace(name.into())) } else { Err(missing()) }
    }

    fn find_table(&self, name: &Name, session: Option<&str>) -> Result<Table, CqlError> {
        let unnamed = || {
            CqlError::Invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename".into())
        };
        let keyspace = name.keyspace.as_deref().or(session).ok_or_else(unnamed)?;
        let unknown = || CqlError::Invalid(format!("unconfigured table {}", name.name));
        system::find_table(&self.schema, keyspace, &name.name).ok_or_else(unknown)
    }

    /// A metadata node has no data: users' tables are empty and stay so; its own change through their own statements, or by hand where
    /// that is how people order something.
    pub(super) fn modify(&mut self, modify: &Modify, session: Option<&str>) -> Result<ClientReply, CqlError> {
        let table = self.find_table(&modify.table, session)?;
        if recovery::is_open_to_hands(&table.name, &table.keyspace) {
            return self.write_by_hand(&table.name, &modify.change);
        }
        let name = format!("{}.{}", table.keyspace, table.name);
        Err(if system::catalog::KEYSPACES.contains(&table.keyspace.as_str()) {
            CqlError::Unauthorized(format!("{name} is written by the node itself and cannot be modified through CQL"))
        } else {
            CqlError::Invalid(format!("{name} cannot be written: this is a metadata node, which stores schema and no data"))
        })
    }

    fn select(&self, select: &Select, session: Option<&str>) -> Result<ResultSet, CqlError> {
        let table = self.find_table(&select.from, session)?;
        let rows = match table.keyspace.as_str() {
            "system" => self.system_rows(&table),
            "system_schema" => system::schema_table_rows(&self.schema, &table.name, &system::key_prefix(&table, select)),
            _ => vec![],
        };
        let data = system::table_data(table, rows);
        if system::catalog::KEYSPACES.contains(&data.keyspace.as_str()) {
            return select::select(&data, select);
        }
        // Users' tables are empty: whatever the values are, no row has them.
        select::check_filter_names(&data, select)?;
        select::select(&data, &Select { filter: Vec::new(), ..select.clone() })
    }

    fn system_rows(&self, table: &Table) -> Vec<Vec<Option<Value>>> {
        let named = match table.name.as_str() {
            "local" => vec![self.local_row()],
            "peers" => self.peer_rows(),
            "scylla_local" => self.scylla_local_rows(),
            "discovery" => self.discovery_rows(),
            "group0_history" => self.history_rows(),
            "raft" => self.raft_rows(),
            "raft_state" => self.raft_state_rows(),
            "config" => self.config_rows(),
            "versions" => vec![Named::from([
                ("key", Value::text("local")),
                ("version", Value::text(super::admin::RELEASE)),
                ("build_mode", Value::text(if cfg!(debug_assertions) { "debug" } else { "release" })),
            ])],
            _ => vec![],
        };
        let project = |mut row: Named| table.columns.iter().map(|column| row.remove(column.name.as_str())).collect();
        named.into_iter().map(project).collect()
    }

    fn local_row(&self) -> Named {
        let me = self.gossip.me();
        let mut row = endpoint_row(me, &self.schema_version());
        row.extend([
            ("key", Value::text("local")),
            ("bootstrapped", Value::text(self.local.get(super::local::key::BOOTSTRAPPED).unwrap_or("NEEDS_BOOTSTRAP"))),
            ("broadcast_address", ip(self.settings.broadcast_address)),
            ("listen_address", ip(self.settings.broadcast_address)),
            ("cluster_name", Value::text(&self.settings.cluster_name)),
            ("cql_version", Value::text(CQL_VERSION)),
            ("gossip_generation", Value::Int(i32::try_from(self.generation.0).unwrap_or(i32::MAX))),
            ("native_protocol_version", Value::text("4")),
            ("partitioner", Value::text(PARTITIONER)),
        ]);
        row
    }

    fn peer_rows(&self) -> Vec<Named> {
        let row = |stored: &Endpoint| {
            let endpoint = self.gossip.endpoints().get(&stored.host).unwrap_or(stored);
            let mut row = endpoint_row(endpoint, &endpoint.schema_version);
            row.extend([("peer", ip(endpoint.address)), ("preferred_ip", ip(endpoint.address))]);
            row
        };
        let mut rows: Vec<_> = self.peers.rows().values().map(row).collect();
        rows.sort_by(|a, b| a.get("peer").cmp(&b.get("peer")));
        rows
    }

    fn scylla_local_rows(&self) -> Vec<Named> {
        let mut entries = self.local.entries().clone();
        entries.insert("group0_schema_version".into(), self.schema_version().to_string());
        entries.into_iter().map(|(key, value)| Named::from([("key", Value::Text(key)), ("value", Value::Text(value))])).collect()
    }

    fn discovery_rows(&self) -> Vec<Named> {
        let known = self.joining.discovery().known().into_iter().map(|peer| {
            let mut row = Named::from([("key", Value::text("peers")), ("ip_addr", ip(peer.address))]);
            row.extend(peer.host.map(|host| ("raft_server_id", Value::Uuid(host.0))));
            row
        });
        known.collect()
    }

    fn history_rows(&self) -> Vec<Named> {
        let mut rows: Vec<_> = self.history.rows().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.state));
        let named = |row: &crate::group0::HistoryRow| {
            Named::from([
                ("key", Value::text("history")),
                ("state_id", Value::Uuid(row.state.0)),
                ("description", Value::text(&row.description)),
            ])
        };
        rows.into_iter().map(named).collect()
    }

    /// What a row of the log says of the whole group; entries are Raft's own business.
    fn raft_rows(&self) -> Vec<Named> {
        let row = self.group.as_ref().map(|(id, group)| {
            let status = group.status();
            let big = |number: u64| Value::Bigint(i64::try_from(number).unwrap_or(i64::MAX));
            Named::from([
                ("group_id", Value::Uuid(id.0)),
                ("vote_term", big(status.term)),
                ("commit_idx", big(status.commit)),
                ("index", big(status.last_index)),
                ("term", big(status.last_term)),
            ])
        });
        row.into_iter().collect()
    }

    fn raft_state_rows(&self) -> Vec<Named> {
        let Some((id, group)) = &self.group else { return vec![] };
        let configuration = group.configuration();
        let previous = configuration.outgoing.iter().map(|host| ("PREVIOUS", *host, true));
        let voters = configuration.voters.iter().map(|host| ("CURRENT", *host, true));
        let learners = configuration.learners.iter().map(|host| ("CURRENT", *host, false));
        let mut members: Vec<_> = voters.chain(learners).chain(previous).collect();
        members.sort_unstable();
        let named = |(disposition, host, can_vote): (&str, crate::ids::HostId, bool)| {
            Named::from([
                ("group_id", Value::Uuid(id.0)),
                ("disposition", Value::text(disposition)),
                ("server_id", Value::Uuid(host.0)),
                ("can_vote", Value::Boolean(can_vote)),
            ])
        };
        members.into_iter().map(named).collect()
    }

    fn config_rows(&self) -> Vec<Named> {
        let named = |(name, value): (&String, &String)| Named::from([("name", Value::text(name)), ("value", Value::text(value))]);
        self.settings.config.iter().map(named).collect()
    }
}

/// What `system.local` and `system.peers` have in common.
fn endpoint_row(endpoint: &Endpoint, schema_version: &uuid::Uuid) -> Named {
    let features: Vec<_> = endpoint.features.iter().map(String::as_str).collect();
    let mut row = Named::from([
        ("data_center", Value::text(&endpoint.data_center)),
        ("host_id", Value::Uuid(endpoint.host.0)),
        ("rack", Value::text(&endpoint.rack)),
        ("release_version", Value::text(RELEASE_VERSION)),
        ("rpc_address", ip(endpoint.rpc_address)),
        ("supported_features", Value::text(features.join(","))),
        ("tokens", Value::text_set(endpoint.tokens.iter().map(ToString::to_string))),
    ]);
    if !schema_version.is_nil() {
        row.insert("schema_version", Value::Uuid(*schema_version));
    }
    row
}

const fn ip(address: SocketAddr) -> Value {
    Value::Inet(address.ip())
}
