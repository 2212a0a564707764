//! Terms: constants, collections, calls and places for bound values; and `WITH` options made of them.

use super::{Failure, Input, Parsed, words};
use crate::{
    cql::{
        ast::{Options, Term},
        lexer::{Kind, bind_name, unquote},
    },
    value::CqlType,
};
use winnow::{Parser, stream::Stream};

/// A term, with casts before it or without.
pub(super) fn term(input: &mut Input<'_>) -> Parsed<Term> {
    skip_casts(input);
    let Some(token) = words::peek(input) else { return words::fail(input) };
    match (token.kind, token.text) {
        (Kind::Symbol, "[") => words::between(input, ("[", "]"), term).map(Term::List),
        (Kind::Symbol, "{") => braces(input),
        (Kind::Symbol, "(") => parenthesis(input),
        (Kind::Word, _) => word(input),
        (Kind::Symbol | Kind::Quoted | Kind::End, _) => words::fail(input),
        _ => {
            let constant = constant(token.kind, token.text).ok_or(Failure::at(token.offset))?;
            input.next_token();
            Ok(constant)
        }
    }
}

fn constant(kind: Kind, text: &str) -> Option<Term> {
    Some(match kind {
        Kind::Text => Term::Text(unquote(text, '\'')),
        Kind::Dollars => Term::Text(text.get(2..text.len() - 2)?.to_owned()),
        Kind::Number => Term::Number(text.to_owned()),
        Kind::Uuid => Term::Uuid(text.parse().ok()?),
        Kind::Blob => Term::Blob(hex(text.get(2..)?)?),
        Kind::Bind(number) => Term::Bind(number),
        Kind::NamedBind => Term::NamedBind(bind_name(text)),
        _ => return None,
    })
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2))
        .collect()
}

/// `true`, `null`, `NaN`, or a call.
fn word(input: &mut Input<'_>) -> Parsed<Term> {
    let before = *input;
    let word = words::any_word(input)?;
    if words::symbol_ahead(input, 0, "(") {
        return words::between(input, ("(", ")"), argument).map(|arguments| Term::Call(word, arguments));
    }
    match word.as_str() {
        "true" => Ok(Term::Boolean(true)),
        "false" => Ok(Term::Boolean(false)),
        "null" => Ok(Term::Null),
        "nan" => Ok(Term::Number("NaN".to_owned())),
        "infinity" => Ok(Term::Number("Infinity".to_owned())),
        _ => words::fail(&before),
    }
}

/// A term, or the name of a column.
fn argument(input: &mut Input<'_>) -> Parsed<Term> {
    let before = *input;
    term(input).or_else(|failure| {
        *input = before;
        words::name_part(input).map(|name| Term::Call(name, Vec::new())).map_err(|_| failure)
    })
}

/// `{a, b}`, `{k: v}`, `{}`; a user type's `{field: v}` is a map by its fields' names.
fn braces(input: &mut Input<'_>) -> Parsed<Term> {
    words::symbol(input, "{")?;
    if words::maybe_symbol(input, "}") {
        return Ok(Term::Map(Vec::new()));
    }
    let first = key(input)?;
    let braces = if words::maybe_symbol(input, ":") {
        let mut pairs = vec![(first, term(input)?)];
        while words::maybe_symbol(input, ",") {
            pairs.push(pair(input)?);
        }
        Term::Map(pairs)
    } else {
        let mut elements = vec![first];
        while words::maybe_symbol(input, ",") {
            elements.push(term(input)?);
        }
        Term::Set(elements)
    };
    words::symbol(input, "}")?;
    Ok(braces)
}

fn pair(input: &mut Input<'_>) -> Parsed<(Term, Term)> {
    let key = key(input)?;
    words::symbol(input, ":")?;
    Ok((key, term(input)?))
}

fn key(input: &mut Input<'_>) -> Parsed<Term> {
    let is_field = words::symbol_ahead(input, 1, ":")
        && matches!(words::peek(input), Some(t) if matches!(t.kind, Kind::Word | Kind::Quoted));
    if is_field { words::name_part.map(Term::Text).parse_next(input) } else { term(input) }
}

/// `(a, b)`
fn parenthesis(input: &mut Input<'_>) -> Parsed<Term> {
    words::between(input, ("(", ")"), term).map(Term::Tuple)
}

/// Skips `(int)`, again and again, since a cast closes its bracket before the term and so nests without bound.
fn skip_casts(input: &mut Input<'_>) {
    while is_cast(input) {
        input.next_slice(3);
    }
}

fn is_cast(input: &Input<'_>) -> bool {
    words::symbol_ahead(input, 0, "(")
        && input.get(1).is_some_and(|t| t.kind == Kind::Word && CqlType::native(&t.text.to_ascii_lowercase()).is_some())
        && words::symbol_ahead(input, 2, ")")
}

/// `name = term`
pub(super) fn option(input: &mut Input<'_>) -> Parsed<(String, Term)> {
    let name = match words::peek(input) {
        Some(token) if token.kind == Kind::Quoted => words::name_part(input)?,
        _ => words::any_word(input)?,
    };
    words::symbol(input, "=")?;
    Ok((name, term(input)?))
}

/// `WITH name = term AND …`, if there.
pub(super) fn maybe_options(input: &mut Input<'_>) -> Parsed<Options> {
    if words::maybe(input, &["with"]) { words::joined(input, option) } else { Ok(Vec::new()) }
}

/// `USING TIMEOUT 5s AND TTL 1`, which changes nothing here.
pub(super) fn skip_using(input: &mut Input<'_>) -> Parsed<()> {
    if words::maybe(input, &["using"]) {
        words::joined(input, |input: &mut Input<'_>| {
            let attributes = ["timeout", "ttl", "timestamp"];
            if !attributes.iter().any(|attribute| words::maybe(input, &[attribute])) {
                return words::fail(input);
            }
            term(input)
        })?;
    }
    Ok(())
}
