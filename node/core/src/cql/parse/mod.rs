//! Parses CQL: text to [`Statement`]. Names are not resolved here; errors say where they are, as the reference's do.
//!
//! `words` reads single tokens, `terms` constants and types; the other files one family of statements each.

mod describe;
mod modify;
mod schema;
mod select;
mod table;
mod terms;
mod types;
mod words;

use super::{
    ast::Statement,
    lexer::{self, Token},
};
use crate::io::CqlError;
use winnow::{
    Parser,
    error::ParserError,
    stream::{Stream, TokenSlice},
};

pub use words::{is_reserved, quote_name};

/// What is left to parse.
type Input<'t> = TokenSlice<'t, Token<'t>>;

/// What a parser returns.
type Parsed<T> = Result<T, Failure>;

/// Where parsing failed, and why if that is not obvious.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In bytes from the start of the text.
    offset: usize,
    /// Absent: the token there does not fit.
    reason: Option<&'static str>,
}

impl Failure {
    /// At that byte.
    pub(super) const fn at(offset: usize) -> Self {
        Self { offset, reason: None }
    }

    /// For that reason; no other way of reading the text is tried.
    pub(super) const fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// As a client is told.
    fn message(&self, text: &str) -> String {
        let before = text.get(..self.offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        match self.reason {
            Some(reason) => format!("line {line}:{column} {reason}"),
            None => format!("line {line}:{column} no viable alternative at input '{}'", self.found(text)),
        }
    }

    fn found<'t>(&self, text: &'t str) -> &'t str {
        let rest = text.get(self.offset..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        if rest.is_empty() { "<EOF>" } else { rest.get(..end.max(first)).unwrap_or_default() }
    }
}

impl<'t> ParserError<Input<'t>> for Failure {
    type Inner = Self;

    fn from_input(input: &Input<'t>) -> Self {
        Self::at(input.first().map_or(usize::MAX, |token| token.offset))
    }

    fn or(self, other: Self) -> Self {
        if self.offset > other.offset { self } else { other }
    }

    fn is_backtrack(&self) -> bool {
        self.reason.is_none()
    }

    fn into_inner(self) -> Result<Self::Inner, Self> {
        Ok(self)
    }
}

/// A statement, and the places for bound values in their order: `None` for `?`, a name for `:name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The statement.
    pub statement: Statement,
    /// Its markers.
    pub markers: Vec<Option<String>>,
}

/// Parses one statement; a `;` may end it. Fails with [`CqlError::Syntax`] only.
pub fn parse(text: &str) -> Result<Statement, CqlError> {
    prepare(text).map(|prepared| prepared.statement)
}

/// Parses one statement that may have markers.
pub fn prepare(text: &str) -> Result<Prepared, CqlError> {
    let syntax = |failure: Failure| CqlError::Syntax(failure.message(text));
    let tokens = lexer::tokens(text).map_err(syntax)?;
    let mut input = TokenSlice::new(&tokens.list);
    let statement = whole(statement).parse_next(&mut input).map_err(syntax)?;
    Ok(Prepared { statement, markers: tokens.markers })
}

/// `inner`, and then nothing but `;`.
fn whole<'t, T>(mut inner: impl Parser<Input<'t>, T, Failure>) -> impl Parser<Input<'t>, T, Failure> {
    move |input: &mut Input<'t>| {
        let parsed = inner.parse_next(input)?;
        while words::maybe_symbol(input, ";") {}
        words::end(input)?;
        Ok(parsed)
    }
}

fn statement(input: &mut Input<'_>) -> Parsed<Statement> {
    let start = input.checkpoint();
    match words::any_word(input)?.as_str() {
        "use" => words::name_part.map(Statement::Use).parse_next(input),
        "create" => schema::create(input),
        "alter" => schema::alter(input),
        "drop" => schema::drop(input),
        "select" => select::select(input),
        "insert" => modify::insert(input),
        "update" => modify::update(input),
        "delete" => modify::delete(input),
        "truncate" => modify::truncate(input),
        "describe" | "desc" => describe::describe(input),
        first @ ("grant" | "revoke" | "list" | "begin" | "batch" | "apply" | "attach" | "detach" | "prune") => {
            Ok(unsupported(input, first))
        }
        _ => {
            input.reset(&start);
            words::fail(input)
        }
    }
}

/// Skips the rest of a statement of which its first words are known.
fn unsupported(input: &mut Input<'_>, words: &str) -> Statement {
    while words::end(input).is_err() && input.next_token().is_some() {}
    Statement::Unsupported(words.to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
