//! S6: while a node is final, nobody of the same incarnation changes the schema the old way.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::{HostId, Incarnation},
    io::Point,
    upgrade::Stage,
};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OldWay {
    /// The first that was final, by incarnation.
    first: BTreeMap<Incarnation, String>,
    /// Who has forgotten its group, and in which incarnation: until it is in another one, what is final there is no matter of it.
    forgotten: BTreeMap<HostId, Incarnation>,
}

impl Invariant for OldWay {
    fn name(&self) -> &'static str {
        "S6 nothing the old way once one is final"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        if turn.passes(Point::GroupForgotten) {
            self.forgotten.insert(turn.host, turn.incarnation);
        }
        // Who never was in a group is to hear of the first one before anybody is final in it (traces 53, 71).
        let era = turn.incarnation.max(Incarnation(1));
        let changed = turn.changes.iter().any(|change| change.wrote && change.stage != Stage::Recovery);
        let counts = changed && self.forgotten.get(&turn.host) != Some(&turn.incarnation);
        if let Some(first) = self.first.get(&era).filter(|_| counts) {
            return Err(format!("it changed the schema the old way, and {first} is final"));
        }
        if turn.passes(Point::Final) {
            self.first.entry(turn.incarnation).or_insert_with(|| turn.name.clone());
        }
        Ok(())
    }
}
