//! A node that has never been in the cluster, while the feature is enabled everywhere: it takes no part in the upgrade of others and
//! waits until one is final, which adds it as a non-voter; then come snapshot, barrier, final state and vote.

use crate::{
    glue::Glue,
    old_way,
    world::{Entry, Place, Rule, Setup, World},
};
use group0_core::upgrade::Stage;

/// One act of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The first is added by the second.
    Add(Place, Place),
    /// The first takes the snapshot of the second.
    Snapshot(Place, Place),
    /// It has applied all that there is: it is final, and votes.
    Finish(Place),
}

/// What that node may do.
pub fn possible(setup: &Setup, world: &World, at: Place) -> impl Iterator<Item = Move> {
    let node = world.node(at);
    let waits = node.is_fresh && setup.obeys(Rule::FirstBootWaits) && old_way::may_enter(setup, world, at);
    let is_added = world.members(world.log.len()) & 1 << at != 0;
    let may = move |by: Place, rules: &[Rule]| {
        let is_member = world.applied_members(by) & 1 << by != 0;
        let is_final = world.node(by).stage == Stage::UsePostRaft;
        by != at && world.is_in_service(by) && is_member && (is_final || rules.iter().any(|rule| !setup.obeys(*rule)))
    };
    let helps = setup.places().filter_map(move |by| match (is_added, node.applied) {
        (false, _) => may(by, &[Rule::FinalOnesAdd]).then_some(Move::Add(at, by)),
        (true, 0) => may(by, &[Rule::FinalOnesAdd, Rule::FinalOnesMakeSnapshots]).then_some(Move::Snapshot(at, by)),
        (true, _) => None,
    });
    let is_current = is_added && node.applied == world.log.len();
    helps.chain(is_current.then_some(Move::Finish(at))).filter(move |_| waits)
}

/// Does it.
pub fn make(glue: &mut Glue<'_>, step: Move) {
    match step {
        Move::Add(at, _) => {
            glue.world.log.push(Entry::AddLearner(at));
            glue.world.node_mut(at).group = glue.world.group;
        }
        Move::Snapshot(at, of) => {
            let (applied, schema) = (glue.world.node(of).applied, glue.world.node(of).schema);
            let node = glue.world.node_mut(at);
            (node.applied, node.schema) = (applied, schema);
        }
        Move::Finish(at) => finish(glue, at),
    }
}

fn finish(glue: &mut Glue<'_>, at: Place) {
    glue.judge_final(at);
    let node = glue.world.node_mut(at);
    (node.stage, node.reached, node.is_fresh) = (Stage::UsePostRaft, Stage::UsePostRaft, false);
    node.ring.is_enabled = true;
    glue.world.log.push(Entry::Add(at));
    glue.start(at);
}
