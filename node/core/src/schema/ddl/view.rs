//! CREATE, ALTER and DROP MATERIALIZED VIEW.

use super::{Draft, Outcome, alter, check_name, invalid, misconfigured, options, table};
use crate::{
    cql::ast::{AlterView, CreateView, Drop},
    io::{CqlError, SchemaChange, SchemaTarget},
    schema::{Column, ColumnRole, SchemaTable, Table},
    value::Value,
};

pub(super) fn create(mut draft: Draft, create: &CreateView) -> Outcome {
    let keyspace = draft.keyspace_of(&create.name)?;
    let name = create.name.name.as_str();
    check_name("materialized view", name)?;
    if draft.keyspace_of(&create.base)? != keyspace {
        return invalid("Cannot create a materialized view on a table in a separate keyspace");
    }
    let base = draft.existing(&keyspace, &create.base.name)?;
    if draft.schema.table(&keyspace, name).is_some() {
        return if create.if_not_exists { Ok(None) } else { Err(table::already_exists(&keyspace, name)) };
    }
    table::check_room(&draft, &keyspace, name)?;
    check_base(&base)?;
    let columns = columns(&base, create)?;
    let view = Table { keyspace, name: name.to_owned(), base: Some(base.name.clone()), columns };
    let (id, given) = options::take(&create.options, "id");
    if id.is_some() {
        return misconfigured("Cannot set the id of a materialized view");
    }
    let id = draft.context.table_id;
    table::write(&mut draft, &view, id, &given)?;
    table::check_time_to_live(&draft, &view)?;
    write_own(&mut draft, &view, &base, create);
    Ok(Some(draft.done(SchemaChange::Created, SchemaTarget::Table, &view.keyspace, name)))
}

pub(super) fn alter(mut draft: Draft, alter: &AlterView) -> Outcome {
    let keyspace = draft.keyspace_of(&alter.name)?;
    let name = alter.name.name.as_str();
    let view = draft.existing(&keyspace, name)?;
    if view.base.is_none() {
        return invalid("Cannot use ALTER MATERIALIZED VIEW on Table");
    }
    alter::set_options(&mut draft, &view, &alter.options)?;
    draft.touch(&keyspace, name);
    Ok(Some(draft.done(SchemaChange::Updated, SchemaTarget::Table, &keyspace, name)))
}

pub(super) fn drop(mut draft: Draft, drop: &Drop) -> Outcome {
    let keyspace = draft.keyspace_of(&drop.name)?;
    let name = drop.name.name.as_str();
    match draft.schema.table(&keyspace, name) {
        None if drop.if_exists => return Ok(None),
        None => {
            return misconfigured(format!("Cannot drop non existing materialized view '{name}' in keyspace '{keyspace}'."));
        }
        Some(table) if table.base.is_none() => return invalid("Cannot use DROP MATERIALIZED VIEW on Table"),
        Some(_) => {}
    }
    table::delete(&mut draft, &keyspace, name, SchemaTable::Views);
    Ok(Some(draft.done(SchemaChange::Dropped, SchemaTarget::Table, &keyspace, name)))
}

fn write_own(draft: &mut Draft, view: &Table, base: &Table, create: &CreateView) {
    let key = [view.keyspace.as_str(), &view.name];
    draft.put(SchemaTable::Views, key, "base_table_name", Value::text(&base.name));
    if let Some(id) = draft.schema.id(&base.key()) {
        draft.put(SchemaTable::Views, key, "base_table_id", Value::Uuid(id));
    }
    draft.put(SchemaTable::Views, key, "include_all_columns", Value::Boolean(create.columns.is_empty()));
    draft.put(SchemaTable::Views, key, "where_clause", Value::text(create.filter.trim()));
}

fn check_base(base: &Table) -> Result<(), CqlError> {
    if base.base.is_some() {
        return invalid("Materialized views cannot be created against other materialized views");
    }
    if base.is_counter() {
        return invalid("Materialized views are not supported on counter tables");
    }
    Ok(())
}

fn columns(base: &Table, create: &CreateView) -> Result<Vec<Column>, CqlError> {
    let key = create.partition_key.len() + create.clustering.len();
    table::check_count(&create.name.name, create.columns.len().max(key).max(create.clustering_order.len()))?;
    table::check_order(&create.clustering, &create.clustering_order)?;
    check_selected(base, create)?;
    check_key(base, create)?;
    let key = |names: &[String], role: &dyn Fn(&str) -> ColumnRole| -> Vec<Column> {
        let column = |(name, position): (&String, i32)| {
            let column = base.column(name)?.clone();
            Some(Column { role: role(name), position, ..column })
        };
        names.iter().zip(0..).filter_map(column).collect()
    };
    let mut columns = key(&create.partition_key, &|_| ColumnRole::PartitionKey);
    columns.extend(key(&create.clustering, &|name| table::clustering(&create.clustering_order, name)));
    let is_in_key = |name: &String| create.partition_key.contains(name) || create.clustering.contains(name);
    let selected = |name: &String| create.columns.is_empty() || create.columns.contains(name);
    let others = base.columns.iter().filter(|column| selected(&column.name) && !is_in_key(&column.name));
    columns.extend(others.map(|column| Column { role: ColumnRole::Regular, position: -1, ..column.clone() }));
    Table::sort(&mut columns);
    Ok(columns)
}

fn check_selected(base: &Table, create: &CreateView) -> Result<(), CqlError> {
    for name in &create.columns {
        if base.column(name).is_none() {
            return invalid(format!("Unknown column name detected in CREATE MATERIALIZED VIEW statement : {name}"));
        }
    }
    let selected = |column: &&Column| create.columns.is_empty() || create.columns.contains(&column.name);
    match base.columns.iter().filter(selected).find(|column| column.role == ColumnRole::Static) {
        Some(column) => invalid(format!("Unable to include static column '{}' in a materialized view", column.name)),
        None => Ok(()),
    }
}

/// The key has every key column of the base, each once, and at most one other.
fn check_key(base: &Table, create: &CreateView) -> Result<(), CqlError> {
    let names: Vec<_> = create.partition_key.iter().chain(&create.clustering).collect();
    let mut other = None;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return invalid(format!("Duplicate entry found in PRIMARY KEY: {name}"));
        }
        match base.column(name) {
            None => return invalid(format!("Unknown column name detected in CREATE MATERIALIZED VIEW statement : {name}")),
            Some(column) if column.role.is_key() => {}
            Some(_) if other.is_some() => {
                return invalid(format!(
                    "Cannot include more than one non-primary key column '{name}' in materialized view primary key"
                ));
            }
            Some(_) => other = Some(name),
        }
        if !create.filter.to_lowercase().contains(&name.to_lowercase()) {
            return invalid(format!("Primary key column '{name}' is required to be filtered by 'IS NOT NULL'"));
        }
    }
    let missing: Vec<_> = base.columns.iter().filter(|column| column.role.is_key() && !names.contains(&&column.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let (view, base) = (&create.name.name, &base.name);
    invalid(format!("Cannot create Materialized View {view} without primary key columns from base {base} ({missing})"))
}
