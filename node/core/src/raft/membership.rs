//! Changes of the membership: gathered by the leader into one entry, recognised by their own context when applied.
//!
//! A change that is proposed while another is pending becomes an empty entry in `raft-rs` and reports success. So it has taken
//! place when its id is seen applied, and the leader proposes one at a time, made of all that wait.

use super::{
    convert::encode,
    group::Group,
    names::{Names, collide, raft_id},
    types::{Configuration, MAX_MEMBERS, Member},
};
use crate::ids::HostId;
use raft::{
    Progress, StateRole,
    eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, Entry},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::SocketAddr,
};

/// Names one asked-for change, across restarts: it is drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChangeId(pub u64);

/// A change as it travels in the context of its entry. Without members it ends a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was asked for, in one.
    pub ids: Vec<ChangeId>,
    /// Members, and whether each may vote.
    pub add: Vec<(Member, bool)>,
    /// Who leaves.
    pub remove: Vec<HostId>,
}

impl Change {
    /// What an entry changes: none if it is not a change that we make.
    fn of(entry: &Entry) -> Option<Self> {
        if entry.data.is_empty() && entry.context.is_empty() {
            return Some(Self::default());
        }
        postcard::from_bytes(&entry.context).ok().filter(|change: &Self| !change.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// All in one; of two that concern the same host, the later.
    pub fn gathered(changes: &[Self]) -> Self {
        let (mut ids, mut wanted) = (Vec::new(), BTreeMap::new());
        for change in changes {
            ids.extend(&change.ids);
            wanted.extend(change.add.iter().map(|(member, votes)| (member.host, Some((*member, *votes)))));
            wanted.extend(change.remove.iter().map(|host| (*host, None)));
        }
        let remove = wanted.iter().filter(|(_, wish)| wish.is_none()).map(|(host, _)| *host).collect();
        Self { ids, add: wanted.into_values().flatten().collect(), remove }
    }

    /// What of it is not so already.
    fn outstanding(mut self, now: &Configuration) -> Self {
        self.add.retain(|(member, votes)| {
            let set = if *votes { &now.voters } else { &now.learners };
            !set.contains(&member.host) || now.addresses.get(&member.host) != Some(&member.address)
        });
        self.remove.retain(|host| now.contains(host));
        self
    }

    /// Voters and learners after it.
    pub fn outcome(&self, now: &Configuration) -> (BTreeSet<HostId>, BTreeSet<HostId>) {
        let (mut voters, mut learners) = (now.voters.clone(), &now.learners | &now.learners_next);
        for host in self.add.iter().map(|(member, _)| &member.host).chain(&self.remove) {
            voters.remove(host);
            learners.remove(host);
        }
        for (member, votes) in &self.add {
            if *votes { &mut voters } else { &mut learners }.insert(member.host);
        }
        (voters, learners)
    }

    /// Whether the group can work after it, and during it.
    pub fn is_possible(&self, now: &Configuration) -> bool {
        let (voters, learners) = self.outcome(now);
        !voters.is_empty() && voters.len() + learners.len() <= MAX_MEMBERS && !collide(&self.everyone(now))
    }

    /// Members before or after it.
    fn everyone(&self, now: &Configuration) -> BTreeSet<HostId> {
        now.members().into_iter().chain(self.add.iter().map(|(member, _)| member.host)).collect()
    }

    /// For `raft-rs`: several changes make a joint configuration that is left by itself, none leaves it.
    fn inner(&self) -> ConfChangeV2 {
        let single = |host, change_type| {
            let node_id = raft_id(host);
            ConfChangeSingle { node_id, change_type, ..ConfChangeSingle::default() }
        };
        let kind = |votes| if votes { ConfChangeType::AddNode } else { ConfChangeType::AddLearnerNode };
        let add = self.add.iter().map(|(member, votes)| single(member.host, kind(*votes)));
        let remove = self.remove.iter().map(|host| single(*host, ConfChangeType::RemoveNode));
        let changes = add.chain(remove).collect::<Vec<_>>().into();
        ConfChangeV2 { changes, ..ConfChangeV2::default() }
    }

    /// The configuration that `raft-rs` arrived at by it.
    fn result(&self, state: &ConfState, names: &Names, before: &BTreeMap<HostId, SocketAddr>) -> Configuration {
        let hosts = |ids: &[u64]| ids.iter().filter_map(|id| names.host(*id)).collect::<BTreeSet<_>>();
        let mut configuration = Configuration {
            voters: hosts(&state.voters),
            learners: hosts(&state.learners),
            outgoing: hosts(&state.voters_outgoing),
            learners_next: hosts(&state.learners_next),
            auto_leave: state.auto_leave,
            addresses: before.clone(),
        };
        let members = configuration.members();
        configuration.addresses.extend(self.add.iter().map(|(member, _)| (member.host, member.address)));
        configuration.addresses.retain(|host, _| members.contains(host));
        configuration
    }
}

impl Group {
    /// Apply an entry that changes the membership. Depends on nothing but the entry and the configuration, so every member does
    /// the same, also where it does nothing.
    pub(super) fn apply_change(&mut self, entry: &Entry) {
        let before = self.configuration().clone();
        let Some(change) = Change::of(entry) else { return };
        if collide(&change.everyone(&before)) {
            return;
        }
        change.add.iter().for_each(|(member, _)| self.names.insert(member.host));
        let Ok(state) = self.node.apply_conf_change(&change.inner()) else { return };
        let configuration = change.result(&state, &self.names, &before.addresses);
        let gone = &before.members() - &configuration.members();
        // Whoever asked for them did so before they were out.
        self.waiting.iter_mut().for_each(|change| change.add.retain(|(member, _)| !gone.contains(&member.host)));
        self.output.gone.extend(gone);
        self.node.mut_store().set_configuration(configuration.clone());
        self.configured = entry.index;
        self.output.configuration = Some(configuration);
        self.output.changed.extend(change.ids);
        self.step_down_if_out();
    }

    /// A leader that is no voter any more would go on to serve reads in `raft-rs`, stale ones.
    fn step_down_if_out(&mut self) {
        let configuration = self.node.store().configuration();
        let votes = configuration.voters.contains(&self.me) || configuration.outgoing.contains(&self.me);
        if self.node.raft.state == StateRole::Leader && !votes {
            let term = self.node.raft.term;
            self.with_node(|node| node.raft.become_follower(term, 0));
        }
    }

    /// Propose what waits, all in one, unless a change is pending. Whether something was proposed.
    pub(super) fn propose_changes(&mut self) -> bool {
        if self.node.raft.state != StateRole::Leader {
            self.waiting.clear();
            return false;
        }
        if self.node.raft.has_pending_conf() || self.node.raft.lead_transferee.is_some() {
            return false;
        }
        if self.configuration().is_joint() {
            return self.with_node(|node| node.propose_conf_change(Vec::new(), ConfChangeV2::default())).is_ok();
        }
        !self.waiting.is_empty() && self.propose_waiting()
    }

    fn propose_waiting(&mut self) -> bool {
        let change = Change::gathered(&mem::take(&mut self.waiting)).outstanding(self.configuration());
        if change.is_empty() {
            self.output.changed.extend(change.ids);
            return false;
        }
        if !change.is_possible(self.configuration()) {
            return false;
        }
        let proposed = self.with_node(|node| node.propose_conf_change(encode(&change), change.inner())).is_ok();
        if !proposed {
            self.waiting.push(change);
        }
        proposed
    }

    /// Hand leadership over before we are demoted, at most once a term: if it fails, the change goes on without.
    pub(super) fn hands_over(&mut self, change: &Change) -> bool {
        let now = self.configuration();
        let (voters, _) = change.outcome(now);
        if voters.contains(&self.me) || !now.voters.contains(&self.me) || self.handed_over_in == self.node.raft.term {
            return false;
        }
        let staying: BTreeSet<u64> = voters.intersection(&now.voters).copied().map(raft_id).collect();
        let Some(heir) = self.furthest(|id, progress| staying.contains(&id) && progress.recent_active) else { return false };
        self.handed_over_in = self.node.raft.term;
        self.with_node(|node| node.transfer_leader(heir));
        true
    }

    /// As leader: which of these has most of the log.
    pub(super) fn furthest(&self, may_be: impl Fn(u64, &Progress) -> bool) -> Option<u64> {
        let all = self.node.raft.prs().iter().filter(|(id, progress)| may_be(**id, progress));
        Some(all.map(|(id, progress)| (progress.matched, *id)).max()?.1)
    }
}
