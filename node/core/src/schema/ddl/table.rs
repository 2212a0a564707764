//! CREATE and DROP TABLE, and what they share with views.

use super::{Draft, Outcome, check_name, invalid, misconfigured, options, types};
use crate::{
    cql::ast::{CreateTable, Drop, Term},
    io::{CqlError, SchemaChange, SchemaTarget},
    schema::{Column, ColumnRole, RowKey, SchemaTable, Table},
    value::{CqlType, Value},
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A limit on tables and views together: every node keeps the whole schema in memory, and a cluster of the references with
/// more is out of order anyway.
pub const TABLES_MAX: usize = 10_000;

/// A limit on columns of a table, fields of a type, and whatever else of them one statement lists: some checks compare each with each,
/// and no more fit into one statement (see `cql::lexer`) or one command of group 0.
pub const COLUMNS_MAX: usize = 1_500;

/// Comes before all checks that take longer the more there are.
pub(super) fn check_count(of: &str, count: usize) -> Result<(), CqlError> {
    if count <= COLUMNS_MAX {
        return Ok(());
    }
    invalid(format!("{count} columns or fields of {of}: at most {COLUMNS_MAX} are allowed"))
}

pub(super) fn create(mut draft: Draft, create: &CreateTable) -> Outcome {
    let keyspace = draft.keyspace_of(&create.name)?;
    let name = create.name.name.as_str();
    check_name("table", name)?;
    draft.check_keyspace(&keyspace)?;
    if draft.schema.table(&keyspace, name).is_some() {
        return if create.if_not_exists { Ok(None) } else { Err(already_exists(&keyspace, name)) };
    }
    check_room(&draft, &keyspace, name)?;
    if create.compact_storage {
        return invalid("Support for the deprecated feature of 'CREATE TABLE WITH COMPACT STORAGE' is disabled");
    }
    define(&mut draft, &keyspace, create)?;
    Ok(Some(draft.done(SchemaChange::Created, SchemaTarget::Table, &keyspace, name)))
}

/// The rows of a table that a statement describes well. That it may be made, the caller knows.
pub(super) fn define(draft: &mut Draft, keyspace: &str, create: &CreateTable) -> Result<(), CqlError> {
    let name = create.name.name.as_str();
    let columns = columns(draft, keyspace, create)?;
    let table = Table { keyspace: keyspace.to_owned(), name: name.to_owned(), base: None, columns };
    check_counters(&table)?;
    let (id, options) = options::take(&create.options, "id");
    let id = id.map_or(Ok(draft.context.table_id), table_id)?;
    write(draft, &table, id, &options)?;
    draft.put(SchemaTable::Tables, [keyspace, name], "flags", Value::text_set(["compound"]));
    check_time_to_live(draft, &table)
}

pub(super) fn already_exists(keyspace: &str, table: &str) -> CqlError {
    CqlError::AlreadyExists {
        message: format!("Cannot add already existing table \"{table}\" to keyspace \"{keyspace}\""),
        keyspace: keyspace.to_owned(),
        table: table.to_owned(),
    }
}

pub(super) fn check_room(draft: &Draft, keyspace: &str, name: &str) -> Result<(), CqlError> {
    let count = |table| draft.schema.rows().live_below(&RowKey::new(table, [])).count();
    if count(SchemaTable::Tables) + count(SchemaTable::Views) < TABLES_MAX {
        return Ok(());
    }
    invalid(format!("Cannot add {keyspace}.{name}: there are {TABLES_MAX} tables and views already, which is the limit"))
}

/// Everything of a new table or view but its flags and what only views have.
pub(super) fn write(draft: &mut Draft, table: &Table, id: Uuid, options: &[(String, Term)]) -> Result<(), CqlError> {
    let key = table.key();
    for (column, value) in options::defaults() {
        draft.put_at(&key, column, value);
    }
    options::write(draft, &key, options)?;
    draft.put_at(&key, "id", Value::Uuid(id));
    for column in &table.columns {
        write_column(draft, &table.keyspace, &table.name, column);
    }
    draft.touch(&table.keyspace, &table.name);
    Ok(())
}

pub(super) fn write_column(draft: &mut Draft, keyspace: &str, table: &str, column: &Column) {
    let key = [keyspace, table, &column.name];
    draft.put(SchemaTable::Columns, key, "clustering_order", Value::text(column.role.order()));
    draft.put(SchemaTable::Columns, key, "column_name_bytes", Value::Blob(column.name.clone().into_bytes()));
    draft.put(SchemaTable::Columns, key, "kind", Value::text(column.role.name()));
    draft.put(SchemaTable::Columns, key, "position", Value::Int(column.position));
    draft.put(SchemaTable::Columns, key, "type", Value::Text(column.kind.to_string()));
}

fn table_id(term: &Term) -> Result<Uuid, CqlError> {
    match term {
        Term::Uuid(id) => Ok(*id),
        Term::Text(text) => text.parse().or_else(|_| misconfigured(format!("Invalid table id {text}"))),
        _ => misconfigured("Invalid table id"),
    }
}

fn columns(draft: &Draft, keyspace: &str, create: &CreateTable) -> Result<Vec<Column>, CqlError> {
    if create.partition_key.is_empty() {
        return invalid("No PRIMARY KEY specified (exactly one required)");
    }
    let key = create.partition_key.len() + create.clustering.len();
    check_count(&create.name.name, create.columns.len().max(key).max(create.clustering_order.len()))?;
    check_order(&create.clustering, &create.clustering_order)?;
    let (mut columns, mut names): (Vec<Column>, _) = (Vec::new(), BTreeSet::new());
    for definition in &create.columns {
        if !names.insert(&definition.name) {
            return invalid(format!("Multiple definition of identifier {}", definition.name));
        }
        let role = if definition.is_static { ColumnRole::Static } else { ColumnRole::Regular };
        let kind = types::of_column(draft, keyspace, &definition.kind)?;
        columns.push(Column { name: definition.name.clone(), kind, role, position: -1 });
    }
    set_key(&mut columns, &create.partition_key, |_| ColumnRole::PartitionKey)?;
    set_key(&mut columns, &create.clustering, |name| clustering(&create.clustering_order, name))?;
    if create.clustering.is_empty() && columns.iter().any(|column| column.role == ColumnRole::Static) {
        return invalid("Static columns are only useful (and thus allowed) if the table has at least one clustering column");
    }
    Table::sort(&mut columns);
    Ok(columns)
}

/// The role of a clustering column, given `CLUSTERING ORDER BY`.
pub(super) fn clustering(order: &[(String, bool)], name: &str) -> ColumnRole {
    ColumnRole::Clustering { descending: order.iter().any(|(column, descending)| column == name && *descending) }
}

fn set_key(columns: &mut [Column], names: &[String], role: impl Fn(&str) -> ColumnRole) -> Result<(), CqlError> {
    for (name, position) in names.iter().zip(0..) {
        let Some(column) = columns.iter_mut().find(|column| column.name == *name && !column.role.is_key()) else {
            return invalid(format!("Unknown definition {name} referenced in PRIMARY KEY"));
        };
        check_key_type(column)?;
        column.role = role(name);
        column.position = position;
    }
    Ok(())
}

fn check_key_type(column: &Column) -> Result<(), CqlError> {
    let name = &column.name;
    match &column.kind {
        _ if column.role == ColumnRole::Static => invalid(format!("Static column {name} cannot be part of the PRIMARY KEY")),
        CqlType::Counter => invalid(format!("counter type is not supported for PRIMARY KEY part {name}")),
        CqlType::Duration => invalid(format!("duration type is not supported for PRIMARY KEY part {name}")),
        CqlType::UserType(_) => invalid(format!("Invalid non-frozen user-defined type for PRIMARY KEY component {name}")),
        kind if types::is_collection(kind) => {
            invalid(format!("Invalid non-frozen collection type for PRIMARY KEY component {name}"))
        }
        _ => Ok(()),
    }
}

/// `CLUSTERING ORDER BY` names the clustering columns in their order, or is not there.
pub(super) fn check_order(clustering: &[String], order: &[(String, bool)]) -> Result<(), CqlError> {
    if order.is_empty() || order.iter().map(|(column, _)| column).eq(clustering) {
        return Ok(());
    }
    if order.iter().any(|(column, _)| !clustering.contains(column)) {
        return invalid("Only clustering key columns can be defined in CLUSTERING ORDER directive");
    }
    match clustering.iter().find(|name| order.iter().all(|(column, _)| column != *name)) {
        Some(missing) => invalid(format!("Missing CLUSTERING ORDER for column {missing}")),
        None => invalid("The order of columns in the CLUSTERING ORDER directive must be the one of the clustering key"),
    }
}

fn check_counters(table: &Table) -> Result<(), CqlError> {
    let mut values = table.columns.iter().filter(|column| !column.role.is_key());
    if table.is_counter() && values.any(|column| column.kind != CqlType::Counter) {
        return invalid("Cannot mix counter and non counter columns in the same table");
    }
    Ok(())
}

pub(super) fn check_time_to_live(draft: &Draft, table: &Table) -> Result<(), CqlError> {
    let expires = draft.rows.value(&table.key(), "default_time_to_live").is_some_and(|value| *value != Value::Int(0));
    match (expires, table.is_counter(), &table.base) {
        (true, true, _) => invalid("Cannot set default_time_to_live on a table with counters"),
        (true, _, Some(_)) => invalid("Cannot set default_time_to_live for a materialized view"),
        _ => Ok(()),
    }
}

pub(super) fn drop(mut draft: Draft, drop: &Drop) -> Outcome {
    let keyspace = draft.keyspace_of(&drop.name)?;
    let name = drop.name.name.as_str();
    if drop.if_exists && draft.schema.table(&keyspace, name).is_none() {
        return Ok(None);
    }
    if draft.existing(&keyspace, name)?.base.is_some() {
        return invalid("Cannot use DROP TABLE on Materialized View. (Use DROP MATERIALIZED VIEW instead.)");
    }
    let views: Vec<_> = draft.schema.views_of(&keyspace, name).into_iter().map(|view| view.name).collect();
    if !views.is_empty() {
        let views = views.join(", ");
        return invalid(format!("Cannot drop table when materialized views still depend on it ({keyspace}.{{{views}}})"));
    }
    delete(&mut draft, &keyspace, name, SchemaTable::Tables);
    draft.delete(SchemaTable::Indexes, [&keyspace, name]);
    Ok(Some(draft.done(SchemaChange::Dropped, SchemaTarget::Table, &keyspace, name)))
}

/// Delete all rows of a table or view but its indexes.
pub(super) fn delete(draft: &mut Draft, keyspace: &str, name: &str, own: SchemaTable) {
    for table in [own, SchemaTable::ScyllaTables, SchemaTable::Columns, SchemaTable::DroppedColumns] {
        draft.delete(table, [keyspace, name]);
    }
}
