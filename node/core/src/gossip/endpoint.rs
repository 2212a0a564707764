//! What a host says of itself to all others.

use crate::ids::{Generation, GroupId, HostId, Incarnation};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, net::SocketAddr};
use uuid::Uuid;

/// One host's word about itself. Only the host writes it; everyone passes it on. The larger (generation, version) wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Whose.
    pub host: HostId,
    /// Of the host's process.
    pub generation: Generation,
    /// Grows with each change within a generation.
    pub version: u64,
    /// Where it stands in the ring.
    pub status: RingStatus,
    /// Where peers reach it.
    pub address: SocketAddr,
    /// Where CQL clients reach it.
    pub rpc_address: SocketAddr,
    /// `data_center`
    pub data_center: String,
    /// `rack`
    pub rack: String,
    /// The release of its program.
    pub release: String,
    /// Its tokens, ascending.
    pub tokens: BTreeSet<i64>,
    /// The features that it supports and is allowed to advertise.
    pub features: BTreeSet<String>,
    /// Its schema version.
    pub schema_version: Uuid,
    /// Its group, once it is in that group's applied configuration.
    pub group: Option<GroupId>,
    /// Of the group that it is or was in.
    pub incarnation: Incarnation,
    /// Whether it is final.
    pub is_final: bool,
}

/// Where a host stands in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RingStatus {
    /// It is not in the ring yet and has no leave to be.
    Waiting,
    /// A known member, on its way in.
    Joining,
    /// In the ring.
    Normal,
    /// On its way out.
    Leaving,
    /// Gone for good.
    Left,
    /// Its process has ended in order; still in the ring.
    Shutdown,
}

impl RingStatus {
    /// Whether the host counts as a member of the cluster.
    pub const fn is_member(self) -> bool {
        matches!(self, Self::Joining | Self::Normal | Self::Leaving | Self::Shutdown)
    }

    /// What a host says when its process ends in order. By that nobody comes into the ring.
    pub const fn at_shutdown(self) -> Self {
        match self {
            Self::Waiting | Self::Joining | Self::Left => self,
            Self::Normal | Self::Leaving | Self::Shutdown => Self::Shutdown,
        }
    }
}

impl fmt::Display for RingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "WAITING",
            Self::Joining => "JOINING",
            Self::Normal => "NORMAL",
            Self::Leaving => "LEAVING",
            Self::Left => "LEFT",
            Self::Shutdown => "SHUTDOWN",
        })
    }
}
