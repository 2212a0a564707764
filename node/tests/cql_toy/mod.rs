//! A backend with just enough of a catalog for drivers to connect: tables in memory, DDL that only adds.
#![allow(clippy::unwrap_used, clippy::panic)]

use group0_core::{
    cql::{
        ast::{CreateTable, CreateType, Name, Select, Statement},
        frame::Event,
        select::{ColumnRole, TableData, select},
    },
    io::{ClientReply, ClientRequest, CqlError, SchemaChange, SchemaEvent, SchemaTarget},
    value::{CqlType, Value},
};
use group0_node::cql::Backend;
use std::{collections::BTreeMap, sync::Mutex};
use tokio::sync::broadcast;

/// See the module.
pub struct Toy {
    tables: Mutex<BTreeMap<(String, String), TableData>>,
    events: broadcast::Sender<Event>,
}

/// Keyspace, table, partition key and other columns with their types.
const CATALOG: [(&str, &str, &str, &str); 11] = [
    (
        "system",
        "local",
        "key text",
        "bootstrapped text,broadcast_address inet,cluster_name text,cql_version text,data_center text,host_id uuid,\
         listen_address inet,native_protocol_version text,partitioner text,rack text,release_version text,rpc_address inet,\
         schema_version uuid,tokens set<text>",
    ),
    (
        "system",
        "peers",
        "peer inet",
        "data_center text,host_id uuid,rack text,release_version text,rpc_address inet,schema_version uuid,tokens set<text>",
    ),
    ("system_schema", "keyspaces", "keyspace_name text", "durable_writes boolean,replication frozen<map<text; text>>"),
    ("system_schema", "tables", "keyspace_name text", "table_name text,id uuid,comment text,flags set<text>"),
    (
        "system_schema",
        "columns",
        "keyspace_name text",
        "table_name text,column_name text,clustering_order text,kind text,position int,type text",
    ),
    (
        "system_schema",
        "types",
        "keyspace_name text",
        "type_name text,field_names frozen<list<text>>,field_types frozen<list<text>>",
    ),
    ("system_schema", "functions", "keyspace_name text", "function_name text"),
    ("system_schema", "aggregates", "keyspace_name text", "aggregate_name text"),
    ("system_schema", "triggers", "keyspace_name text", "table_name text,trigger_name text"),
    ("system_schema", "indexes", "keyspace_name text", "table_name text,index_name text"),
    ("system_schema", "views", "keyspace_name text", "view_name text"),
];

impl Toy {
    /// With one host, itself, at that address.
    pub fn new(address: std::net::IpAddr) -> Self {
        let toy = Self { tables: Mutex::default(), events: broadcast::channel(16).0 };
        for (keyspace, table, key, others) in CATALOG {
            let column = |text: &str, role| {
                let (name, kind) = text.split_once(' ').unwrap();
                (name.to_owned(), kind.replace(';', ",").parse().unwrap(), role)
            };
            let others = others.split(',').map(|text| column(text, ColumnRole::Regular));
            let columns = std::iter::once(column(key, ColumnRole::PartitionKey)).chain(others).collect();
            toy.add(TableData { keyspace: keyspace.to_owned(), table: table.to_owned(), columns, rows: Vec::new() });
        }
        toy.row("system_schema", "keyspaces", &[("keyspace_name", Value::text("system"))]);
        toy.row("system_schema", "keyspaces", &[("keyspace_name", Value::text("system_schema"))]);
        for (keyspace, table, _, _) in CATALOG {
            let data = toy.tables.lock().unwrap().get(&(keyspace.to_owned(), table.to_owned())).unwrap().clone();
            toy.describe(&data);
        }
        let uuid = Value::Uuid(uuid::Uuid::from_u128(1));
        let text = |name, text: &str| (name, Value::text(text));
        let ip = |name| (name, Value::Inet(address));
        toy.row(
            "system",
            "local",
            &[
                text("key", "local"),
                text("cluster_name", "toy"),
                text("cql_version", "3.4.5"),
                text("data_center", "dc1"),
                text("rack", "r1"),
                text("release_version", "3.0.8"),
                text("native_protocol_version", "4"),
                text("partitioner", "org.apache.cassandra.dht.Murmur3Partitioner"),
                ip("rpc_address"),
                ip("broadcast_address"),
                ip("listen_address"),
                ("host_id", uuid.clone()),
                ("schema_version", uuid),
                ("tokens", Value::text_set(["0"])),
            ],
        );
        toy
    }

    fn add(&self, data: TableData) {
        self.tables.lock().unwrap().insert((data.keyspace.clone(), data.table.clone()), data);
    }

    fn row(&self, keyspace: &str, table: &str, cells: &[(&str, Value)]) {
        let mut tables = self.tables.lock().unwrap();
        let data = tables.get_mut(&(keyspace.to_owned(), table.to_owned())).unwrap();
        let cell = |name: &str| cells.iter().find(|(column, _)| *column == name).map(|(_, value)| value.clone());
        data.rows.push(data.columns.iter().map(|(name, _, _)| cell(name)).collect());
    }

    /// Adds a table to the catalog.
    fn describe(&self, data: &TableData) {
        let (keyspace, table) = (Value::text(&data.keyspace), Value::text(&data.table));
        let cells = [
            ("keyspace_name", keyspace.clone()),
            ("table_name", table.clone()),
            ("id", Value::Uuid(uuid::Uuid::from_u128(2))),
            ("flags", Value::text_set(["compound"])),
        ];
        self.row("system_schema", "tables", &cells);
        for (name, kind, role) in &data.columns {
            let is_key = *role == ColumnRole::PartitionKey;
            let cells = [
                ("keyspace_name", keyspace.clone()),
                ("table_name", table.clone()),
                ("column_name", Value::text(name)),
                ("kind", Value::text(if is_key { "partition_key" } else { "regular" })),
                ("position", Value::Int(if is_key { 0 } else { -1 })),
                ("type", Value::text(kind.to_string())),
                ("clustering_order", Value::text("none")),
            ];
            self.row("system_schema", "columns", &cells);
        }
    }

    fn changed(&self, target: SchemaTarget, keyspace: &str, name: &str) -> ClientReply {
        let event = SchemaEvent { change: SchemaChange::Created, target, keyspace: keyspace.to_owned(), name: name.to_owned() };
        let _ = self.events.send(Event::Schema(event.clone()));
        ClientReply::SchemaChange(event)
    }

    fn create_table(&self, create: &CreateTable, keyspace: &str) -> ClientReply {
        let role = |name: &String| {
            if create.partition_key.contains(name) { ColumnRole::PartitionKey } else { ColumnRole::Regular }
        };
        let columns =
            create.columns.iter().map(|column| (column.name.clone(), column.kind.clone(), role(&column.name))).collect();
        let data = TableData { keyspace: keyspace.to_owned(), table: create.name.name.clone(), columns, rows: Vec::new() };
        self.describe(&data);
        self.add(data);
        self.changed(SchemaTarget::Table, keyspace, &create.name.name)
    }

    fn create_type(&self, create: &CreateType, keyspace: &str) -> ClientReply {
        let list = |texts: Vec<String>| Value::List(texts.into_iter().map(Value::Text).collect());
        let (names, kinds) =
            create.fields.iter().map(|(name, kind): &(String, CqlType)| (name.clone(), kind.to_string())).unzip();
        let cells = [
            ("keyspace_name", Value::text(keyspace)),
            ("type_name", Value::text(&create.name.name)),
            ("field_names", list(names)),
            ("field_types", list(kinds)),
        ];
        self.row("system_schema", "types", &cells);
        self.changed(SchemaTarget::Type, keyspace, &create.name.name)
    }

    fn select(&self, statement: &Select, keyspace: &str) -> Result<ClientReply, CqlError> {
        let name = (keyspace.to_owned(), statement.from.name.clone());
        let tables = self.tables.lock().unwrap();
        let table = tables.get(&name).ok_or_else(|| CqlError::Invalid(format!("unconfigured table {}", name.1)))?;
        select(table, statement).map(ClientReply::Rows)
    }

    fn answer(&self, request: ClientRequest) -> ClientReply {
        let session = request.keyspace.unwrap_or_default();
        let of = |name: &Name| name.keyspace.clone().unwrap_or_else(|| session.clone());
        match request.statement {
            Statement::Use(keyspace) => ClientReply::SetKeyspace(keyspace),
            Statement::CreateKeyspace(create) => {
                let replication = Value::text_map([("class", "SimpleStrategy"), ("replication_factor", "1")]);
                let cells = [
                    ("keyspace_name", Value::text(&create.name)),
                    ("durable_writes", Value::Boolean(true)),
                    ("replication", replication),
                ];
                self.row("system_schema", "keyspaces", &cells);
                self.changed(SchemaTarget::Keyspace, &create.name, "")
            }
            Statement::CreateTable(create) => {
                let keyspace = of(&create.name);
                self.create_table(&create, &keyspace)
            }
            Statement::CreateType(create) => self.create_type(&create, &of(&create.name)),
            Statement::Select(statement) => self.select(&statement, &of(&statement.from)).unwrap_or_else(ClientReply::Error),
            Statement::Drop(_) => ClientReply::Void,
            other => ClientReply::Error(CqlError::Invalid(format!("not offered by the toy: {other:?}"))),
        }
    }
}

impl Backend for Toy {
    async fn query(&self, request: ClientRequest) -> ClientReply {
        self.answer(request)
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
