//! ALTER TABLE.

use super::{Draft, Outcome, invalid, misconfigured, options, table, types};
use crate::{
    cql::ast::{AlterTable, ColumnDefinition, TableChange},
    io::{CqlError, SchemaChange, SchemaTarget},
    schema::{Column, ColumnRole, RowKey, SchemaTable, Table},
    value::{CqlType, Value},
};

pub(super) fn alter(mut draft: Draft, alter: &AlterTable) -> Outcome {
    let keyspace = draft.keyspace_of(&alter.name)?;
    let name = alter.name.name.as_str();
    if alter.if_exists && draft.schema.table(&keyspace, name).is_none() {
        return Ok(None);
    }
    let table = draft.existing(&keyspace, name)?;
    if table.base.is_some() {
        return invalid("Cannot use ALTER TABLE on Materialized View");
    }
    table::check_count(name, count(&table, &alter.change))?;
    match &alter.change {
        TableChange::Add(columns) => columns.iter().try_for_each(|column| add(&mut draft, &table, column))?,
        TableChange::Drop(columns) => columns.iter().try_for_each(|column| drop(&mut draft, &table, column))?,
        TableChange::Rename(renames) => renames.iter().try_for_each(|(from, to)| rename(&mut draft, &table, from, to))?,
        TableChange::Retype(column, kind) => retype(&mut draft, &table, column, kind)?,
        TableChange::Options(given) => set_options(&mut draft, &table, given)?,
    }
    draft.touch(&keyspace, name);
    Ok(Some(draft.done(SchemaChange::Updated, SchemaTarget::Table, &keyspace, name)))
}

/// How many columns there would be, or are named.
const fn count(table: &Table, change: &TableChange) -> usize {
    match change {
        TableChange::Add(columns) => table.columns.len() + columns.len(),
        TableChange::Drop(columns) => columns.len(),
        TableChange::Rename(renames) => renames.len(),
        TableChange::Retype(..) | TableChange::Options(_) => 0,
    }
}

/// The options of a table or view that exists.
pub(super) fn set_options(draft: &mut Draft, table: &Table, given: &crate::cql::ast::Options) -> Result<(), CqlError> {
    if given.is_empty() {
        return Err(CqlError::Syntax("ALTER WITH invoked, but no parameters found".to_owned()));
    }
    if given.iter().any(|(option, _)| option == "id") {
        return misconfigured("Cannot alter table id.");
    }
    options::write(draft, &table.key(), given)?;
    table::check_time_to_live(draft, table)
}

fn add(draft: &mut Draft, table: &Table, definition: &ColumnDefinition) -> Result<(), CqlError> {
    let name = &definition.name;
    let key = RowKey::new(SchemaTable::Columns, [&table.keyspace, &table.name, name]);
    if table.column(name).is_some() || draft.rows.is_live(&key) {
        return invalid(format!("Invalid column name {name} because it conflicts with an existing column"));
    }
    let kind = types::of_column(draft, &table.keyspace, &definition.kind)?;
    let role = if definition.is_static { ColumnRole::Static } else { ColumnRole::Regular };
    check_added(draft, table, name, &kind, role)?;
    let column = Column { name: name.clone(), kind, role, position: -1 };
    table::write_column(draft, &table.keyspace, &table.name, &column);
    for view in draft.schema.views_of(&table.keyspace, &table.name) {
        if draft.schema.rows().value(&view.key(), "include_all_columns") == Some(&Value::Boolean(true)) {
            table::write_column(draft, &view.keyspace, &view.name, &column);
            draft.touch(&view.keyspace, &view.name);
        }
    }
    Ok(())
}

fn check_added(draft: &Draft, table: &Table, name: &str, kind: &CqlType, role: ColumnRole) -> Result<(), CqlError> {
    let has = |wanted: fn(ColumnRole) -> bool| table.columns.iter().any(|column| wanted(column.role));
    if role == ColumnRole::Static && !has(|role| matches!(role, ColumnRole::Clustering { .. })) {
        return invalid("Static columns are only useful (and thus allowed) if the table has at least one clustering column");
    }
    match (table.is_counter(), *kind == CqlType::Counter) {
        (true, false) => return invalid(format!("Cannot add a non counter column ({name}) in a counter column family")),
        (false, true) if has(|role| !role.is_key()) => {
            return invalid(format!("Cannot add a counter column ({name}) in a non counter column family"));
        }
        _ => {}
    }
    let dropped = RowKey::new(SchemaTable::DroppedColumns, [&table.keyspace, &table.name, name]);
    let former = draft.schema.text(&dropped, "type");
    if !former.is_empty() && former != kind.to_string() {
        return invalid(format!(
            "Cannot re-add previously dropped column {name} of type {kind}, incompatible with previous type {former}"
        ));
    }
    Ok(())
}

fn drop(draft: &mut Draft, table: &Table, name: &str) -> Result<(), CqlError> {
    let Some(column) = table.column(name) else {
        return invalid(format!("Column {name} was not found in table {}", table.name));
    };
    if column.role.is_key() {
        return invalid(format!("Cannot drop PRIMARY KEY part {name}"));
    }
    check_unused(draft, table, name, "drop")?;
    let key = [&table.keyspace, &table.name, name];
    draft.put(SchemaTable::DroppedColumns, key, "dropped_time", Value::Timestamp(draft.context.at.0 / 1000));
    draft.put(SchemaTable::DroppedColumns, key, "type", Value::Text(column.kind.to_string()));
    draft.delete(SchemaTable::Columns, key);
    Ok(())
}

/// Refused if an index or a view uses the column.
fn check_unused(draft: &Draft, table: &Table, column: &str, verb: &str) -> Result<(), CqlError> {
    let indexes = draft.schema.indexes(&table.keyspace).into_iter();
    let on_column = indexes.filter(|index| index.table == table.name && index.column().as_deref() == Some(column));
    let names: Vec<_> = on_column.map(|index| index.name).collect();
    if !names.is_empty() {
        return invalid(format!(
            "Cannot {verb} column {column} because it has dependent secondary indexes ({})",
            names.join(", ")
        ));
    }
    let views = draft.schema.views_of(&table.keyspace, &table.name).into_iter();
    let names: Vec<_> = views.filter(|view| view.column(column).is_some()).map(|view| view.name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let (table, names) = (&table.name, names.join(", "));
    invalid(format!("Cannot {verb} column {column} on base table {table} with materialized views ({names})"))
}

fn rename(draft: &mut Draft, table: &Table, from: &str, to: &str) -> Result<(), CqlError> {
    let Some(column) = table.column(from) else {
        return invalid(format!("Cannot rename unknown column {from} in table {}", table.name));
    };
    let renamed = RowKey::new(SchemaTable::Columns, [&table.keyspace, &table.name, to]);
    if table.column(to).is_some() || draft.rows.is_live(&renamed) {
        let keyspace = &table.keyspace;
        return invalid(format!(
            "Cannot rename column {from} to {to} in keyspace {keyspace}; another column of that name already exist"
        ));
    }
    if !column.role.is_key() {
        return invalid(format!("Cannot rename non PRIMARY KEY part {from}"));
    }
    check_unused(draft, table, from, "rename")?;
    draft.delete(SchemaTable::Columns, [&table.keyspace, &table.name, from]);
    table::write_column(draft, &table.keyspace, &table.name, &Column { name: to.to_owned(), ..column.clone() });
    Ok(())
}

fn retype(draft: &mut Draft, table: &Table, name: &str, kind: &CqlType) -> Result<(), CqlError> {
    let Some(column) = table.column(name) else {
        return invalid(format!("Column {name} was not found in table {}", table.name));
    };
    let kind = types::of_column(draft, &table.keyspace, kind)?;
    retype_column(draft, table, column, &kind)?;
    for view in draft.schema.views_of(&table.keyspace, &table.name) {
        if let Some(column) = view.column(name) {
            retype_column(draft, &view, column, &kind)?;
            draft.touch(&view.keyspace, &view.name);
        }
    }
    Ok(())
}

/// The column of a table, or of one of its views, in which it may have another role.
fn retype_column(draft: &mut Draft, table: &Table, column: &Column, kind: &CqlType) -> Result<(), CqlError> {
    if !reads_as(&column.kind, kind, column.role) {
        let (name, of, former) = (&column.name, &table.name, &column.kind);
        let text = format!("Cannot change {name} of {of} from type {former} to type {kind}: types are incompatible.");
        return misconfigured(text);
    }
    table::write_column(draft, &table.keyspace, &table.name, &Column { kind: kind.clone(), ..column.clone() });
    Ok(())
}

/// Whether every value of one type is one of the other and, in a clustering key, sorts the same.
fn reads_as(from: &CqlType, to: &CqlType, role: ColumnRole) -> bool {
    let sorted = matches!(role, ColumnRole::Clustering { .. });
    match (from, to) {
        (from, to) if from == to => true,
        (CqlType::Ascii, CqlType::Text | CqlType::Blob) | (CqlType::Text, CqlType::Blob) => true,
        (CqlType::Timeuuid, CqlType::Uuid) | (CqlType::Int | CqlType::Bigint, CqlType::Varint) => !sorted,
        (from, CqlType::Blob) => !sorted && !types::is_collection(from) && *from != CqlType::Counter,
        _ => false,
    }
}
