//! What must always hold, and what must be reachable.

use crate::{
    search::Search,
    world::{Breach, Entry, Node, Place, Setup, World, places},
};
use group0_core::upgrade::{Stage, Step};
use stateright::Property;
use std::sync::Arc;

/// The invariants.
pub fn always() -> Vec<Property<Search>> {
    vec![
        Property::always("S1 no old-style statement from synchronize on", |_, world: &World| {
            world.broken != Some(Breach::OldDdlLate)
        }),
        Property::always("S2 final with grounds only", |_, world: &World| world.broken != Some(Breach::FinalTooEarly)),
        Property::always("S3 one group", one_group),
        Property::always("S5 what was acknowledged is somewhere", nothing_lost),
        Property::always("S6 beside a final node nobody runs old-style statements", |search: &Search, world: &World| {
            search.setup.strangers || stages_agree(world)
        }),
        Property::always("S7 final and quiet nodes are equal, and have what was acknowledged", final_and_equal),
        Property::always("a stored recovery stays until a person removes it", |_, world: &World| {
            world.broken != Some(Breach::MarkerOverwritten)
        }),
        Property::always("every state leads to the goal", |search: &Search, world: &World| !search.is_stuck(world)),
    ]
}

/// The `sometimes` properties; a setup names those that it must reach.
pub fn reachable() -> Vec<Property<Search>> {
    vec![
        Property::sometimes("all are final", |search: &Search, world: &World| is_goal(&search.setup, world)),
        Property::sometimes("recovery beside a final node", |_, world: &World| {
            let has = |stage| world.nodes.iter().any(|node| node.stage == stage);
            has(Stage::Recovery) && has(Stage::UsePostRaft)
        }),
        Property::sometimes("surplus merged", |_, world: &World| world.log.iter().any(|entry| matches!(entry, Entry::Merge(_)))),
        Property::sometimes("command twice in the log", |_, world: &World| {
            let twice = |entry: &Entry| world.log.iter().filter(|other| *other == entry).count() > 1;
            world.log.iter().any(|entry| matches!(entry, Entry::Ddl { .. }) && twice(entry))
        }),
        Property::sometimes("set aside", |_, world: &World| processes(world).any(|process| process.aside != 0)),
        Property::sometimes("crash in step 0", |_, world: &World| may_crash_in(world, Step::AskPeers)),
        Property::sometimes("crash in step 1", |_, world: &World| may_crash_in(world, Step::JoinGroup0)),
        Property::sometimes("crash in step 2", |_, world: &World| may_crash_in(world, Step::AwaitPeersInGroup0)),
        Property::sometimes("crash in step 3", |_, world: &World| may_crash_in(world, Step::PullSchema)),
        Property::sometimes("crash in step 4", |_, world: &World| may_crash_in(world, Step::AskMembers)),
        Property::sometimes("crash in step 6", |_, world: &World| may_crash_in(world, Step::AwaitMembers)),
        Property::sometimes("crash in step 7", |_, world: &World| may_crash_in(world, Step::SynchronizeSchema)),
        Property::sometimes("crash in the early finish", |_, world: &World| may_crash_in(world, Step::EarlyFinish)),
        Property::sometimes("restart in synchronize", restarts_in_synchronize),
        Property::sometimes("recorded when the feature is enabled", |search: &Search, world: &World| {
            let is_fresh = |at: Place| world.node(at).is_fresh;
            let knows_one = |node: &Arc<Node>| node.ring.is_enabled && places(node.ring.peers).any(is_fresh);
            search.setup.enabling && world.nodes.iter().any(knows_one)
        }),
    ]
}

fn processes(world: &World) -> impl Iterator<Item = &crate::world::Process> {
    world.nodes.iter().filter_map(|node| node.process.as_ref())
}

/// Every node that is up can crash while there are crashes left, so that being in the step is enough.
fn may_crash_in(world: &World, step: Step) -> bool {
    world.crashes > 0 && processes(world).any(|process| process.upgrade.step() == Some(step))
}

/// A node that is down can always start again.
fn restarts_in_synchronize(_: &Search, world: &World) -> bool {
    world.nodes.iter().any(|node| node.stage == Stage::Synchronize && node.process.is_none())
}

fn one_group(_: &Search, world: &World) -> bool {
    world.broken != Some(Breach::SecondGroup) && world.nodes.iter().all(|node| node.group.is_none() || node.group == world.group)
}

fn nothing_lost(_: &Search, world: &World) -> bool {
    let rows = world.nodes.iter().fold(world.logged_rows(), |rows, node| rows | node.schema);
    world.acknowledged & !rows == 0
}

fn stages_agree(world: &World) -> bool {
    let is_final = |node: &Node| node.stage == Stage::UsePostRaft;
    let is_before = |node: &Node| node.stage == Stage::UsePreRaft && !node.is_fresh;
    !(world.nodes.iter().any(|node| is_final(node)) && world.nodes.iter().any(|node| is_before(node)))
}

/// Quiet: all is applied. Pushes on their way may as well be lost.
fn final_and_equal(search: &Search, world: &World) -> bool {
    let whole = || whole(&search.setup, world).map(|at| world.node(at));
    let equal = whole().zip(whole().skip(1)).all(|(one, other)| one.schema == other.schema);
    !is_goal(&search.setup, world) || equal && whole().all(|node| world.acknowledged & !node.schema == 0)
}

/// Nodes that are not lost for good.
fn whole<'a>(setup: &'a Setup, world: &'a World) -> impl Iterator<Item = Place> + 'a {
    setup.places().filter(|at| world.is_up(*at) || setup.lost & 1 << at == 0)
}

/// Where everything should end: all nodes run, are final and have applied the whole log.
pub fn is_goal(setup: &Setup, world: &World) -> bool {
    let is_there = |node: &Node| node.process.is_some() && node.stage == Stage::UsePostRaft && node.applied == world.log.len();
    whole(setup, world).all(|at| is_there(world.node(at)))
}
