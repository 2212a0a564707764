//! What CQL clients ask, and what they are told.

use crate::{
    cql::ast::Statement,
    value::{CqlType, Value},
};

/// What CQL clients ask, one statement each. Parsing is done; connection state is the shell's.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// The statement as parsed, with bound values in place.
    pub statement: Statement,
    /// Its text, for the history and for errors.
    pub text: String,
    /// The keyspace that the session uses.
    pub keyspace: Option<String>,
}

/// What a CQL client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientReply {
    /// Nothing to say.
    Void,
    /// The session uses this keyspace from now on.
    SetKeyspace(String),
    /// A result set; the shell pages it.
    Rows(ResultSet),
    /// The schema was changed.
    SchemaChange(SchemaEvent),
    /// It failed.
    Error(CqlError),
}

/// Rows with the types of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// Where the columns are from.
    pub keyspace: String,
    /// See `keyspace`.
    pub table: String,
    /// Name and type of each column.
    pub columns: Vec<(String, CqlType)>,
    /// In order of the primary key unless asked otherwise.
    pub rows: Vec<Vec<Option<Value>>>,
}

/// A change of the schema, as drivers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaEvent {
    /// What happened.
    pub change: SchemaChange,
    /// To what.
    pub target: SchemaTarget,
    /// The keyspace.
    pub keyspace: String,
    /// The table or type; empty for a keyspace.
    pub name: String,
}

/// What happened to an element of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// CREATED
    Created,
    /// UPDATED
    Updated,
    /// DROPPED
    Dropped,
}

/// Which kind of element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaTarget {
    /// KEYSPACE
    Keyspace,
    /// TABLE; views and indexes are told as tables
    Table,
    /// TYPE
    Type,
}

/// Errors of the native protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CqlError {
    /// 0x0000
    #[error("{0}")]
    Server(String),
    /// 0x1000: group 0 has no quorum, or similar.
    #[error("{message}")]
    Unavailable {
        /// What failed and what to do.
        message: String,
        /// How many were needed.
        required: i32,
        /// How many are alive.
        alive: i32,
    },
    /// 0x2000
    #[error("{0}")]
    Syntax(String),
    /// 0x2100
    #[error("{0}")]
    Unauthorized(String),
    /// 0x2200
    #[error("{0}")]
    Invalid(String),
    /// 0x2300
    #[error("{0}")]
    Config(String),
    /// 0x2400
    #[error("{message}")]
    AlreadyExists {
        /// The text.
        message: String,
        /// The keyspace.
        keyspace: String,
        /// The table; empty if a keyspace exists.
        table: String,
    },
}
