//! Tables and materialized views.

use super::{Failure, Input, Parsed, schema, select, terms, types, words};
use crate::cql::ast::{AlterTable, AlterView, ColumnDefinition, CreateTable, CreateView, Options, TableChange};
use winnow::error::ParserError;

/// Partition key, and clustering columns.
type PrimaryKey = (Vec<String>, Vec<String>);

/// What a table is made of, and what is said about it after `WITH`.
#[derive(Default)]
struct Properties {
    options: Options,
    order: Vec<(String, bool)>,
    compact: bool,
}

/// What stands after `CREATE TABLE`.
pub(super) fn create_table(input: &mut Input<'_>) -> Parsed<CreateTable> {
    let if_not_exists = words::if_not_exists(input);
    let name = words::name(input)?;
    let start = Failure::from_input(input);
    let (mut columns, mut keys) = (Vec::new(), Vec::new());
    words::sparse(input, |input: &mut Input<'_>| element(input, &mut columns, &mut keys))?;
    let (partition_key, clustering) = match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => key,
        (None, _) => return Err(start.because("No PRIMARY KEY specified (exactly one required)")),
        _ => return Err(start.because("Multiple PRIMARY KEYs specified (exactly one required)")),
    };
    let Properties { options, order, compact } = properties(input)?;
    Ok(CreateTable {
        name,
        if_not_exists,
        columns,
        partition_key,
        clustering,
        clustering_order: order,
        compact_storage: compact,
        options,
    })
}

/// A column, or `PRIMARY KEY (…)`.
fn element(input: &mut Input<'_>, columns: &mut Vec<ColumnDefinition>, keys: &mut Vec<PrimaryKey>) -> Parsed<()> {
    if words::maybe(input, &["primary", "key"]) {
        keys.push(primary_key(input)?);
        return Ok(());
    }
    let column = column(input)?;
    if words::maybe(input, &["primary", "key"]) {
        keys.push((vec![column.name.clone()], Vec::new()));
    }
    columns.push(column);
    Ok(())
}

/// `name type [STATIC]`
fn column(input: &mut Input<'_>) -> Parsed<ColumnDefinition> {
    let (name, kind) = (words::name_part(input)?, types::cql_type(input)?);
    Ok(ColumnDefinition { name, kind, is_static: words::maybe(input, &["static"]) })
}

/// `(a, b)` or `((a, b), c)`
fn primary_key(input: &mut Input<'_>) -> Parsed<PrimaryKey> {
    words::symbol(input, "(")?;
    let partition_key = if words::symbol_ahead(input, 0, "(") { words::names(input)? } else { vec![words::name_part(input)?] };
    let clustering = if words::maybe_symbol(input, ",") { words::list(input, words::name_part)? } else { Vec::new() };
    words::symbol(input, ")")?;
    Ok((partition_key, clustering))
}

fn properties(input: &mut Input<'_>) -> Parsed<Properties> {
    let mut properties = Properties::default();
    if words::maybe(input, &["with"]) {
        words::joined(input, |input: &mut Input<'_>| property(input, &mut properties))?;
    }
    Ok(properties)
}

fn property(input: &mut Input<'_>, properties: &mut Properties) -> Parsed<()> {
    if words::maybe(input, &["clustering", "order", "by"]) {
        words::symbol(input, "(")?;
        properties.order = words::list(input, select::ordering)?;
        return words::symbol(input, ")");
    }
    if words::maybe(input, &["compact", "storage"]) {
        properties.compact = true;
        return Ok(());
    }
    properties.options.push(terms::option(input)?);
    Ok(())
}

/// What stands after `ALTER TABLE`.
pub(super) fn alter_table(input: &mut Input<'_>) -> Parsed<AlterTable> {
    let if_exists = words::if_exists(input);
    Ok(AlterTable { name: words::name(input)?, if_exists, change: table_change(input)? })
}

fn table_change(input: &mut Input<'_>) -> Parsed<TableChange> {
    if words::maybe(input, &["add"]) {
        either_list(input, column).map(TableChange::Add)
    } else if words::maybe(input, &["drop"]) {
        let dropped = either_list(input, words::name_part)?;
        terms::skip_using(input)?;
        Ok(TableChange::Drop(dropped))
    } else if words::maybe(input, &["rename"]) {
        words::joined(input, schema::renaming).map(TableChange::Rename)
    } else if words::maybe(input, &["alter"]) {
        let name = words::name_part(input)?;
        words::expect(input, &["type"])?;
        Ok(TableChange::Retype(name, types::cql_type(input)?))
    } else {
        words::expect(input, &["with"])?;
        words::joined(input, terms::option).map(TableChange::Options)
    }
}

/// `a, b` or `(a, b)`
fn either_list<'t, T>(input: &mut Input<'t>, item: fn(&mut Input<'t>) -> Parsed<T>) -> Parsed<Vec<T>> {
    let bracketed = words::maybe_symbol(input, "(");
    let items = words::list(input, item)?;
    if bracketed {
        words::symbol(input, ")")?;
    }
    Ok(items)
}

/// What stands after `CREATE MATERIALIZED VIEW`.
pub(super) fn create_view(input: &mut Input<'_>) -> Parsed<CreateView> {
    let if_not_exists = words::if_not_exists(input);
    let name = words::name(input)?;
    words::expect(input, &["as", "select"])?;
    let columns = if words::maybe_symbol(input, "*") { Vec::new() } else { words::list(input, words::name_part)? };
    words::expect(input, &["from"])?;
    let base = words::name(input)?;
    words::expect(input, &["where"])?;
    let filter = filter_text(input)?;
    words::expect(input, &["primary", "key"])?;
    let (partition_key, clustering) = primary_key(input)?;
    let Properties { options, order, compact: _ } = properties(input)?;
    Ok(CreateView { name, if_not_exists, columns, base, filter, partition_key, clustering, clustering_order: order, options })
}

/// The relations as written, with one blank for what was between two tokens.
fn filter_text(input: &mut Input<'_>) -> Parsed<String> {
    let before = *input;
    words::joined(input, select::relation)?;
    let taken = before.len() - input.len();
    let mut text = String::new();
    let mut end = None;
    for token in before.iter().take(taken) {
        if end.is_some_and(|end| end < token.offset) {
            text.push(' ');
        }
        text.push_str(token.text);
        end = Some(token.end());
    }
    Ok(text)
}

/// What stands after `ALTER MATERIALIZED VIEW`.
pub(super) fn alter_view(input: &mut Input<'_>) -> Parsed<AlterView> {
    let name = words::name(input)?;
    words::expect(input, &["with"])?;
    Ok(AlterView { name, options: words::joined(input, terms::option)? })
}
