//! CREATE, ALTER and DROP TYPE, and which types a column may have.

use super::{Draft, Outcome, check_name, invalid, table};
use crate::{
    cql::ast::{AlterType, CreateType, Drop, TypeChange},
    io::{CqlError, SchemaChange, SchemaTarget},
    schema::SchemaTable,
    value::{CqlType, Value},
};
use std::collections::BTreeSet;

pub(super) fn create(mut draft: Draft, create: &CreateType) -> Outcome {
    let keyspace = draft.keyspace_of(&create.name)?;
    draft.check_keyspace(&keyspace)?;
    let name = &create.name.name;
    check_name("type", name)?;
    if draft.schema.user_type(&keyspace, name).is_some() {
        let exists = || invalid(format!("A user type of name {keyspace}.{name} already exists"));
        return if create.if_not_exists { Ok(None) } else { exists() };
    }
    write_fields(&mut draft, &keyspace, name, &create.fields)?;
    Ok(Some(draft.done(SchemaChange::Created, SchemaTarget::Type, &keyspace, name)))
}

pub(super) fn alter(mut draft: Draft, alter: &AlterType) -> Outcome {
    let keyspace = draft.keyspace_of(&alter.name)?;
    let name = &alter.name.name;
    let Some(mut fields) = draft.schema.user_type(&keyspace, name) else {
        return if alter.if_exists { Ok(None) } else { invalid(format!("No user type named {keyspace}.{name} exists.")) };
    };
    match &alter.change {
        TypeChange::Add(added) => fields.extend(added.iter().cloned()),
        TypeChange::Rename(renames) => {
            for (from, to) in renames {
                let Some(field) = fields.iter_mut().find(|(field, _)| field == from) else {
                    return invalid(format!("Unknown field {from} in type {keyspace}.{name}"));
                };
                field.0.clone_from(to);
            }
        }
    }
    write_fields(&mut draft, &keyspace, name, &fields)?;
    Ok(Some(draft.done(SchemaChange::Updated, SchemaTarget::Type, &keyspace, name)))
}

pub(super) fn drop(mut draft: Draft, drop: &Drop) -> Outcome {
    let keyspace = draft.keyspace_of(&drop.name)?;
    let name = &drop.name.name;
    if draft.schema.user_type(&keyspace, name).is_none() {
        return if drop.if_exists { Ok(None) } else { invalid(format!("No user type named {keyspace}.{name} exists.")) };
    }
    if let Some(user) = user_of(&draft, &keyspace, name) {
        return invalid(format!("Cannot drop user type {keyspace}.{name} as it is still used by {user}"));
    }
    draft.delete(SchemaTable::Types, [&keyspace, name]);
    Ok(Some(draft.done(SchemaChange::Dropped, SchemaTarget::Type, &keyspace, name)))
}

fn write_fields(draft: &mut Draft, keyspace: &str, name: &str, fields: &[(String, CqlType)]) -> Result<(), CqlError> {
    table::check_count(name, fields.len())?;
    let (mut names, mut kinds) = (BTreeSet::new(), Vec::new());
    for (field, kind) in fields {
        if !names.insert(field) {
            return invalid(format!("Duplicate field name {field} in type {keyspace}.{name}"));
        }
        let kind = resolve(draft, keyspace, kind)?;
        check_field(field, &kind)?;
        kinds.push(kind);
    }
    if contains(draft, keyspace, kinds.iter().flat_map(named_in).collect(), name) {
        let parts = fields.iter().zip(&kinds);
        let field = parts.filter(|(_, kind)| contains(draft, keyspace, named_in(kind), name)).map(|((field, _), _)| field).next();
        let field = field.map_or("", String::as_str);
        return invalid(format!("Cannot add field {field}: type {keyspace}.{name} would contain itself"));
    }
    let (names, kinds) =
        (fields.iter().map(|(field, _)| Value::text(field)), kinds.iter().map(|kind| Value::Text(kind.to_string())));
    draft.put(SchemaTable::Types, [keyspace, name], "field_names", Value::List(names.collect()));
    draft.put(SchemaTable::Types, [keyspace, name], "field_types", Value::List(kinds.collect()));
    Ok(())
}

fn check_field(field: &str, kind: &CqlType) -> Result<(), CqlError> {
    match kind {
        CqlType::Counter => invalid(format!("A user type cannot contain counters: field {field}")),
        CqlType::UserType(_) => invalid(format!("A user type cannot contain non-frozen UDTs: field {field}")),
        _ => Ok(()),
    }
}

/// A table, view or type that uses a user type.
fn user_of(draft: &Draft, keyspace: &str, name: &str) -> Option<String> {
    let types = draft.schema.names(SchemaTable::Types, keyspace).into_iter();
    let user_type = types.filter(|user| {
        let fields = draft.schema.user_type(keyspace, user).unwrap_or_default();
        fields.iter().any(|(_, kind)| mentions(kind, name))
    });
    let tables = [SchemaTable::Tables, SchemaTable::Views].map(|table| draft.schema.names(table, keyspace));
    let table = tables.into_iter().flatten().filter(|user| {
        let table = draft.schema.table(keyspace, user);
        table.is_some_and(|table| table.columns.iter().any(|column| mentions(&column.kind, name)))
    });
    let user_type = user_type.map(|user| format!("user type {keyspace}.{user}"));
    user_type.chain(table.map(|user| format!("table {keyspace}.{user}"))).next()
}

/// Whether a type is made of a user type, or is it.
fn mentions(kind: &CqlType, name: &str) -> bool {
    named_in(kind).contains(name)
}

/// The user types that the text of a type names.
pub(in crate::schema) fn named_in(kind: &CqlType) -> BTreeSet<String> {
    match kind {
        CqlType::UserType(user_type) => BTreeSet::from([user_type.clone()]),
        CqlType::List(inner) | CqlType::Set(inner) | CqlType::Frozen(inner) | CqlType::Vector(inner, _) => named_in(inner),
        CqlType::Map(key, value) => &named_in(key) | &named_in(value),
        CqlType::Tuple(fields) => fields.iter().flat_map(named_in).collect(),
        _ => BTreeSet::new(),
    }
}

/// Whether values of these user types have values of another one in them, however deep.
fn contains(draft: &Draft, keyspace: &str, mut left: BTreeSet<String>, name: &str) -> bool {
    let mut seen = BTreeSet::new();
    while let Some(next) = left.pop_first() {
        let fields = draft.schema.user_type(keyspace, &next).unwrap_or_default();
        if seen.insert(next) {
            left.extend(fields.iter().flat_map(|(_, kind)| named_in(kind)));
        }
    }
    seen.contains(name)
}

/// A type as it is stored: user types exist, tuples and all that is inside something frozen are frozen.
pub(super) fn resolve(draft: &Draft, keyspace: &str, kind: &CqlType) -> Result<CqlType, CqlError> {
    let resolve = |kind: &CqlType| resolve(draft, keyspace, kind);
    match kind {
        CqlType::UserType(name) if draft.schema.user_type(keyspace, name).is_none() => {
            invalid(format!("Unknown type {keyspace}.{name}"))
        }
        CqlType::UserTypeOf { keyspace: other, name } if other != keyspace => invalid(format!(
            "User type {other}.{name} cannot be used in keyspace {keyspace}: only types of the keyspace itself can"
        )),
        CqlType::UserTypeOf { name, .. } => resolve(&CqlType::UserType(name.clone())),
        CqlType::Frozen(inner) => frozen(&resolve(inner)?),
        CqlType::Tuple(fields) => {
            let fields: Result<Vec<_>, _> = fields.iter().map(|field| resolve(field).map(|field| freeze(&field))).collect();
            Ok(CqlType::Frozen(Box::new(CqlType::Tuple(fields?))))
        }
        CqlType::Vector(_, 0) => invalid("vectors may only have positive dimensions; given 0"),
        CqlType::Vector(element, length) => Ok(CqlType::Vector(Box::new(freeze(&resolve(element)?)), *length)),
        CqlType::List(element) | CqlType::Set(element) if **element == CqlType::Counter => counters_inside(kind),
        CqlType::Map(key, value) if [key, value].iter().any(|part| ***part == CqlType::Counter) => counters_inside(kind),
        CqlType::Map(key, _) if **key == CqlType::Duration => invalid(format!("Durations are not allowed as map keys: {kind}")),
        CqlType::Set(element) if **element == CqlType::Duration => {
            invalid(format!("Durations are not allowed inside sets: {kind}"))
        }
        CqlType::List(element) => Ok(CqlType::List(Box::new(resolve(element)?))),
        CqlType::Set(element) => Ok(CqlType::Set(Box::new(resolve(element)?))),
        CqlType::Map(key, value) => Ok(CqlType::Map(Box::new(resolve(key)?), Box::new(resolve(value)?))),
        other => Ok(other.clone()),
    }
}

fn counters_inside<T>(kind: &CqlType) -> Result<T, CqlError> {
    invalid(format!("Counters are not allowed inside collections: {kind}"))
}

fn frozen(kind: &CqlType) -> Result<CqlType, CqlError> {
    match freeze(kind) {
        frozen @ (CqlType::Frozen(_) | CqlType::Vector(..)) => Ok(frozen),
        other => invalid(format!("frozen<> is only allowed on collections, tuples, and user-defined types (got {other})")),
    }
}

/// The type with everything frozen that can be.
fn freeze(kind: &CqlType) -> CqlType {
    let boxed = |kind: &CqlType| Box::new(freeze(kind));
    let inner = match kind {
        CqlType::List(element) => CqlType::List(boxed(element)),
        CqlType::Set(element) => CqlType::Set(boxed(element)),
        CqlType::Map(key, value) => CqlType::Map(boxed(key), boxed(value)),
        CqlType::UserType(name) => CqlType::UserType(name.clone()),
        other => return other.clone(),
    };
    CqlType::Frozen(Box::new(inner))
}

/// The type of a column: resolved, and with nothing unfrozen inside a collection.
pub(super) fn of_column(draft: &Draft, keyspace: &str, kind: &CqlType) -> Result<CqlType, CqlError> {
    let kind = resolve(draft, keyspace, kind)?;
    let parts: &[&CqlType] = match &kind {
        CqlType::List(element) | CqlType::Set(element) => &[element],
        CqlType::Map(key, value) => &[key, value],
        _ => &[],
    };
    for part in parts {
        match part {
            CqlType::UserType(_) => return invalid(format!("Non-frozen UDTs are not allowed inside collections: {kind}")),
            part if is_collection(part) => {
                return invalid(format!("Non-frozen collections are not allowed inside collections: {kind}"));
            }
            _ => {}
        }
    }
    Ok(kind)
}

/// Whether it is a collection that is not frozen.
pub(super) const fn is_collection(kind: &CqlType) -> bool {
    matches!(kind, CqlType::List(_) | CqlType::Set(_) | CqlType::Map(..))
}
