//! What an order comes to on a node: the real machine says it, and its actions are carried out as a node's core does.

use crate::{
    recovery_step,
    world::{Bits, Breach, Node, Order, Place, Process, Rule, Setup, World, place},
};
use group0_core::{
    io::RecoveryStep,
    recovery::{self, Mode, Record},
    status::PlanState,
    upgrade::Stage,
};
use group0_operator::plan::Action;

/// The process starts from what is durable.
pub fn start(world: &mut World, at: Place) {
    let node = world.node_mut(at);
    let mode = if node.stage == Stage::Recovery { Mode::Yes } else { Mode::No };
    node.generation += 1;
    node.process = Some(Process { mode, ..Process::default() });
}

/// The process ends.
pub fn crash(world: &mut World, at: Place) {
    world.node_mut(at).process = None;
}

/// The order arrives. One that is refused, or cannot arrive, changes nothing.
pub fn act(setup: &Setup, world: &mut World, order: &Order) {
    let at = order.at();
    let is_away = world.is_cut && setup.lost & 1 << at != 0 || world.gone & 1 << at != 0;
    let is_old = order.epoch < world.nodes[at].epoch;
    if is_away || is_old || !world.nodes[at].is_up() {
        return;
    }
    match &order.action {
        Action::ClaimEpoch { .. } => claim(world, at, order.epoch),
        Action::Restart { generation, .. } if *generation == u64::from(world.nodes[at].generation) => start(world, at),
        // How a group that goes on removes the lost is no part of this.
        Action::Restart { .. } | Action::RemoveHost { .. } => {}
        Action::Recover { plan, verb, .. } => {
            let step = recovery_step::of(*verb, order.plan.as_ref()).expect("a plan in force");
            recover(setup, world, at, *plan, &step);
        }
        other => panic!("that is no part of a recovery: {other}"),
    }
}

/// What operators before that one order there is refused from now on.
fn claim(world: &mut World, at: Place, epoch: u64) {
    world.node_mut(at).epoch = epoch;
    let is_refused = |order: &Order| order.epoch < epoch && order.at() == at;
    world.late.retain(|order| !is_refused(order));
}

/// A step of a recovery. All that comes of it is one transaction, or nothing.
pub fn recover(setup: &Setup, world: &mut World, at: Place, number: u64, verb: &RecoveryStep) {
    let record = known(setup, world, at);
    let Ok(actions) = world.with_view(setup, at, |view| recovery::step(record.as_ref(), view, number, verb)) else { return };
    for action in actions {
        match action {
            recovery::Action::Enter => enter(world.node_mut(at)),
            recovery::Action::Leave => leave(world.node_mut(at)),
            recovery::Action::ForgetGroup => forget_group(setup, world, at),
            recovery::Action::ForgetHost(host) => world.node_mut(at).removed |= 1 << place(host),
            recovery::Action::ApplyLog => apply_log(setup, world.node_mut(at)),
            recovery::Action::AskDonor(donor) => ask_donor(setup, world, at, place(donor), number),
            recovery::Action::Store(record) => world.node_mut(at).plan = Some(record.into()),
        }
    }
}

/// What the machine is told of the stored plan.
fn known(setup: &Setup, world: &World, at: Place) -> Option<Record> {
    let record = Record::clone(world.nodes[at].plan.as_ref()?);
    if setup.obeys(Rule::NoWayBack) {
        return Some(record);
    }
    let mut forgetful = Record { is_reset: false, ..record };
    if forgetful.stored.state == PlanState::Resetting {
        forgetful.stored.state = PlanState::Fenced;
    }
    Some(forgetful)
}

fn enter(node: &mut Node) {
    node.stage = Stage::Recovery;
    let process = node.process_mut();
    if process.mode == Mode::No {
        process.mode = Mode::Requested;
    }
}

/// The next start goes on in the group, where it was; without a group it begins anew.
fn leave(node: &mut Node) {
    if node.stage == Stage::Recovery {
        node.stage = if node.group.is_some() { node.reached.min(Stage::Synchronize) } else { Stage::UsePreRaft };
    }
}

/// The point of no return: nobody who goes on may take part in the former group any more.
fn forget_group(setup: &Setup, world: &mut World, at: Place) {
    let has_reset = |other: Place| world.nodes[other].plan.as_ref().is_some_and(|record| record.is_reset);
    let survivors = || world.survivors(setup);
    if survivors().any(|other| world.nodes[other].takes_part() && !has_reset(other)) && !survivors().any(has_reset) {
        world.broken = Some(Breach::ResetBesideTheGroup);
    }
    let has: Bits = world.nodes[at].schema | world.nodes[at].logged();
    world.saved |= has;
    let node = world.node_mut(at);
    (node.group, node.reached, node.term, node.commit) = (None, Stage::UsePreRaft, 0, 0);
    node.log.clear();
}

fn apply_log(setup: &Setup, node: &mut Node) {
    node.schema |= if setup.obeys(Rule::LogToItsEnd) { node.logged() } else { node.committed() };
}

fn ask_donor(setup: &Setup, world: &mut World, at: Place, donor: Place, number: u64) {
    if !world.talk(setup, at, donor) {
        return;
    }
    let of = &world.nodes[donor];
    let stage = if of.is_in_service() { of.stage } else { Stage::Recovery };
    let schema = of.schema;
    if let Ok(record) = recovery::rolled_forward(world.nodes[at].plan.as_deref(), number, stage) {
        let node = world.node_mut(at);
        node.schema |= schema;
        node.plan = Some(record.into());
    }
}
