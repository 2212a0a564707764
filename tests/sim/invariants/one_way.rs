//! States go one way: before, `synchronize`, final. Only who is alone in its group, and so has nobody to tell, may go through all of it in
//! one transaction. Recovery begins when a person orders it; after it a node goes on where it was, or at `synchronize` if it was beyond.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{ids::HostId, io::Point, upgrade::Stage};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneWay {
    /// How far each has come, and whether it is in recovery.
    hosts: BTreeMap<HostId, (Stage, bool)>,
}

impl Invariant for OneWay {
    fn name(&self) -> &'static str {
        "states go one way"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        let (before, in_recovery) = self.hosts.get(&turn.host).copied().unwrap_or((Stage::UsePreRaft, false));
        // Who forgets its group on its way into the ring begins anew.
        let before = if turn.passes(Point::GroupForgotten) && !in_recovery { Stage::UsePreRaft } else { before };
        let is_alone = turn.group.as_ref().is_some_and(|group| group.hosts.iter().eq([&turn.host]));
        let is_legal = match (turn.stage, in_recovery) {
            (Stage::Recovery, _) => in_recovery || turn.passes(Point::Recovery),
            (stage, true) => stage >= before.min(Stage::Synchronize),
            (stage, false) => stage >= before && (before > Stage::UsePreRaft || stage < Stage::UsePostRaft || is_alone),
        };
        let before = if turn.passes(Point::GroupForgotten) { Stage::UsePreRaft } else { before };
        let reached = if turn.stage == Stage::Recovery { before } else { turn.stage };
        self.hosts.insert(turn.host, (reached, turn.stage == Stage::Recovery));
        if is_legal { Ok(()) } else { Err(format!("it went from {before} to {}, in recovery before: {in_recovery}", turn.stage)) }
    }
}
