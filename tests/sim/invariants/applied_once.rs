//! Every command is applied once, and everywhere in the same order: the histories are beginnings of one another.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::HostId,
    io::{Point, Table, Write},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct AppliedOnce {
    /// The history, and what it holds.
    history: Vec<Vec<u8>>,
    known: BTreeSet<Vec<u8>>,
    lengths: BTreeMap<HostId, usize>,
}

/// What the rows of an early finish are called in the history.
const SURPLUS: &[u8] = b"surplus of an early finish";

impl AppliedOnce {
    fn append(&mut self, host: HostId, at: usize, row: &[u8], events: &mut Events) -> Verdict {
        let length = self.lengths.entry(host).or_default();
        if at != *length {
            return Err(format!("its history has {length} rows, and row {at} follows"));
        }
        *length += 1;
        match self.history.get(at) {
            Some(known) if known == row => Ok(()),
            Some(_) => Err(format!("row {at} of its history is not that of another node")),
            None if self.known.insert(row.to_vec()) => {
                let is_surplus = row.windows(SURPLUS.len()).any(|part| part == SURPLUS);
                events.count(if is_surplus { "surplus merged" } else { "schema change through group 0" });
                self.history.push(row.to_vec());
                Ok(())
            }
            None => Err(format!("row {at} of its history was applied before")),
        }
    }
}

impl Invariant for AppliedOnce {
    fn name(&self) -> &'static str {
        "applied once, in one order"
    }

    fn on_turn(&mut self, turn: &Turn, events: &mut Events) -> Verdict {
        // Who goes over from a former group to its successor on the first boot finds the history of that one.
        if turn.passes(Point::GroupForgotten) && !turn.passes(Point::Joining) {
            self.history.clear();
        }
        for write in &turn.persist.writes {
            match write {
                Write::Put(Table::History, key, row) => {
                    let at = key.as_slice().try_into().map(u64::from_be_bytes).ok().and_then(|at| usize::try_from(at).ok());
                    self.append(turn.host, at.unwrap_or(usize::MAX), row, events)?;
                }
                Write::DeleteRange(Table::History, ..) => drop(self.lengths.insert(turn.host, 0)),
                _ => {}
            }
        }
        Ok(())
    }
}
