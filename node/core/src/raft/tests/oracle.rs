//! What must hold in every world.

use super::super::{Output, Snapshot};
use crate::ids::HostId;
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The state that commands are applied to: a chain of digests, so that a command left out, doubled or moved shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub index: u64,
    digest: u64,
}

impl Machine {
    pub fn apply(&mut self, index: u64, command: &Bytes) {
        assert!(index > self.index, "applied {index} after {}", self.index);
        let mut hasher = DefaultHasher::new();
        (self.digest, index, command).hash(&mut hasher);
        *self = Self { index, digest: hasher.finish() };
    }
}

/// What any member has shown so far.
#[derive(Default)]
pub struct Oracle {
    decided: BTreeMap<u64, ((u64, Bytes), Machine)>,
    leaders: BTreeMap<u64, HostId>,
    places: BTreeMap<u64, Snapshot>,
    asked: BTreeMap<(HostId, u64), u64>,
    digest: u64,
    pub seen: Seen,
}

/// How much has happened: a test in which nothing does proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub decided: usize,
    pub reads: usize,
    pub crashes: usize,
    pub snapshots: usize,
    pub changes: usize,
    pub terms: usize,
}

impl Seen {
    pub fn and(self, other: Self) -> Self {
        Self {
            decided: self.decided + other.decided,
            reads: self.reads + other.reads,
            crashes: self.crashes + other.crashes,
            snapshots: self.snapshots + other.snapshots,
            changes: self.changes + other.changes,
            terms: self.terms + other.terms,
        }
    }
}

impl Oracle {
    /// Logs match: an index has one term, one command and one history on all members.
    pub fn applied(&mut self, index: u64, entry: (u64, Bytes), machine: Machine) {
        let new = (entry, machine);
        self.seen.decided = self.decided.len();
        assert_eq!(*self.decided.entry(index).or_insert_with(|| new.clone()), new, "divergence at {index}");
    }

    /// An applied index has one term and one configuration on all members.
    pub fn at_rest(&mut self, place: Option<Snapshot>) {
        let Some(place) = place else { return };
        assert!(place.configuration.is_valid(), "{place:?}");
        let known = self.places.entry(place.index).or_insert_with(|| place.clone());
        assert_eq!(*known, place, "configurations differ at {}", place.index);
    }

    /// One leader a term.
    pub fn leads(&mut self, term: u64, host: HostId) {
        assert_eq!(*self.leaders.entry(term).or_insert(host), host, "two leaders in term {term}");
        self.seen.terms = self.leaders.len();
    }

    /// From now on, an answer must cover what is decided now.
    pub fn asks(&mut self, host: HostId, context: u64) {
        self.asked.insert((host, context), self.last_index());
    }

    /// No stale reads.
    pub fn read(&mut self, host: HostId, context: u64, index: u64) {
        let Some(floor) = self.asked.remove(&(host, context)) else { return };
        assert!(index >= floor, "{host} may read at {index}, but {floor} was decided when it asked");
        self.seen.reads += 1;
    }

    pub fn forget_reads_of(&mut self, host: HostId) {
        self.asked.retain(|(asker, _), _| *asker != host);
    }

    /// The newest index that any member has applied.
    pub fn last_index(&self) -> u64 {
        self.places.last_key_value().map_or(0, |(index, _)| *index)
    }

    /// The state of whoever has applied up to there.
    pub fn machine_at(&self, index: u64) -> Machine {
        self.decided.range(..=index).next_back().map_or(Machine::default(), |(_, (_, machine))| *machine)
    }

    /// Everything that was ever put out, in one number.
    pub fn trace(&mut self, host: HostId, output: &Output) {
        let mut hasher = DefaultHasher::new();
        (self.digest, host, format!("{output:?}")).hash(&mut hasher);
        self.digest = hasher.finish();
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }
}
