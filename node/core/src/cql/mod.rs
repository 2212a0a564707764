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

use sha2::{Digest, Sha256};

/// The id of a prepared statement: the same on every node, so that a driver may execute where it did not prepare.
pub fn prepared_id(keyspace: Option<&str>, text: &str) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(keyspace.unwrap_or_default());
    digest.update([0]);
    digest.update(text);
    let mut id = [0; 16];
    id.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    id
}
