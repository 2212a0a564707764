//! Types: `frozen<map<text, int>>`.

use super::{Input, Parsed, whole, words};
use crate::{
    cql::{
        ast::Name,
        lexer::{self, Kind, unquote},
    },
    value::{CqlType, UnknownType},
};
use std::str::FromStr;
use winnow::{Parser, stream::TokenSlice};

/// A type.
pub(super) fn cql_type(input: &mut Input<'_>) -> Parsed<CqlType> {
    match words::peek(input) {
        Some(token) if token.kind == Kind::Text => {
            words::token(input, Kind::Text).map(|text| CqlType::Custom(unquote(text, '\'')))
        }
        Some(token) if token.kind == Kind::Quoted => user_type(input),
        Some(token) if words::symbol_ahead(input, 1, "<") => {
            let word = token.text.to_ascii_lowercase();
            generic(input, &word)
        }
        Some(token) if !words::symbol_ahead(input, 1, ".") => match CqlType::native(&token.text.to_ascii_lowercase()) {
            Some(native) => words::any_word(input).map(|_| native),
            None => user_type(input),
        },
        _ => user_type(input),
    }
}

/// Whether the named keyspace is the one of the statement, the parser cannot know.
fn user_type(input: &mut Input<'_>) -> Parsed<CqlType> {
    let Name { keyspace, name } = words::name(input)?;
    Ok(match keyspace {
        None => CqlType::UserType(name),
        Some(keyspace) => CqlType::UserTypeOf { keyspace, name },
    })
}

fn generic(input: &mut Input<'_>, word: &str) -> Parsed<CqlType> {
    if !matches!(word, "list" | "set" | "map" | "tuple" | "frozen" | "vector") {
        return words::fail(input);
    }
    words::any_word(input)?;
    words::symbol(input, "<")?;
    let parsed = match word {
        "list" => CqlType::List(Box::new(cql_type(input)?)),
        "set" => CqlType::Set(Box::new(cql_type(input)?)),
        "frozen" => CqlType::Frozen(Box::new(cql_type(input)?)),
        "tuple" => CqlType::Tuple(words::list(input, cql_type)?),
        "map" => {
            let key = cql_type(input)?;
            words::symbol(input, ",")?;
            CqlType::Map(Box::new(key), Box::new(cql_type(input)?))
        }
        _ => vector(input)?,
    };
    words::symbol(input, ">")?;
    Ok(parsed)
}

fn vector(input: &mut Input<'_>) -> Parsed<CqlType> {
    let element = cql_type(input)?;
    words::symbol(input, ",")?;
    let before = *input;
    match words::token(input, Kind::Number)?.parse() {
        Ok(dimension) if dimension > 0 => Ok(CqlType::Vector(Box::new(element), dimension)),
        _ => words::fail(&before),
    }
}

impl FromStr for CqlType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let unknown = |_| UnknownType(text.to_owned());
        let tokens = lexer::tokens(text).map_err(unknown)?;
        whole(cql_type).parse_next(&mut TokenSlice::new(&tokens.list)).map_err(unknown)
    }
}
