//! CREATE, ALTER and DROP KEYSPACE.

use super::{Draft, Outcome, check_modifiable, check_name, invalid, misconfigured, options};
use crate::{
    cql::ast::{AlterKeyspace, CreateKeyspace, Drop, Options, Term},
    io::{CqlError, SchemaChange, SchemaTarget},
    schema::SchemaTable,
    value::Value,
};
use std::collections::BTreeMap;

pub(super) fn create(mut draft: Draft, create: &CreateKeyspace) -> Outcome {
    let name = &create.name;
    check_modifiable(name)?;
    check_name("keyspace", name)?;
    if draft.schema.has_keyspace(name) {
        return if create.if_not_exists { Ok(None) } else { Err(already_exists(name)) };
    }
    if !create.options.iter().any(|(option, _)| option == "replication") {
        return misconfigured("Missing mandatory replication strategy class");
    }
    draft.put(SchemaTable::Keyspaces, [name], "durable_writes", Value::Boolean(true));
    write_options(&mut draft, name, &create.options)?;
    Ok(Some(draft.done(SchemaChange::Created, SchemaTarget::Keyspace, name, "")))
}

pub(super) fn alter(mut draft: Draft, alter: &AlterKeyspace) -> Outcome {
    let name = &alter.name;
    check_modifiable(name)?;
    if !draft.schema.has_keyspace(name) {
        return if alter.if_exists { Ok(None) } else { invalid(format!("Keyspace '{name}' does not exist")) };
    }
    if alter.options.is_empty() {
        return invalid("ALTER KEYSPACE WITH invoked, but no parameters found");
    }
    write_options(&mut draft, name, &alter.options)?;
    Ok(Some(draft.done(SchemaChange::Updated, SchemaTarget::Keyspace, name, "")))
}

pub(super) fn drop(mut draft: Draft, drop: &Drop) -> Outcome {
    let name = &drop.name.name;
    check_modifiable(name)?;
    if !draft.schema.has_keyspace(name) {
        return if drop.if_exists { Ok(None) } else { misconfigured(format!("Cannot drop non existing keyspace '{name}'.")) };
    }
    for table in SchemaTable::ALL {
        draft.delete(table, [name]);
    }
    Ok(Some(draft.done(SchemaChange::Dropped, SchemaTarget::Keyspace, name, "")))
}

fn already_exists(name: &str) -> CqlError {
    let message = format!("Cannot add existing keyspace \"{name}\"");
    CqlError::AlreadyExists { message, keyspace: name.to_owned(), table: String::new() }
}

fn write_options(draft: &mut Draft, name: &str, options: &Options) -> Result<(), CqlError> {
    options::check_names(options, &["replication", "durable_writes", "tablets", "storage"])?;
    for (option, term) in options {
        match option.as_str() {
            "replication" => {
                let replication = replication(name, options::text_map(option, term)?, draft.context.data_centers)?;
                draft.put(SchemaTable::Keyspaces, [name], "replication", replication);
            }
            "durable_writes" => {
                let durable = Value::Boolean(boolean(option, term)?);
                draft.put(SchemaTable::Keyspaces, [name], "durable_writes", durable);
            }
            "tablets" => write_tablets(draft, name, &options::text_map(option, term)?)?,
            _ => write_storage(draft, name, options::text_map(option, term)?)?,
        }
    }
    Ok(())
}

fn boolean(option: &str, term: &Term) -> Result<bool, CqlError> {
    let text = options::scalar(option, term)?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(CqlError::Syntax(format!("Invalid boolean value {text} for '{option}'"))),
    }
}

/// Where the reference's strategies live; a class without a package is one of them.
const LOCATOR: &str = "org.apache.cassandra.locator.";

fn replication(keyspace: &str, mut given: BTreeMap<String, String>, data_centers: &[String]) -> Result<Value, CqlError> {
    let Some(class) = given.remove("class") else {
        return misconfigured("Missing mandatory replication strategy class");
    };
    let short = class.strip_prefix(LOCATOR).unwrap_or(&class);
    match short {
        "SimpleStrategy" => check_simple(keyspace, &given)?,
        "NetworkTopologyStrategy" => expand(&mut given, data_centers)?,
        "EverywhereStrategy" => {}
        "LocalStrategy" => {
            return misconfigured("Unable to use given strategy class: LocalStrategy is reserved for internal use.");
        }
        _ => return misconfigured(format!("Unable to find replication strategy class '{LOCATOR}{short}'")),
    }
    given.insert("class".to_owned(), format!("{LOCATOR}{short}"));
    Ok(Value::text_map(given))
}

fn check_simple(keyspace: &str, given: &BTreeMap<String, String>) -> Result<(), CqlError> {
    let Some(factor) = given.get("replication_factor") else {
        return misconfigured("SimpleStrategy requires a replication_factor strategy option.");
    };
    if let Some(other) = given.keys().find(|option| *option != "replication_factor") {
        return misconfigured(format!(
            "Unrecognized strategy option {{{other}}} passed to SimpleStrategy for keyspace {keyspace}"
        ));
    }
    check_factor(factor)
}

/// A `replication_factor` stands for every data center that is not named.
fn expand(given: &mut BTreeMap<String, String>, data_centers: &[String]) -> Result<(), CqlError> {
    given.values().try_for_each(|factor| check_factor(factor))?;
    if data_centers.is_empty() {
        return Ok(());
    }
    if let Some(factor) = given.remove("replication_factor") {
        for data_center in data_centers {
            given.entry(data_center.clone()).or_insert_with(|| factor.clone());
        }
    }
    Ok(())
}

fn check_factor(factor: &str) -> Result<(), CqlError> {
    match factor.parse::<i32>() {
        Ok(0..) => Ok(()),
        Ok(_) => misconfigured(format!("Replication factor must be non-negative; found {factor}")),
        Err(_) => misconfigured(format!("Replication factor must be numeric; found {factor}")),
    }
}

fn write_tablets(draft: &mut Draft, name: &str, given: &BTreeMap<String, String>) -> Result<(), CqlError> {
    if let Some(other) = given.keys().find(|option| !matches!(option.as_str(), "enabled" | "initial")) {
        return misconfigured(format!("Unrecognized tablets option {other}"));
    }
    let enabled = given.get("enabled").is_none_or(|enabled| enabled == "true");
    let initial = given.get("initial").map_or("0", String::as_str);
    let Ok(initial @ 0..) = initial.parse::<i32>() else {
        return misconfigured(format!("Initial number of tablets should be numeric and not negative; found {initial}"));
    };
    if enabled {
        draft.put(SchemaTable::ScyllaKeyspaces, [name], "initial_tablets", Value::Int(initial));
    }
    Ok(())
}

fn write_storage(draft: &mut Draft, name: &str, mut given: BTreeMap<String, String>) -> Result<(), CqlError> {
    let Some(kind) = given.remove("type") else {
        return misconfigured("Missing mandatory sub-option 'type' of the 'storage' option");
    };
    draft.put(SchemaTable::ScyllaKeyspaces, [name], "storage_type", Value::text(kind));
    draft.put(SchemaTable::ScyllaKeyspaces, [name], "storage_options", Value::text_map(given));
    Ok(())
}
