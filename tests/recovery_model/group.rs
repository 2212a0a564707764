//! The former group, as three voters elect, replicate and commit; and the upgrade that ends in a group, as few moves as will do.
//!
//! How nodes find each other, and each step of the upgrade, is explored by `tests/model`.

use crate::world::{Bits, Entry, FORMER, Group, NODES, Place, Rule, Setup, World, others, places};
use group0_core::{recovery::Mode, upgrade::Stage};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The first is elected, with the vote of the second.
    Elect(Place, Place),
    /// A client's change is appended by the leader.
    Propose(Place),
    /// The log of the first is stored by the second.
    Replicate(Place, Place),
    /// What a majority has is committed, applied, and acknowledged.
    Commit(Place),
    /// Where the group is formed: all are in it, and it refuses changes from now on.
    Synchronize(Place),
    /// It takes what a final member has, and is final.
    FinishEarly(Place, Place),
    /// All members have the same schema: it is final.
    Finish(Place),
    /// It founds a group.
    Found(Place),
    /// The first enters the group of the second.
    Join(Place, Place),
    /// The first pulls the schema of the second.
    Pull(Place, Place),
}

/// What may happen on that node.
pub fn possible(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let node = &world.nodes[at];
    let Some(process) = &node.process else { return };
    if is_voter(world, at) {
        let talks = |other: &Place| is_voter(world, *other) && world.talk(setup, at, *other);
        if process.leads {
            moves.push(Move::Commit(at));
            moves.extend(others(at).filter(talks).map(|to| Move::Replicate(at, to)));
            let is_asked = |other: Place| has_client(world, other) && (other == at || world.talk(setup, at, other));
            moves.extend((world.left.changes > 0 && (0..NODES).any(is_asked)).then_some(Move::Propose(at)));
        } else {
            let votes = |by: &Place| talks(by) && node.last() >= world.nodes[*by].last();
            let has_term = |by: &Place| node.term.max(world.nodes[*by].term) < setup.terms;
            moves.extend(others(at).filter(votes).filter(has_term).map(|by| Move::Elect(at, by)));
        }
    }
    if node.is_in_service() && node.stage != Stage::UsePostRaft {
        match node.group {
            Some(_) => of_members(setup, world, at, moves),
            None => of_strangers(setup, world, at, moves),
        }
    }
    if process.mode == Mode::Yes {
        let is_inside = |from: &Place| world.nodes[*from].mode() == Some(Mode::Yes) && world.talk(setup, at, *from);
        moves.extend(others(at).filter(is_inside).map(|from| Move::Pull(at, from)));
    }
}

fn is_voter(world: &World, at: Place) -> bool {
    world.nodes[at].group == Some(FORMER) && world.nodes[at].takes_part()
}

fn has_client(world: &World, at: Place) -> bool {
    is_voter(world, at) && world.nodes[at].stage == Stage::UsePostRaft
}

/// Whoever is in the group of that node.
fn members(world: &World, group: Group) -> impl Iterator<Item = Place> {
    (0..NODES).filter(move |other| group == FORMER || world.nodes[*other].group == Some(group))
}

fn of_members(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let node = &world.nodes[at];
    let is_of_us = |other: &Place| world.nodes[*other].group == node.group && world.talk(setup, at, *other);
    let is_final = |other: &Place| world.nodes[*other].is_in_service() && world.nodes[*other].stage == Stage::UsePostRaft;
    moves.extend(others(at).filter(is_of_us).filter(is_final).map(|of| Move::FinishEarly(at, of)));
    let group = node.group.expect("a member");
    // Step 0 and step 2: whoever is known to be of the ring answers and is in.
    let all_are_in = places(!node.removed).all(|other| {
        let is_ready = world.nodes[other].is_in_service() && world.nodes[other].stage != Stage::UsePostRaft;
        other == at || is_of_us(&other) && is_ready
    });
    let all_have_it = members(world, group).all(|other| world.nodes[other].schema == node.schema);
    let refuses = |other: Place| world.nodes[other].stage == Stage::Synchronize;
    let is_refused = !setup.is_forming || places(!node.removed).all(refuses);
    moves.extend((setup.is_forming && all_are_in && !refuses(at)).then_some(Move::Synchronize(at)));
    moves.extend(all_are_in.then_some(Move::Finish(at)).filter(|_| all_have_it && is_refused));
    let can_pull = |from: &Place| is_of_us(from) && world.nodes[*from].schema & !node.schema != 0;
    moves.extend(others(at).filter(|_| all_are_in).filter(can_pull).map(|from| Move::Pull(at, from)));
}

fn of_strangers(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let node = &world.nodes[at];
    let answers = |other: &Place| world.nodes[*other].is_in_service() && world.talk(setup, at, *other);
    let is_new = |other: Place| answers(&other) && world.nodes[other].group.is_none() && at < other;
    let may_found = places(!node.removed).all(|other| other == at || is_new(other));
    moves.extend(may_found.then_some(Move::Found(at)));
    let of_a_group = others(at).filter(answers).filter(|other| world.nodes[*other].group.is_some());
    moves.extend(of_a_group.map(|of| Move::Join(at, of)));
}

/// Lets it happen.
pub fn make(setup: &Setup, world: &mut World, happens: Move) {
    match happens {
        Move::Elect(at, by) => elect(world, at, by),
        Move::Propose(at) => propose(setup, world, at),
        Move::Replicate(at, to) => replicate(world, at, to),
        Move::Commit(at) => commit(world, at),
        Move::Synchronize(at) => enter_stage(world, at, Stage::Synchronize),
        Move::FinishEarly(at, of) => finish_early(world, at, of),
        Move::Finish(at) => finish(world, at),
        Move::Found(at) => found(setup, world, at),
        Move::Join(at, of) => join(world, at, of),
        Move::Pull(at, from) => pull(world, at, from),
    }
}

fn elect(world: &mut World, at: Place, by: Place) {
    let term = world.nodes[at].term.max(world.nodes[by].term) + 1;
    for (voter, leads) in [(at, true), (by, false)] {
        let node = world.node_mut(voter);
        node.term = term;
        let process = node.process_mut();
        (process.leads, process.stored) = (leads, 0);
    }
}

fn propose(setup: &Setup, world: &mut World, at: Place) {
    let row = 1 << (setup.left.changes - world.left.changes);
    world.left.changes -= 1;
    let node = world.node_mut(at);
    node.log.push(Entry { term: node.term, row });
}

/// The answer arrives in any case, be it late: what is stored counts.
fn replicate(world: &mut World, at: Place, to: Place) {
    let leader = world.nodes[at].clone();
    if world.nodes[to].term > leader.term {
        return;
    }
    let node = world.node_mut(to);
    node.process_mut().leads = false;
    (node.term, node.log) = (leader.term, leader.log.clone());
    node.commit = node.commit.max(leader.commit);
    node.schema |= node.committed();
    world.node_mut(at).process_mut().stored = u8::try_from(leader.log.len()).unwrap();
}

/// A majority is the leader and another voter; only an entry of its own term counts.
fn commit(world: &mut World, at: Place) {
    let node = world.node_mut(at);
    let stored = node.process.as_ref().map_or(0, |process| process.stored);
    let is_of_term = node.log.get(usize::from(stored).wrapping_sub(1)).is_some_and(|entry| entry.term == node.term);
    if is_of_term && stored > node.commit {
        node.commit = stored;
        let rows = node.committed();
        node.schema |= rows;
        world.acknowledged |= rows;
    }
}

/// What it has more is committed by the group, from which everyone has it in the end.
fn finish_early(world: &mut World, at: Place, of: Place) {
    let schema: Bits = world.nodes[at].schema | world.nodes[of].schema;
    let group = world.nodes[at].group.expect("a member");
    for member in members(world, group).collect::<Vec<_>>() {
        if world.nodes[member].group == Some(group) {
            world.node_mut(member).schema |= schema;
        }
    }
    finish(world, at);
}

fn finish(world: &mut World, at: Place) {
    enter_stage(world, at, Stage::UsePostRaft);
}

fn enter_stage(world: &mut World, at: Place, stage: Stage) {
    let node = world.node_mut(at);
    (node.stage, node.reached) = (stage, stage);
}

fn found(setup: &Setup, world: &mut World, at: Place) {
    let node = &world.nodes[at];
    let told = places(!node.removed).map(|other| world.nodes[other].incarnation).max().unwrap_or_default();
    let by_plans = node.plan.as_ref().map_or(0, |record| u8::try_from(record.stored.plan.number).unwrap());
    let known = if setup.obeys(Rule::PlansAreIncarnations) { told.max(by_plans) } else { told };
    let incarnation = known + u8::from(setup.obeys(Rule::NewIncarnation));
    let is_former = setup.is_forming && at == 0 && incarnation == FORMER.incarnation;
    let number = if is_former { FORMER.number } else { u8::try_from(at).unwrap() + 1 };
    enter(world, at, Group { number, incarnation });
}

fn join(world: &mut World, at: Place, of: Place) {
    let group = world.nodes[of].group.expect("a member");
    enter(world, at, group);
}

fn enter(world: &mut World, at: Place, group: Group) {
    let node = world.node_mut(at);
    (node.group, node.incarnation) = (Some(group), node.incarnation.max(group.incarnation));
}

fn pull(world: &mut World, at: Place, from: Place) {
    let (schema, generation) = (world.nodes[from].schema, world.nodes[from].generation);
    let node = world.node_mut(at);
    node.schema |= schema;
    if node.mode() == Some(Mode::Yes) {
        node.process_mut().pulled[from] = generation;
    }
}
