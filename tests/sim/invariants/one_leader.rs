//! At most one leader a term.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::ids::{GroupId, HostId};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneLeader {
    leaders: BTreeMap<(GroupId, u64), HostId>,
}

impl Invariant for OneLeader {
    fn name(&self) -> &'static str {
        "at most one leader a term"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        let Some(group) = turn.group.as_ref().filter(|group| group.is_leader) else { return Ok(()) };
        let leader = *self.leaders.entry((group.id, group.term)).or_insert(turn.host);
        if leader == turn.host {
            return Ok(());
        }
        Err(format!("{} leads term {}, as {leader} does", turn.host, group.term))
    }
}
