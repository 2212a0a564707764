//! Schema changes: from a statement to the rows that carry it out.
//!
//! [`prepare`] is pure and decides everything: it validates against a schema and answers what would change. Whoever calls it
//! gives the write timestamp, later than everything in the schema, and merges or proposes the rows.

mod alter;
mod index;
mod keyspace;
mod options;
mod table;
mod types;
mod view;

use super::{Cell, RowKey, Rows, Schema, SchemaTable, Table};
use crate::{
    cql::ast::{CreateTable, Drop, Kind, Name, Statement},
    ids::Micros,
    io::{CqlError, SchemaChange, SchemaEvent, SchemaTarget},
    value::Value,
};
pub(super) use options::{EXTENSIONS, option_columns};
pub use table::TABLES_MAX;
pub(super) use types::named_in;
use uuid::Uuid;

/// What a statement is prepared with, besides the schema.
#[derive(Clone, Copy, Debug)]
pub struct DdlContext<'a> {
    /// The keyspace that the session uses.
    pub keyspace: Option<&'a str>,
    /// The write timestamp: later than [`Schema::newest`].
    pub at: Micros,
    /// A fresh timeuuid, for a table or view that the statement makes.
    pub table_id: Uuid,
    /// The version that touched tables get: the state id, in the final state. Absent: their versions are digests.
    pub version: Option<Uuid>,
    /// The known data centers, for a `replication_factor` that means each of them. May be empty.
    pub data_centers: &'a [String],
}

/// What a statement changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The rows to merge.
    pub rows: Rows,
    /// What clients are told once it is done; the first is the reply to whoever asked.
    pub events: Vec<SchemaEvent>,
    /// What it is about, e.g. `ks.t`.
    pub subject: String,
}

/// What a statement changes; nothing if it needs not (`IF [NOT] EXISTS`).
pub fn prepare(schema: &Schema, statement: &Statement, context: &DdlContext) -> Result<Option<Change>, CqlError> {
    let draft = Draft { schema, context, rows: Rows::default() };
    match statement {
        Statement::CreateKeyspace(create) => keyspace::create(draft, create),
        Statement::AlterKeyspace(alter) => keyspace::alter(draft, alter),
        Statement::CreateTable(create) => table::create(draft, create),
        Statement::AlterTable(alter) => alter::alter(draft, alter),
        Statement::CreateType(create) => types::create(draft, create),
        Statement::AlterType(alter) => types::alter(draft, alter),
        Statement::CreateIndex(create) => index::create(draft, create),
        Statement::CreateView(create) => view::create(draft, create),
        Statement::AlterView(alter) => view::alter(draft, alter),
        Statement::Drop(drop) => drop_element(draft, drop),
        _ => invalid("this statement changes no schema"),
    }
}

/// The rows of a table of the system, which no statement of a user can make.
pub(crate) fn system_table(create: &CreateTable, id: Uuid) -> Result<Rows, CqlError> {
    let (schema, no_one) = (Schema::default(), []);
    let context = DdlContext { keyspace: None, at: Micros(0), table_id: id, version: Some(id), data_centers: &no_one };
    let mut draft = Draft { schema: &schema, context: &context, rows: Rows::default() };
    let keyspace = create.name.keyspace.clone().unwrap_or_default();
    table::define(&mut draft, &keyspace, create)?;
    Ok(draft.rows)
}

fn drop_element(draft: Draft, drop: &Drop) -> Outcome {
    match drop.kind {
        Kind::Keyspace => keyspace::drop(draft, drop),
        Kind::Table => table::drop(draft, drop),
        Kind::Type => types::drop(draft, drop),
        Kind::Index => index::drop(draft, drop),
        Kind::View => view::drop(draft, drop),
    }
}

type Outcome = Result<Option<Change>, CqlError>;

fn invalid<T>(message: impl Into<String>) -> Result<T, CqlError> {
    Err(CqlError::Invalid(message.into()))
}

fn misconfigured<T>(message: impl Into<String>) -> Result<T, CqlError> {
    Err(CqlError::Config(message.into()))
}

/// A limit on names of keyspaces, tables and views: they name directories in the reference.
const NAME_LENGTH_MAX: usize = 48;

/// Keyspaces that are the system's, whether or not this node has them.
const SYSTEM_KEYSPACES: [&str; 9] = [
    "system",
    "system_schema",
    "system_auth",
    "system_distributed",
    "system_distributed_everywhere",
    "system_replicated_keys",
    "system_traces",
    "system_views",
    "system_virtual_schema",
];

fn check_modifiable(keyspace: &str) -> Result<(), CqlError> {
    if SYSTEM_KEYSPACES.contains(&keyspace) {
        return Err(CqlError::Unauthorized(format!("{keyspace} keyspace is not user-modifiable.")));
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), CqlError> {
    check_characters(what, name)?;
    if name.len() > NAME_LENGTH_MAX {
        return invalid(format!("{what} names shouldn't be more than {NAME_LENGTH_MAX} characters long (got \"{name}\")"));
    }
    Ok(())
}

fn check_characters(what: &str, name: &str) -> Result<(), CqlError> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return invalid(format!(
            "\"{name}\" is not a valid {what} name (must be alphanumeric character or underscore only: [a-zA-Z_0-9]+)"
        ));
    }
    Ok(())
}

/// A change in the making.
struct Draft<'a> {
    schema: &'a Schema,
    context: &'a DdlContext<'a>,
    rows: Rows,
}

impl Draft<'_> {
    /// The keyspace that a name is in: one that users may change.
    fn keyspace_of(&self, name: &Name) -> Result<String, CqlError> {
        let Some(keyspace) = name.keyspace.as_deref().or(self.context.keyspace) else {
            return invalid("No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename");
        };
        check_modifiable(keyspace)?;
        Ok(keyspace.to_owned())
    }

    fn check_keyspace(&self, keyspace: &str) -> Result<(), CqlError> {
        if self.schema.has_keyspace(keyspace) { Ok(()) } else { invalid(format!("Keyspace '{keyspace}' does not exist")) }
    }

    /// The table or view of a name, in a keyspace from [`Self::keyspace_of`].
    fn existing(&self, keyspace: &str, name: &str) -> Result<Table, CqlError> {
        self.check_keyspace(keyspace)?;
        self.schema.table(keyspace, name).ok_or_else(|| CqlError::Invalid(format!("unconfigured table {name}")))
    }

    fn put<const N: usize>(&mut self, table: SchemaTable, parts: [&str; N], column: &str, value: Value) {
        self.put_at(&RowKey::new(table, parts), column, value);
    }

    fn put_at(&mut self, key: &RowKey, column: &str, value: Value) {
        self.rows.put(key, column, Cell::of(self.context.at, value));
    }

    fn delete<const N: usize>(&mut self, table: SchemaTable, parts: [&str; N]) {
        self.rows.deletions.insert(RowKey::new(table, parts), self.context.at);
    }

    /// Give a table that this draft touches its new version, or take a stale one away.
    fn touch(&mut self, keyspace: &str, table: &str) {
        let key = RowKey::new(SchemaTable::ScyllaTables, [keyspace, table]);
        match self.context.version {
            Some(version) => self.put_at(&key, "version", Value::Uuid(version)),
            None if self.schema.rows().value(&key, "version").is_some() => {
                self.rows.put(&key, "version", Cell::tombstone(self.context.at));
            }
            None => {}
        }
    }

    fn done(self, change: SchemaChange, target: SchemaTarget, keyspace: &str, name: &str) -> Change {
        let subject = if name.is_empty() { keyspace.to_owned() } else { format!("{keyspace}.{name}") };
        let event = SchemaEvent { change, target, keyspace: keyspace.to_owned(), name: name.to_owned() };
        Change { rows: self.rows, events: vec![event], subject }
    }
}

#[cfg(test)]
pub(crate) mod tests;
