//! Cuts a stream of bytes into frames. Reading the next frame can be given up and taken up again.

use bytes::{Buf, Bytes, BytesMut};
use group0_core::cql::frame::{HEADER_LEN, Header, Malformed};
use tokio_util::codec::Decoder;

/// Versions before this have a shorter header; nothing after it can be trusted.
const FIRST_VERSION_WITH_THIS_HEADER: u8 = 3;

/// A header and its body.
#[derive(Debug)]
pub struct Frame {
    /// What stands before the body.
    pub header: Header,
    /// Explained by the opcode.
    pub body: Bytes,
}

/// Why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The peer speaks a version whose frames look otherwise.
    #[error("protocol version {0}")]
    OldVersion(u8),
    /// The header says what cannot be.
    #[error("{reason}")]
    Malformed {
        /// Of the request.
        stream: i16,
        /// What is wrong.
        reason: Malformed,
    },
}

/// The header of the next frame, once it is there.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    match bytes.first() {
        Some(first) if first & 0x7f < FIRST_VERSION_WITH_THIS_HEADER => {
            return Err(FrameError::OldVersion(first & 0x7f));
        }
        _ => {}
    }
    let Some(head) = bytes.get(..HEADER_LEN) else { return Ok(None) };
    let stream = head.get(2..4).and_then(|s| s.try_into().ok()).map_or(0, i16::from_be_bytes);
    Header::read(head).map(Some).map_err(|reason| FrameError::Malformed { stream, reason })
}

/// See the module.
#[derive(Debug, Default)]
pub struct FrameDecoder;

impl Decoder for FrameDecoder {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(header) = head(bytes)? else { return Ok(None) };
        if bytes.len() < HEADER_LEN + header.length {
            // No more than has been announced, and that only once some of it is there.
            bytes.reserve((HEADER_LEN + header.length - bytes.len()).min(64 * 1024));
            return Ok(None);
        }
        bytes.advance(HEADER_LEN);
        Ok(Some(Frame { header, body: bytes.split_to(header.length).freeze() }))
    }
}
