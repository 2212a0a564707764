//! Frames of the native protocol, version 4: a header of nine bytes, then a body that its opcode explains.
//!
//! Reading never panics and never allocates more than a small multiple of what was received. Nothing here knows connections.

mod bytes;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use bytes::{Malformed, Reader, Writer, ip};
pub use request::{Bound, Parameters, Request};
pub use response::{ErrorBody, Event, PreparedBody, Response, RowsBody, read_response};

/// The only version spoken.
pub const VERSION: u8 = 4;

/// Bytes of a header, from version 3 on.
pub const HEADER_LEN: usize = 9;

/// The longest body taken. The reference's limit is a sixteenth of its memory; schema statements need far less than this.
pub const BODY_MAX: usize = 16 * 1024 * 1024;

/// Set in the version byte of what a server sends.
const FROM_SERVER: u8 = 0x80;

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Without the bit of direction.
    pub version: u8,
    /// Whether a server sent it.
    pub from_server: bool,
    /// See [`flags`].
    pub flags: u8,
    /// Tells answers apart.
    pub stream: i16,
    /// What the body is.
    pub opcode: u8,
    /// Of the body, in bytes.
    pub length: usize,
}

/// Bits of [`Header::flags`].
pub mod flags {
    /// The body is compressed.
    pub const COMPRESSION: u8 = 0x01;
    /// Of a request: trace it. Of a response: a trace id comes first.
    pub const TRACING: u8 = 0x02;
    /// A map of bytes comes first.
    pub const CUSTOM_PAYLOAD: u8 = 0x04;
    /// A list of warnings comes first.
    pub const WARNING: u8 = 0x08;
}

/// What a body is.
pub mod opcodes {
    /// See [`super::Response::Error`].
    pub const ERROR: u8 = 0x00;
    /// See [`super::Request::Startup`].
    pub const STARTUP: u8 = 0x01;
    /// See [`super::Response::Ready`].
    pub const READY: u8 = 0x02;
    /// See [`super::Request::Options`].
    pub const OPTIONS: u8 = 0x05;
    /// See [`super::Response::Supported`].
    pub const SUPPORTED: u8 = 0x06;
    /// See [`super::Request::Query`].
    pub const QUERY: u8 = 0x07;
    /// Any result.
    pub const RESULT: u8 = 0x08;
    /// See [`super::Request::Prepare`].
    pub const PREPARE: u8 = 0x09;
    /// See [`super::Request::Execute`].
    pub const EXECUTE: u8 = 0x0A;
    /// See [`super::Request::Register`].
    pub const REGISTER: u8 = 0x0B;
    /// See [`super::Response::Event`].
    pub const EVENT: u8 = 0x0C;
    /// See [`super::Request::Batch`].
    pub const BATCH: u8 = 0x0D;
    /// See [`super::Request::AuthResponse`].
    pub const AUTH_RESPONSE: u8 = 0x0F;
}

impl Header {
    /// Reads one. A length that is negative or above [`BODY_MAX`] is malformed; what else is wrong shows in the fields.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (version, flags) = (reader.byte()?, reader.byte()?);
        let stream = reader.short()?.cast_signed();
        let opcode = reader.byte()?;
        let length = usize::try_from(reader.int()?).map_err(|_| Malformed("a body of negative length"))?;
        if length > BODY_MAX {
            return Err(Malformed("the body is longer than 16 MiB"));
        }
        Ok(Self { version: version & !FROM_SERVER, from_server: version & FROM_SERVER != 0, flags, stream, opcode, length })
    }
}

/// A whole frame of ours.
fn frame(from_server: bool, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(if from_server { VERSION | FROM_SERVER } else { VERSION });
    writer.byte(0).short(stream.cast_unsigned()).byte(opcode).count(body.len()).raw(body);
    writer.finish()
}

/// As drivers expect it, so that they try an older version.
pub fn unsupported_version(version: u8) -> ErrorBody {
    ErrorBody::Protocol(format!("Invalid or unsupported protocol version ({version}); supported versions are (4/v4)"))
}
