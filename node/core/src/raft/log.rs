//! The log as `raft-rs` reads it: in memory, since the start of the log. The driver has the same on disk.

use super::{
    convert::{conf_state, entry_in, snapshot_in},
    names::raft_id,
    stored::{HardState, Stored},
    types::{Configuration, Snapshot},
};
use protobuf::Message as _;
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError, eraftpb};
use std::collections::VecDeque;

/// Entries since the start of the log, and the configuration as of the applied index.
pub struct Log {
    start: Snapshot,
    entries: VecDeque<eraftpb::Entry>,
    /// Of what is in them.
    bytes: usize,
    hard: HardState,
    configuration: Configuration,
    applied: u64,
}

impl Log {
    pub fn new(stored: Stored) -> Self {
        let Stored { snapshot, hard, entries, configuration, applied } = stored;
        let entries: VecDeque<_> = entries.into_iter().map(entry_in).collect();
        let bytes = entries.iter().map(size).sum();
        Self { start: snapshot, entries, bytes, hard, configuration, applied }
    }

    pub fn start(&self) -> &Snapshot {
        &self.start
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    pub fn last(&self) -> u64 {
        self.start.index + len(&self.entries)
    }

    /// Whether entries gave way to these.
    pub fn append(&mut self, entries: &[eraftpb::Entry]) -> bool {
        let Some(first) = entries.first() else { return false };
        let truncates = first.index <= self.last();
        let gone = self.entries.drain(self.offset(first.index)..);
        self.bytes -= gone.map(|entry| size(&entry)).sum::<usize>();
        self.bytes += entries.iter().map(size).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
        truncates
    }

    pub fn set_applied(&mut self, index: u64) {
        self.applied = index;
    }

    pub fn set_configuration(&mut self, configuration: Configuration) {
        self.configuration = configuration;
    }

    pub fn restore(&mut self, snapshot: Snapshot) {
        (self.entries, self.bytes) = (VecDeque::new(), 0);
        self.applied = snapshot.index;
        self.configuration = snapshot.configuration.clone();
        self.start = snapshot;
    }

    /// The log starts after `through` from now on; the configuration of that index is the applied one.
    pub fn compact(&mut self, through: u64) {
        let Ok(term) = self.term(through) else { return };
        let gone = self.entries.drain(..self.offset(through + 1));
        self.bytes -= gone.map(|entry| size(&entry)).sum::<usize>();
        self.start = Snapshot { index: through, term, configuration: self.configuration.clone() };
    }

    /// How many bytes are in its entries.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many of the last entries take no more bytes than that.
    pub fn entries_within(&self, bytes: usize) -> u64 {
        let sums = self.entries.iter().rev().scan(0, |sum, entry| {
            *sum += size(entry);
            Some(*sum)
        });
        sums.take_while(|sum| *sum <= bytes).zip(1..).last().map_or(0, |(_, count)| count)
    }

    /// The place of the applied state.
    pub fn applied_snapshot(&self) -> Option<Snapshot> {
        let term = self.term(self.applied).ok().filter(|_| self.applied > 0)?;
        Some(Snapshot { index: self.applied, term, configuration: self.configuration.clone() })
    }

    /// The place of an index in `entries`; its end for all that come after.
    fn offset(&self, index: u64) -> usize {
        let offset = index.saturating_sub(self.start.index + 1);
        usize::try_from(offset).map_or(self.entries.len(), |offset| offset.min(self.entries.len()))
    }
}

impl Storage for Log {
    fn initial_state(&self) -> Result<RaftState> {
        let mut hard = eraftpb::HardState::default();
        hard.term = self.hard.term;
        hard.vote = self.hard.vote.map_or(0, raft_id);
        hard.commit = self.hard.commit;
        Ok(RaftState::new(hard, conf_state(&self.configuration)))
    }

    fn entries(&self, low: u64, high: u64, max: impl Into<Option<u64>>, _: GetEntriesContext) -> Result<Vec<eraftpb::Entry>> {
        if low <= self.start.index {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let limit = max.into().unwrap_or(u64::MAX);
        let (mut found, mut size) = (Vec::new(), 0);
        for entry in self.entries.range(self.offset(low)..self.offset(high)) {
            size += u64::from(entry.compute_size());
            if size > limit && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        match index.cmp(&self.start.index) {
            std::cmp::Ordering::Less => Err(Error::Store(StorageError::Compacted)),
            std::cmp::Ordering::Equal => Ok(self.start.term),
            std::cmp::Ordering::Greater if index > self.last() => Err(Error::Store(StorageError::Unavailable)),
            std::cmp::Ordering::Greater => {
                self.entries.get(self.offset(index)).map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
            }
        }
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.start.index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    /// A descriptor of the applied state. Not for whoever is not in its configuration yet: such a one would refuse it in silence.
    fn snapshot(&self, request: u64, to: u64) -> Result<eraftpb::Snapshot> {
        let receiver = self.configuration.members().into_iter().any(|host| raft_id(host) == to);
        let snapshot = self.applied_snapshot().filter(|snapshot| receiver && request <= snapshot.index);
        snapshot.as_ref().map(snapshot_in).ok_or(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

fn size(entry: &eraftpb::Entry) -> usize {
    entry.data.len()
}

fn len<T>(entries: &VecDeque<T>) -> u64 {
    u64::try_from(entries.len()).unwrap_or(u64::MAX)
}
