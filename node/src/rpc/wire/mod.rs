//! The border between the wire and the core: checked conversions, both ways. Past it nothing has a format any more.

mod header;
mod raft;
mod refusal;
mod reply;
mod request;

pub use header::{header_from, header_to, path_from, path_to, state_from, state_to};
pub use raft::{raft_from, raft_to};
pub use refusal::{call_error, refusal_to_status};
pub use reply::{
    exchange_from, exchange_to, join_from, join_to, merged_from, merged_to, migration_from, migration_head, schema_from,
    schema_to,
};
pub use request::{exchange_request_from, exchange_request_to, join_request_from, join_request_to, modify_from, modify_to};

use bytes::Bytes;
use group0_core::ids::{GroupId, HostId};
use serde::{Serialize, de::DeserializeOwned};
use std::net::SocketAddr;
use uuid::Uuid;

/// The format of `versioned` fields. Another one is refused by name instead of misread.
const FORMAT: u8 = 1;

/// What is wrong with a message of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("the message lacks {0}")]
    Missing(&'static str),
    /// A field has no meaning.
    #[error("{0} of the message makes no sense")]
    Bad(&'static str),
    /// The peer's release writes another format.
    #[error("the message has format {0}, this release reads format {FORMAT}")]
    Format(u8),
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// A type of the core, with the format before it.
pub fn versioned<T: Serialize>(value: &T) -> Bytes {
    // Only a sequence of unknown length or a full buffer can fail, and a vector grows; empty bytes are refused by the reader.
    postcard::to_extend(value, vec![FORMAT]).map(Bytes::from).unwrap_or_default()
}

/// The other way. All bytes must be used.
pub fn from_versioned<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, WireError> {
    match bytes.split_first() {
        None => Err(WireError::Missing(what)),
        Some((&FORMAT, rest)) => match postcard::take_from_bytes(rest) {
            Ok((value, [])) => Ok(value),
            _ => Err(WireError::Bad(what)),
        },
        Some((&format, _)) => Err(WireError::Format(format)),
    }
}

/// Gossip datagrams are bytes of the core already.
pub fn versioned_bytes(datagram: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(datagram.len() + 1);
    bytes.push(FORMAT);
    bytes.extend_from_slice(datagram);
    bytes.into()
}

/// The other way.
pub fn bytes_from_versioned(bytes: &Bytes) -> Result<Bytes, WireError> {
    match bytes.first() {
        None => Err(WireError::Missing("a datagram")),
        Some(&FORMAT) => Ok(bytes.slice(1..)),
        Some(&format) => Err(WireError::Format(format)),
    }
}

fn id(uuid: Uuid) -> Bytes {
    Bytes::copy_from_slice(uuid.as_bytes())
}

fn uuid(bytes: &[u8], what: &'static str) -> Result<Uuid, WireError> {
    Uuid::from_slice(bytes).map_err(|_| WireError::Bad(what))
}

/// A host id.
pub fn host(bytes: &[u8]) -> Result<HostId, WireError> {
    uuid(bytes, "a host id").map(HostId)
}

/// A group id.
pub fn group(bytes: &[u8]) -> Result<GroupId, WireError> {
    uuid(bytes, "a group id").map(GroupId)
}

/// The bytes of a host id.
pub fn host_bytes(host: HostId) -> Bytes {
    id(host.0)
}

/// The bytes of a group id.
pub fn group_bytes(group: GroupId) -> Bytes {
    id(group.0)
}

fn address(text: &str) -> Result<SocketAddr, WireError> {
    text.parse().map_err(|_| WireError::Bad("an address"))
}

#[cfg(test)]
mod tests;
