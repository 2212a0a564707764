//! Compares what clients were told with the order.

use super::{Deed, Names, Operation, Reply, Row, names::Timeline};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

/// What is wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// A change is in the order that nobody asked for.
    NotAskedFor,
    /// A change is in the order twice.
    Twice,
    /// A change that was told to be done is not in the order.
    Lost,
    /// A change that was told not to be done is in the order.
    Done,
    /// State ids do not grow.
    Backwards,
    /// A change could not be made where it is in the order.
    Senseless,
    /// A change is in the order before one that was told before it was asked for.
    Overtaken,
    /// An answer is that of no state from the one on that was told before it was asked for.
    Stale,
    /// An answer is that of a state that came of what was asked for later.
    TooEarly,
}

/// Of what kind it is, and the details.
pub type Verdict = Result<(), (Flaw, String)>;

/// Whether what clients were told goes with that order.
pub fn check(order: &[Row], operations: &[Operation]) -> Verdict {
    let mut check = Check::new(order, operations);
    check.find_places()?;
    check.states_grow()?;
    check.replay()?;
    check.none_overtakes()?;
    check.answers_are_true()
}

struct Check<'a> {
    order: &'a [Row],
    operations: &'a [Operation],
    /// Of each operation its place in the order: a change's own, counted from 1; of others after how many rows the state was as they
    /// saw it.
    places: Vec<Option<usize>>,
    timeline: Timeline,
}

impl<'a> Check<'a> {
    fn new(order: &'a [Row], operations: &'a [Operation]) -> Self {
        Self { order, operations, places: vec![None; operations.len()], timeline: Timeline::new() }
    }

    fn find_places(&mut self) -> Verdict {
        let mut places = BTreeMap::new();
        for (at, row) in self.order.iter().enumerate() {
            match row.tag.as_deref().map(|tag| places.entry(tag)) {
                Some(Entry::Occupied(first)) => {
                    return flaw(Flaw::Twice, &format!("{} at {} and {at}", first.key(), first.get()));
                }
                Some(Entry::Vacant(slot)) => drop(slot.insert(at + 1)),
                None => {}
            }
        }
        for (at, operation) in self.operations.iter().enumerate() {
            self.places[at] = places.remove(operation.tag.as_str());
            match (operation.reply(), self.places[at]) {
                (Some(Reply::Changed), None) if operation.was_final => return flaw(Flaw::Lost, operation),
                (Some(Reply::Nothing | Reply::Refused | Reply::NotDone) | None, Some(_)) => return flaw(Flaw::Done, operation),
                _ => {}
            }
        }
        places.pop_first().map_or(Ok(()), |(tag, at)| flaw(Flaw::NotAskedFor, &format!("{tag} at {at}")))
    }

    /// Each change is made upon all former ones, so that what it writes wins over them. Rows without a client only bring what was
    /// made elsewhere before.
    fn states_grow(&self) -> Verdict {
        let mut changes = self.order.iter().filter(|row| row.tag.is_some());
        let Some(mut last) = changes.next() else { return Ok(()) };
        for row in changes {
            if row.state <= last.state {
                return flaw(Flaw::Backwards, &format!("{row:?} follows {last:?}"));
            }
            last = row;
        }
        Ok(())
    }

    /// The operation of each row that has one.
    fn rows(&self) -> Vec<Option<&'a Operation>> {
        let mut rows = vec![None; self.order.len()];
        for (operation, place) in self.operations.iter().zip(&self.places) {
            if let Some(place) = place {
                rows[place - 1] = Some(operation);
            }
        }
        rows
    }

    fn replay(&mut self) -> Verdict {
        let mut names = Names::default();
        for operation in self.rows() {
            let mut changed = Vec::new();
            if let Some(Operation { deed: Deed::Change(statement, _), .. }) = operation {
                if names.reply(statement) != Reply::Changed {
                    return flaw(Flaw::Senseless, &operation);
                }
                changed = names.change(statement);
            }
            self.timeline.push(changed);
        }
        Ok(())
    }

    fn none_overtakes(&self) -> Verdict {
        let mut latest: Option<&Operation> = None;
        for operation in self.rows().into_iter().flatten() {
            match latest {
                Some(former) if operation.is_before(former) => {
                    return flaw(Flaw::Overtaken, &format!("{operation:?} by {former:?}"));
                }
                Some(former) if former.asked >= operation.asked => {}
                _ => latest = Some(operation),
            }
        }
        Ok(())
    }

    /// Each answer gets the first place that it may have, in the order in which they were asked for. No other choice leaves more to
    /// those that follow.
    fn answers_are_true(&mut self) -> Verdict {
        let limits = Limits::of(self.operations, &self.places);
        let by_asked = sorted(self.operations, |operation| operation.asked);
        let by_told = sorted(self.operations, |operation| operation.told);
        let (mut ended, mut seen) = (by_told.into_iter().peekable(), Seen::default());
        for at in by_asked {
            let operation = &self.operations[at];
            while let Some(before) = ended.next_if(|before| self.operations[*before].told < operation.asked) {
                seen.add(&self.operations[before], self.places[before]);
            }
            if operation.is_about_state() {
                let place = self.first_place(operation, &seen);
                if place.is_none_or(|place| place >= limits.of_told(operation)) {
                    return flaw(if place.is_none() { Flaw::Stale } else { Flaw::TooEarly }, operation);
                }
                self.places[at] = place;
            }
        }
        Ok(())
    }

    /// The first place that the answer fits, given what was told before.
    fn first_place(&self, operation: &Operation, seen: &Seen) -> Option<usize> {
        match &operation.deed {
            Deed::Change(statement, reply) => self.timeline.first_reply(seen.by_all, statement, *reply),
            Deed::Columns(columns) => self.timeline.first_columns(seen.by(operation.node), columns),
            Deed::Some(_) => None,
        }
    }
}

/// The latest place that is known of answers that were told before some moment.
#[derive(Default)]
struct Seen {
    by_all: usize,
    by_node: BTreeMap<usize, usize>,
}

impl Seen {
    fn add(&mut self, operation: &Operation, place: Option<usize>) {
        let Some(place) = place.filter(|_| operation.reply() != Some(Reply::Unknown)) else { return };
        self.by_all = self.by_all.max(place);
        let by_node = self.by_node.entry(operation.node).or_default();
        *by_node = place.max(*by_node);
    }

    fn by(&self, node: usize) -> usize {
        self.by_node.get(&node).copied().unwrap_or_default()
    }
}

/// The first place of a change that was asked for from some moment on: when, latest first, and where.
struct Limits(Vec<(Reverse<std::time::Duration>, usize)>);

impl Limits {
    fn of(operations: &[Operation], places: &[Option<usize>]) -> Self {
        let changes = operations.iter().zip(places).filter_map(|(operation, place)| Some((Reverse(operation.asked), (*place)?)));
        let mut limits: Vec<_> = changes.collect();
        limits.sort_unstable();
        let mut first = usize::MAX;
        for (_, place) in &mut limits {
            first = first.min(*place);
            *place = first;
        }
        Self(limits)
    }

    /// What was asked for after the answer, the answer cannot tell of.
    fn of_told(&self, operation: &Operation) -> usize {
        let later = self.0.partition_point(|(Reverse(asked), _)| *asked > operation.told);
        later.checked_sub(1).map_or(usize::MAX, |last| self.0[last].1)
    }
}

fn sorted<K: Ord>(operations: &[Operation], key: impl Fn(&Operation) -> K) -> Vec<usize> {
    let mut indices: Vec<_> = (0..operations.len()).collect();
    indices.sort_by_key(|index| key(&operations[*index]));
    indices
}

fn flaw(flaw: Flaw, what: &impl fmt::Debug) -> Verdict {
    Err((flaw, format!("{flaw:?}: {what:?}")))
}
