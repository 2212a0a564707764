//! The system's own keyspaces: what tables there are, and the rows of those that tell the schema.
//!
//! [`catalog`] defines the tables; [`schema_rows`] answers for `system_schema`. Rows of `system` belong to whoever has the
//! state that they show.

pub mod catalog;
pub mod schema_rows;

pub use catalog::{find_table, system_schema};
pub use schema_rows::{key_prefix, schema_table_rows};
