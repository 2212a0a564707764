//! `system.group0_history`: the state ids of commands, in the order of the log.
//!
//! That order, not the order of ids, says which state is the last: a merge may be applied after a command with a larger id.

use super::{Command, HistoryRow, PreviousState};
use crate::{
    ids::{Micros, TimeUuid},
    io::{Persist, Table, Write},
};
use std::collections::{BTreeMap, BTreeSet};

/// Rows older than this, counted from the newest, are dropped with the next append.
const KEPT_MICROS: i64 = 7 * 24 * 3600 * 1_000_000;

/// The history.
#[derive(Clone, Debug, Default)]
pub struct History {
    rows: BTreeMap<u64, HistoryRow>,
    states: BTreeSet<TimeUuid>,
}

impl History {
    /// From its stored rows; `None` if one is damaged.
    pub fn load<'a>(rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Option<Self> {
        let mut history = Self::default();
        for (key, value) in rows {
            let row: HistoryRow = postcard::from_bytes(value).ok()?;
            history.states.insert(row.state);
            history.rows.insert(u64::from_be_bytes(key.try_into().ok()?), row);
        }
        Some(history)
    }

    /// The last state id.
    pub fn last(&self) -> Option<TimeUuid> {
        self.rows.values().next_back().map(|row| row.state)
    }

    /// All rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = &HistoryRow> {
        self.rows.values()
    }

    /// Whether that state was ever reached, as far back as the history goes.
    pub fn contains(&self, state: TimeUuid) -> bool {
        self.states.contains(&state)
    }

    /// Whether the history goes back to the time of that state: if it does not, a state that is missing may have been dropped.
    pub fn reaches_back_to(&self, state: TimeUuid) -> bool {
        self.states.last().is_none_or(|newest| state.micros() >= oldest_kept(*newest))
    }

    /// Whether the command takes effect here and now: it was made on the last state, or is a merge; and was not applied before.
    pub fn admits(&self, command: &Command) -> bool {
        let on_last = command.previous.is_none_or(|PreviousState(state)| state == self.last());
        on_last && !self.contains(command.state)
    }

    /// Appends, and drops what is too old.
    pub fn append(&mut self, persist: &mut Persist, row: HistoryRow) {
        let limit = oldest_kept(row.state);
        while let Some(oldest) = self.rows.first_entry().filter(|entry| entry.get().state.micros() < limit) {
            let (key, dropped) = oldest.remove_entry();
            self.states.remove(&dropped.state);
            persist.writes.push(Write::Delete(Table::History, key.to_be_bytes().to_vec()));
        }
        let key = self.rows.keys().next_back().map_or(0, |last| last + 1);
        let value = postcard::to_allocvec(&row).unwrap_or_default();
        persist.writes.push(Write::Put(Table::History, key.to_be_bytes().to_vec(), value));
        self.states.insert(row.state);
        self.rows.insert(key, row);
    }

    /// Takes over the history of a snapshot in place of ours.
    pub fn restore(&mut self, persist: &mut Persist, rows: Vec<HistoryRow>) {
        let (from, to) = (0_u64.to_be_bytes().to_vec(), u64::MAX.to_be_bytes().to_vec());
        persist.writes.push(Write::DeleteRange(Table::History, from, to));
        *self = Self::default();
        for row in rows {
            self.append(persist, row);
        }
    }
}

fn oldest_kept(newest: TimeUuid) -> Micros {
    Micros(newest.micros().0 - KEPT_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::HostId, schema::Rows};

    fn state(number: i64) -> TimeUuid {
        TimeUuid::new(Micros(number), 0)
    }

    fn command(previous: Option<PreviousState>, id: TimeUuid) -> Command {
        Command { rows: Rows::default(), previous, state: id, creator: HostId::of(1), description: String::new() }
    }

    fn row(number: i64) -> HistoryRow {
        HistoryRow { state: state(number), description: String::new() }
    }

    #[test]
    fn a_command_on_another_state_is_skipped_and_a_merge_is_not() {
        let mut history = History::default();
        assert!(history.admits(&command(Some(PreviousState(None)), state(1))));
        history.append(&mut Persist::default(), row(1));
        assert!(!history.admits(&command(Some(PreviousState(None)), state(2))));
        assert!(history.admits(&command(Some(PreviousState(Some(state(1)))), state(2))));
        assert!(history.admits(&command(None, state(2))));
        assert!(!history.admits(&command(None, state(1))), "applied before");
    }

    #[test]
    fn the_last_state_is_the_last_applied_not_the_largest() {
        let mut history = History::default();
        history.append(&mut Persist::default(), row(5));
        history.append(&mut Persist::default(), row(3));
        assert_eq!(history.last(), Some(state(3)));
    }

    #[test]
    fn rows_older_than_a_week_go_with_the_next_append() {
        let mut history = History::default();
        history.append(&mut Persist::default(), row(1));
        assert!(history.reaches_back_to(state(1)));
        history.append(&mut Persist::default(), row(KEPT_MICROS + 2));
        assert_eq!(history.rows().count(), 1);
        assert!(
            history.reaches_back_to(state(2)) && !history.reaches_back_to(state(1)),
            "whether it was ever reached is unknown"
        );
    }
}
