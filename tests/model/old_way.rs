//! Before the feature is enabled everywhere: how a node comes into the ring the old way, and how the feature comes to be enabled. A
//! newcomer asks for leave, is recorded by whom it asked, pulls the schema and is a member; answers are late, or lost.

use crate::{
    glue::Glue,
    world::{Bits, Node, Place, Rule, Setup, World, host, peer, places},
};
use group0_core::{
    discovery,
    gossip::{Endpoint, RingStatus},
    group0::joining,
    ids::{Generation, Incarnation},
    upgrade::{
        Stage,
        feature::{self, Flag, Leave},
        machine,
    },
};
use std::collections::BTreeSet;

/// What a node knows of the ring and of the feature. All of it is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ring {
    /// Its `system.peers`; gossip knows the same.
    pub peers: Bits,
    /// Whether the feature is enabled on it.
    pub is_enabled: bool,
    /// Whether it was told to proceed in spite of its hold.
    pub proceeds: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The first asks the second for leave, which gives it; the answer is on its way, for as long as it likes.
    Ask(Place, Place),
    /// It has heard of that, pulls the schema, and is in the ring.
    ComeIn(Place),
    /// The first hears by gossip that the second is a member.
    Hear(Place, Place),
    /// The feature is enabled on it.
    Enable(Place),
    /// The operator takes its hold away.
    Proceed(Place),
    /// A person removes it, which is down and has not come in.
    Remove(Place),
}

/// What may happen on that node, or to it.
pub fn possible(setup: &Setup, world: &World, at: Place) -> Vec<Move> {
    let mut moves = Vec::new();
    if !setup.enabling {
        return moves;
    }
    let node = world.node(at);
    let Some(process) = &node.process else {
        moves.extend(is_in_the_way(setup, world, at).then_some(Move::Remove(at)));
        return moves;
    };
    if node.is_fresh {
        let gives = |by: &Place| *by != at && process.leave != Some(*by) && leave(setup, world, *by, at) == Leave::OldWay;
        let asked = setup.places().filter(|by| world.is_in_service(*by) && !world.node(*by).is_fresh).filter(gives);
        moves.extend(asked.map(|by| Move::Ask(at, by)));
        moves.extend(process.leave.filter(|by| world.is_up(*by)).map(|_| Move::ComeIn(at)));
    } else {
        let is_member = |of: &Place| !world.node(*of).is_fresh || world.process(*of).leave.is_some();
        let unheard = setup.places().filter(|of| *of != at && node.ring.peers & 1 << of == 0 && world.is_up(*of));
        moves.extend(unheard.filter(is_member).map(|of| Move::Hear(at, of)));
        moves.extend(may_enable(setup, world, at).then_some(Move::Enable(at)));
    }
    let is_over = world.nodes.iter().any(|node| node.stage == Stage::UsePostRaft);
    moves.extend((flag(setup, node, at).is_held() && !is_over).then_some(Move::Proceed(at)));
    moves
}

/// Lets it happen.
pub fn make(glue: &mut Glue<'_>, happens: Move) {
    match happens {
        Move::Ask(at, by) => {
            if glue.setup.obeys(Rule::LeaveIsRecorded) {
                learn(glue, by, at);
            }
            glue.world.process_mut(at).leave = Some(by);
        }
        Move::ComeIn(at) => come_in(glue, at),
        Move::Hear(at, of) => learn(glue, at, of),
        Move::Enable(at) => {
            glue.world.node_mut(at).ring.is_enabled = true;
            glue.upgrade(at, machine::Event::Begin);
        }
        Move::Proceed(at) => glue.world.node_mut(at).ring.proceeds = true,
        Move::Remove(gone) => remove(glue, gone),
    }
}

/// As the flag of that node stands; all nodes have it, and some of them a hold.
fn flag(setup: &Setup, node: &Node, at: Place) -> Flag {
    let Ring { is_enabled, proceeds, .. } = node.ring;
    Flag { configured: Some(true), hold: setup.held & 1 << at != 0, proceed: proceeds, enabled: is_enabled }
}

/// Whether a node that was never in the cluster may come in through the group, although it has a hold.
pub fn may_enter(setup: &Setup, world: &World, at: Place) -> bool {
    setup.obeys(Rule::HoldEndsWithTheFeature) || !flag(setup, world.node(at), at).is_held()
}

fn leave(setup: &Setup, world: &World, by: Place, at: Place) -> Leave {
    let node = world.node(by);
    let is_enabled = node.ring.is_enabled && setup.obeys(Rule::LeaveEndsWithTheFeature);
    let is_recorded = node.ring.peers & 1 << at != 0 && setup.obeys(Rule::RecordedMayComeIn);
    let stage = if setup.obeys(Rule::LeaveEndsWithTheFeature) { node.stage } else { Stage::UsePreRaft };
    feature::leave(is_enabled, stage, is_recorded, flag(setup, world.node(at), at).advertises())
}

fn may_enable(setup: &Setup, world: &World, at: Place) -> bool {
    let node = world.node(at);
    let may = !node.ring.is_enabled && node.stage != Stage::Recovery;
    may && feature::can_enable(flag(setup, node, at), endpoints(setup, world, at).iter().map(Some))
}

/// What gossip tells of those whom it knows. That it may be late is only that the feature is enabled later.
fn endpoints(setup: &Setup, world: &World, at: Place) -> Vec<Endpoint> {
    let endpoint = |of: Place| {
        let features = flag(setup, world.node(of), of).advertises().then(|| feature::SUPPORTS_RAFT_CLUSTER_MANAGEMENT.into());
        Endpoint {
            host: host(of),
            generation: Generation(1),
            version: 1,
            status: RingStatus::Normal,
            address: peer(of).address,
            rpc_address: peer(of).address,
            data_center: String::new(),
            rack: String::new(),
            release: String::new(),
            tokens: BTreeSet::new(),
            features: features.into_iter().collect(),
            schema_version: uuid::Uuid::nil(),
            group: None,
            incarnation: Incarnation(0),
            is_final: false,
        }
    };
    places(world.node(at).ring.peers).map(endpoint).collect()
}

/// Whoever knows of a member waits for it from then on.
fn learn(glue: &mut Glue<'_>, at: Place, of: Place) {
    glue.world.node_mut(at).ring.peers |= 1 << of;
    glue.upgrade(at, machine::Event::Changed);
}

/// It goes on as any other member. What is changed after the pull it may have heard of, or not.
fn come_in(glue: &mut Glue<'_>, at: Place) {
    let Some(by) = glue.world.process_mut(at).leave.take() else { return };
    let schema = glue.world.node(by).schema;
    let node = glue.world.node_mut(at);
    node.schema |= schema;
    node.is_fresh = false;
}

/// Somebody waits for one that was recorded, and never came in. Nobody else is down, or removal would be refused.
fn is_in_the_way(setup: &Setup, world: &World, at: Place) -> bool {
    let is_lost = setup.lost & 1 << at != 0 && world.node(at).is_fresh && world.members(world.log.len()) & 1 << at == 0;
    is_lost && setup.obeys(Rule::LostAreRemoved) && world.nodes.iter().any(|node| node.ring.peers & 1 << at != 0)
}

fn remove(glue: &mut Glue<'_>, gone: Place) {
    for at in glue.setup.places().filter(|at| *at != gone) {
        glue.world.node_mut(at).ring.peers &= !(1 << gone);
        if glue.world.is_up(at) {
            glue.join(at, joining::Event::Discovery(discovery::Event::Removed(BTreeSet::from([host(gone)]))));
            glue.upgrade(at, machine::Event::Changed);
        }
    }
}
