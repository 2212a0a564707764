//! Raft's terms as our own types: what peers, disk and the rest of the core see instead of raft-rs and protobuf 2.

use crate::ids::HostId;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// Members of a group. Each costs the leader a heartbeat a tick, and all of them fit into one change.
pub const MAX_MEMBERS: usize = 100;

/// A member of the group. The address is a hint from the time of the change that added it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its identity.
    pub host: HostId,
    /// Where it was reached then.
    pub address: SocketAddr,
}

/// The members of the group at some index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Configuration {
    /// Hosts whose votes count.
    pub voters: BTreeSet<HostId>,
    /// Hosts that only follow.
    pub learners: BTreeSet<HostId>,
    /// Voters of the outgoing half of a joint configuration; empty if it is not joint.
    pub outgoing: BTreeSet<HostId>,
    /// Learners once the outgoing half is left.
    pub learners_next: BTreeSet<HostId>,
    /// Whether the joint configuration is left by itself.
    pub auto_leave: bool,
    /// Address hints of all of them.
    pub addresses: BTreeMap<HostId, SocketAddr>,
}

impl Configuration {
    /// Whether two majorities are needed at the moment.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether it is one that a group can be in: `raft-rs` panics over others.
    pub fn is_valid(&self) -> bool {
        let learners_apart = self.learners.is_disjoint(&self.voters) && self.learners.is_disjoint(&self.outgoing);
        let next_staged = self.learners_next.is_subset(&self.outgoing) && self.learners_next.is_disjoint(&self.voters);
        let leaves = self.is_joint() || !self.auto_leave;
        let bounded = self.voters.len() + self.learners.len() <= MAX_MEMBERS && self.outgoing.len() <= MAX_MEMBERS;
        !self.voters.is_empty() && learners_apart && next_staged && leaves && bounded
    }

    /// Everyone in it.
    pub fn members(&self) -> BTreeSet<HostId> {
        self.sets().into_iter().flatten().copied().collect()
    }

    /// Whether the host is in it.
    pub fn contains(&self, host: &HostId) -> bool {
        self.sets().into_iter().any(|set| set.contains(host))
    }

    /// Whether those of whom that holds are a majority of its voters, in both halves of a change.
    pub fn is_majority(&self, holds: impl Fn(&HostId) -> bool) -> bool {
        let in_half = |voters: &BTreeSet<HostId>| voters.iter().filter(|host| holds(host)).count() * 2 > voters.len();
        in_half(&self.voters) && (!self.is_joint() || in_half(&self.outgoing))
    }

    const fn sets(&self) -> [&BTreeSet<HostId>; 4] {
        [&self.voters, &self.learners, &self.outgoing, &self.learners_next]
    }
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// What it is.
    pub kind: EntryKind,
    /// A command, or an encoded membership change.
    pub data: Bytes,
    /// With a membership change: its own context.
    pub context: Bytes,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A command, or nothing.
    Normal,
    /// A change of one member.
    ConfChange,
    /// A change of any number.
    ConfChangeV2,
}

/// A snapshot without its bytes: those go over a stream of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last index that it contains.
    pub index: u64,
    /// The term of that index.
    pub term: u64,
    /// The configuration at that index.
    pub configuration: Configuration,
}

/// A message of the Raft protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaftMessage {
    /// What it is.
    pub kind: MessageKind,
    /// Who sends.
    pub from: HostId,
    /// To whom.
    pub to: HostId,
    /// The sender's term.
    pub term: u64,
    /// Meaning depends on the kind, as in the Raft paper.
    pub log_term: u64,
    /// See `log_term`.
    pub index: u64,
    /// To append.
    pub entries: Vec<Entry>,
    /// The sender's commit index.
    pub commit: u64,
    /// The term of the commit index.
    pub commit_term: u64,
    /// In its stead.
    pub snapshot: Option<Snapshot>,
    /// With a follower that could be asked about.
    pub request_snapshot: u64,
    /// The answer is no.
    pub reject: bool,
    /// Where the logs may agree.
    pub reject_hint: u64,
    /// Of read indexes, transfers and votes.
    pub context: Bytes,
    /// Of a vote.
    pub priority: i64,
}

/// Kinds of messages, by their number in raft-rs (`eraftpb::MessageType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageKind(pub u8);
