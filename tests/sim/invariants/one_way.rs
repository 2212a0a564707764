//! States go one way: before, `synchronize`, final; nobody sets `recovery` here.

use super::{Invariant, Turn, Verdict};
use crate::{events::Events, process::Pid};
use group0_core::upgrade::Stage;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneWay {
    stages: BTreeMap<Pid, Stage>,
}

impl Invariant for OneWay {
    fn name(&self) -> &'static str {
        "states go one way"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        let before = self.stages.insert(turn.pid, turn.stage).unwrap_or(Stage::UsePreRaft);
        let skips = before == Stage::UsePreRaft && turn.stage == Stage::UsePostRaft;
        if turn.stage < before || turn.stage == Stage::Recovery || skips {
            return Err(format!("it went from {before} to {}", turn.stage));
        }
        Ok(())
    }
}
