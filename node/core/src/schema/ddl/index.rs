//! CREATE and DROP INDEX.

use super::{Draft, Outcome, check_characters, invalid, misconfigured, options, types};
use crate::{
    cql::{
        ast::{CreateIndex, Drop, IndexTarget},
        parse::quote_name,
    },
    io::{CqlError, SchemaChange, SchemaTarget},
    schema::{Column, ColumnRole, Index, SchemaTable, Table},
    value::{CqlType, Value},
};
use std::collections::BTreeMap;

pub(super) fn create(mut draft: Draft, create: &CreateIndex) -> Outcome {
    let keyspace = draft.keyspace_of(&create.table)?;
    let table = draft.existing(&keyspace, &create.table.name)?;
    check_table(&table)?;
    if create.is_custom && create.class.is_none() {
        return invalid("CUSTOM index requires specifying the index class");
    }
    let [target] = create.targets.as_slice() else {
        return invalid("Only CUSTOM indexes support multiple columns");
    };
    let target = target_text(&table, target)?;
    let indexes = draft.schema.indexes(&keyspace);
    let name = match &create.name {
        Some(name) => name.clone(),
        None => default_name(&indexes, &table.name, &create.targets[0].column),
    };
    check_characters("index", &name)?;
    if let Some(former) = indexes.iter().find(|index| is_same(index, &name, create, &target)) {
        let former = &former.name;
        return if create.if_not_exists {
            Ok(None)
        } else {
            invalid(format!("Index {name} is a duplicate of existing index {former}"))
        };
    }
    let mut options = index_options(create)?;
    options.insert("target".to_owned(), target);
    let kind = if create.class.is_some() { "CUSTOM" } else { "COMPOSITES" };
    let key = [keyspace.as_str(), &table.name, &name];
    draft.put(SchemaTable::Indexes, key, "kind", Value::text(kind));
    draft.put(SchemaTable::Indexes, key, "options", Value::text_map(options));
    draft.touch(&keyspace, &table.name);
    Ok(Some(draft.done(SchemaChange::Updated, SchemaTarget::Table, &keyspace, &table.name)))
}

pub(super) fn drop(mut draft: Draft, drop: &Drop) -> Outcome {
    let keyspace = draft.keyspace_of(&drop.name)?;
    let name = &drop.name.name;
    let Some(index) = draft.schema.indexes(&keyspace).into_iter().find(|index| index.name == *name) else {
        let missing = || invalid(format!("Index '{name}' could not be found in any of the tables of keyspace '{keyspace}'"));
        return if drop.if_exists { Ok(None) } else { missing() };
    };
    draft.delete(SchemaTable::Indexes, [&keyspace, &index.table, name]);
    draft.touch(&keyspace, &index.table);
    Ok(Some(draft.done(SchemaChange::Updated, SchemaTarget::Table, &keyspace, &index.table)))
}

fn check_table(table: &Table) -> Result<(), CqlError> {
    if table.base.is_some() {
        return invalid("Secondary indexes are not supported on materialized views");
    }
    if table.is_counter() {
        return invalid("Secondary indexes are not supported on counter tables");
    }
    Ok(())
}

/// Of the same name, or of the same class on the same target.
fn is_same(index: &Index, name: &str, create: &CreateIndex, target: &str) -> bool {
    let is_on_target = index.table == create.table.name && index.options.get("target").is_some_and(|former| former == target);
    index.name == name || (is_on_target && index.options.get("class_name") == create.class.as_ref())
}

/// The target as `system_schema.indexes` keeps it.
fn target_text(table: &Table, target: &IndexTarget) -> Result<String, CqlError> {
    let name = &target.column;
    let Some(column) = table.column(name) else {
        return invalid(format!("No column definition found for column {name}"));
    };
    check_column(table, column)?;
    let part = match (&column.kind, target.part.as_deref()) {
        (kind, None) if types::is_collection(kind) => Some("values"),
        (kind, Some(part @ ("keys" | "entries"))) if !matches!(kind, CqlType::Map(..)) => {
            return invalid(format!("Cannot create index on {part} of column {name} with non-map type"));
        }
        (kind, Some(part @ "values")) if !types::is_collection(kind) => {
            return invalid(format!("Cannot create index on {part} of column {name} with non-collection type"));
        }
        (CqlType::Frozen(_), part @ Some("full")) => part,
        (_, Some("full")) => return invalid("full() indexes can only be created on frozen collections"),
        (_, part) => part,
    };
    let name = quote_name(name);
    Ok(part.map_or_else(|| name.clone(), |part| format!("{part}({name})")))
}

fn check_column(table: &Table, column: &Column) -> Result<(), CqlError> {
    let keys = table.columns.iter().filter(|column| column.role == ColumnRole::PartitionKey).count();
    if column.role == ColumnRole::PartitionKey && keys == 1 {
        return invalid(format!("Cannot create secondary index on partition key column {}", column.name));
    }
    if column.kind == CqlType::Duration {
        return invalid("Secondary indexes are not supported on duration columns");
    }
    Ok(())
}

/// `<table>_<column>_idx`, with a number if that is taken.
fn default_name(indexes: &[Index], table: &str, column: &str) -> String {
    let base: String = format!("{table}_{column}_idx").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let taken = |name: &String| indexes.iter().any(|index| index.name == *name);
    let numbered = (1..).map(|number| format!("{base}_{number}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base)
}

fn index_options(create: &CreateIndex) -> Result<BTreeMap<String, String>, CqlError> {
    options::check_names(&create.options, &["options"])?;
    let given = create.options.first().map(|(name, term)| options::text_map(name, term)).transpose()?;
    let Some(class) = &create.class else {
        return if given.is_some() {
            misconfigured("Cannot specify options for a non-CUSTOM index")
        } else {
            Ok(BTreeMap::new())
        };
    };
    let mut given = given.unwrap_or_default();
    if let Some(reserved) = ["class_name", "target"].into_iter().find(|option| given.contains_key(*option)) {
        return misconfigured(format!("Cannot specify {reserved} as a CUSTOM option"));
    }
    given.insert("class_name".to_owned(), class.clone());
    Ok(given)
}
