//! The CQL native protocol and language, without connections.
//!
//! A request's bytes become a [`frame::Request`], its text a [`ast::Statement`] by [`parse`], bound values take the place of
//! markers by [`bind`]. The node answers statements; [`select`] does so for a table that is all in memory. The answer becomes
//! bytes as a [`frame::Response`]. Connections, sessions and paging are the shell's.

pub mod ast;
pub mod bind;
pub mod constant;
pub mod frame;
mod lexer;
pub mod parse;
pub mod select;
pub mod wire;
