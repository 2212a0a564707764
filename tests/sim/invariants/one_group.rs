//! S3: one incarnation of a cluster adopts one group id, and a group has one incarnation.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::ids::{GroupId, Incarnation};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneGroup {
    groups: BTreeMap<Incarnation, GroupId>,
    incarnations: BTreeMap<GroupId, Incarnation>,
}

impl Invariant for OneGroup {
    fn name(&self) -> &'static str {
        "S3 one group an incarnation"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        let Some(group) = &turn.group else { return Ok(()) };
        let first = *self.groups.entry(turn.incarnation).or_insert(group.id);
        if first != group.id {
            return Err(format!("it is in {} of incarnation {}, in which there is {first}", group.id, turn.incarnation));
        }
        let first = *self.incarnations.entry(group.id).or_insert(turn.incarnation);
        if first != turn.incarnation {
            return Err(format!("it takes {} for one of incarnation {}, and that is {first}", group.id, turn.incarnation));
        }
        Ok(())
    }
}
