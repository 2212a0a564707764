//! S1: in `synchronize` a node changes nothing for its clients, so nothing of the old way is under way when it is stored.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::upgrade::Stage;

pub struct Drained;

impl Invariant for Drained {
    fn name(&self) -> &'static str {
        "S1 nothing is under way in synchronize"
    }

    fn on_turn(&mut self, turn: &Turn, events: &mut Events) -> Verdict {
        for change in &turn.changes {
            match (change.stage, change.wrote) {
                (Stage::Synchronize, true) => return Err("it changed the schema for a client in synchronize".into()),
                (Stage::Recovery, true) => events.count("schema change in recovery"),
                (Stage::UsePreRaft, true) => events.count("schema change the old way"),
                _ => {}
            }
        }
        Ok(())
    }
}
