//! Logs agree: what one member knows to be decided at an index, no other knows otherwise.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::HostId,
    io::{Point, Table, Write},
};
use std::collections::BTreeMap;

/// A key of the log is the id of the group and the index.
const GROUP_BYTES: usize = 16;

/// The entry of an index, and who had it first.
type Decided = (Vec<u8>, String);

#[derive(Default)]
pub struct LogsAgree {
    logs: BTreeMap<HostId, BTreeMap<Vec<u8>, Vec<u8>>>,
    seen: BTreeMap<HostId, u64>,
    decided: BTreeMap<Vec<u8>, Decided>,
}

fn index_of(key: &[u8]) -> u64 {
    key.get(GROUP_BYTES..).and_then(|index| index.try_into().ok()).map_or(0, u64::from_be_bytes)
}

impl Invariant for LogsAgree {
    fn name(&self) -> &'static str {
        "logs agree"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        if turn.passes(Point::GroupForgotten) {
            self.seen.remove(&turn.host);
        }
        let log = self.logs.entry(turn.host).or_default();
        for write in &turn.persist.writes {
            match write {
                Write::Put(Table::RaftLog, key, value) => drop(log.insert(key.clone(), value.clone())),
                Write::Delete(Table::RaftLog, key) => drop(log.remove(key)),
                Write::DeleteRange(Table::RaftLog, from, to) => log.retain(|key, _| key < from || key >= to),
                _ => {}
            }
        }
        let Some(group) = &turn.group else { return Ok(()) };
        let seen = self.seen.entry(turn.host).or_default();
        let from = [group.id.0.as_bytes().as_slice(), &(*seen + 1).to_be_bytes()].concat();
        for (key, entry) in log.range(from..).take_while(|(key, _)| index_of(key) <= group.commit) {
            let (decided, by) = self.decided.entry(key.clone()).or_insert_with(|| (entry.clone(), turn.name.clone()));
            if decided != entry {
                return Err(format!("its entry {} is not that of {by}", index_of(key)));
            }
        }
        *seen = (*seen).max(group.commit);
        Ok(())
    }
}
