//! `CREATE`, `ALTER` and `DROP`; what is longer about tables and views is in `table`.

use super::{Failure, Input, Parsed, table, terms, types, unsupported, words};
use crate::cql::ast::{
    AlterKeyspace, AlterType, CreateIndex, CreateKeyspace, CreateType, Drop, IndexTarget, Kind, Name, Statement, TypeChange,
};
use winnow::{Parser, error::ParserError};

/// What stands after `CREATE`.
pub(super) fn create(input: &mut Input<'_>) -> Parsed<Statement> {
    if is_keyspace(input) {
        create_keyspace.map(Statement::CreateKeyspace).parse_next(input)
    } else if is_table(input) {
        table::create_table.map(Statement::CreateTable).parse_next(input)
    } else if words::maybe(input, &["type"]) {
        create_type.map(Statement::CreateType).parse_next(input)
    } else if words::maybe(input, &["materialized", "view"]) {
        table::create_view.map(Statement::CreateView).parse_next(input)
    } else if words::maybe(input, &["custom", "index"]) {
        create_index(input, true).map(Statement::CreateIndex)
    } else if words::maybe(input, &["index"]) {
        create_index(input, false).map(Statement::CreateIndex)
    } else {
        other(input, "CREATE")
    }
}

/// What stands after `ALTER`.
pub(super) fn alter(input: &mut Input<'_>) -> Parsed<Statement> {
    if is_keyspace(input) {
        alter_keyspace.map(Statement::AlterKeyspace).parse_next(input)
    } else if is_table(input) {
        table::alter_table.map(Statement::AlterTable).parse_next(input)
    } else if words::maybe(input, &["type"]) {
        alter_type.map(Statement::AlterType).parse_next(input)
    } else if words::maybe(input, &["materialized", "view"]) {
        table::alter_view.map(Statement::AlterView).parse_next(input)
    } else {
        other(input, "ALTER")
    }
}

/// What stands after `DROP`.
pub(super) fn drop(input: &mut Input<'_>) -> Parsed<Statement> {
    let kind = if is_keyspace(input) {
        Kind::Keyspace
    } else if is_table(input) {
        Kind::Table
    } else if words::maybe(input, &["type"]) {
        Kind::Type
    } else if words::maybe(input, &["index"]) {
        Kind::Index
    } else if words::maybe(input, &["materialized", "view"]) {
        Kind::View
    } else {
        return other(input, "DROP");
    };
    let if_exists = words::if_exists(input);
    let name = match kind {
        Kind::Keyspace => Name { keyspace: None, name: words::name_part(input)? },
        _ => words::name(input)?,
    };
    Ok(Statement::Drop(Drop { kind, name, if_exists }))
}

/// Roles, functions and so on: known, not offered.
fn other(input: &mut Input<'_>, verb: &str) -> Parsed<Statement> {
    const KNOWN: [&str; 7] = ["role", "user", "function", "aggregate", "trigger", "or", "service"];
    match words::peek(input) {
        Some(token) if KNOWN.iter().any(|word| token.text.eq_ignore_ascii_case(word)) => {
            let words = format!("{verb} {}", token.text);
            Ok(unsupported(input, &words))
        }
        _ => words::fail(input),
    }
}

fn is_keyspace(input: &mut Input<'_>) -> bool {
    words::maybe(input, &["keyspace"]) || words::maybe(input, &["schema"])
}

fn is_table(input: &mut Input<'_>) -> bool {
    words::maybe(input, &["table"]) || words::maybe(input, &["columnfamily"])
}

fn create_keyspace(input: &mut Input<'_>) -> Parsed<CreateKeyspace> {
    let if_not_exists = words::if_not_exists(input);
    Ok(CreateKeyspace { name: words::name_part(input)?, if_not_exists, options: terms::maybe_options(input)? })
}

fn alter_keyspace(input: &mut Input<'_>) -> Parsed<AlterKeyspace> {
    let if_exists = words::if_exists(input);
    Ok(AlterKeyspace { name: words::name_part(input)?, if_exists, options: terms::maybe_options(input)? })
}

fn create_type(input: &mut Input<'_>) -> Parsed<CreateType> {
    let if_not_exists = words::if_not_exists(input);
    let name = words::name(input)?;
    let fields = words::sparse(input, field)?;
    Ok(CreateType { name, if_not_exists, fields })
}

/// `name type`
fn field(input: &mut Input<'_>) -> Parsed<(String, crate::value::CqlType)> {
    Ok((words::name_part(input)?, types::cql_type(input)?))
}

/// `a TO b`
pub(super) fn renaming(input: &mut Input<'_>) -> Parsed<(String, String)> {
    let from = words::name_part(input)?;
    words::expect(input, &["to"])?;
    Ok((from, words::name_part(input)?))
}

fn alter_type(input: &mut Input<'_>) -> Parsed<AlterType> {
    let if_exists = words::if_exists(input);
    let name = words::name(input)?;
    let change = if words::maybe(input, &["add"]) {
        TypeChange::Add(words::list(input, field)?)
    } else {
        words::expect(input, &["rename"])?;
        TypeChange::Rename(words::joined(input, renaming)?)
    };
    Ok(AlterType { name, if_exists, change })
}

fn create_index(input: &mut Input<'_>, is_custom: bool) -> Parsed<CreateIndex> {
    let if_not_exists = words::if_not_exists(input);
    let name = if words::ahead(input, &["on"]) { None } else { Some(words::name(input)?.name) };
    words::expect(input, &["on"])?;
    let table = words::name(input)?;
    let start = Failure::from_input(input);
    words::symbol(input, "(")?;
    if words::symbol_ahead(input, 0, "(") {
        return Err(start.because("Local indexes are not supported: the partition key cannot be part of the target"));
    }
    let targets = words::list(input, index_target)?;
    words::symbol(input, ")")?;
    let class = if words::maybe(input, &["using"]) { Some(class(input)?) } else { None };
    Ok(CreateIndex { name, if_not_exists, table, targets, is_custom, class, options: terms::maybe_options(input)? })
}

fn class(input: &mut Input<'_>) -> Parsed<String> {
    use crate::cql::lexer::{Kind, unquote};
    words::token(input, Kind::Text).map(|text| unquote(text, '\''))
}

/// `v` or `keys(v)`
fn index_target(input: &mut Input<'_>) -> Parsed<IndexTarget> {
    if !words::symbol_ahead(input, 1, "(") {
        return Ok(IndexTarget { column: words::name_part(input)?, part: None });
    }
    let before = *input;
    let part = words::any_word(input)?;
    if !matches!(part.as_str(), "keys" | "values" | "entries" | "full") {
        return words::fail(&before);
    }
    words::symbol(input, "(")?;
    let column = words::name_part(input)?;
    words::symbol(input, ")")?;
    Ok(IndexTarget { column, part: Some(part) })
}
