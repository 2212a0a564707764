//! What disk holds of a group, and the writes that put it there.
//!
//! Every key begins with the id of the group, so rows of one group are never taken for another's.

use super::{
    convert::encode,
    output::RaftWrite,
    types::{Configuration, Entry, Member, Snapshot},
};
use crate::{
    ids::{GroupId, HostId},
    io::{Table, Write},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;

const HARD: &[u8] = b"hard";
const SNAPSHOT: &[u8] = b"snapshot";
const APPLIED: &[u8] = b"applied";
const CONFIGURATION: &[u8] = b"configuration";

/// What a member must not forget between two messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The newest that it knows.
    pub term: u64,
    /// For whom it voted in it.
    pub vote: Option<HostId>,
    /// Up to where the log is decided.
    pub commit: u64,
}

/// What disk holds of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where the log starts: entries up to its index are no longer there.
    pub snapshot: Snapshot,
    /// See [`HardState`].
    pub hard: HardState,
    /// The log, without gaps.
    pub entries: Vec<Entry>,
    /// As of the applied index.
    pub configuration: Configuration,
    /// Up to where commands have been applied, in the transaction that applied them.
    pub applied: u64,
}

/// Rows of a group that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stored state of Raft group {group} cannot be read: {what}. Nothing was changed; restore this node's data or replace the node"
)]
pub struct Corrupt {
    /// Whose.
    pub group: GroupId,
    /// Which row.
    pub what: &'static str,
}

impl Stored {
    /// Of a founder: a snapshot at index 1 whose only voter is `me`.
    pub fn founding(me: Member) -> Self {
        let configuration = Configuration {
            voters: [me.host].into(),
            addresses: BTreeMap::from([(me.host, me.address)]),
            ..Configuration::default()
        };
        Self {
            snapshot: Snapshot { index: 1, term: 1, configuration: configuration.clone() },
            hard: HardState { term: 1, vote: None, commit: 1 },
            entries: Vec::new(),
            configuration,
            applied: 1,
        }
    }

    /// Of a joiner: nothing, not even a configuration. It waits for the leader's snapshot. Its term is the first one, since
    /// `raft-rs` panics when it must refuse a vote in term 0.
    pub fn joining() -> Self {
        Self { hard: HardState { term: 1, ..HardState::default() }, ..Self::default() }
    }

    /// All rows of it, for a store that has none of this group.
    pub fn writes(&self, group: GroupId) -> Vec<Write> {
        let parts = [
            RaftWrite::Snapshot(self.snapshot.clone()),
            RaftWrite::Hard(self.hard),
            RaftWrite::Append(self.entries.clone()),
            RaftWrite::Applied { index: self.applied, configuration: Some(self.configuration.clone()) },
        ];
        parts.into_iter().flat_map(|part| part.into_writes(group)).collect()
    }

    /// Forget the group.
    pub fn erase(group: GroupId) -> Vec<Write> {
        let (from, to) = (state_key(group, &[]), state_key(group, &[u8::MAX]));
        vec![Write::DeleteRange(Table::RaftState, from, to), clear_log(group)]
    }

    /// What the store holds of the group, whatever else it holds. None if that is nothing.
    pub fn load<'a, I>(group: GroupId, rows: I) -> Result<Option<Self>, Corrupt>
    where
        I: IntoIterator<Item = &'a (Table, Vec<u8>, Vec<u8>)>,
    {
        let (mut states, mut entries) = (BTreeMap::new(), Vec::new());
        for (table, key, value) in rows {
            match (table, key.strip_prefix(group.0.as_bytes())) {
                (Table::RaftState, Some(name)) => {
                    states.insert(name, value.as_slice());
                }
                (Table::RaftLog, Some(_)) => entries.push(decode::<Entry>(group, "log", value)?),
                _ => {}
            }
        }
        if states.is_empty() && entries.is_empty() {
            return Ok(None);
        }
        let stored = Self {
            snapshot: row(group, &states, SNAPSHOT, "snapshot")?,
            hard: row(group, &states, HARD, "hard")?,
            entries,
            configuration: row(group, &states, CONFIGURATION, "configuration")?,
            applied: row(group, &states, APPLIED, "applied")?,
        };
        stored.check(group)?;
        Ok(Some(stored))
    }

    /// Whether its parts fit together; `raft-rs` would panic over those that do not.
    pub fn check(&self, group: GroupId) -> Result<(), Corrupt> {
        let corrupt = |what| Err(Corrupt { group, what });
        let gapless = self.entries.iter().zip(self.snapshot.index + 1..).all(|(entry, index)| entry.index == index);
        let terms = std::iter::once(self.snapshot.term).chain(self.entries.iter().map(|entry| entry.term));
        let last = self.entries.last().map_or(self.snapshot.index, |entry| entry.index);
        let last_term = self.entries.last().map_or(self.snapshot.term, |entry| entry.term);
        if !gapless {
            corrupt("the log has a gap")
        } else if !terms.is_sorted() {
            corrupt("the terms of the log go back")
        } else if !(self.snapshot.index..=last).contains(&self.hard.commit) {
            corrupt("the commit index is outside the log")
        } else if !(self.snapshot.index..=self.hard.commit).contains(&self.applied) {
            corrupt("the applied index is outside the decided log")
        } else if self.hard.term < last_term.max(1) {
            corrupt("the term is older than the log")
        } else if self.applied > 0 && !self.configuration.is_valid() {
            corrupt("the configuration contradicts itself")
        } else {
            Ok(())
        }
    }
}

impl RaftWrite {
    /// The same as writes to the store, in order.
    pub fn into_writes(self, group: GroupId) -> Vec<Write> {
        let state = |name, value| Write::Put(Table::RaftState, state_key(group, name), value);
        match self {
            Self::Truncate { from } => {
                vec![Write::DeleteRange(Table::RaftLog, log_key(group, from), log_key(group, u64::MAX))]
            }
            Self::Append(entries) => {
                entries.iter().map(|entry| Write::Put(Table::RaftLog, log_key(group, entry.index), encode(entry))).collect()
            }
            Self::Hard(hard) => vec![state(HARD, encode(&hard))],
            Self::Snapshot(snapshot) => vec![clear_log(group), state(SNAPSHOT, encode(&snapshot))],
            Self::Applied { index, configuration } => {
                let configuration = configuration.map(|configuration| state(CONFIGURATION, encode(&configuration)));
                std::iter::once(state(APPLIED, encode(&index))).chain(configuration).collect()
            }
            Self::Compact { start } => {
                let old = Write::DeleteRange(Table::RaftLog, log_key(group, 0), log_key(group, start.index.saturating_add(1)));
                vec![old, state(SNAPSHOT, encode(&start))]
            }
        }
    }
}

fn clear_log(group: GroupId) -> Write {
    Write::DeleteRange(Table::RaftLog, log_key(group, 0), log_key(group, u64::MAX))
}

fn log_key(group: GroupId, index: u64) -> Vec<u8> {
    [group.0.as_bytes().as_slice(), &index.to_be_bytes()].concat()
}

fn state_key(group: GroupId, name: &[u8]) -> Vec<u8> {
    [group.0.as_bytes().as_slice(), name].concat()
}

fn row<T: DeserializeOwned>(
    group: GroupId,
    rows: &BTreeMap<&[u8], &[u8]>,
    name: &[u8],
    what: &'static str,
) -> Result<T, Corrupt> {
    rows.get(name).ok_or(Corrupt { group, what }).and_then(|value| decode(group, what, value))
}

fn decode<T: DeserializeOwned>(group: GroupId, what: &'static str, value: &[u8]) -> Result<T, Corrupt> {
    postcard::from_bytes(value).map_err(|_| Corrupt { group, what })
}
