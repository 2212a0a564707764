//! The system's own keyspaces: what tables there are, and the rows of those that tell the schema.
//!
//! [`catalog`] defines the tables; [`schema_rows`] answers for `system_schema`. Rows of `system` belong to whoever has the
//! state that they show.

use crate::{
    cql::select::{self, TableData},
    schema::{ColumnRole, Table},
    value::Value,
};

pub mod catalog;
pub mod schema_rows;

pub use catalog::{find_table, system_schema};
pub use schema_rows::{key_prefix, schema_table_rows};

/// A table with its rows, for [`select::select`]; a user's table has none.
pub fn table_data(table: Table, rows: Vec<Vec<Option<Value>>>) -> TableData {
    let role = |role| match role {
        ColumnRole::PartitionKey => select::ColumnRole::PartitionKey,
        ColumnRole::Clustering { .. } => select::ColumnRole::Clustering,
        ColumnRole::Static => select::ColumnRole::Static,
        ColumnRole::Regular => select::ColumnRole::Regular,
    };
    let columns = table.columns.into_iter().map(|column| (column.name, column.kind, role(column.role))).collect();
    TableData { keyspace: table.keyspace, table: table.name, columns, rows }
}
