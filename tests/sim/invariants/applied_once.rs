//! Every command is applied once, and everywhere in the same order: the histories are beginnings of one another.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::{GroupId, HostId},
    io::{Table, Write},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct AppliedOnce {
    /// Of each group: where those come back who were lost, the former one may go on beside the new one.
    histories: BTreeMap<Option<GroupId>, History>,
    lengths: BTreeMap<HostId, usize>,
}

/// A history, and what it holds.
#[derive(Default)]
struct History {
    rows: Vec<Vec<u8>>,
    known: BTreeSet<Vec<u8>>,
}

/// What the rows of an early finish are called in the history.
const SURPLUS: &[u8] = b"surplus of an early finish";

impl AppliedOnce {
    fn append(&mut self, group: Option<GroupId>, host: HostId, at: usize, row: &[u8], events: &mut Events) -> Verdict {
        let length = self.lengths.entry(host).or_default();
        if at != *length {
            return Err(format!("its history has {length} rows, and row {at} follows"));
        }
        *length += 1;
        let history = self.histories.entry(group).or_default();
        match history.rows.get(at) {
            Some(known) if known == row => Ok(()),
            Some(_) => Err(format!("row {at} of its history is not that of another node")),
            None if history.known.insert(row.to_vec()) => {
                let is_surplus = row.windows(SURPLUS.len()).any(|part| part == SURPLUS);
                events.count(if is_surplus { "surplus merged" } else { "schema change through group 0" });
                history.rows.push(row.to_vec());
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
        let group = turn.group.as_ref().map(|group| group.id);
        for write in &turn.persist.writes {
            match write {
                Write::Put(Table::History, key, row) => {
                    let at = key.as_slice().try_into().map(u64::from_be_bytes).ok().and_then(|at| usize::try_from(at).ok());
                    self.append(group, turn.host, at.unwrap_or(usize::MAX), row, events)?;
                }
                Write::DeleteRange(Table::History, ..) => drop(self.lengths.insert(turn.host, 0)),
                _ => {}
            }
        }
        Ok(())
    }
}
