//! A member as the failure detector knows it.

use crate::ids::{Generation, HostId};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One life of a host. The host id is what foca takes for the address, so that a host has one entry however often it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Whose.
    pub host: HostId,
    /// Of its process: persisted by the host, grows with each start.
    pub generation: Generation,
    /// How often this process was wrongly declared down. Kept apart from `generation`, which a restart takes.
    pub renewals: u32,
    /// Where this life of it is reached.
    pub address: SocketAddr,
}

impl Identity {
    /// Wins over every other life of the host, so that, declared down, it keeps the host down.
    pub const fn tombstone(host: HostId, address: SocketAddr) -> Self {
        Self { host, generation: Generation(u64::MAX), renewals: u32::MAX, address }
    }
}

impl foca::Identity for Identity {
    type Addr = HostId;

    /// Never by foca itself: [`super::detector::Detector`] renews, at a limited pace.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> HostId {
        self.host
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        (self.generation, self.renewals, self.address) > (other.generation, other.renewals, other.address)
    }
}
