//! What schema rows say, as types: tables with their columns, views, user types, indexes.
//!
//! Rows may disagree for a while, when concurrent changes of two nodes met: a column without its table is not seen, a type
//! that cannot be read is a custom one.

use super::{Cell, RowKey, Schema, SchemaTable};
use crate::value::{CqlType, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a column is to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnRole {
    /// Of the partition key.
    PartitionKey,
    /// Of the clustering key.
    Clustering {
        /// DESC
        descending: bool,
    },
    /// One value for each partition.
    Static,
    /// Any other.
    Regular,
}

impl ColumnRole {
    /// Its name in `system_schema.columns.kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PartitionKey => "partition_key",
            Self::Clustering { .. } => "clustering",
            Self::Static => "static",
            Self::Regular => "regular",
        }
    }

    /// Whether the column is part of the primary key.
    pub const fn is_key(self) -> bool {
        matches!(self, Self::PartitionKey | Self::Clustering { .. })
    }

    /// Its text in `system_schema.columns.clustering_order`.
    pub const fn order(self) -> &'static str {
        match self {
            Self::Clustering { descending: true } => "desc",
            Self::Clustering { descending: false } => "asc",
            _ => "none",
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::PartitionKey => 0,
            Self::Clustering { .. } => 1,
            Self::Static => 2,
            Self::Regular => 3,
        }
    }
}

/// A column of a table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: CqlType,
    /// What it is to the table.
    pub role: ColumnRole,
    /// Within its part of the key, from 0; -1 elsewhere.
    pub position: i32,
}

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its keyspace.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// The base table, if it is a view.
    pub base: Option<String>,
    /// In the order of `SELECT *`: partition key, clustering key, static, regular.
    pub columns: Vec<Column>,
}

impl Table {
    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether it counts.
    pub fn is_counter(&self) -> bool {
        self.columns.iter().any(|column| column.kind == CqlType::Counter)
    }

    /// The key of its row.
    pub fn key(&self) -> RowKey {
        let table = if self.base.is_some() { SchemaTable::Views } else { SchemaTable::Tables };
        RowKey::new(table, [&self.keyspace, &self.name])
    }

    /// Put columns in the order of `SELECT *`.
    pub fn sort(columns: &mut [Column]) {
        columns.sort_by(|a, b| (a.role.rank(), a.position, &a.name).cmp(&(b.role.rank(), b.position, &b.name)));
    }
}

/// A secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The table.
    pub table: String,
    /// Its name, unique in the keyspace.
    pub name: String,
    /// COMPOSITES or CUSTOM.
    pub kind: String,
    /// `target` and others.
    pub options: BTreeMap<String, String>,
}

impl Index {
    /// The column that it is on; nothing if its target is of a form that only its class knows.
    pub fn column(&self) -> Option<String> {
        let target = self.options.get("target")?;
        let inner = target.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(target);
        match inner.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
            Some(quoted) => Some(quoted.replace("\"\"", "\"")),
            None => Some(inner.to_owned()),
        }
    }
}

impl Schema {
    /// Whether there is this keyspace of users.
    pub fn has_keyspace(&self, name: &str) -> bool {
        self.rows().is_live(&RowKey::new(SchemaTable::Keyspaces, [name]))
    }

    /// The names of users' keyspaces, ascending.
    pub fn keyspace_names(&self) -> Vec<String> {
        let all = RowKey::new(SchemaTable::Keyspaces, []);
        self.rows().live_below(&all).map(|(key, _)| key.part(0).to_owned()).collect()
    }

    /// The names of a kind of elements in a keyspace, ascending.
    pub fn names(&self, table: SchemaTable, keyspace: &str) -> Vec<String> {
        self.rows().live_below(&RowKey::new(table, [keyspace])).map(|(key, _)| key.part(1).to_owned()).collect()
    }

    /// A table or view of users.
    pub fn table(&self, keyspace: &str, name: &str) -> Option<Table> {
        let view = RowKey::new(SchemaTable::Views, [keyspace, name]);
        let base = self.rows().is_live(&view).then(|| self.text(&view, "base_table_name"));
        if base.is_none() && !self.rows().is_live(&RowKey::new(SchemaTable::Tables, [keyspace, name])) {
            return None;
        }
        let columns = self.columns(keyspace, name);
        Some(Table { keyspace: keyspace.to_owned(), name: name.to_owned(), base, columns })
    }

    fn columns(&self, keyspace: &str, table: &str) -> Vec<Column> {
        let rows = self.rows().live_below(&RowKey::new(SchemaTable::Columns, [keyspace, table]));
        let mut columns: Vec<_> = rows.map(|(key, cells)| column(key.part(2), cells)).collect();
        Table::sort(&mut columns);
        columns
    }

    /// The fields of a user type.
    pub fn user_type(&self, keyspace: &str, name: &str) -> Option<Vec<(String, CqlType)>> {
        let key = RowKey::new(SchemaTable::Types, [keyspace, name]);
        let texts = |column| match self.rows().value(&key, column) {
            Some(Value::List(texts)) => Some(texts.iter().map(|text| plain(Some(text))).collect::<Vec<_>>()),
            _ => None,
        };
        let kinds = texts("field_types")?.into_iter().map(|text| kind_of(&text));
        Some(texts("field_names")?.into_iter().zip(kinds).collect())
    }

    /// The user types of a keyspace with their fields, as results need them to describe their columns.
    pub fn user_types(&self, keyspace: &str) -> BTreeMap<String, Vec<(String, CqlType)>> {
        let names = self.names(SchemaTable::Types, keyspace).into_iter();
        names.filter_map(|name| self.user_type(keyspace, &name).map(|fields| (name, fields))).collect()
    }

    /// The views of a table.
    pub fn views_of(&self, keyspace: &str, base: &str) -> Vec<Table> {
        let names = self.names(SchemaTable::Views, keyspace).into_iter();
        names.filter_map(|name| self.table(keyspace, &name)).filter(|view| view.base.as_deref() == Some(base)).collect()
    }

    /// The indexes of a keyspace, by table and name.
    pub fn indexes(&self, keyspace: &str) -> Vec<Index> {
        let rows = self.rows().live_below(&RowKey::new(SchemaTable::Indexes, [keyspace]));
        let index = |(key, cells): (&RowKey, &BTreeMap<String, Cell>)| Index {
            table: key.part(1).to_owned(),
            name: key.part(2).to_owned(),
            kind: plain(value(cells, "kind")),
            options: map_of(value(cells, "options")),
        };
        rows.map(index).collect()
    }

    /// A text of a row, empty if absent.
    pub fn text(&self, key: &RowKey, column: &str) -> String {
        plain(self.rows().value(key, column))
    }

    /// A `map<text, text>` of a row, empty if absent.
    pub fn text_map(&self, key: &RowKey, column: &str) -> BTreeMap<String, String> {
        map_of(self.rows().value(key, column))
    }

    /// The id of a table or view.
    pub fn id(&self, key: &RowKey) -> Option<Uuid> {
        match self.rows().value(key, "id") {
            Some(&Value::Uuid(id)) => Some(id),
            _ => None,
        }
    }
}

fn value<'a>(cells: &'a BTreeMap<String, Cell>, column: &str) -> Option<&'a Value> {
    cells.get(column)?.value.as_ref()
}

fn column(name: &str, cells: &BTreeMap<String, Cell>) -> Column {
    let descending = plain(value(cells, "clustering_order")) == "desc";
    let role = match plain(value(cells, "kind")).as_str() {
        "partition_key" => ColumnRole::PartitionKey,
        "clustering" => ColumnRole::Clustering { descending },
        "static" => ColumnRole::Static,
        _ => ColumnRole::Regular,
    };
    let position = if let Some(&Value::Int(position)) = value(cells, "position") { position } else { -1 };
    Column { name: name.to_owned(), kind: kind_of(&plain(value(cells, "type"))), role, position }
}

fn kind_of(text: &str) -> CqlType {
    text.parse().unwrap_or_else(|_| CqlType::Custom(text.to_owned()))
}

fn plain(value: Option<&Value>) -> String {
    if let Some(Value::Text(text)) = value { text.clone() } else { String::new() }
}

fn map_of(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Map(pairs)) = value else { return BTreeMap::new() };
    pairs.iter().map(|(key, value)| (plain(Some(key)), plain(Some(value)))).collect()
}
