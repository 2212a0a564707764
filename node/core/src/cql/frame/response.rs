//! What a server sends. The reading half serves our own client.

use super::{Header, Malformed, Reader, Writer, flags, frame, opcodes};
use crate::{
    cql::wire::{self, UserTypes},
    io::{Apply, CqlError, ResultSet, SchemaChange, SchemaEvent, SchemaTarget},
    value::CqlType,
};
use std::{collections::BTreeMap, net::SocketAddr};

/// A response, or an event that nobody asked for at that moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// It failed.
    Error(ErrorBody),
    /// Begun, or registered.
    Ready,
    /// What is supported.
    Supported(BTreeMap<String, Vec<String>>),
    /// Done, nothing to say.
    Void,
    /// A page of rows.
    Rows(RowsBody),
    /// The session uses this keyspace.
    SetKeyspace(String),
    /// Remembered.
    Prepared(PreparedBody),
    /// The schema was changed by this request.
    SchemaChange(SchemaEvent),
    /// Something happened.
    Event(Event),
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorBody {
    /// The statement.
    Cql(CqlError),
    /// 0x000A: the message itself.
    Protocol(String),
    /// 0x2500: nothing is remembered by that id.
    Unprepared(Vec<u8>),
    /// An error that this node never sends, read from another server.
    Other(i32, String),
}

/// A page of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsBody {
    /// The columns and the rows of this page.
    pub set: ResultSet,
    /// Where the next page starts, if there is one.
    pub paging_state: Option<Vec<u8>>,
    /// Leave names and types out.
    pub skip_metadata: bool,
    /// Fields of the user types that columns have.
    pub user_types: UserTypes,
}

/// A remembered statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedBody {
    /// To execute it by.
    pub id: Vec<u8>,
    /// The table that markers and columns belong to.
    pub keyspace: String,
    /// See `keyspace`.
    pub table: String,
    /// Name and type of each marker.
    pub markers: Vec<(String, CqlType)>,
    /// For each column of the partition key, the marker bound to it; empty unless all are bound.
    pub key_markers: Vec<u16>,
    /// Name and type of each column of the result; absent if it returns no rows.
    pub columns: Option<Vec<(String, CqlType)>>,
    /// Fields of the user types that columns have.
    pub user_types: UserTypes,
}

/// What is pushed to clients that registered for its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `SCHEMA_CHANGE`
    Schema(SchemaEvent),
    /// `STATUS_CHANGE`
    Status {
        /// UP or DOWN
        up: bool,
        /// Of which host, where clients reach it.
        address: SocketAddr,
    },
    /// `TOPOLOGY_CHANGE`
    Topology {
        /// NEW_NODE or REMOVED_NODE
        joined: bool,
        /// Of which host, where clients reach it.
        address: SocketAddr,
    },
}

impl Event {
    /// What clients are told of something that the node applied.
    pub fn of(apply: &Apply) -> Option<Self> {
        match apply {
            Apply::SchemaChanged(event) => Some(Self::Schema(event.clone())),
            Apply::HostChanged { up, address } => Some(Self::Status { up: *up, address: *address }),
            Apply::RingChanged { joined, address } => Some(Self::Topology { joined: *joined, address: *address }),
            Apply::Ready(_) | Apply::Drained | Apply::Restart | Apply::Struck | Apply::Fatal(_) => None,
        }
    }

    /// What clients can register for.
    pub const KINDS: [&str; 3] = ["SCHEMA_CHANGE", "STATUS_CHANGE", "TOPOLOGY_CHANGE"];

    /// The kind that clients register for.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Schema(_) => "SCHEMA_CHANGE",
            Self::Status { .. } => "STATUS_CHANGE",
            Self::Topology { .. } => "TOPOLOGY_CHANGE",
        }
    }

    fn write(&self, body: &mut Writer) {
        body.string(self.kind());
        match self {
            Self::Schema(event) => write_schema(body, event),
            Self::Status { up, address } => {
                body.string(if *up { "UP" } else { "DOWN" }).inet(*address);
            }
            Self::Topology { joined, address } => {
                body.string(if *joined { "NEW_NODE" } else { "REMOVED_NODE" }).inet(*address);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.string()? {
            "SCHEMA_CHANGE" => Self::Schema(read_schema(reader)?),
            "STATUS_CHANGE" => Self::Status { up: reader.string()? == "UP", address: reader.inet()? },
            "TOPOLOGY_CHANGE" => Self::Topology { joined: reader.string()? == "NEW_NODE", address: reader.inet()? },
            _ => return Err(Malformed("no such event")),
        })
    }
}

impl ErrorBody {
    /// The protocol's number for it.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Cql(CqlError::Server(_)) => 0x0000,
            Self::Protocol(_) => 0x000A,
            Self::Cql(CqlError::Unavailable { .. }) => 0x1000,
            Self::Cql(CqlError::Syntax(_)) => 0x2000,
            Self::Cql(CqlError::Unauthorized(_)) => 0x2100,
            Self::Cql(CqlError::Invalid(_)) => 0x2200,
            Self::Cql(CqlError::Config(_)) => 0x2300,
            Self::Cql(CqlError::AlreadyExists { .. }) => 0x2400,
            Self::Unprepared(_) => 0x2500,
            Self::Other(code, _) => *code,
        }
    }

    /// Its text.
    pub fn message(&self) -> String {
        match self {
            Self::Cql(error) => error.to_string(),
            Self::Protocol(message) | Self::Other(_, message) => message.clone(),
            Self::Unprepared(_) => "No prepared statement with this id: prepare it again".to_owned(),
        }
    }

    fn write(&self, body: &mut Writer) {
        body.int(self.code()).string(&self.message());
        match self {
            Self::Cql(CqlError::Unavailable { message: _, required, alive }) => body.short(QUORUM).int(*required).int(*alive),
            Self::Cql(CqlError::AlreadyExists { message: _, keyspace, table }) => body.string(keyspace).string(table),
            Self::Unprepared(id) => body.short_bytes(id),
            _ => body,
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (code, message) = (reader.int()?, reader.string()?.to_owned());
        Ok(match code {
            0x0000 => Self::Cql(CqlError::Server(message)),
            0x000A => Self::Protocol(message),
            0x1000 => {
                reader.short()?;
                Self::Cql(CqlError::Unavailable { message, required: reader.int()?, alive: reader.int()? })
            }
            0x2000 => Self::Cql(CqlError::Syntax(message)),
            0x2100 => Self::Cql(CqlError::Unauthorized(message)),
            0x2200 => Self::Cql(CqlError::Invalid(message)),
            0x2300 => Self::Cql(CqlError::Config(message)),
            0x2400 => {
                let (keyspace, table) = (reader.string()?.to_owned(), reader.string()?.to_owned());
                Self::Cql(CqlError::AlreadyExists { message, keyspace, table })
            }
            0x2500 => Self::Unprepared(reader.short_bytes()?.to_vec()),
            other => Self::Other(other, message),
        })
    }
}

/// The consistency that an Unavailable error names: group 0 needs a quorum.
const QUORUM: u16 = 4;

/// What stands first in a result.
mod kinds {
    pub const VOID: i32 = 1;
    pub const ROWS: i32 = 2;
    pub const SET_KEYSPACE: i32 = 3;
    pub const PREPARED: i32 = 4;
    pub const SCHEMA_CHANGE: i32 = 5;
}

/// Bits of the metadata's flags.
mod has {
    pub const GLOBAL_TABLE: i32 = 0x01;
    pub const MORE_PAGES: i32 = 0x02;
    pub const NO_METADATA: i32 = 0x04;
}

impl Response {
    /// The whole frame. A value that does not fit its column's type makes it a server error.
    pub fn write(&self, stream: i16) -> Vec<u8> {
        let mut body = Writer::default();
        match self.write_body(&mut body) {
            Ok(opcode) => frame(true, stream, opcode, &body.finish()),
            Err(error) => {
                let mut body = Writer::default();
                ErrorBody::Cql(CqlError::Server(error.to_string())).write(&mut body);
                frame(true, stream, opcodes::ERROR, &body.finish())
            }
        }
    }

    fn write_body(&self, body: &mut Writer) -> Result<u8, Malformed> {
        match self {
            Self::Error(error) => error.write(body),
            Self::Ready => {}
            Self::Supported(options) => {
                body.short_count(options.len());
                for (key, values) in options {
                    body.string(key).string_list(values);
                }
            }
            Self::Void => {
                body.int(kinds::VOID);
            }
            Self::Rows(rows) => rows.write(body.int(kinds::ROWS))?,
            Self::SetKeyspace(keyspace) => {
                body.int(kinds::SET_KEYSPACE).string(keyspace);
            }
            Self::Prepared(prepared) => prepared.write(body.int(kinds::PREPARED)),
            Self::SchemaChange(event) => write_schema(body.int(kinds::SCHEMA_CHANGE), event),
            Self::Event(event) => event.write(body),
        }
        Ok(self.opcode())
    }

    const fn opcode(&self) -> u8 {
        match self {
            Self::Error(_) => opcodes::ERROR,
            Self::Ready => opcodes::READY,
            Self::Supported(_) => opcodes::SUPPORTED,
            Self::Event(_) => opcodes::EVENT,
            _ => opcodes::RESULT,
        }
    }
}

impl RowsBody {
    fn write(&self, body: &mut Writer) -> Result<(), Malformed> {
        let Self { set, paging_state, skip_metadata, user_types } = self;
        let more = if paging_state.is_some() { has::MORE_PAGES } else { 0 };
        let table = if *skip_metadata { has::NO_METADATA } else { has::GLOBAL_TABLE };
        body.int(more | table).count(set.columns.len());
        if paging_state.is_some() {
            body.bytes(paging_state.as_deref());
        }
        if !skip_metadata {
            body.string(&set.keyspace).string(&set.table);
            write_columns(body, &set.keyspace, &set.columns, user_types);
        }
        body.count(set.rows.len());
        for row in &set.rows {
            for (cell, (_, kind)) in row.iter().zip(&set.columns) {
                let bytes = cell.as_ref().map(|value| wire::encode(value, kind)).transpose()?;
                body.bytes(bytes.as_deref());
            }
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (flags, count) = (reader.int()?, reader.int()?);
        let paging_state = if flags & has::MORE_PAGES != 0 { reader.bytes()?.map(<[u8]>::to_vec) } else { None };
        if flags & has::NO_METADATA != 0 {
            return Err(Malformed("rows without metadata were not asked for"));
        }
        let mut set = ResultSet::default();
        (set.keyspace, set.table, set.columns) = read_columns(reader, flags, count)?;
        for _ in 0..reader.int()? {
            let row = set.columns.iter().map(|(_, kind)| {
                Ok(match reader.bytes()? {
                    Some(bytes) => Some(wire::decode(bytes, kind)?),
                    None => None,
                })
            });
            let row = row.collect::<Result<Vec<_>, Malformed>>()?;
            if row.is_empty() {
                break;
            }
            set.rows.push(row);
        }
        Ok(Self { set, paging_state, skip_metadata: false, user_types: UserTypes::new() })
    }
}

impl PreparedBody {
    fn write(&self, body: &mut Writer) {
        body.short_bytes(&self.id).int(has::GLOBAL_TABLE).count(self.markers.len()).count(self.key_markers.len());
        self.key_markers.iter().for_each(|marker| {
            body.short(*marker);
        });
        body.string(&self.keyspace).string(&self.table);
        write_columns(body, &self.keyspace, &self.markers, &self.user_types);
        match &self.columns {
            None => {
                body.int(has::NO_METADATA).int(0);
            }
            Some(columns) => {
                body.int(has::GLOBAL_TABLE).count(columns.len()).string(&self.keyspace).string(&self.table);
                write_columns(body, &self.keyspace, columns, &self.user_types);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = reader.short_bytes()?.to_vec();
        let (flags, count, keys) = (reader.int()?, reader.int()?, reader.int()?);
        let key_markers = (0..keys).map(|_| reader.short()).collect::<Result<_, _>>()?;
        let (keyspace, table, markers) = read_columns(reader, flags, count)?;
        let (flags, count) = (reader.int()?, reader.int()?);
        let columns = if flags & has::NO_METADATA == 0 { Some(read_columns(reader, flags, count)?.2) } else { None };
        Ok(Self { id, keyspace, table, markers, key_markers, columns, user_types: UserTypes::new() })
    }
}

fn write_columns(body: &mut Writer, keyspace: &str, columns: &[(String, CqlType)], user_types: &UserTypes) {
    for (name, kind) in columns {
        body.string(name);
        wire::write_type(body, kind, keyspace, user_types);
    }
}

/// Keyspace, table and columns.
type Columns = (String, String, Vec<(String, CqlType)>);

fn read_columns(reader: &mut Reader<'_>, flags: i32, count: i32) -> Result<Columns, Malformed> {
    let global = flags & has::GLOBAL_TABLE != 0;
    let (mut keyspace, mut table) = (String::new(), String::new());
    let mut columns = Vec::new();
    for position in 0..count.max(i32::from(global)) {
        if position == 0 || !global {
            (keyspace, table) = (reader.string()?.to_owned(), reader.string()?.to_owned());
        }
        if position < count {
            columns.push((reader.string()?.to_owned(), wire::read_type(reader)?));
        }
    }
    Ok((keyspace, table, columns))
}

fn write_schema(body: &mut Writer, event: &SchemaEvent) {
    body.string(match event.change {
        SchemaChange::Created => "CREATED",
        SchemaChange::Updated => "UPDATED",
        SchemaChange::Dropped => "DROPPED",
    });
    let target = match event.target {
        SchemaTarget::Keyspace => "KEYSPACE",
        SchemaTarget::Table => "TABLE",
        SchemaTarget::Type => "TYPE",
    };
    body.string(target).string(&event.keyspace);
    if event.target != SchemaTarget::Keyspace {
        body.string(&event.name);
    }
}

fn read_schema(reader: &mut Reader<'_>) -> Result<SchemaEvent, Malformed> {
    let change = match reader.string()? {
        "CREATED" => SchemaChange::Created,
        "UPDATED" => SchemaChange::Updated,
        "DROPPED" => SchemaChange::Dropped,
        _ => return Err(Malformed("no such change")),
    };
    let target = match reader.string()? {
        "KEYSPACE" => SchemaTarget::Keyspace,
        "TABLE" => SchemaTarget::Table,
        "TYPE" => SchemaTarget::Type,
        _ => return Err(Malformed("no such target")),
    };
    let keyspace = reader.string()?.to_owned();
    let name = if target == SchemaTarget::Keyspace { String::new() } else { reader.string()?.to_owned() };
    Ok(SchemaEvent { change, target, keyspace, name })
}

/// Reads the body that follows `header`.
pub fn read_response(header: &Header, body: &[u8]) -> Result<Response, Malformed> {
    let mut reader = Reader::new(body);
    if header.flags & flags::TRACING != 0 {
        reader.take(16)?;
    }
    if header.flags & flags::WARNING != 0 {
        reader.string_list()?;
    }
    if header.flags & flags::CUSTOM_PAYLOAD != 0 {
        reader.many(|reader| Ok((reader.string()?, reader.bytes()?)))?;
    }
    Ok(match header.opcode {
        opcodes::ERROR => Response::Error(ErrorBody::read(&mut reader)?),
        opcodes::READY => Response::Ready,
        opcodes::SUPPORTED => {
            let pairs = reader.many(|reader| Ok((reader.string()?.to_owned(), reader.string_list()?)))?;
            Response::Supported(pairs.into_iter().collect())
        }
        opcodes::EVENT => Response::Event(Event::read(&mut reader)?),
        opcodes::RESULT => match reader.int()? {
            kinds::VOID => Response::Void,
            kinds::ROWS => Response::Rows(RowsBody::read(&mut reader)?),
            kinds::SET_KEYSPACE => Response::SetKeyspace(reader.string()?.to_owned()),
            kinds::PREPARED => Response::Prepared(PreparedBody::read(&mut reader)?),
            kinds::SCHEMA_CHANGE => Response::SchemaChange(read_schema(&mut reader)?),
            _ => return Err(Malformed("no such result")),
        },
        _ => return Err(Malformed("no such response")),
    })
}
