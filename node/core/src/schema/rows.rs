//! Rows of `system_schema.*`, and how two versions of them merge.
//!
//! [`Rows`] is at once a whole schema and a change to one: a join-semilattice under [`Rows::merge`], which is associative,
//! commutative and idempotent. Per cell the last write wins, ties by value; a deletion covers what is not newer than it.
//! What a deletion covers is dropped, so that equal schemas are equal values, and their [`Rows::digest`]s are too.

use crate::{ids::Micros, value::Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A table of `system_schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SchemaTable {
    /// `keyspaces(keyspace_name)`
    Keyspaces,
    /// `scylla_keyspaces(keyspace_name)`
    ScyllaKeyspaces,
    /// `tables(keyspace_name, table_name)`
    Tables,
    /// `scylla_tables(keyspace_name, table_name)`
    ScyllaTables,
    /// `columns(keyspace_name, table_name, column_name)`
    Columns,
    /// `dropped_columns(keyspace_name, table_name, column_name)`
    DroppedColumns,
    /// `types(keyspace_name, type_name)`
    Types,
    /// `indexes(keyspace_name, table_name, index_name)`
    Indexes,
    /// `views(keyspace_name, view_name)`
    Views,
}

/// The primary key of a row, or, with fewer parts, all rows below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// The table.
    pub table: SchemaTable,
    /// Keyspace first.
    pub parts: Vec<String>,
}

/// A cell: its value, or nothing if it was deleted, and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The write timestamp.
    pub at: Micros,
    /// Absent: a tombstone.
    pub value: Option<Value>,
}

/// Rows and deletions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rows {
    /// Column name to cell, by row.
    pub cells: BTreeMap<RowKey, BTreeMap<String, Cell>>,
    /// When everything at or below a key was deleted.
    pub deletions: BTreeMap<RowKey, Micros>,
}
