//! S6: while a node is final, nobody changes the schema the old way.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{io::Point, upgrade::Stage};

#[derive(Default)]
pub struct OldWay {
    first: Option<String>,
    /// The group was forgotten in a recovery: what was final is not any more.
    is_over: bool,
}

impl Invariant for OldWay {
    fn name(&self) -> &'static str {
        "S6 nothing the old way once one is final"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        self.is_over |= turn.passes(Point::GroupForgotten);
        if self.is_over {
            return Ok(());
        }
        let changed = turn.changes.iter().any(|change| change.wrote && change.stage == Stage::UsePreRaft);
        if let Some(first) = self.first.as_ref().filter(|_| changed) {
            return Err(format!("it changed the schema the old way, and {first} is final"));
        }
        if turn.passes(Point::Final) {
            self.first.get_or_insert_with(|| turn.name.clone());
        }
        Ok(())
    }
}
