//! What a person does to a node: puts it into recovery, by a write and a restart, and takes it out again in the same way.
//!
//! Nothing restarts a node between write and restart but the person; both writes are durable before their answers.

use crate::{
    glue::Glue,
    moves,
    world::{Place, Rule, Setup, World},
};
use group0_core::upgrade::{Stage, machine};

/// One act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// `recovery` is stored.
    Enter(Place),
    /// The node is restarted into it.
    Restart(Place),
    /// The stored state is removed, and the node ended.
    Leave(Place),
}

/// What a person may do to that node.
pub fn possible(setup: &Setup, world: &World, at: Place) -> Option<Move> {
    let node = world.node(at);
    let process = node.process.as_ref()?;
    match (node.stage, process.recovers) {
        (Stage::Recovery, false) => Some(Move::Restart(at)),
        (Stage::Recovery, true) => Some(Move::Leave(at)),
        _ if world.recoveries > 0 && setup.recoverable & 1 << at != 0 => Some(Move::Enter(at)),
        _ => None,
    }
}

/// Does it.
pub fn make(glue: &mut Glue<'_>, step: Move) {
    match step {
        Move::Enter(at) => enter(glue, at),
        Move::Restart(at) => moves::end(glue, at),
        Move::Leave(at) => leave(glue, at),
    }
}

fn enter(glue: &mut Glue<'_>, at: Place) {
    glue.world.recoveries -= 1;
    glue.world.node_mut(at).stage = Stage::Recovery;
    if glue.setup.obeys(Rule::MarkerEndsProcedure) && glue.world.process(at).upgrade.step().is_some() {
        glue.upgrade(at, machine::Event::Overruled(Stage::Recovery));
    }
}

/// Who had reached `synchronize` or beyond begins again there.
fn leave(glue: &mut Glue<'_>, at: Place) {
    let keeps = glue.setup.obeys(Rule::ReachedIsKept);
    let node = glue.world.node_mut(at);
    node.stage = if keeps { node.reached.min(Stage::Synchronize) } else { Stage::UsePreRaft };
    moves::end(glue, at);
}
