//! States go one way: before, `synchronize`, final; nobody sets `recovery` here. Only who is alone in its group, and so has nobody to
//! tell, may go through all of it in one transaction.

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
        let is_alone = turn.group.as_ref().is_some_and(|group| group.hosts.iter().eq([&turn.host]));
        let skips = before == Stage::UsePreRaft && turn.stage == Stage::UsePostRaft && !is_alone;
        if turn.stage < before || turn.stage == Stage::Recovery || skips {
            return Err(format!("it went from {before} to {}", turn.stage));
        }
        Ok(())
    }
}
