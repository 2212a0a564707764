//! The CQL native protocol and language, without connections.

pub mod ast;
