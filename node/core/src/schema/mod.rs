//! The schema.
//!
//! [`Rows`] are the data and how they merge; [`Schema`] is a whole schema with its digest, which `store` encodes for disk and
//! `lookup` reads as tables and columns; [`ddl`] makes statements into changes, and `creation` a schema into statements, with
//! which [`describe()`] answers.

mod creation;
pub mod ddl;
mod describe;
mod lookup;
mod rows;
mod store;

pub use creation::{Creation, Ids};
pub use describe::{ClusterDescription, describe};
pub use lookup::{Column, ColumnRole, Index, Table};
pub use rows::{Cell, Merged, RowKey, Rows, SchemaTable};
pub use store::CorruptSchema;

use crate::ids::Micros;
use uuid::Uuid;

/// All schema rows of a node, with what would take long to compute from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    rows: Rows,
    /// Always equal to `rows.digest()`.
    digest: u128,
    /// Always equal to `rows.newest()`: what replaces or covers a cell is never older than it.
    newest: Option<Micros>,
}

impl Schema {
    /// A schema of these rows, which need not be in canonical form.
    pub fn from_rows(rows: &Rows) -> Self {
        let mut schema = Self::default();
        let _ = schema.merge(rows);
        schema
    }

    /// The rows.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The newest write timestamp of all.
    pub const fn newest(&self) -> Option<Micros> {
        self.newest
    }

    /// The schema version made of the digest: equal where the rows are equal.
    pub const fn version(&self) -> Uuid {
        uuid::Builder::from_md5_bytes(self.digest.to_be_bytes()).into_uuid()
    }

    /// See [`Rows::merge`]. Costs what changes, not what is there.
    pub fn merge(&mut self, other: &Rows) -> Merged {
        let merged = self.rows.merge(other);
        self.digest = self.digest.wrapping_sub(merged.gone.digest()).wrapping_add(merged.changed.digest());
        self.newest = self.newest.max(merged.changed.newest());
        merged
    }

    /// See [`Rows::surplus_over`].
    pub fn surplus_over(&self, other: &Rows) -> Rows {
        self.rows.surplus_over(other)
    }
}
