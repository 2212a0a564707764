//! The datagrams of gossip and their limits.

use super::{Endpoint, HOSTS_MAX};
use crate::ids::{Generation, HostId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A larger datagram is neither sent nor parsed: far below a frame of the transport (4 MiB), above a digest of [`HOSTS_MAX`] hosts.
pub(super) const PACKET_BYTES_MAX: usize = 512 << 10;

/// Endpoints are spread over several datagrams of about this size, so that a large cluster does not block a connection for long.
const DELTA_BYTES: usize = 128 << 10;

/// One datagram.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Packet {
    /// For the failure detector.
    Foca(Bytes),
    /// "This is me, and this is what I know": answered by what the sender lacks and a wish for what it has.
    Digest(Digest),
    /// News.
    Delta(Delta),
}

/// See [`Packet::Digest`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Digest {
    /// The sender's own endpoint: a first contact needs no second round trip.
    pub endpoint: Endpoint,
    /// Whether the receiver is alive to the sender.
    pub sees_you: bool,
    /// Which versions the sender has.
    pub entries: Vec<Entry>,
}

/// Which version of a host's endpoint one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Whose.
    pub host: HostId,
    /// See [`Endpoint::generation`].
    pub generation: Generation,
    /// See [`Endpoint::version`].
    pub version: u64,
}

/// See [`Packet::Delta`]. Without wishes it is not answered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Delta {
    /// What the receiver may lack.
    pub endpoints: Vec<Endpoint>,
    /// Whose endpoints the sender wants.
    pub wants: Vec<HostId>,
    /// Of the hosts that the receiver knows, those that were removed for good.
    pub removed: Vec<HostId>,
}

impl Packet {
    /// Its bytes, unless they are too many.
    pub fn encode(&self) -> Option<Bytes> {
        postcard::to_allocvec(self).ok().filter(|bytes| bytes.len() <= PACKET_BYTES_MAX).map(Bytes::from)
    }

    /// Nothing if the bytes are not exactly one packet within the limits.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > PACKET_BYTES_MAX {
            return None;
        }
        let (packet, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && packet.is_bounded()).then_some(packet)
    }

    fn is_bounded(&self) -> bool {
        match self {
            Self::Foca(_) => true,
            Self::Digest(digest) => digest.entries.len() <= HOSTS_MAX,
            Self::Delta(Delta { endpoints, wants, removed }) => {
                endpoints.len() <= HOSTS_MAX && wants.len() <= HOSTS_MAX && removed.len() <= HOSTS_MAX
            }
        }
    }
}

impl Delta {
    /// The same as several of about [`DELTA_BYTES`]; none if there is nothing to say.
    pub fn split(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut part = Self { endpoints: Vec::new(), wants: self.wants, removed: self.removed };
        let mut bytes = 0;
        for endpoint in self.endpoints {
            let size = postcard::experimental::serialized_size(&endpoint).unwrap_or(PACKET_BYTES_MAX);
            if bytes > 0 && bytes + size > DELTA_BYTES {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += size;
            part.endpoints.push(endpoint);
        }
        if !part.endpoints.is_empty() || !part.wants.is_empty() || !part.removed.is_empty() {
            parts.push(part);
        }
        parts
    }
}

impl Endpoint {
    /// What a digest says of it.
    pub(super) const fn entry(&self) -> Entry {
        Entry { host: self.host, generation: self.generation, version: self.version }
    }
}

impl Entry {
    /// Whether its endpoint replaces the other's of the same host.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.generation, self.version) > (other.generation, other.version)
    }
}
