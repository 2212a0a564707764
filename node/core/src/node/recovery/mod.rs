//! Recovery: a node that is in it changes its schema the old way and takes part in no group 0.
//!
//! It is ordered by people, who write to system tables ([`by_hand`]), or by an operator, whose plan is stored and carried out step by
//! step ([`plan`]); [`evidence`] is what a plan is made from. Both take effect with the next start.
//!
//! A stored `recovery` ends a running procedure at once, and no step ever overwrites it. Until the restart the node answers as one in
//! recovery and changes no schema; its share of group 0, if it has one, goes on, since others may need its vote. What it stored of how far
//! its group had come stays, so that without the marker it goes on there, never before, unless the group was forgotten meanwhile.

mod by_hand;
mod evidence;
mod plan;

pub use crate::recovery::Mode;
pub use evidence::Life;
pub use plan::Plans;

pub(super) use by_hand::is_open_to_hands;

use super::{Node, local::key};
use crate::{
    discovery::{self, Discovery},
    group0::joining::{self, Joining},
    ids::HostId,
    io::{DiscoveryPeer, Point, Table, Write},
    raft::Stored,
    upgrade::{Stage, machine::Event},
};

/// What schema changes are told until the restart.
pub(super) const RESTART_FIRST: &str = "recovery was requested on this node and begins with its next start: restart it. No schema change is possible here until then";

impl Node {
    /// The persisted state of the upgrade, save that recovery begins when it is ordered and ends with a start.
    pub fn stage(&self) -> Stage {
        if self.recovery == Mode::No { self.local.stage() } else { Stage::Recovery }
    }

    /// What is left for people to do, once they have ordered recovery here.
    pub(super) fn recovery_advice(&self) -> Option<&'static str> {
        match (self.recovery, self.has_marker()) {
            (Mode::No, _) if self.has_lost_its_group() => Some(
                "the id of its group was deleted: set recovery_leader to the host that leads the new one and restart this node, or order recovery",
            ),
            (Mode::No, _) => None,
            (Mode::Requested, true) => Some("requested: it begins with the next start of this node; restart it"),
            (Mode::Yes, true) => Some("in recovery: to end it, remove the marker and restart this node"),
            (_, false) => Some("the marker is removed: restart this node, which goes on where it was"),
        }
    }

    /// Whether the next start is in recovery.
    fn has_marker(&self) -> bool {
        self.local.stage() == Stage::Recovery
    }

    /// It had come to its end in a group whose id somebody has deleted: no way of its own leads back.
    fn has_lost_its_group(&self) -> bool {
        self.joining.group().is_none() && self.local.stage() == Stage::UsePostRaft
    }

    fn enter_recovery(&mut self) {
        self.local.set(&mut self.effects.persist, key::UPGRADE_STATE, Stage::Recovery.name());
        self.effects.persist.points.push(Point::Recovery);
        if self.recovery == Mode::No {
            self.recovery = Mode::Requested;
            let last = self.last_position();
            tracing::warn!(
                target: "raft_group0_upgrade", term = last.term, index = last.index,
                "recovery requested: restart this node. After the restart begin with the node whose last entry has the largest term, then index"
            );
            if self.upgrade.step().is_some() {
                self.upgrade_event(Event::Overruled(Stage::Recovery));
            }
            self.lead_nobody_in_recovery();
            self.tell_watching_peers();
            self.watchers.touch();
        }
    }

    /// Whether it could go on in the group that it is in.
    fn may_leave(&self) -> Result<(), String> {
        let Some(group) = self.local.get(key::GROUP_ID) else { return Ok(()) };
        let forget =
            format!("delete the id of this one, too (DELETE value FROM system.scylla_local WHERE key = '{}')", key::GROUP_ID);
        // Without its history a member cannot tell which commands of its group take effect: it would skip some that others apply.
        if self.local.get(key::HISTORY_TRUNCATED) == Some(group) {
            return Err(format!(
                "system.group0_history was truncated here, and without it this node cannot go on in group {group}. If a new group is to be \
                 formed, {forget}; if the group lives, remove this host from it, and start it anew without its data"
            ));
        }
        let missed = self.removed_from_its_group();
        if !missed.is_empty() {
            let missed: Vec<_> = missed.iter().map(ToString::to_string).collect();
            return Err(format!(
                "hosts [{}] were removed here, and nobody hears them any more: without them group {group} has no majority, and nobody who is \
                 up is in it. If a new group is to be formed, {forget}; if the group lives, start its other members first",
                missed.join(", ")
            ));
        }
        Ok(())
    }

    /// Voters of its group that were removed, if the others are no majority, and nobody else goes on in it as far as this node knows: in its
    /// configuration they may be no voters any more.
    fn removed_from_its_group(&self) -> Vec<HostId> {
        let active = self.group.as_ref().map(|(id, group)| (*id, group.configuration()));
        let dormant = self.dormant.as_ref().map(|(id, stored)| (*id, &stored.configuration));
        let Some((id, configuration)) = active.or(dormant) else { return vec![] };
        let removed = self.local.removed();
        let goes_on = |host| self.gossip.is_in_group(host, id);
        if configuration.is_majority(|host| !removed.contains(host)) || self.gossip.live().any(goes_on) {
            return vec![];
        }
        configuration.members().intersection(removed).copied().collect()
    }

    /// The next start is outside recovery.
    fn remove_marker(&mut self) {
        if self.has_marker() {
            self.local.erase(&mut self.effects.persist, key::UPGRADE_STATE);
            self.effects.persist.points.push(Point::Recovery);
            self.watchers.touch();
            tracing::warn!(target: "raft_group0_upgrade", "the recovery marker was removed: restart this node");
        }
    }

    /// The id only: whoever starts next takes part in no group.
    fn forget_group_id(&mut self) {
        if let Some(group) = self.local.get(key::GROUP_ID).map(String::from) {
            tracing::warn!(target: "raft_group0", group, "the id of the group is deleted");
            self.local.note_group_before_it_is_forgotten(&mut self.effects.persist, &group);
            self.local.erase(&mut self.effects.persist, key::GROUP_ID);
            self.effects.persist.points.push(Point::GroupForgotten);
            self.watchers.touch();
        }
    }

    fn forget_history(&mut self) {
        self.history.restore(&mut self.effects.persist, vec![]);
    }

    /// Whoever is in the ring is known again at once.
    fn forget_discovery(&mut self) {
        self.effects.persist.writes.push(Write::DeleteRange(Table::Discovery, vec![], vec![u8::MAX]));
        let me = DiscoveryPeer { host: Some(self.host), address: self.settings.broadcast_address, generation: self.generation };
        let was_active = self.joining.is_active();
        self.joining = Joining::new(self.joining.group(), Discovery::new(me, self.host, &[]));
        self.joining_event(joining::Event::Discovery(discovery::Event::Removed(self.local.removed().clone())));
        self.note_membership();
        if was_active {
            self.joining_event(joining::Event::Begin);
        }
    }

    /// Everything that ties this node to the group that it was in. The schema stays.
    pub(super) fn forget_group(&mut self) {
        let active = self.group.take().map(|(id, _)| id);
        if let Some(id) = self.dormant.take().map(|(id, _)| id).or(active) {
            self.effects.persist.writes.extend(Stored::erase(id));
        }
        self.forget_group_id();
        self.forget_history();
        self.joining = Joining::new(None, self.joining.discovery().clone());
        self.forget_discovery();
    }
}
