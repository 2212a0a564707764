//! What a client sends.

use super::{Header, Malformed, Reader, Writer, flags, frame, opcodes};
use std::collections::BTreeMap;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What do you support?
    Options,
    /// Begin, with these options.
    Startup(BTreeMap<String, String>),
    /// Push events of these kinds.
    Register(Vec<String>),
    /// Credentials, which nobody asked for.
    AuthResponse,
    /// A statement.
    Query {
        /// Its text.
        text: String,
        /// And more.
        parameters: Parameters,
    },
    /// Remember a statement.
    Prepare {
        /// Its text.
        text: String,
    },
    /// Run a remembered statement.
    Execute {
        /// Which.
        id: Vec<u8>,
        /// And more.
        parameters: Parameters,
    },
    /// Many writes; its body is not read.
    Batch,
}

/// What comes with a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// As a number; nothing here depends on it.
    pub consistency: u16,
    /// Bound values, each with a name if the client gives names.
    pub values: Vec<(Option<String>, Bound)>,
    /// The client knows the columns already.
    pub skip_metadata: bool,
    /// Rows a page.
    pub page_size: Option<i32>,
    /// Where the page starts.
    pub paging_state: Option<Vec<u8>>,
}

/// A bound value, of whatever type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// null
    Null,
    /// Leave it as it is.
    Unset,
    /// A value.
    Bytes(Vec<u8>),
}

/// Bits of the parameters' flags.
mod has {
    pub const VALUES: u8 = 0x01;
    pub const SKIP_METADATA: u8 = 0x02;
    pub const PAGE_SIZE: u8 = 0x04;
    pub const PAGING_STATE: u8 = 0x08;
    pub const SERIAL_CONSISTENCY: u8 = 0x10;
    pub const TIMESTAMP: u8 = 0x20;
    pub const NAMES: u8 = 0x40;
}

impl Request {
    /// Reads the body that follows `header`.
    pub fn read(header: &Header, body: &[u8]) -> Result<Self, Malformed> {
        if header.from_server {
            return Err(Malformed("it is a response"));
        }
        if header.flags & flags::COMPRESSION != 0 {
            return Err(Malformed("it is compressed, and no compression was agreed on"));
        }
        let mut reader = Reader::new(body);
        if header.flags & flags::CUSTOM_PAYLOAD != 0 {
            reader.many(|reader| Ok((reader.string()?, reader.bytes()?)))?;
        }
        Self::read_body(header.opcode, &mut reader)
    }

    fn read_body(opcode: u8, reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match opcode {
            opcodes::OPTIONS => Self::Options,
            opcodes::STARTUP => {
                let pairs = reader.many(|reader| Ok((reader.string()?.to_owned(), reader.string()?.to_owned())))?;
                Self::Startup(pairs.into_iter().collect())
            }
            opcodes::REGISTER => Self::Register(reader.string_list()?),
            opcodes::AUTH_RESPONSE => Self::AuthResponse,
            opcodes::QUERY => Self::Query { text: reader.long_string()?.to_owned(), parameters: Parameters::read(reader)? },
            opcodes::PREPARE => Self::Prepare { text: reader.long_string()?.to_owned() },
            opcodes::EXECUTE => Self::Execute { id: reader.short_bytes()?.to_vec(), parameters: Parameters::read(reader)? },
            opcodes::BATCH => Self::Batch,
            _ => return Err(Malformed("no such opcode")),
        })
    }

    /// The whole frame, as a client sends it.
    pub fn write(&self, stream: i16) -> Vec<u8> {
        let mut body = Writer::default();
        let opcode = match self {
            Self::Options => opcodes::OPTIONS,
            Self::Startup(options) => {
                body.short_count(options.len());
                for (key, value) in options {
                    body.string(key).string(value);
                }
                opcodes::STARTUP
            }
            Self::Register(kinds) => {
                body.string_list(kinds);
                opcodes::REGISTER
            }
            Self::AuthResponse => {
                body.bytes(None);
                opcodes::AUTH_RESPONSE
            }
            Self::Query { text, parameters } => {
                parameters.write(body.long_string(text));
                opcodes::QUERY
            }
            Self::Prepare { text } => {
                body.long_string(text);
                opcodes::PREPARE
            }
            Self::Execute { id, parameters } => {
                parameters.write(body.short_bytes(id));
                opcodes::EXECUTE
            }
            Self::Batch => opcodes::BATCH,
        };
        frame(false, stream, opcode, &body.finish())
    }
}

impl Parameters {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let consistency = reader.short()?;
        let flags = reader.byte()?;
        let is = |flag: u8| flags & flag != 0;
        let values = if is(has::VALUES) { reader.many(|reader| bound(reader, is(has::NAMES)))? } else { Vec::new() };
        let page_size = if is(has::PAGE_SIZE) { Some(reader.int()?) } else { None };
        let paging_state = if is(has::PAGING_STATE) { reader.bytes()?.map(<[u8]>::to_vec) } else { None };
        if is(has::SERIAL_CONSISTENCY) {
            reader.short()?;
        }
        if is(has::TIMESTAMP) {
            reader.long()?;
        }
        Ok(Self { consistency, values, skip_metadata: is(has::SKIP_METADATA), page_size, paging_state })
    }

    fn write(&self, writer: &mut Writer) {
        let named = self.values.iter().any(|(name, _)| name.is_some());
        let flags = [
            (has::VALUES, !self.values.is_empty()),
            (has::SKIP_METADATA, self.skip_metadata),
            (has::PAGE_SIZE, self.page_size.is_some()),
            (has::PAGING_STATE, self.paging_state.is_some()),
            (has::NAMES, named),
        ];
        writer.short(self.consistency).byte(flags.into_iter().filter(|(_, set)| *set).fold(0, |all, (flag, _)| all | flag));
        if !self.values.is_empty() {
            writer.short_count(self.values.len());
        }
        for (name, value) in &self.values {
            if named {
                writer.string(name.as_deref().unwrap_or_default());
            }
            match value {
                Bound::Null => writer.int(-1),
                Bound::Unset => writer.int(-2),
                Bound::Bytes(bytes) => writer.bytes(Some(bytes)),
            };
        }
        if let Some(page_size) = self.page_size {
            writer.int(page_size);
        }
        if let Some(state) = &self.paging_state {
            writer.bytes(Some(state));
        }
    }
}

fn bound(reader: &mut Reader<'_>, named: bool) -> Result<(Option<String>, Bound), Malformed> {
    let name = if named { Some(reader.string()?.to_owned()) } else { None };
    let value = match reader.int()? {
        -1 => Bound::Null,
        -2 => Bound::Unset,
        len => {
            let len = usize::try_from(len).map_err(|_| Malformed("a value of negative length"))?;
            Bound::Bytes(reader.take(len)?.to_vec())
        }
    };
    Ok((name, value))
}
