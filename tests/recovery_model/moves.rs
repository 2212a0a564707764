//! What may happen next in a world, and what the world is afterwards: faults, the nodes, and the operator's looks and acts.

use crate::{
    group,
    operator::Operator,
    person::{self, Approved},
    seen, verbs,
    world::{Bits, Hashed, NODES, Node, Order, Place, Rule, Setup, World, others, places},
};
use group0_core::{io::RecoveryStep, recovery::Mode, upgrade::Stage};
use group0_operator::plan::Journal;
use std::sync::Arc;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The lost can no longer be reached.
    Lose,
    /// They can again.
    Return,
    /// A survivor is lost for good, too.
    LoseAnother(Place),
    /// A person approves that.
    Approve(Approved),
    /// The process of a node ends.
    Crash(Place),
    /// It starts.
    Start(Place),
    /// In the groups.
    Group(group::Move),
    /// A client's change on a node in recovery.
    OldChange(Place),
    /// The operator looks around, and writes down what it is about to do.
    Look,
    /// It does the first of that.
    Act,
    /// Another operator takes over, from what is written down.
    Succeed,
    /// What an operator before it was about to do takes place.
    Late(Hashed<Order>),
    /// Where operators are not obliged to the order of the steps: this on that node.
    Wild(Place, Wild),
}

/// Verbs that come when it is not their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wild {
    /// `ResetGroup0`
    Reset,
    /// `LiftFence`
    Lift,
}

/// Whether it is a fault: what only another fault mends counts as stuck.
pub fn is_fault(setup: &Setup, world: &World, step: &Move) -> bool {
    match step {
        Move::Lose
        | Move::Return
        | Move::LoseAnother(_)
        | Move::Crash(_)
        | Move::Succeed
        | Move::Late(_)
        | Move::Wild(..)
        | Move::OldChange(_) => true,
        Move::Approve(approved) => person::is_mistake(setup, world, *approved),
        _ => false,
    }
}

/// All that may happen next.
pub fn possible(setup: &Setup, world: &World) -> Vec<Move> {
    if world.broken.is_some() {
        return Vec::new();
    }
    let mut moves = vec![if world.orders.is_empty() { Move::Look } else { Move::Act }];
    let left = &world.left;
    moves.extend((left.losses > 0 && !world.is_cut).then_some(Move::Lose));
    moves.extend((left.returns > 0 && world.is_cut).then_some(Move::Return));
    moves.extend((left.successors > 0).then_some(Move::Succeed));
    moves.extend(world.late.iter().cloned().map(Move::Late));
    let may_lose = places(setup.lost_later & !world.gone).filter(|_| left.later_losses > 0 && world.phase > 0);
    moves.extend(may_lose.map(Move::LoseAnother));
    moves.extend(person::possible(setup, world).into_iter().map(Move::Approve));
    let stays = setup.lost | world.gone;
    let mut of_groups = Vec::new();
    for (at, node) in world.nodes.iter().enumerate() {
        group::possible(setup, world, at, &mut of_groups);
        moves.extend((!node.is_up() && stays & 1 << at == 0).then_some(Move::Start(at)));
        moves.extend((left.crashes > 0 && node.is_up() && stays & 1 << at == 0).then_some(Move::Crash(at)));
        moves.extend((left.old_changes > 0 && changes_the_old_way(setup, node, at)).then_some(Move::OldChange(at)));
        wild(setup, world, at, &mut moves);
    }
    moves.extend(of_groups.into_iter().map(Move::Group));
    moves
}

/// In recovery; and before there is a group, if it is not lost with the change.
fn changes_the_old_way(setup: &Setup, node: &Node, at: Place) -> bool {
    let is_before = setup.is_forming && node.is_in_service() && node.stage == Stage::UsePreRaft;
    node.mode() == Some(Mode::Yes) || is_before && setup.lost & 1 << at == 0
}

fn wild(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let is_asked = world.nodes[at].is_up() && world.nodes[at].plan.is_some();
    moves.extend((is_asked && !setup.obeys(Rule::ResetWaits)).then_some(Move::Wild(at, Wild::Reset)));
    moves.extend((is_asked && !setup.obeys(Rule::NoWayBack)).then_some(Move::Wild(at, Wild::Lift)));
}

/// The world after that move.
pub fn after(setup: &Setup, operator: &Operator, world: &World, step: &Move) -> World {
    let mut next = world.clone();
    make(setup, operator, &mut next, step);
    listen(setup, &mut next);
    forget_the_lost(setup, &mut next);
    next
}

/// Who is one of three and does not come back makes no difference, once its clients have all the answers that they may get.
fn forget_the_lost(setup: &Setup, world: &mut World) {
    let is_over = world.is_cut && world.left.returns == 0 && setup.lost.is_power_of_two() && !setup.is_forming;
    for at in places(setup.lost).filter(|_| is_over) {
        let node = &world.nodes[at];
        if node.process.as_ref().is_none_or(|process| process.stored <= node.commit) && node.is_up() {
            world.nodes[at] = Arc::new(Node { process: None, group: None, ..Node::new(false) });
        }
    }
}

/// The world before anything is lost; the operator has seen it.
pub fn initial(setup: &Setup, operator: &Operator) -> World {
    let member = |at: Place| if setup.is_forming { Node::of_no_group() } else { Node::new(setup.is_final & 1 << at != 0) };
    let node = |at: Place| Arc::new(member(at));
    let mut world = World {
        nodes: [0, 1, 2].map(node),
        is_cut: false,
        gone: 0,
        phase: 0,
        person: person::Person::default(),
        journal: seen::journal().into(),
        orders: vec![],
        late: vec![],
        acknowledged: 0,
        saved: 0,
        left: setup.left,
        broken: None,
    };
    let leader = NODES - 1;
    world.node_mut(leader).process_mut().leads = !setup.is_forming;
    listen(setup, &mut world);
    operator.look(setup, &mut world);
    world
}

/// Whoever can be reached is heard now and then.
fn listen(setup: &Setup, world: &mut World) {
    for at in 0..NODES {
        for from in others(at) {
            let is_news = world.reaches(setup, at, from)
                && world.nodes[at].process.as_ref().is_some_and(|process| process.heard[from] != Some(world.phase));
            if is_news {
                let phase = world.phase;
                world.node_mut(at).process_mut().heard[from] = Some(phase);
            }
        }
    }
}

fn make(setup: &Setup, operator: &Operator, world: &mut World, step: &Move) {
    match step {
        Move::Lose => {
            world.left.losses -= 1;
            turn(world, true);
        }
        Move::Return => {
            world.left.returns -= 1;
            turn(world, false);
        }
        Move::LoseAnother(at) => {
            world.left.later_losses -= 1;
            world.gone |= 1 << at;
            world.phase += 1;
            verbs::crash(world, *at);
        }
        Move::Approve(approved) => person::approve(setup, world, *approved),
        Move::Crash(at) => {
            world.left.crashes -= 1;
            verbs::crash(world, *at);
        }
        Move::Start(at) => verbs::start(world, *at),
        Move::Group(step) => group::make(setup, world, *step),
        Move::OldChange(at) => old_change(setup, world, *at),
        Move::Look => operator.look(setup, world),
        Move::Act => act(setup, world),
        Move::Succeed => succeed(world),
        Move::Late(order) => {
            person::judge(setup, world, order);
            world.late.retain(|late| late != order);
            verbs::act(setup, world, order);
        }
        Move::Wild(at, verb) => {
            let number = world.nodes[*at].plan.as_ref().map_or(0, |record| record.stored.plan.number);
            let step = if *verb == Wild::Reset { RecoveryStep::ResetGroup0 } else { RecoveryStep::LiftFence };
            verbs::recover(setup, world, *at, number, &step);
        }
    }
}

fn turn(world: &mut World, is_cut: bool) {
    world.is_cut = is_cut;
    world.phase += 1;
}

/// It is acknowledged at once; that others are told of it is no matter, since whoever is pushed to may be away.
fn old_change(setup: &Setup, world: &mut World, at: Place) {
    let row: Bits = 1 << (setup.left.changes + setup.left.old_changes - world.left.old_changes);
    world.left.old_changes -= 1;
    world.node_mut(at).schema |= row;
    world.acknowledged |= row;
}

/// Of an act whose node has answered, no intent is left.
fn act(setup: &Setup, world: &mut World) {
    let order = world.orders.remove(0);
    person::judge(setup, world, &order);
    verbs::act(setup, world, &order);
    let mut journal = Journal::clone(&world.journal);
    journal.intents.retain(|intent| intent.action != order.action);
    world.journal = journal.into();
}

/// It begins a term of its own before it looks.
fn succeed(world: &mut World) {
    world.left.successors -= 1;
    world.late.extend(std::mem::take(&mut world.orders));
    world.journal = Journal { epoch: world.journal.epoch + 1, ..Journal::clone(&world.journal) }.into();
}
