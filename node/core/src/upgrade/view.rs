//! What the procedure looks at when something happens.

use super::Stage;
use crate::{ids::HostId, raft::Configuration};
use std::collections::BTreeSet;

/// The node's surroundings at the time of an event. Lists are read anew with each.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// This host.
    pub me: HostId,
    /// The persisted stage.
    pub stage: Stage,
    /// Host ids in `system.peers`: the procedure's definition of the cluster, oneself excluded.
    pub peers: &'a BTreeSet<HostId>,
    /// Hosts that gossip knows as normal, leaving or joining, oneself excluded.
    pub gossip_members: &'a BTreeSet<HostId>,
    /// The applied configuration of group 0.
    pub configuration: Option<&'a Configuration>,
}

impl View<'_> {
    /// Members of the applied configuration but oneself.
    pub fn others(&self) -> BTreeSet<HostId> {
        let mut members = self.configuration.map(Configuration::members).unwrap_or_default();
        members.remove(&self.me);
        members
    }

    /// Whether it is on its first boot, asks a final member for the way in, and has no vote yet.
    pub fn is_newcomer(&self, host: HostId) -> bool {
        let is_learner = self.configuration.is_some_and(|configuration| configuration.learners.contains(&host));
        is_learner && !self.peers.contains(&host) && !self.gossip_members.contains(&host)
    }

    /// Known to gossip and not to `system.peers`.
    pub fn strangers(&self) -> BTreeSet<HostId> {
        self.gossip_members.difference(self.peers).copied().collect()
    }

    /// Peers that are not in the applied configuration.
    pub fn outsiders(&self) -> BTreeSet<HostId> {
        self.peers.difference(&self.others()).copied().collect()
    }

    /// Whether the applied configuration is joint.
    pub fn is_joint(&self) -> bool {
        self.configuration.is_some_and(Configuration::is_joint)
    }
}
