//! The CQL native protocol and language, without connections.

pub mod ast;
mod lexer;
pub mod parse;
