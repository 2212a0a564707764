//! `SELECT`, and `WHERE` for all who have one.

use super::{Input, Parsed, terms, types, unsupported, words};
use crate::cql::{
    ast::{Operator, Relation, Select, SelectExpression, SelectItem, Statement, Term},
    lexer::Kind,
};
use winnow::{Parser, stream::Stream};

/// What stands after `SELECT`.
pub(super) fn select(input: &mut Input<'_>) -> Parsed<Statement> {
    let json = modifier(input, "json");
    let distinct = modifier(input, "distinct");
    let items = if words::maybe_symbol(input, "*") { Vec::new() } else { words::list(input, item)? };
    words::expect(input, &["from"])?;
    let from = words::name(input)?;
    let filter = maybe_filter(input)?;
    for words in [["group", "by"], ["per", "partition"]] {
        if words::ahead(input, &words) {
            return Ok(unsupported(input, &format!("SELECT … {}", words.join(" "))));
        }
    }
    let order = if words::maybe(input, &["order", "by"]) { words::list(input, ordering)? } else { Vec::new() };
    let limit = if words::maybe(input, &["limit"]) { Some(terms::term(input)?) } else { None };
    let allow_filtering = words::maybe(input, &["allow", "filtering"]);
    words::maybe(input, &["bypass", "cache"]);
    terms::skip_using(input)?;
    Ok(Statement::Select(Select { json, distinct, items, from, filter, order, limit, allow_filtering }))
}

/// Whether a word is next that modifies the whole, and is not itself what is selected.
fn modifier(input: &mut Input<'_>, word: &str) -> bool {
    let is_item = [",", "("].iter().any(|symbol| words::symbol_ahead(input, 1, symbol))
        || input.get(1).is_some_and(|t| ["from", "as"].iter().any(|word| t.text.eq_ignore_ascii_case(word)));
    !is_item && words::maybe(input, &[word])
}

fn item(input: &mut Input<'_>) -> Parsed<SelectItem> {
    let expression = expression(input)?;
    let alias = if words::maybe(input, &["as"]) { Some(words::name_part(input)?) } else { None };
    Ok(SelectItem { expression, alias })
}

fn expression(input: &mut Input<'_>) -> Parsed<SelectExpression> {
    if !words::symbol_ahead(input, 1, "(") {
        return words::name_part.map(SelectExpression::Column).parse_next(input);
    }
    let function = words::any_word(input)?;
    words::symbol(input, "(")?;
    let called = match function.as_str() {
        "count" if is_all(input) => SelectExpression::CountAll,
        "count" => SelectExpression::Count(words::name_part(input)?),
        "cast" => {
            let column = words::name_part(input)?;
            words::expect(input, &["as"])?;
            types::cql_type(input)?;
            SelectExpression::Call(function, vec![column])
        }
        _ if words::symbol_ahead(input, 0, ")") => SelectExpression::Call(function, Vec::new()),
        _ => SelectExpression::Call(function, words::list(input, words::name_part)?),
    };
    words::symbol(input, ")")?;
    Ok(called)
}

/// `*` or `1`
fn is_all(input: &mut Input<'_>) -> bool {
    words::maybe_symbol(input, "*") || matches!(words::token(input, Kind::Number), Ok("1"))
}

/// `column [ASC | DESC]`
pub(super) fn ordering(input: &mut Input<'_>) -> Parsed<(String, bool)> {
    let column = words::name_part(input)?;
    let descends = words::maybe(input, &["desc"]);
    if !descends {
        words::maybe(input, &["asc"]);
    }
    Ok((column, descends))
}

/// `WHERE …`, if there.
pub(super) fn maybe_filter(input: &mut Input<'_>) -> Parsed<Vec<Relation>> {
    if words::maybe(input, &["where"]) { words::joined(input, relation) } else { Ok(Vec::new()) }
}

/// `column operator term`
pub(super) fn relation(input: &mut Input<'_>) -> Parsed<Relation> {
    let of_token = words::maybe(input, &["token"]);
    let columns =
        if of_token || words::symbol_ahead(input, 0, "(") { words::names(input)? } else { vec![words::name_part(input)?] };
    let operator = operator(input)?;
    let terms = match operator {
        Operator::IsNotNull => Vec::new(),
        Operator::In if words::symbol_ahead(input, 0, "(") => words::between(input, ("(", ")"), terms::term)?,
        Operator::In => vec![Term::Spread(Box::new(terms::term(input)?))],
        _ => vec![terms::term(input)?],
    };
    Ok(Relation { columns, of_token, operator, terms })
}

fn operator(input: &mut Input<'_>) -> Parsed<Operator> {
    const WORDS: [(&[&str], Operator); 5] = [
        (&["in"], Operator::In),
        (&["contains", "key"], Operator::ContainsKey),
        (&["contains"], Operator::Contains),
        (&["like"], Operator::Like),
        (&["is", "not", "null"], Operator::IsNotNull),
    ];
    if let Some((_, operator)) = WORDS.iter().find(|(words, _)| words::maybe(input, words)) {
        return Ok(*operator);
    }
    let found = match words::peek(input).map_or("", |token| token.text) {
        "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return words::fail(input),
    };
    input.next_token();
    Ok(found)
}
