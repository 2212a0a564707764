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

/// Of more rows than this the oldest are dropped, too: with what is kept of a statement they take about 100 MiB, in memory and in a
/// snapshot.
const ROWS_MAX: usize = 100_000;

/// The history.
#[derive(Clone, Debug, Default)]
pub struct History {
    rows: BTreeMap<u64, HistoryRow>,
    states: BTreeSet<TimeUuid>,
    /// The newest state that may have been dropped because there were too many, since this process has started. Nobody asks for those
    /// that were made before.
    dropped: Option<TimeUuid>,
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

    /// Whether the history goes back to the time of that state, which was made by this process: if it does not, a state that is missing
    /// may have been dropped.
    pub fn reaches_back_to(&self, state: TimeUuid) -> bool {
        let is_in_time = self.states.last().is_none_or(|newest| state.micros() >= oldest_kept(*newest));
        is_in_time && self.dropped.is_none_or(|dropped| state > dropped)
    }

    /// Whether the command takes effect here and now: it was made on the last state, or is a merge; and was not applied before.
    pub fn admits(&self, command: &Command) -> bool {
        let on_last = command.previous.is_none_or(|PreviousState(state)| state == self.last());
        on_last && !self.contains(command.state)
    }

    /// Appends, and drops what is too old or too much. It depends on nothing but the rows, so every member drops the same.
    pub fn append(&mut self, persist: &mut Persist, row: HistoryRow) {
        let limit = oldest_kept(row.state);
        while self.rows.first_key_value().is_some_and(|(_, oldest)| oldest.state.micros() < limit) {
            self.drop_oldest(persist);
        }
        while self.rows.len() >= ROWS_MAX {
            self.dropped = self.dropped.max(self.drop_oldest(persist));
        }
        let key = self.rows.keys().next_back().map_or(0, |last| last + 1);
        let value = postcard::to_allocvec(&row).unwrap_or_default();
        persist.writes.push(Write::Put(Table::History, key.to_be_bytes().to_vec(), value));
        self.states.insert(row.state);
        self.rows.insert(key, row);
    }

    fn drop_oldest(&mut self, persist: &mut Persist) -> Option<TimeUuid> {
        let (key, HistoryRow { state, .. }) = self.rows.pop_first()?;
        self.states.remove(&state);
        persist.writes.push(Write::Delete(Table::History, key.to_be_bytes().to_vec()));
        Some(state)
    }

    /// Takes over the history of a snapshot in place of ours.
    pub fn restore(&mut self, persist: &mut Persist, rows: Vec<HistoryRow>) {
        let (from, to) = (0_u64.to_be_bytes().to_vec(), u64::MAX.to_be_bytes().to_vec());
        persist.writes.push(Write::DeleteRange(Table::History, from, to));
        *self = Self { dropped: self.dropped, ..Self::default() };
        for row in rows {
            self.append(persist, row);
        }
        if self.rows.len() == ROWS_MAX {
            // Its maker has dropped some, or is about to: which ones is not known.
            self.dropped = self.dropped.max(self.states.last().copied());
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
    /// Rows of these numbers, which are in one week.
    fn with(numbers: impl IntoIterator<Item = i64>) -> History {
        let mut history = History::default();
        numbers.into_iter().for_each(|number| history.append(&mut Persist::default(), row(number)));
        history
    }

    fn full() -> std::ops::RangeInclusive<i64> {
        1..=i64::try_from(ROWS_MAX).unwrap()
    }

    #[test]
    fn of_too_many_rows_the_oldest_go_and_what_became_of_them_is_unknown() {
        let mut history = with(full());
        assert!(history.contains(state(1)) && history.reaches_back_to(state(1)));
        let mut persist = Persist::default();
        history.append(&mut persist, row(full().end() + 1));
        assert_eq!(history.rows().count(), ROWS_MAX);
        assert_eq!(persist.writes[0], Write::Delete(Table::History, 0_u64.to_be_bytes().to_vec()));
        assert!(!history.contains(state(1)) && !history.reaches_back_to(state(1)));
        assert!(history.contains(state(2)) && history.reaches_back_to(state(2)));
    }

    /// The order of the log is not that of the ids: the oldest row that is kept may have a smaller one than a row that was dropped.
    #[test]
    fn what_was_dropped_is_unknown_also_if_an_older_state_is_kept() {
        let history = with([500, 3].into_iter().chain(1_000..999 + full().end()));
        assert!(!history.contains(state(500)) && history.contains(state(3)));
        assert!(!history.reaches_back_to(state(500)) && history.reaches_back_to(state(501)));
    }

    #[test]
    fn what_a_full_snapshot_does_not_have_may_have_been_dropped() {
        let (rows, mut history) = (with(full()), with([]));
        history.restore(&mut Persist::default(), rows.rows().skip(1).cloned().collect());
        assert!(history.reaches_back_to(state(1)));
        history.restore(&mut Persist::default(), rows.rows().cloned().collect());
        assert!(!history.reaches_back_to(state(1)) && history.reaches_back_to(state(full().end() + 1)));
    }
}
