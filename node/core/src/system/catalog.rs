//! The tables of `system` and `system_schema`, written as the statements that would make them.
//!
//! Columns and types are those that drivers and cqlsh expect of ScyllaDB and Cassandra 3. `system.peers_v2` and
//! `system_virtual_schema` are not here on purpose: drivers ask for them first and fall back on the error.

use crate::{
    cql::{ast::Statement, parse::parse},
    ids::Micros,
    schema::{Cell, RowKey, Rows, Schema, SchemaTable, Table, ddl},
    value::Value,
};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use uuid::Uuid;

/// The system's keyspaces.
pub const KEYSPACES: [&str; 2] = ["system", "system_schema"];

/// The system's own keyspaces, as a schema of their own: it never changes and is never stored or sent.
pub fn system_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(build)
}

/// A table or view with its columns, the system's or a user's.
pub fn find_table(schema: &Schema, keyspace: &str, name: &str) -> Option<Table> {
    let schema = if KEYSPACES.contains(&keyspace) { system_schema() } else { schema };
    schema.table(keyspace, name)
}

fn build() -> Schema {
    let mut schema = Schema::default();
    for keyspace in KEYSPACES {
        let _ = schema.merge(&keyspace_rows(keyspace));
    }
    for rows in TABLES.iter().chain(&SCHEMA_TABLES).filter_map(|statement| table_rows(statement)) {
        let _ = schema.merge(&rows);
    }
    schema
}

fn keyspace_rows(name: &str) -> Rows {
    let key = RowKey::new(SchemaTable::Keyspaces, [name]);
    let mut rows = Rows::default();
    let local = Value::text_map([("class", "org.apache.cassandra.locator.LocalStrategy")]);
    rows.put(&key, "replication", Cell::of(Micros(0), local));
    rows.put(&key, "durable_writes", Cell::of(Micros(0), Value::Boolean(true)));
    rows
}

/// Nothing if the statement is wrong, which a test excludes.
fn table_rows(statement: &str) -> Option<Rows> {
    let Ok(Statement::CreateTable(create)) = parse(statement) else { return None };
    let keyspace = create.name.keyspace.as_deref().unwrap_or_default();
    ddl::system_table(&create, table_id(keyspace, &create.name.name)).ok()
}

/// The same on every node.
fn table_id(keyspace: &str, name: &str) -> Uuid {
    let hash = Sha256::new().chain_update(keyspace).chain_update(".").chain_update(name).finalize();
    let bits = hash.iter().take(16).fold(0, |bits: u128, &byte| bits << 8 | u128::from(byte));
    uuid::Builder::from_md5_bytes(bits.to_be_bytes()).into_uuid()
}

const TABLES: [&str; 14] = [
    "CREATE TABLE system.local (
        key text PRIMARY KEY, bootstrapped text, broadcast_address inet, cluster_name text, cql_version text,
        data_center text, gossip_generation int, host_id uuid, listen_address inet, native_protocol_version text,
        partitioner text, rack text, release_version text, rpc_address inet, schema_version uuid,
        supported_features text, tokens set<text>, truncated_at map<uuid, blob>)
     WITH comment = 'information about the local node'",
    "CREATE TABLE system.peers (
        peer inet PRIMARY KEY, data_center text, host_id uuid, preferred_ip inet, rack text, release_version text,
        rpc_address inet, schema_version uuid, supported_features text, tokens set<text>)
     WITH comment = 'information about known peers in the cluster'",
    "CREATE TABLE system.scylla_local (key text PRIMARY KEY, value text)
     WITH comment = 'keys of this node only: its part in group 0 and in the upgrade to it'",
    "CREATE TABLE system.discovery (key text, ip_addr inet, raft_server_id uuid, PRIMARY KEY (key, ip_addr))
     WITH comment = 'the peers that discovery knows'",
    "CREATE TABLE system.group0_history (key text, state_id timeuuid, description text, PRIMARY KEY (key, state_id))
     WITH CLUSTERING ORDER BY (state_id DESC) AND comment = 'changes of the state of group 0'",
    "CREATE TABLE system.raft (
        group_id timeuuid, \"index\" bigint, term bigint, data blob, vote_term bigint static, vote uuid static,
        snapshot_id uuid static, commit_idx bigint static, PRIMARY KEY (group_id, \"index\"))
     WITH comment = 'log, vote and snapshot position of a Raft group'",
    "CREATE TABLE system.raft_snapshots (group_id timeuuid PRIMARY KEY, idx bigint, snapshot_id uuid, term bigint)
     WITH comment = 'the last snapshot of a Raft group'",
    "CREATE TABLE system.raft_snapshot_config (
        group_id timeuuid, disposition text, server_id uuid, can_vote boolean,
        PRIMARY KEY (group_id, disposition, server_id))
     WITH comment = 'the members of a Raft group at its last snapshot'",
    "CREATE TABLE system.raft_state (
        group_id timeuuid, disposition text, server_id uuid, can_vote boolean,
        PRIMARY KEY (group_id, disposition, server_id))
     WITH comment = 'the members of a Raft group now'",
    "CREATE TABLE system.topology (
        key text, host_id uuid, datacenter text, node_state text, rack text, release_version text, tokens set<text>,
        upgrade_state text static, version bigint static, PRIMARY KEY (key, host_id))
     WITH comment = 'always empty: the topology is not managed through group 0'",
    "CREATE TABLE system.config (name text PRIMARY KEY, value text) WITH comment = 'the effective configuration'",
    "CREATE TABLE system.versions (key text PRIMARY KEY, build_id text, build_mode text, version text)
     WITH comment = 'version of the program'",
    "CREATE TABLE system.built_views (keyspace_name text, view_name text, PRIMARY KEY (keyspace_name, view_name))
     WITH comment = 'views that are built'",
    "CREATE TABLE system.\"IndexInfo\" (table_name text, index_name text, PRIMARY KEY (table_name, index_name))
     WITH comment = 'indexes that are built'",
];

const SCHEMA_TABLES: [&str; 12] = [
    "CREATE TABLE system_schema.keyspaces (
        keyspace_name text PRIMARY KEY, durable_writes boolean, replication frozen<map<text, text>>)
     WITH comment = 'keyspace definitions'",
    "CREATE TABLE system_schema.scylla_keyspaces (
        keyspace_name text PRIMARY KEY, initial_tablets int, storage_options frozen<map<text, text>>, storage_type text)
     WITH comment = 'more of keyspace definitions'",
    "CREATE TABLE system_schema.tables (
        keyspace_name text, table_name text, bloom_filter_fp_chance double, caching frozen<map<text, text>>, comment text,
        compaction frozen<map<text, text>>, compression frozen<map<text, text>>, crc_check_chance double,
        dclocal_read_repair_chance double, default_time_to_live int, extensions frozen<map<text, blob>>,
        flags frozen<set<text>>, gc_grace_seconds int, id uuid, max_index_interval int, memtable_flush_period_in_ms int,
        min_index_interval int, read_repair_chance double, speculative_retry text,
        PRIMARY KEY (keyspace_name, table_name))
     WITH comment = 'table definitions'",
    "CREATE TABLE system_schema.scylla_tables (
        keyspace_name text, table_name text, cdc frozen<map<text, text>>, partitioner text, version uuid,
        PRIMARY KEY (keyspace_name, table_name))
     WITH comment = 'more of table definitions'",
    "CREATE TABLE system_schema.columns (
        keyspace_name text, table_name text, column_name text, clustering_order text, column_name_bytes blob, kind text,
        position int, type text, PRIMARY KEY (keyspace_name, table_name, column_name))
     WITH comment = 'column definitions'",
    "CREATE TABLE system_schema.dropped_columns (
        keyspace_name text, table_name text, column_name text, dropped_time timestamp, type text,
        PRIMARY KEY (keyspace_name, table_name, column_name))
     WITH comment = 'dropped columns'",
    "CREATE TABLE system_schema.types (
        keyspace_name text, type_name text, field_names frozen<list<text>>, field_types frozen<list<text>>,
        PRIMARY KEY (keyspace_name, type_name))
     WITH comment = 'user types'",
    "CREATE TABLE system_schema.indexes (
        keyspace_name text, table_name text, index_name text, kind text, options frozen<map<text, text>>,
        PRIMARY KEY (keyspace_name, table_name, index_name))
     WITH comment = 'secondary indexes'",
    "CREATE TABLE system_schema.views (
        keyspace_name text, view_name text, base_table_id uuid, base_table_name text, bloom_filter_fp_chance double,
        caching frozen<map<text, text>>, comment text, compaction frozen<map<text, text>>,
        compression frozen<map<text, text>>, crc_check_chance double, dclocal_read_repair_chance double,
        default_time_to_live int, extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid,
        include_all_columns boolean, max_index_interval int, memtable_flush_period_in_ms int, min_index_interval int,
        read_repair_chance double, speculative_retry text, where_clause text, PRIMARY KEY (keyspace_name, view_name))
     WITH comment = 'materialized views'",
    "CREATE TABLE system_schema.functions (
        keyspace_name text, function_name text, argument_types frozen<list<text>>, argument_names frozen<list<text>>,
        body text, called_on_null_input boolean, language text, return_type text,
        PRIMARY KEY (keyspace_name, function_name, argument_types))
     WITH comment = 'user functions'",
    "CREATE TABLE system_schema.aggregates (
        keyspace_name text, aggregate_name text, argument_types frozen<list<text>>, final_func text, initcond text,
        return_type text, state_func text, state_type text,
        PRIMARY KEY (keyspace_name, aggregate_name, argument_types))
     WITH comment = 'user aggregates'",
    "CREATE TABLE system_schema.triggers (
        keyspace_name text, table_name text, trigger_name text, options frozen<map<text, text>>,
        PRIMARY KEY (keyspace_name, table_name, trigger_name))
     WITH comment = 'triggers'",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_a_table() {
        for statement in TABLES.iter().chain(&SCHEMA_TABLES) {
            assert!(table_rows(statement).is_some(), "{statement}");
        }
        assert_eq!(system_schema().names(SchemaTable::Tables, "system").len(), TABLES.len());
        assert_eq!(system_schema().names(SchemaTable::Tables, "system_schema").len(), SCHEMA_TABLES.len());
    }

    #[test]
    fn columns_have_the_types_that_drivers_expect() {
        let of = |keyspace, table: &str, column: &str| {
            let table = find_table(&Schema::default(), keyspace, table).unwrap();
            table.column(column).unwrap().kind.to_string()
        };
        assert_eq!(of("system", "peers", "peer"), "inet");
        assert_eq!(of("system", "peers", "tokens"), "set<text>");
        assert_eq!(of("system", "local", "gossip_generation"), "int");
        assert_eq!(of("system_schema", "keyspaces", "replication"), "frozen<map<text, text>>");
        assert_eq!(of("system_schema", "tables", "flags"), "frozen<set<text>>");
        assert_eq!(of("system_schema", "types", "field_types"), "frozen<list<text>>");
        for missing in ["peers_v2", "nosuch"] {
            assert_eq!(find_table(&Schema::default(), "system", missing), None);
        }
    }

    #[test]
    fn every_stored_table_is_shown_with_all_its_columns() {
        for table in SchemaTable::ALL {
            assert!(find_table(&Schema::default(), "system_schema", table.name()).is_some(), "{table:?}");
        }
    }
}
