//! Reads single tokens: keywords, symbols and names, and lists of things.

use super::{Failure, Input, Parsed};
use crate::cql::{
    ast::Name,
    lexer::{Kind, Token, unquote},
};
use winnow::{Parser, error::ParserError, stream::Stream};

/// Words that are no names unless in quotes. Sorted.
const RESERVED: [&str; 58] = [
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "default",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "replace",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "update",
    "use",
    "using",
    "view",
    "where",
];
// `with` and `unset` are reserved too; kept apart only to keep the table's lines even.
const RESERVED_MORE: [&str; 2] = ["unset", "with"];

/// Whether a lower-case word is a keyword that cannot be a name without quotes.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok() || RESERVED_MORE.contains(&word)
}

/// A name as it must be written in CQL: in quotes if it would be read otherwise without.
pub fn quote_name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !is_reserved(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Fails at the next token.
pub(super) fn fail<T>(input: &Input<'_>) -> Parsed<T> {
    Err(Failure::from_input(input))
}

/// The next token, not taken.
pub(super) fn peek<'t>(input: &Input<'t>) -> Option<&'t Token<'t>> {
    input.peek_token()
}

/// Whether the next tokens are these words; takes nothing.
pub(super) fn ahead(input: &Input<'_>, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(i, word)| input.get(i).is_some_and(|token| is_word(token, word)))
}

/// Whether the token at that distance is this symbol.
pub(super) fn symbol_ahead(input: &Input<'_>, distance: usize, symbol: &str) -> bool {
    input.get(distance).is_some_and(|token| token.kind == Kind::Symbol && token.text == symbol)
}

fn is_word(token: &Token<'_>, word: &str) -> bool {
    token.kind == Kind::Word && token.text.eq_ignore_ascii_case(word)
}

/// Takes these words if they are next.
pub(super) fn maybe(input: &mut Input<'_>, words: &[&str]) -> bool {
    let found = ahead(input, words);
    if found {
        input.next_slice(words.len());
    }
    found
}

/// Takes these words, in this order.
pub(super) fn expect(input: &mut Input<'_>, words: &[&str]) -> Parsed<()> {
    for word in words {
        if !maybe(input, &[word]) {
            return fail(input);
        }
    }
    Ok(())
}

/// Takes this symbol if it is next.
pub(super) fn maybe_symbol(input: &mut Input<'_>, symbol: &str) -> bool {
    let found = symbol_ahead(input, 0, symbol);
    if found {
        input.next_token();
    }
    found
}

/// Takes this symbol.
pub(super) fn symbol(input: &mut Input<'_>, symbol: &str) -> Parsed<()> {
    if maybe_symbol(input, symbol) { Ok(()) } else { fail(input) }
}

/// Nothing may be left.
pub(super) fn end(input: &mut Input<'_>) -> Parsed<()> {
    if peek(input).is_none_or(|token| token.kind == Kind::End) { Ok(()) } else { fail(input) }
}

/// Takes a token of this kind and returns its text.
pub(super) fn token<'t>(input: &mut Input<'t>, kind: Kind) -> Parsed<&'t str> {
    match peek(input) {
        Some(token) if token.kind == kind => {
            input.next_token();
            Ok(token.text)
        }
        _ => fail(input),
    }
}

/// Any word, in lower case, reserved or not.
pub(super) fn any_word(input: &mut Input<'_>) -> Parsed<String> {
    token(input, Kind::Word).map(str::to_ascii_lowercase)
}

/// One name: a word that is not reserved, in lower case, or what stands in quotes.
pub(super) fn name_part(input: &mut Input<'_>) -> Parsed<String> {
    match peek(input) {
        Some(token) if token.kind == Kind::Quoted && token.text.len() > 2 => {
            input.next_token();
            Ok(unquote(token.text, '"'))
        }
        Some(token) if token.kind == Kind::Word && !is_reserved(&token.text.to_ascii_lowercase()) => any_word(input),
        _ => fail(input),
    }
}

/// `[keyspace.]name`
pub(super) fn name(input: &mut Input<'_>) -> Parsed<Name> {
    let first = name_part(input)?;
    if !maybe_symbol(input, ".") {
        return Ok(Name { keyspace: None, name: first });
    }
    Ok(Name { keyspace: Some(first), name: name_part(input)? })
}

/// `IF NOT EXISTS`
pub(super) fn if_not_exists(input: &mut Input<'_>) -> bool {
    maybe(input, &["if", "not", "exists"])
}

/// `IF EXISTS`
pub(super) fn if_exists(input: &mut Input<'_>) -> bool {
    maybe(input, &["if", "exists"])
}

/// One or more, with `,` between them.
pub(super) fn list<'t, T>(input: &mut Input<'t>, mut item: impl Parser<Input<'t>, T, Failure>) -> Parsed<Vec<T>> {
    let mut items = vec![item.parse_next(input)?];
    while maybe_symbol(input, ",") {
        items.push(item.parse_next(input)?);
    }
    Ok(items)
}

/// `(a, , b,)`: after the first, elements may be empty, as in the reference's grammar of columns.
pub(super) fn sparse<'t, T>(input: &mut Input<'t>, mut item: impl Parser<Input<'t>, T, Failure>) -> Parsed<Vec<T>> {
    symbol(input, "(")?;
    let mut items = vec![item.parse_next(input)?];
    while maybe_symbol(input, ",") {
        if ![",", ")"].iter().any(|next| symbol_ahead(input, 0, next)) {
            items.push(item.parse_next(input)?);
        }
    }
    symbol(input, ")")?;
    Ok(items)
}

/// `(a, b)`; between `open` and `close`, possibly nothing.
pub(super) fn between<'t, T>(
    input: &mut Input<'t>,
    (open, close): (&str, &str),
    item: impl Parser<Input<'t>, T, Failure>,
) -> Parsed<Vec<T>> {
    symbol(input, open)?;
    if maybe_symbol(input, close) {
        return Ok(Vec::new());
    }
    let items = list(input, item)?;
    symbol(input, close)?;
    Ok(items)
}

/// `(a, b)` of names, at least one.
pub(super) fn names(input: &mut Input<'_>) -> Parsed<Vec<String>> {
    symbol(input, "(")?;
    let names = list(input, name_part)?;
    symbol(input, ")")?;
    Ok(names)
}

/// `item AND item …`
pub(super) fn joined<'t, T>(input: &mut Input<'t>, mut item: impl Parser<Input<'t>, T, Failure>) -> Parsed<Vec<T>> {
    let mut items = vec![item.parse_next(input)?];
    while maybe(input, &["and"]) {
        items.push(item.parse_next(input)?);
    }
    Ok(items)
}
