//! What the survivors of a loss have, and no recovery may lose: rows of the schema, and decided commands of their logs that they have not
//! applied yet. It is read from their disks, so that it does not matter who runs at that moment.

use group0_core::{
    group0::{Command, History, HistoryRow},
    ids::GroupId,
    io::{Image, Persist, Table},
    raft::{Entry, EntryKind, Stored},
    schema::{Rows, Schema},
};
use std::collections::BTreeSet;

/// Counted when machines are lost: a survivor has more than it knows to have.
pub const HIDDEN: &str = "a survivor has what only the lost knew to be decided";

/// What is on one disk.
pub struct Estate {
    schema: Schema,
    history: History,
    groups: Vec<(GroupId, Stored)>,
}

/// What some survivor of every loss so far has.
#[derive(Default)]
pub struct Kept {
    rows: Option<Rows>,
    /// Whether somebody who was lost had something decided that no survivor had.
    pub lacks_something: bool,
}

impl Estate {
    /// Of that disk.
    pub fn read(image: &Image) -> Result<Self, String> {
        let of = |wanted: Table| {
            let rows = image.iter().filter(move |(table, ..)| *table == wanted);
            rows.map(|(_, key, value)| (key.as_slice(), value.as_slice()))
        };
        let ids: BTreeSet<[u8; 16]> = of(Table::RaftState).filter_map(|(key, _)| key.first_chunk::<16>()).copied().collect();
        let mut groups = Vec::new();
        for id in ids {
            let id = GroupId(uuid::Uuid::from_bytes(id));
            groups.extend(Stored::load(id, image).map_err(|error| error.to_string())?.map(|stored| (id, stored)));
        }
        Ok(Self {
            schema: Schema::load(of(Table::Schema)).map_err(|error| error.to_string())?,
            history: History::load(of(Table::History)).ok_or("a row of the history cannot be read")?,
            groups,
        })
    }

    /// Whether this entry of that group is decided, as far as this disk tells.
    fn decides(&self, group: GroupId, entry: &Entry) -> bool {
        let mut groups = self.groups.iter().filter(|(id, stored)| *id == group && entry.index <= stored.hard.commit);
        groups.any(|(_, stored)| stored.entries.iter().any(|other| (other.index, other.term) == (entry.index, entry.term)))
    }

    /// Its rows, with those of its commands that follow one another and are of this kind.
    fn rows(&self, counts: impl Fn(GroupId, &Entry) -> bool) -> Rows {
        let (mut schema, mut history) = (self.schema.clone(), self.history.clone());
        for (group, stored) in &self.groups {
            let entries = stored.entries.iter().filter(|entry| entry.index > stored.applied);
            let entries = entries.take_while(|entry| counts(*group, entry)).filter(|entry| entry.kind == EntryKind::Normal);
            for command in entries.filter_map(|entry| Command::read(&entry.data)) {
                if history.admits(&command) {
                    let _ = schema.merge(&command.rows);
                    let row = HistoryRow { state: command.state, description: command.description };
                    history.append(&mut Persist::default(), row);
                }
            }
        }
        schema.rows().clone()
    }

    /// Where the logs of its groups end.
    fn ends(&self) -> Vec<(GroupId, u64, u64)> {
        let end = |stored: &Stored| {
            let last = stored.entries.last().map(|entry| (entry.term, entry.index));
            last.unwrap_or((stored.snapshot.term, stored.snapshot.index))
        };
        let ends = self.groups.iter().map(|(id, stored)| (*id, end(stored)));
        ends.map(|(id, (term, index))| (id, term, index)).collect()
    }
}

/// Whether two of them have logs of one group that end differently.
pub fn end_apart(survivors: &[Estate]) -> bool {
    let ends: BTreeSet<_> = survivors.iter().flat_map(Estate::ends).collect();
    let groups: BTreeSet<_> = ends.iter().map(|(group, ..)| group).collect();
    ends.len() > groups.len()
}

fn merged(parts: impl Iterator<Item = Rows>) -> Rows {
    let mut all = Schema::default();
    parts.for_each(|rows| drop(all.merge(&rows)));
    all.rows().clone()
}

/// Without what is among the others.
fn without(rows: &Rows, others: &Rows) -> Rows {
    let mut rows = rows.clone();
    rows.deletions.retain(|key, _| !others.deletions.contains_key(key));
    for (key, cells) in &mut rows.cells {
        let others = others.cells.get(key);
        cells.retain(|column, _| others.is_none_or(|others| !others.contains_key(column)));
    }
    rows.cells.retain(|_, cells| !cells.is_empty());
    rows
}

impl Kept {
    /// Machines are lost: those of these, and not those of the survivors. Whether a survivor has something in its log of which only the lost
    /// knew that it is decided.
    pub fn lose(&mut self, lost: &[Estate], survivors: &[Estate]) -> bool {
        let is_known = |group, entry: &Entry| survivors.iter().any(|estate| estate.decides(group, entry));
        let is_decided = |group, entry: &Entry| is_known(group, entry) || lost.iter().any(|estate| estate.decides(group, entry));
        let decided = |estate: &Estate| estate.rows(is_decided);
        let everything = merged(survivors.iter().map(|estate| estate.rows(|_, _| true)));
        let former = self.rows.take().unwrap_or_default();
        let still = without(&former, &former.surplus_over(&everything));
        let rows = merged(survivors.iter().map(decided).chain([still]));
        let before = merged(lost.iter().map(decided).chain([former]));
        self.lacks_something |= !before.surplus_over(&rows).is_empty();
        self.rows = Some(rows);
        survivors.iter().any(|estate| !decided(estate).surplus_over(&estate.rows(is_known)).is_empty())
    }

    /// What of it is not in that schema; nothing if nothing was ever lost.
    pub fn missing_in(&self, rows: &Rows) -> Option<Rows> {
        self.rows.as_ref().map(|kept| kept.surplus_over(rows))
    }
}
