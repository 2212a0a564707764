//! What must always hold, and what must be reachable.

use crate::{
    person::Approved,
    search::Search,
    world::{Breach, FORMER, Group, NODES, Node, Setup, World, places},
};
use group0_core::{recovery::Record, status::PlanState, upgrade::Stage};
use stateright::Property;
use std::sync::Arc;

/// The invariants.
pub fn always() -> Vec<Property<Search>> {
    vec![
        Property::always("one group in an incarnation", one_group),
        Property::always("nobody forgets the group beside a survivor that takes part in it", |_, world: &World| {
            world.broken != Some(Breach::ResetBesideTheGroup)
        }),
        Property::always("what was acknowledged is there in the end", nothing_lost),
        Property::always("who has removed a host is not in its group", no_removed_is_believed),
        Property::always("no plan is withdrawn once a group is forgotten by it", no_way_back),
        Property::always("the audit agrees", |_, world: &World| world.broken != Some(Breach::Audit)),
        Property::always("nothing is ordered by a plan that nobody has approved", |_, world: &World| {
            world.broken != Some(Breach::Unapproved)
        }),
        Property::always("every state leads to the goal", |search: &Search, world: &World| !search.is_stuck(world)),
    ]
}

/// The `sometimes` properties; a setup names those that it must reach.
pub fn reachable() -> Vec<Property<Search>> {
    vec![
        Property::sometimes("recovered", |search: &Search, world: &World| is_goal(&search.setup, world) && is_recovered(world)),
        Property::sometimes("withdrawn and whole", |search: &Search, world: &World| {
            let is_withdrawn = world.journal.recovery.as_ref().is_some_and(|recovery| recovery.withdrawn.is_some());
            is_goal(&search.setup, world) && is_withdrawn && !world.is_cut
        }),
        Property::sometimes("back when it is removed", |search: &Search, world: &World| {
            is_goal(&search.setup, world) && is_recovered(world) && !world.is_cut
        }),
        Property::sometimes("two plans", |_, world: &World| {
            world.journal.recovery.as_ref().is_some_and(|recovery| recovery.plan.number > 1 && recovery.ended_at.is_some())
        }),
        Property::sometimes("half a fence", |search: &Search, world: &World| {
            let is_fenced = |record: &Record| record.stored.state == PlanState::Fenced;
            let survivors = || world.survivors(&search.setup).map(|at| world.nodes[at].plan.as_deref());
            survivors().any(|plan| plan.is_some_and(is_fenced)) && survivors().any(|plan| !plan.is_some_and(is_fenced))
        }),
        Property::sometimes("acknowledged in a log only", |search: &Search, world: &World| {
            let has = |at: usize| world.nodes[at].schema & world.acknowledged != 0;
            let may_have = |at: usize| world.nodes[at].logged() & world.acknowledged != 0;
            let survivors = || world.survivors(&search.setup);
            world.is_cut && !survivors().any(has) && survivors().any(may_have)
        }),
        Property::sometimes("another hash than that of the plan", |_, world: &World| {
            world.journal.recovery.is_some() && world.person.approved == Approved::Nonsense
        }),
        Property::sometimes("the hash of a former plan", |_, world: &World| {
            world.person.hashes.len() == 2 && world.person.approved == Approved::Plan(0)
        }),
        Property::sometimes("the donor is lost", |_, world: &World| {
            world.journal.recovery.as_ref().is_some_and(|recovery| recovery.needs_human)
        }),
        Property::sometimes("lost before there is a group", |search: &Search, world: &World| {
            let has_none = |at: usize| world.nodes[at].group.is_none() && world.nodes[at].removed == 0;
            world.is_cut && (0..NODES).all(has_none) && search.setup.is_forming
        }),
        Property::sometimes("nobody else knows the group of the lost", |search: &Search, world: &World| {
            let knows = |at: usize| world.nodes[at].group == Some(FORMER) || world.nodes[at].removed != 0;
            world.is_cut && places(search.setup.lost).all(knows) && !world.survivors(&search.setup).any(knows)
        }),
        Property::sometimes("an order of a former operator is to come", |_, world: &World| {
            let newest = world.nodes.iter().map(|node| node.epoch).max();
            world.late.iter().any(|order| Some(order.epoch) < newest)
        }),
    ]
}

fn is_recovered(world: &World) -> bool {
    world.nodes.iter().any(|node| node.group.is_some_and(|group| group != FORMER))
}

fn one_group(_: &Search, world: &World) -> bool {
    let groups = || world.nodes.iter().filter_map(|node| node.group);
    let differ = |a: Group, b: Group| a.number == b.number || a.incarnation != b.incarnation;
    groups().all(|a| groups().all(|b| differ(a, b)))
}

/// Of what was acknowledged by a majority without any survivor nothing is demanded but that which a survivor had. Where the former
/// group goes on, it may be in a log still.
fn nothing_lost(search: &Search, world: &World) -> bool {
    let setup = &search.setup;
    let owed = if world.loses_a_minority(setup) { world.acknowledged } else { world.acknowledged & world.saved };
    let has = |node: &Arc<Node>| owed & !node.schema == 0;
    let had = who_go_on(setup, world).fold(0, |rows, node| rows | node.schema | node.logged());
    let is_there = if is_recovered(world) { who_go_on(setup, world).all(has) } else { owed & !had == 0 };
    !is_goal(setup, world) || is_there
}

fn no_removed_is_believed(_: &Search, world: &World) -> bool {
    world.nodes.iter().all(|node| {
        let is_in = |of: usize| node.group.is_some() && world.nodes[of].group == node.group;
        places(node.removed).all(|removed| !is_in(removed))
    })
}

/// By the same plan, that is: once it is over, another one may be made and taken back.
fn no_way_back(_: &Search, world: &World) -> bool {
    let records = || world.nodes.iter().filter_map(|node| node.plan.as_deref());
    let journalled = world.journal.recovery.as_ref().is_some_and(|it| it.withdrawn.is_some() && it.reset_at.is_some());
    let is_of = |plan: &Record, record: &Record| record.stored.plan.number == plan.stored.plan.number;
    let is_withdrawn = |record: &Record| record.stored.state == PlanState::Withdrawn;
    let has_reset = |record: &Record| matches!(record.stored.state, PlanState::Resetting | PlanState::Done);
    let both_ways = |plan: &Record| is_withdrawn(plan) && records().any(|record| is_of(plan, record) && has_reset(record));
    !(journalled || records().any(|record| is_withdrawn(record) && record.is_reset || both_ways(record)))
}

/// Who is not lost, or has come back in time.
fn who_go_on<'a>(setup: &'a Setup, world: &'a World) -> impl Iterator<Item = &'a Arc<Node>> {
    let is_back = !world.is_cut && !is_recovered(world);
    let lost = world.gone | if is_back { 0 } else { setup.lost };
    places(!lost).map(|at| &world.nodes[at])
}

/// Where everything should end: all who go on are final in one group that has a majority, and no plan is open.
pub fn is_goal(setup: &Setup, world: &World) -> bool {
    let nodes = || who_go_on(setup, world);
    let is_open = |record: &Record| !matches!(record.stored.state, PlanState::Done | PlanState::Withdrawn);
    let is_over = world.journal.recovery.as_ref().is_none_or(|recovery| recovery.ended_at.is_some());
    let is_final = nodes().all(|node| node.is_in_service() && node.stage == Stage::UsePostRaft && node.group.is_some());
    let is_closed = nodes().all(|node| !node.plan.as_deref().is_some_and(is_open));
    let is_one = nodes().zip(nodes().skip(1)).all(|(one, other)| one.group == other.group);
    let has_majority = if is_recovered(world) {
        nodes().all(|node| node.removed & world.gone == world.gone)
    } else {
        !world.is_cut || world.loses_a_minority(setup)
    };
    world.orders.is_empty() && is_over && is_final && is_closed && is_one && has_majority
}
