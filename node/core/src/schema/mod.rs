//! The schema.

mod rows;

pub use rows::{Cell, RowKey, Rows, SchemaTable};
