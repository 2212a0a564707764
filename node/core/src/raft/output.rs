//! What comes of the calls to a group.

use super::{
    membership::ChangeId,
    stored::{Corrupt, HardState},
    types::{Configuration, Entry, RaftMessage, Snapshot},
};
use crate::ids::HostId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that came of the calls since the last [`super::Group::take`].
///
/// If there is a `snapshot`, all of `committed` comes after it.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Durable, in order and in one transaction with what applying `committed` changes, before any of `send` leaves.
    pub persist: Vec<RaftWrite>,
    /// To peers.
    pub send: Vec<RaftMessage>,
    /// Decided commands in order: index, term, command. Apply all of them within the same turn.
    pub committed: Vec<(u64, u64, Bytes)>,
    /// The configuration in force from now on, if it has changed.
    pub configuration: Option<Configuration>,
    /// Members before, and none any more.
    pub gone: BTreeSet<HostId>,
    /// Changes of the membership that were seen applied, of whichever leader.
    pub changed: Vec<ChangeId>,
    /// Taken over from the leader: the state that was pulled for it replaces ours.
    pub snapshot: Option<Snapshot>,
    /// Answered read indexes: context, and the index that must be applied before reading. Possibly twice.
    pub reads: Vec<(u64, u64)>,
    /// Term, leader and our role, if any of them has changed.
    pub role: Option<Role>,
    /// We have ceased to lead since the last time, even if we lead again. What we proposed may be lost.
    pub lost_leadership: bool,
    /// The leader shows that we had confirmed more than our log has. We may have forgotten a vote, too, and must take part no more.
    pub lost_confirmed: bool,
}

/// Who leads, as far as this member knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// In which term.
    pub term: u64,
    /// Who.
    pub leader: Option<HostId>,
    /// Whether that is us.
    pub is_leader: bool,
}

/// One change of what is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaftWrite {
    /// Remove the entries from this index on. [`RaftWrite::Append`] follows.
    Truncate {
        /// The first to go.
        from: u64,
    },
    /// Add these at the end of the log.
    Append(Vec<Entry>),
    /// Replace the hard state.
    Hard(HardState),
    /// The log is empty and starts after this snapshot.
    Snapshot(Snapshot),
    /// Up to where commands are applied.
    Applied {
        /// To here.
        index: u64,
        /// The configuration there, if it has changed.
        configuration: Option<Configuration>,
    },
    /// The log starts after this one; earlier entries go.
    Compact {
        /// The new start.
        start: Snapshot,
    },
}

/// A call that came to nothing: no state has changed, and it may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// Nobody is known to lead.
    #[error("no leader of the Raft group is known; try again after an election")]
    NoLeader,
    /// Only the leader does this.
    #[error("this member does not lead the Raft group; ask the leader")]
    NotLeader,
    /// A bound is reached: of undecided entries, or of waiting changes.
    #[error("the Raft group has too much undecided work; try again later")]
    Busy,
    /// A command is over [`super::MAX_COMMAND_BYTES`].
    #[error("the command is too large for the Raft log; make it smaller")]
    TooLarge,
    /// Leadership is being handed over, because of this very change or another call.
    #[error("leadership of the Raft group is being handed over; ask the new leader")]
    Transferring,
    /// The membership would be without a voter, or too large, or two of its hosts could not be told apart.
    #[error("the change would leave a membership that cannot work; ask for another one")]
    Impossible,
}

/// Why a group cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaftError {
    /// See [`Corrupt`].
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// `raft-rs` says no.
    #[error("Raft does not start: {0}. Nothing was changed")]
    Refused(String),
}

/// What this member knows of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftStatus<'a> {
    /// The term.
    pub term: u64,
    /// Who leads.
    pub leader: Option<HostId>,
    /// Whether that is us.
    pub is_leader: bool,
    /// For whom it has voted in this term.
    pub vote: Option<HostId>,
    /// Up to where the log is decided.
    pub commit: u64,
    /// Up to where it is applied.
    pub applied: u64,
    /// Up to where it goes.
    pub last_index: u64,
    /// The term of the entry there.
    pub last_term: u64,
    /// How many entries it holds.
    pub log_length: u64,
    /// As of the applied index.
    pub configuration: &'a Configuration,
    /// How far each member is, if we lead; empty otherwise.
    pub members: BTreeMap<HostId, MemberProgress>,
}

/// What the leader knows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberProgress {
    /// Up to where it has our log.
    pub matched: u64,
    /// Whether it has answered within the last election timeout.
    pub active: bool,
    /// Whether it is waiting for a snapshot.
    pub in_snapshot: bool,
}
