//! `INSERT`, `UPDATE`, `DELETE` and `TRUNCATE`. Conditions (`IF …`) are recognised and not offered: ignoring one would be wrong.

use super::{Input, Parsed, select, terms, unsupported, words};
use crate::cql::{
    ast::{Modification, Modify, Statement, Term},
    lexer::Kind,
};
use winnow::Parser;

/// What stands after `INSERT`.
pub(super) fn insert(input: &mut Input<'_>) -> Parsed<Statement> {
    words::expect(input, &["into"])?;
    let table = words::name(input)?;
    if words::ahead(input, &["json"]) {
        return Ok(unsupported(input, "INSERT JSON"));
    }
    let columns = words::names(input)?;
    words::expect(input, &["values"])?;
    let before = *input;
    let values = words::between(input, ("(", ")"), terms::term)?;
    if values.len() != columns.len() {
        let start = super::Failure::at(before.first().map_or(0, |token| token.offset));
        return Err(start.because("Unmatched column names/values"));
    }
    finish(input, table, Modification::Insert(columns.into_iter().zip(values).collect()))
}

/// What stands after `UPDATE`.
pub(super) fn update(input: &mut Input<'_>) -> Parsed<Statement> {
    let table = words::name(input)?;
    terms::skip_using(input)?;
    words::expect(input, &["set"])?;
    let set = words::list(input, assignment)?;
    words::expect(input, &["where"])?;
    let filter = words::joined(input, select::relation)?;
    finish(input, table, Modification::Update { set, filter })
}

/// What stands after `DELETE`.
pub(super) fn delete(input: &mut Input<'_>) -> Parsed<Statement> {
    let columns = if words::ahead(input, &["from"]) { Vec::new() } else { words::list(input, deleted)? };
    words::expect(input, &["from"])?;
    let table = words::name(input)?;
    terms::skip_using(input)?;
    words::expect(input, &["where"])?;
    let filter = words::joined(input, select::relation)?;
    finish(input, table, Modification::Delete { columns, filter })
}

/// What stands after `TRUNCATE`.
pub(super) fn truncate(input: &mut Input<'_>) -> Parsed<Statement> {
    let _ = words::maybe(input, &["table"]) || words::maybe(input, &["columnfamily"]);
    let table = words::name(input)?;
    finish(input, table, Modification::Truncate)
}

fn finish(input: &mut Input<'_>, table: crate::cql::ast::Name, change: Modification) -> Parsed<Statement> {
    if words::ahead(input, &["if"]) {
        return Ok(unsupported(input, "conditional writes (IF)"));
    }
    terms::skip_using(input)?;
    Ok(Statement::Modify(Modify { table, change }))
}

/// A column, or one element of it.
fn deleted(input: &mut Input<'_>) -> Parsed<String> {
    let column = words::name_part(input)?;
    maybe_part(input)?;
    Ok(column)
}

/// `[key]` or `.field` after a column.
fn maybe_part(input: &mut Input<'_>) -> Parsed<Option<Term>> {
    if words::maybe_symbol(input, "[") {
        let key = terms::term(input)?;
        words::symbol(input, "]")?;
        return Ok(Some(key));
    }
    if words::maybe_symbol(input, ".") {
        return words::name_part.map(|field| Some(Term::Text(field))).parse_next(input);
    }
    Ok(None)
}

/// `column = term`. What only data could take (`c = c + 1`, `m[k] = v`) is kept as a call, so that it is never taken for a value.
fn assignment(input: &mut Input<'_>) -> Parsed<(String, Term)> {
    let column = words::name_part(input)?;
    if let Some(key) = maybe_part(input)? {
        words::symbol(input, "=")?;
        return Ok((column, Term::Call("element".to_owned(), vec![key, terms::term(input)?])));
    }
    if words::maybe_symbol(input, "+=") || words::maybe_symbol(input, "-=") {
        return Ok((column, Term::Call("sum".to_owned(), vec![terms::term(input)?])));
    }
    words::symbol(input, "=")?;
    if is_own_column(input) {
        words::name_part(input)?;
        let signed = words::maybe_symbol(input, "+") || words::maybe_symbol(input, "-");
        let negative = words::peek(input).is_some_and(|token| token.kind == Kind::Number && token.text.starts_with('-'));
        return if signed || negative { summed(input, column) } else { words::fail(input) };
    }
    let term = terms::term(input)?;
    if words::maybe_symbol(input, "+") {
        words::name_part(input)?;
        return Ok((column, Term::Call("sum".to_owned(), vec![term])));
    }
    Ok((column, term))
}

fn summed(input: &mut Input<'_>, column: String) -> Parsed<(String, Term)> {
    Ok((column, Term::Call("sum".to_owned(), vec![terms::term(input)?])))
}

/// Whether a column comes next and not a constant or a call.
fn is_own_column(input: &Input<'_>) -> bool {
    const CONSTANTS: [&str; 5] = ["true", "false", "null", "nan", "infinity"];
    words::peek(input).is_some_and(|token| match token.kind {
        Kind::Quoted => true,
        Kind::Word => {
            !words::symbol_ahead(input, 1, "(") && !CONSTANTS.iter().any(|constant| token.text.eq_ignore_ascii_case(constant))
        }
        _ => false,
    })
}
