//! What a checker may see of a node besides its status: read-only, of this moment, and cheap enough to ask after every step.

use super::Node;
use crate::{
    group0::History,
    ids::{GroupId, HostId, Incarnation},
    raft::RaftStatus,
    schema::Schema,
};
use std::collections::BTreeSet;

impl Node {
    /// Who it is.
    pub const fn host(&self) -> HostId {
        self.host
    }

    /// Whether its first boot is completed.
    pub fn is_bootstrapped(&self) -> bool {
        self.boot.is_completed()
    }

    /// Whether it is out of the cluster for good, as far as it knows.
    pub fn has_left(&self) -> bool {
        self.boot == super::boot::Boot::Left
    }

    /// The hosts of the ring, as `system.peers` has them, and itself.
    pub fn ring(&self) -> BTreeSet<HostId> {
        self.peers.hosts().iter().copied().chain([self.host]).collect()
    }

    /// Of the group that it is or was in.
    pub fn incarnation(&self) -> Incarnation {
        self.local.incarnation()
    }

    /// All its rows.
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The commands that it has applied.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Its share of group 0, if it has one.
    pub fn consensus(&self) -> Option<(GroupId, RaftStatus<'_>)> {
        self.group.as_ref().map(|(id, group)| (*id, group.status()))
    }
}
