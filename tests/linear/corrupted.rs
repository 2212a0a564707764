//! True histories with something changed in them, each of which the checker must notice.

use crate::history::{Deed, Flaw, Operation, Reply, Row, check};
use std::collections::{BTreeMap, BTreeSet};

type History = (Vec<Row>, Vec<Operation>);

/// A way to corrupt a history, if it is long enough, and what is found then.
type Corruption = (&'static str, fn(&mut History) -> Option<()>, &'static [Flaw]);

const CORRUPTIONS: &[Corruption] = &[
    ("a lost change", lose, &[Flaw::Lost]),
    ("a change that nobody made", invent, &[Flaw::NotAskedFor]),
    ("a change that is there twice", repeat, &[Flaw::Twice]),
    ("a swapped pair", swap, &[Flaw::Overtaken, Flaw::Senseless]),
    ("a state id that goes back", go_back, &[Flaw::Backwards]),
    ("a change that was told not to be done", deny, &[Flaw::Done]),
    ("a stale read", read_stale, &[Flaw::Stale]),
    ("a read of what comes later", read_ahead, &[Flaw::TooEarly]),
];

/// Demands that each is found in this history, which is true.
pub fn are_found(order: &[Row], operations: &[Operation]) {
    check(order, operations).unwrap_or_else(|(_, flaw)| panic!("{flaw}"));
    for (name, corrupt, expected) in CORRUPTIONS {
        let mut history = (order.to_vec(), operations.to_vec());
        assert!(corrupt(&mut history).is_some(), "{name}: the history has nothing of the kind");
        let verdict = check(&history.0, &history.1);
        assert!(verdict.as_ref().is_err_and(|(flaw, _)| expected.contains(flaw)), "{name}: {verdict:?}");
    }
}

fn lose((order, operations): &mut History) -> Option<()> {
    let is_acknowledged = |row: &Row| operations.iter().any(|operation| row.is(operation) && is_done(operation));
    let at = order.iter().position(is_acknowledged)?;
    order.remove(at);
    Some(())
}

fn invent((_, operations): &mut History) -> Option<()> {
    let at = operations.iter().position(is_done)?;
    operations.remove(at);
    Some(())
}

fn repeat((order, _): &mut History) -> Option<()> {
    let row = order.iter().find(|row| row.tag.is_some())?.clone();
    order.push(row);
    Some(())
}

/// Two that follow each other, of which the first was told before the second was asked for. Their ids stay where they are.
fn swap((order, operations): &mut History) -> Option<()> {
    let of = |row: &Row| operations.iter().find(|operation| row.is(operation) && is_done(operation));
    let is_apart = |pair: &[Row]| of(&pair[0]).zip(of(&pair[1])).is_some_and(|(one, other)| one.is_before(other));
    let at = order.windows(2).position(is_apart)?;
    let tag = order[at].tag.take();
    order[at].tag = order[at + 1].tag.replace(tag?);
    Some(())
}

fn go_back((order, _): &mut History) -> Option<()> {
    let mut changes = order.iter_mut().filter(|row| row.tag.is_some());
    let (one, other) = (changes.next()?, changes.next()?);
    std::mem::swap(&mut one.state, &mut other.state);
    Some(())
}

fn deny((order, operations): &mut History) -> Option<()> {
    let operation = operations.iter_mut().find(|operation| is_done(operation) && order.iter().any(|row| row.is(operation)))?;
    match &mut operation.deed {
        Deed::Some(reply) | Deed::Change(_, reply) => *reply = Reply::NotDone,
        Deed::Columns(_) => return None,
    }
    Some(())
}

/// One node is asked three times, and the third answer is the first one, with a column that the second one knows to be gone.
fn read_stale((_, operations): &mut History) -> Option<()> {
    let is_gone = |reads: &&[&Operation]| {
        reads[0].is_before(reads[1]) && reads[1].is_before(reads[2]) && !columns(reads[0]).is_subset(columns(reads[1]))
    };
    let (tag, deed) = by_node(operations).iter().find_map(|reads| {
        let found = reads.windows(3).find(is_gone)?;
        Some((found[2].tag.clone(), found[0].deed.clone()))
    })?;
    operations.iter_mut().find(|operation| operation.tag == tag)?.deed = deed;
    Some(())
}

/// One answer has a column that was asked for after it.
fn read_ahead((_, operations): &mut History) -> Option<()> {
    let is_later = |former: &Operation, column: &String| {
        let makes = |operation: &Operation| matches!(&operation.deed, Deed::Change(statement, _) if statement.makes(column));
        operations.iter().all(|operation| !makes(operation) || former.is_before(operation))
    };
    let (tag, deed) = by_node(operations).iter().find_map(|reads| {
        let found = reads.windows(2).find(|reads| columns(reads[1]).iter().any(|column| is_later(reads[0], column)))?;
        Some((found[0].tag.clone(), found[1].deed.clone()))
    })?;
    operations.iter_mut().find(|operation| operation.tag == tag)?.deed = deed;
    Some(())
}

/// The reads of each node in the order in which they were asked for.
fn by_node(operations: &[Operation]) -> Vec<Vec<&Operation>> {
    let mut reads: BTreeMap<usize, Vec<&Operation>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| matches!(operation.deed, Deed::Columns(_))) {
        reads.entry(operation.node).or_default().push(operation);
    }
    for reads in reads.values_mut() {
        reads.sort_by_key(|operation| operation.asked);
    }
    reads.into_values().collect()
}

fn columns(operation: &Operation) -> &BTreeSet<String> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    if let Deed::Columns(columns) = &operation.deed { columns } else { &NONE }
}

fn is_done(operation: &Operation) -> bool {
    matches!(operation.deed, Deed::Some(Reply::Changed) | Deed::Change(_, Reply::Changed))
}
