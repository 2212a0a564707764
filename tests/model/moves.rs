//! What may happen next in a world, and what the world is afterwards: faults, arrivals, timers and clients.

use crate::{
    first_boot,
    glue::Glue,
    old_way, person, statement,
    world::{Bits, Breach, Call, Entry, LOGGED_DDL, Node, Place, Rule, Sample, Samples, Setup, Verb, World, host, places},
};
use group0_core::{
    group0::joining::{self, ModifyFailure},
    ids::GroupId,
    upgrade::{
        Stage,
        machine::{self, Phase},
    },
};
use std::sync::Arc;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The node loses its process, and what is on its way to it.
    Crash(Place),
    /// It comes back with what is durable.
    Restart(Place),
    /// A client's old-style statement: applied, acknowledged and pushed.
    OldDdl(Place),
    /// A pushed row arrives.
    Push(Place, Bits),
    /// An answer to the procedure arrives.
    Answer(Place, Verb, Place, Sample),
    /// A call of the procedure times out although the peer lives.
    Timeout(Place, Verb, Place),
    /// The first node's exchange or membership change reaches the second.
    Serve(Place, Verb, Place),
    /// The reply to it arrives.
    Reply(Place, Verb, Place),
    /// The peer of it is down.
    Unreachable(Place, Verb, Place),
    /// The watch of the first node says the stage of the second.
    Watch(Place, Place),
    /// Gossip says that the version of the second moved.
    VersionMoved(Place, Place),
    /// The procedure's back-off has passed.
    Retry(Place),
    /// Joining's back-off has passed.
    JoinRetry(Place),
    /// The read barrier has passed.
    Barrier(Place),
    /// The read barrier fails.
    BarrierFails(Place),
    /// The surplus is committed and applied.
    Committed(Place),
    /// The commit of the surplus fails.
    CommitFails(Place),
    /// The next entry of the log is applied.
    Apply(Place),
    /// What becomes of a client's statement through the log.
    Statement(statement::Move),
    /// A founder stores its bootstrap snapshot, if that is an act of its own.
    Bootstrap(Place),
    /// What a person does.
    Person(person::Move),
    /// What a node does on its first boot.
    Boot(first_boot::Move),
    /// What happens before the feature is enabled.
    OldWay(old_way::Move),
}

/// The world before anything happens: all nodes run, and most often have enabled the feature.
pub fn initial(setup: &Setup) -> World {
    let nodes = setup.peers.iter().map(|seeds| Arc::new(Node::new(seeds))).collect();
    let (crashes, timeouts, recoveries) = (setup.crashes, setup.timeouts, setup.recoveries);
    let mut world = World { nodes, log: vec![], group: None, acknowledged: 0, crashes, timeouts, recoveries, broken: None };
    places(setup.fresh).for_each(|at| world.node_mut(at).is_fresh = true);
    for at in setup.places() {
        world.node_mut(at).ring.is_enabled = !setup.enabling || setup.finished && setup.fresh & 1 << at == 0;
    }
    if setup.joined || setup.finished {
        found_together(setup, &mut world);
    }
    places(setup.in_recovery).for_each(|at| world.node_mut(at).stage = Stage::Recovery);
    for at in setup.places() {
        Glue { setup, world: &mut world }.start(at);
    }
    observe(setup, &mut world);
    while (setup.asked || setup.joined)
        && let Some(answer) = possible(setup, &world).into_iter().find(|step| matches!(step, Move::Answer(_, Verb::Ask, ..)))
    {
        world = after(setup, &world, answer);
    }
    world
}

/// Everyone is a member. Who knows fewer peers has applied the additions of those only.
fn found_together(setup: &Setup, world: &mut World) {
    world.group = Some(GroupId::of(1));
    let members = || setup.places().filter(|at| setup.fresh & 1 << at == 0);
    world.log = members().map(Entry::Add).collect();
    for at in members() {
        let (group, applied) = (world.group, setup.peers[usize::from(at)].len() + 1);
        let node = world.node_mut(at);
        (node.group, node.applied) = (group, applied);
        if setup.finished {
            (node.stage, node.reached) = (Stage::UsePostRaft, Stage::UsePostRaft);
        }
    }
}

/// All that may happen next.
pub fn possible(setup: &Setup, world: &World) -> Vec<Move> {
    let mut moves = Vec::new();
    if world.broken.is_some() || setup.until_joined && everyone_joined(setup, world) {
        return moves;
    }
    let someone_is_down = setup.places().any(|at| !world.is_up(at));
    for at in setup.places() {
        if world.is_up(at) {
            if !setup.lean || is_listening(world, at) {
                of_calls(setup, world, at, &mut moves);
                of_waits(setup, world, at, someone_is_down, &mut moves);
                of_watches(setup, world, at, &mut moves);
            }
            of_timers(setup, world, at, &mut moves);
            of_clients(setup, world, at, &mut moves);
            moves.extend(may_crash(setup, world, at).then_some(Move::Crash(at)));
            moves.extend(world.process(at).is_founding.then_some(Move::Bootstrap(at)));
            moves.extend(first_boot::possible(setup, world, at).map(Move::Boot));
        } else if setup.lost & 1 << at == 0 {
            moves.push(Move::Restart(at));
        }
        moves.extend(person::possible(setup, world, at).map(Move::Person));
        moves.extend(old_way::possible(setup, world, at).into_iter().map(Move::OldWay));
    }
    moves
}

/// One that has come in the old way is a member like any other, which is no longer lost without more ado.
fn may_crash(setup: &Setup, world: &World, at: Place) -> bool {
    let is_member = setup.enabling && setup.lost & 1 << at != 0 && !world.node(at).is_fresh;
    world.crashes > 0 && setup.unbreakable & 1 << at == 0 && !is_member
}

/// During a back-off outside steps 6 and 7 the procedure goes on with the retry only.
fn is_listening(world: &World, at: Place) -> bool {
    let process = world.process(at);
    !process.backoff || matches!(process.upgrade.phase, Phase::Confirm(_))
}

/// Whether all nodes run and are in the group, but who is lost and removed.
pub fn everyone_joined(setup: &Setup, world: &World) -> bool {
    let is_removed = |at: Place| setup.lost & 1 << at != 0 && world.nodes.iter().all(|node| node.ring.peers & 1 << at == 0);
    let is_in = |at: Place| world.applied_members(at) & 1 << at != 0;
    setup.places().all(|at| if world.is_up(at) { is_in(at) } else { is_removed(at) })
}

fn of_calls(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let mut before = None;
    for ((verb, peer), call) in &world.process(at).calls {
        let (verb, peer) = (*verb, *peer);
        match call {
            Call::Sampled(_) | Call::Exchange(_) if setup.lean && before == Some(verb) => {}
            Call::Sampled(samples) => {
                moves.extend(samples.list().into_iter().map(|sample| Move::Answer(at, verb, peer, sample)));
                moves.extend((world.timeouts > 0).then_some(Move::Timeout(at, verb, peer)));
            }
            Call::Exchange(None) | Call::Modify(false) if !world.is_up(peer) => moves.push(Move::Unreachable(at, verb, peer)),
            Call::Exchange(None) | Call::Modify(false) => moves.push(Move::Serve(at, verb, peer)),
            Call::Exchange(Some(_)) | Call::Modify(true) => {
                moves.push(Move::Reply(at, verb, peer));
                moves.extend((world.timeouts > 0).then_some(Move::Timeout(at, verb, peer)));
            }
        }
        before = Some(verb);
    }
}

fn of_waits(setup: &Setup, world: &World, at: Place, someone_is_down: bool, moves: &mut Vec<Move>) {
    let (node, process) = (world.node(at), world.process(at));
    if let Some(target) = process.barrier {
        moves.extend((node.applied >= target || !setup.obeys(Rule::BarrierWaits)).then_some(Move::Barrier(at)));
        moves.extend(someone_is_down.then_some(Move::BarrierFails(at)));
    }
    if let Some(target) = process.submitted {
        moves.extend((node.applied >= target).then_some(Move::Committed(at)));
        moves.extend(someone_is_down.then_some(Move::CommitFails(at)));
    }
}

fn of_clients(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let node = world.node(at);
    let is_old = node.stage == Stage::UsePreRaft && !node.is_fresh || world.process(at).recovers;
    let is_accepted = is_old || node.stage == Stage::Synchronize && !setup.obeys(Rule::OldDdlIsRefused);
    let has_client = setup.without_clients & 1 << at == 0;
    if is_accepted && has_client && old_ddls(world) < setup.old_ddls {
        moves.push(Move::OldDdl(at));
    }
    moves.extend(places(node.incoming).map(|bit| Move::Push(at, 1 << bit)));
    moves.extend(statement::possible(setup, world, at).into_iter().map(Move::Statement));
}

fn old_ddls(world: &World) -> u32 {
    (world.acknowledged & !LOGGED_DDL).count_ones()
}

fn next_old_ddl(world: &World) -> Bits {
    1 << old_ddls(world)
}

fn of_timers(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let (node, process) = (world.node(at), world.process(at));
    let is_member = world.members(world.log.len()) & 1 << at != 0;
    let has_begun = node.applied > 0 || !node.is_fresh || !setup.obeys(Rule::FirstBootWaits);
    if node.group.is_some() && is_member && has_begun && world.is_in_service(at) && node.applied < world.log.len() {
        moves.push(Move::Apply(at));
    }
    moves.extend(process.backoff.then_some(Move::Retry(at)));
    let waits = process.calls.keys().any(|(verb, _)| matches!(verb, Verb::Exchange | Verb::Modify));
    if process.joining.is_active() && (process.join_backoff || !waits) {
        moves.push(Move::JoinRetry(at));
    }
}

fn of_watches(setup: &Setup, world: &World, at: Place, moves: &mut Vec<Move>) {
    let process = world.process(at);
    for peer in places(world.applied_members(at) & !(1 << at)).filter(|peer| world.is_in_service(*peer)) {
        moves.extend(watch_says_more(setup, world, at, peer).then_some(Move::Watch(at, peer)));
        if process.backoff && matches!(process.upgrade.phase, Phase::Confirm(_)) {
            moves.push(Move::VersionMoved(at, peer));
        }
    }
}

/// That a member is in `synchronize` makes no difference before it is waited for, so that a watch may as well say so then; unless the
/// member was final before, and then in recovery.
fn watch_says_more(setup: &Setup, world: &World, at: Place, peer: Place) -> bool {
    let (process, node) = (world.process(at), world.node(peer));
    let is_heard = match process.upgrade.phase {
        Phase::Idle | Phase::AskPeers(_) | Phase::Join | Phase::Done | Phase::Failed(..) => false,
        Phase::AwaitMembers => true,
        _ => node.stage == Stage::UsePostRaft || setup.may_recover() & 1 << peer != 0,
    };
    is_heard && process.told[usize::from(peer)] != remembered(node) && node.group == world.node(at).group
}

/// As what its word is remembered: that of one on its first boot is news once, since it is not waited for from then on.
fn remembered(node: &Node) -> Stage {
    if node.is_fresh { Stage::Recovery } else { node.stage }
}

/// The world after that move.
pub fn after(setup: &Setup, world: &World, step: Move) -> World {
    let mut world = world.clone();
    make(&mut Glue { setup, world: &mut world }, step);
    observe(setup, &mut world);
    world
}

fn make(glue: &mut Glue<'_>, step: Move) {
    use machine::Event;
    let failed = || Err("no quorum".to_owned());
    match step {
        Move::Crash(at) => crash(glue, at),
        Move::Restart(at) => glue.start(at),
        Move::OldDdl(at) => old_ddl(glue, at),
        Move::Push(at, row) => {
            glue.world.node_mut(at).incoming &= !row;
            glue.take_rows(at, row);
        }
        Move::Answer(at, verb, from, sample) => glue.answer(at, verb, from, sample),
        Move::Timeout(at, verb, from) => time_out(glue, at, verb, from),
        Move::Serve(at, Verb::Modify, by) => serve_modify(glue, at, by),
        Move::Serve(at, _, by) => glue.serve_exchange(at, by),
        Move::Reply(at, Verb::Modify, from) => glue.answer_modify(at, from, Ok(())),
        Move::Reply(at, verb, from) => {
            if let Some(Call::Exchange(Some(reply))) = glue.world.process(at).calls.get(&(verb, from)).cloned() {
                glue.answer_exchange(at, from, reply);
            }
        }
        Move::Unreachable(at, Verb::Modify, to) => glue.answer_modify(at, to, Err(ModifyFailure::Transient("down".into()))),
        Move::Unreachable(at, verb, to) => {
            glue.world.process_mut(at).calls.remove(&(verb, to));
        }
        Move::Watch(at, from) => {
            let (stage, said) = (glue.world.node(from).stage, remembered(glue.world.node(from)));
            glue.world.process_mut(at).told[usize::from(from)] = said;
            glue.told(at, from, stage);
        }
        Move::VersionMoved(at, of) => glue.upgrade(at, Event::VersionMoved(host(of))),
        Move::Retry(at) => {
            glue.world.process_mut(at).backoff = false;
            glue.upgrade(at, Event::Retry);
        }
        Move::JoinRetry(at) => {
            glue.world.process_mut(at).join_backoff = false;
            glue.join(at, joining::Event::Retry);
        }
        Move::Barrier(at) => barrier(glue, at, Ok(())),
        Move::BarrierFails(at) => barrier(glue, at, failed()),
        Move::Committed(at) => submitted(glue, at, Event::SurplusCommitted),
        Move::CommitFails(at) => submitted(glue, at, Event::SurplusFailed("no quorum".into())),
        Move::Apply(at) => glue.apply(at),
        Move::Statement(happens) => statement::make(glue, happens),
        Move::Bootstrap(at) => glue.bootstrap(at),
        Move::Person(step) => person::make(glue, step),
        Move::Boot(step) => first_boot::make(glue, step),
        Move::OldWay(happens) => old_way::make(glue, happens),
    }
}

fn time_out(glue: &mut Glue<'_>, at: Place, verb: Verb, from: Place) {
    glue.world.timeouts -= 1;
    match verb {
        Verb::Modify => glue.answer_modify(at, from, Err(ModifyFailure::Transient("no answer".into()))),
        Verb::Exchange => drop(glue.world.process_mut(at).calls.remove(&(verb, from))),
        Verb::Ask | Verb::Compare | Verb::Reconcile => glue.answer(at, verb, from, None),
    }
}

fn crash(glue: &mut Glue<'_>, at: Place) {
    glue.world.crashes -= 1;
    end(glue, at);
}

/// The process ends, and everyone notices.
pub fn end(glue: &mut Glue<'_>, at: Place) {
    let is_durable = glue.setup.obeys(Rule::StageIsDurable);
    let node = glue.world.node_mut(at);
    (node.process, node.incoming) = (None, 0);
    if !is_durable {
        node.stage = Stage::UsePreRaft;
    }
    for other in glue.setup.places().filter(|other| *other != at) {
        if let Some(process) = &mut glue.world.node_mut(other).process {
            process.told[usize::from(at)] = Stage::UsePreRaft;
        }
    }
}

fn old_ddl(glue: &mut Glue<'_>, at: Place) {
    let row = next_old_ddl(glue.world);
    if glue.world.node(at).stage > Stage::UsePreRaft {
        glue.world.broken = Some(Breach::OldDdlLate);
    }
    glue.world.node_mut(at).schema |= row;
    glue.world.acknowledged |= row;
    for other in glue.setup.places().filter(|other| *other != at) {
        if glue.world.is_up(other) && !glue.world.node(other).is_fresh {
            glue.world.node_mut(other).incoming |= row;
        }
    }
}

/// A member that does not know yet that it is one cannot help.
fn serve_modify(glue: &mut Glue<'_>, at: Place, by: Place) {
    if glue.world.applied_members(by) & 1 << by == 0 || !glue.world.is_in_service(by) {
        glue.answer_modify(at, by, Err(ModifyFailure::Transient("not a member".into())));
    } else {
        glue.serve_modify(at, by);
    }
}

fn barrier(glue: &mut Glue<'_>, at: Place, outcome: Result<(), String>) {
    glue.world.process_mut(at).barrier = None;
    glue.upgrade(at, machine::Event::Barrier(outcome));
}

fn submitted(glue: &mut Glue<'_>, at: Place, event: machine::Event) {
    glue.world.process_mut(at).submitted = None;
    glue.upgrade(at, event);
}

/// Every call on its way may be answered as of now, too; and rows that a node has are as good as arrived.
fn observe(setup: &Setup, world: &mut World) {
    for at in setup.places() {
        let known = world.node(at).schema;
        if world.node(at).incoming & known != 0 {
            world.node_mut(at).incoming &= !known;
        }
        let Some(process) = &world.node(at).process else { continue };
        let fresh = process.calls.iter().filter_map(|(key, call)| {
            let Call::Sampled(before) = call else { return None };
            let former = if setup.stale_answers { *before } else { Samples::default() };
            let now = former.with(world.node(key.1).sample(key.0));
            (now != *before).then_some((*key, Call::Sampled(now)))
        });
        let fresh: Vec<_> = fresh.collect();
        if !fresh.is_empty() {
            world.process_mut(at).calls.extend(fresh);
        }
    }
}
