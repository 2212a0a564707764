//! The statements that would make what a schema has: for DESCRIBE, and for the backup before an upgrade.
//!
//! A statement carried out on an empty schema gives the same rows, but for timestamps, versions, dropped columns, and ids
//! where [`Ids::Hidden`].

use super::{
    Column, ColumnRole, Index, RowKey, Schema, SchemaTable, Table,
    ddl::{EXTENSIONS, option_columns},
};
use crate::{cql::parse::quote_name, value::Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Whether the statement of a table fixes its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// `WITH id = …`, as a backup wants it.
    Shown,
    /// As people want it.
    Hidden,
}

/// A statement and what it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The keyspace.
    pub keyspace: String,
    /// `keyspace`, `type`, `table`, `index` or `materialized_view`.
    pub kind: &'static str,
    /// The name of what it makes.
    pub name: String,
    /// The statement, with its semicolon.
    pub statement: String,
}

impl Schema {
    /// Everything, in an order in which it can be made.
    pub fn creations(&self, ids: Ids) -> Vec<Creation> {
        self.keyspace_names().iter().flat_map(|keyspace| self.keyspace_creations(keyspace, ids)).collect()
    }

    /// A keyspace and everything in it.
    pub fn keyspace_creations(&self, keyspace: &str, ids: Ids) -> Vec<Creation> {
        let mut all = vec![self.keyspace_creation(keyspace)];
        all.extend(self.types_in_order(keyspace).iter().filter_map(|name| self.type_creation(keyspace, name)));
        let tables = self.names(SchemaTable::Tables, keyspace);
        all.extend(tables.iter().flat_map(|table| self.table_creations(keyspace, table, ids)));
        all
    }

    /// A table with its indexes and views; nothing if there is none.
    pub fn table_creations(&self, keyspace: &str, name: &str, ids: Ids) -> Vec<Creation> {
        let Some(table) = self.table(keyspace, name) else { return Vec::new() };
        let mut all = vec![self.table_creation(&table, ids)];
        let indexes = self.indexes(keyspace);
        all.extend(indexes.iter().filter(|index| index.table == name).map(|index| index_creation(keyspace, index)));
        all.extend(self.views_of(keyspace, name).iter().map(|view| self.view_creation(view)));
        all
    }

    /// A keyspace alone.
    pub fn keyspace_creation(&self, name: &str) -> Creation {
        let key = RowKey::new(SchemaTable::Keyspaces, [name]);
        let mut replication = self.text_map(&key, "replication");
        let class = replication.remove_entry("class");
        let durable = self.rows().value(&key, "durable_writes") != Some(&Value::Boolean(false));
        let mut options = vec![
            format!("replication = {}", map_text(class.into_iter().chain(replication))),
            format!("durable_writes = {durable}"),
        ];
        let more = RowKey::new(SchemaTable::ScyllaKeyspaces, [name]);
        if let Some(Value::Int(initial)) = self.rows().value(&more, "initial_tablets") {
            options.push(format!("tablets = {{'initial': {initial}}}"));
        }
        if self.rows().value(&more, "storage_type").is_some() {
            let kind = ("type".to_owned(), self.text(&more, "storage_type"));
            let storage = std::iter::once(kind).chain(self.text_map(&more, "storage_options"));
            options.push(format!("storage = {}", map_text(storage)));
        }
        let statement = format!("CREATE KEYSPACE {} WITH {};", quote_name(name), options.join(" AND "));
        Creation { keyspace: name.to_owned(), kind: "keyspace", name: name.to_owned(), statement }
    }

    /// A user type.
    pub fn type_creation(&self, keyspace: &str, name: &str) -> Option<Creation> {
        let fields = self.user_type(keyspace, name)?;
        let fields: Vec<_> = fields.iter().map(|(field, kind)| format!("    {} {kind}", quote_name(field))).collect();
        let statement = format!("CREATE TYPE {} (\n{}\n);", full_name(keyspace, name), fields.join(",\n"));
        Some(Creation { keyspace: keyspace.to_owned(), kind: "type", name: name.to_owned(), statement })
    }

    /// User types, each after those that it is made of.
    fn types_in_order(&self, keyspace: &str) -> Vec<String> {
        let (mut ordered, mut left) = (Vec::new(), self.names(SchemaTable::Types, keyspace));
        while !left.is_empty() {
            let names: BTreeSet<_> = left.iter().cloned().collect();
            let waits = |name: &String| {
                let fields = self.user_type(keyspace, name).unwrap_or_default();
                fields.iter().flat_map(|(_, kind)| super::ddl::named_in(kind)).any(|used| names.contains(&used))
            };
            let (waiting, mut ready): (Vec<_>, Vec<_>) = left.into_iter().partition(waits);
            // Types that contain one another can come of concurrent changes: any order is as good then.
            let stuck = ready.is_empty();
            ordered.append(&mut ready);
            left = waiting;
            if stuck {
                ordered.append(&mut left);
            }
        }
        ordered
    }

    /// A table alone.
    pub fn table_creation(&self, table: &Table, ids: Ids) -> Creation {
        let mut lines: Vec<_> = table.columns.iter().map(column_text).collect();
        lines.push(format!("    {}", key_text(table)));
        let id = self.id(&table.key()).filter(|_| ids == Ids::Shown).map(|id| format!("id = {id}"));
        let options: Vec<_> = id.into_iter().chain(self.option_texts(table)).collect();
        let name = full_name(&table.keyspace, &table.name);
        let statement = format!("CREATE TABLE {name} (\n{}\n) WITH {};", lines.join(",\n"), options.join("\n    AND "));
        Creation { keyspace: table.keyspace.clone(), kind: "table", name: table.name.clone(), statement }
    }

    /// A view alone.
    pub fn view_creation(&self, view: &Table) -> Creation {
        let key = view.key();
        let all = self.rows().value(&key, "include_all_columns") == Some(&Value::Boolean(true));
        let columns: Vec<_> = view.columns.iter().map(|column| quote_name(&column.name)).collect();
        let columns = if all { "*".to_owned() } else { columns.join(", ") };
        let base = full_name(&view.keyspace, view.base.as_deref().unwrap_or_default());
        let statement = format!(
            "CREATE MATERIALIZED VIEW {} AS\n    SELECT {columns}\n    FROM {base}\n    WHERE {}\n    {}\n WITH {};",
            full_name(&view.keyspace, &view.name),
            self.text(&key, "where_clause"),
            key_text(view),
            self.option_texts(view).join("\n    AND "),
        );
        Creation { keyspace: view.keyspace.clone(), kind: "materialized_view", name: view.name.clone(), statement }
    }

    fn option_texts(&self, table: &Table) -> Vec<String> {
        let key = table.key();
        let value = |name: &str| self.rows().value(&key, name);
        let columns = option_columns().filter_map(|name| value(name).map(|value| format!("{name} = {}", value_text(value))));
        let columns: Vec<_> = columns.collect();
        order_text(table).into_iter().chain(columns).chain(extension_texts(value("extensions"))).collect()
    }
}

/// An index.
pub fn index_creation(keyspace: &str, index: &Index) -> Creation {
    let mut options = index.options.clone();
    let target = options.remove("target").unwrap_or_default();
    let (name, table) = (quote_name(&index.name), full_name(keyspace, &index.table));
    let statement = match options.remove("class_name") {
        None => format!("CREATE INDEX {name} ON {table} ({target});"),
        Some(class) => {
            let options = if options.is_empty() { String::new() } else { format!(" WITH OPTIONS = {}", map_text(options)) };
            format!("CREATE CUSTOM INDEX {name} ON {table} ({target}) USING {}{options};", text_literal(&class))
        }
    };
    Creation { keyspace: keyspace.to_owned(), kind: "index", name: index.name.clone(), statement }
}

fn full_name(keyspace: &str, name: &str) -> String {
    format!("{}.{}", quote_name(keyspace), quote_name(name))
}

fn column_text(column: &Column) -> String {
    let suffix = if column.role == ColumnRole::Static { " static" } else { "" };
    format!("    {} {}{suffix}", quote_name(&column.name), column.kind)
}

fn names_of(table: &Table, wanted: impl Fn(&Column) -> bool) -> Vec<String> {
    table.columns.iter().filter(|column| wanted(column)).map(|column| quote_name(&column.name)).collect()
}

fn key_text(table: &Table) -> String {
    let partition = names_of(table, |column| column.role == ColumnRole::PartitionKey);
    let partition = if partition.len() == 1 { partition.join("") } else { format!("({})", partition.join(", ")) };
    let clustering = names_of(table, |column| matches!(column.role, ColumnRole::Clustering { .. }));
    let parts: Vec<_> = std::iter::once(partition).chain(clustering).collect();
    format!("PRIMARY KEY ({})", parts.join(", "))
}

fn order_text(table: &Table) -> Option<String> {
    let order = |column: &Column| match column.role {
        ColumnRole::Clustering { descending } => {
            Some(format!("{} {}", quote_name(&column.name), if descending { "DESC" } else { "ASC" }))
        }
        _ => None,
    };
    let orders: Vec<_> = table.columns.iter().filter_map(order).collect();
    (!orders.is_empty()).then(|| format!("CLUSTERING ORDER BY ({})", orders.join(", ")))
}

fn extension_texts(extensions: Option<&Value>) -> Vec<String> {
    let Some(Value::Map(pairs)) = extensions else { return Vec::new() };
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    for (name, value) in pairs {
        match (name, value) {
            (Value::Text(name), Value::Blob(text)) if EXTENSIONS.contains(&name.as_str()) => {
                texts.push(format!("{name} = {}", String::from_utf8_lossy(text)));
            }
            _ => others.push(format!("{}: {}", value_text(name), value_text(value))),
        }
    }
    if !others.is_empty() {
        texts.push(format!("extensions = {{{}}}", others.join(", ")));
    }
    texts
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn map_text(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let pairs: Vec<_> =
        pairs.into_iter().map(|(key, value)| format!("{}: {}", text_literal(&key), text_literal(&value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// An option's value as a statement writes it.
fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text_literal(text),
        Value::Int(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Double(real) => format!("{:?}", f64::from(*real)),
        Value::Blob(bytes) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Value::Map(pairs) => {
            let pairs: BTreeMap<_, _> = pairs.iter().map(|(key, value)| (value_text(key), value_text(value))).collect();
            let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        _ => "null".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Rows, ddl::tests::World};

    const STATEMENTS: [&str; 10] = [
        "CREATE KEYSPACE other WITH replication = {'class': 'NetworkTopologyStrategy', 'DC1': 3} AND durable_writes = false
            AND tablets = {'initial': 8} AND storage = {'type': 'S3', 'bucket': 'b', 'endpoint': 'e'}",
        "CREATE TYPE z (\"Zip Code\" int)",
        "CREATE TYPE a (z frozen<z>, l list<frozen<z>>)",
        "CREATE TABLE plain (k int PRIMARY KEY)",
        "CREATE TABLE \"Odd name\" (\"select\" int, b text, c int, d timeuuid, s frozen<a> static, v map<text, frozen<list<int>>>,
            t tuple<int, text>, PRIMARY KEY ((\"select\", b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)
            AND comment = 'it''s' AND bloom_filter_fp_chance = 0.1 AND compaction = {'class': 'LeveledCompactionStrategy'}
            AND cdc = {'enabled': true, 'ttl': 10} AND extensions = {'mine': 0xCAFE} AND caching = {'keys': 'NONE'}",
        "CREATE TABLE counters (k text PRIMARY KEY, n counter)",
        "CREATE INDEX ON plain2 (v)",
        "CREATE CUSTOM INDEX sasi ON plain2 (keys(m)) USING 'org.S' WITH OPTIONS = {'mode': 'PREFIX'}",
        "CREATE MATERIALIZED VIEW everything AS SELECT * FROM plain2 WHERE v IS NOT NULL AND k IS NOT NULL PRIMARY KEY (v, k)
            WITH CLUSTERING ORDER BY (k DESC) AND comment = 'all'",
        "CREATE MATERIALIZED VIEW some AS SELECT v FROM plain2 WHERE v > 1 AND k IS NOT NULL PRIMARY KEY (k, v)",
    ];

    fn world() -> World {
        let mut world = World::with(&["CREATE TABLE plain2 (k int PRIMARY KEY, v int, m map<text, int>)"]);
        for statement in STATEMENTS {
            let statement = statement.replace("\"Odd name\"", "odd_name");
            let _ = world.ok(&statement);
        }
        world
    }

    /// Without write timestamps and the ids of views, which no statement sets.
    fn timeless(schema: &Schema) -> BTreeMap<(RowKey, String), Option<Value>> {
        let rows: &Rows = schema.rows();
        let cells = rows.cells.iter().flat_map(|(key, cells)| cells.iter().map(move |(column, cell)| (key, column, cell)));
        let kept = cells.filter(|(key, column, _)| key.table != SchemaTable::Views || *column != "id");
        kept.map(|(key, column, cell)| ((key.clone(), column.clone()), cell.value.clone())).collect()
    }

    #[test]
    fn creations_make_the_same_schema_again() {
        let first = world();
        let mut second = World::default();
        for creation in first.schema.creations(Ids::Shown) {
            let _ = second.ok(&creation.statement);
        }
        assert_eq!(timeless(&first.schema), timeless(&second.schema));
        assert_eq!(first.schema.creations(Ids::Hidden), second.schema.creations(Ids::Hidden));
    }

    #[test]
    fn a_table_is_written_as_people_expect() {
        let table = world().schema.table_creations("ks", "odd_name", Ids::Hidden);
        expect_test::expect![[r#"
            CREATE TABLE ks.odd_name (
                "select" int,
                b text,
                c int,
                d timeuuid,
                s frozen<a> static,
                t frozen<tuple<int, text>>,
                v map<text, frozen<list<int>>>,
                PRIMARY KEY (("select", b), c, d)
            ) WITH CLUSTERING ORDER BY (c DESC, d ASC)
                AND bloom_filter_fp_chance = 0.1
                AND caching = {'keys': 'NONE', 'rows_per_partition': 'ALL'}
                AND comment = 'it''s'
                AND compaction = {'class': 'LeveledCompactionStrategy'}
                AND compression = {'sstable_compression': 'org.apache.cassandra.io.compress.LZ4Compressor'}
                AND crc_check_chance = 1.0
                AND dclocal_read_repair_chance = 0.0
                AND default_time_to_live = 0
                AND gc_grace_seconds = 864000
                AND max_index_interval = 2048
                AND memtable_flush_period_in_ms = 0
                AND min_index_interval = 128
                AND read_repair_chance = 0.0
                AND speculative_retry = '99.0PERCENTILE'
                AND cdc = {'enabled': true, 'ttl': 10}
                AND extensions = {'mine': 0xcafe};"#]]
        .assert_eq(&table[0].statement);
    }
}
