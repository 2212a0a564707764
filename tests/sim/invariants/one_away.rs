//! An operator never takes a serving node while another one that it took is not back. One that does not serve and is as its template has it is
//! given up rather than taken, and of one that is not so nothing is asked where a recovery restarts the others: what comes instead may be an
//! empty node that waits for that recovery (seeds 7305 with disasters and 54155).

use super::{Act, Invariant, Scene, Verdict};
use crate::{events::Events, process::Pid};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneAway {
    /// And whether it served then.
    taken: BTreeMap<Pid, bool>,
}

impl Invariant for OneAway {
    fn name(&self) -> &'static str {
        "an operator takes one node at a time"
    }

    fn on_act(&mut self, act: &Act, scene: &Scene<'_>, _: &mut Events) -> Verdict {
        // One whose machine is lost since does not come back.
        self.taken.retain(|node, _| !scene.lost.contains(node) && !scene.serving.get(*node).copied().unwrap_or_default());
        let (node, served, recovers) = match act {
            Act::Evicted { served: false, is_right: true, .. }
            | Act::Replaced { .. }
            | Act::Templated { .. }
            | Act::Wrote { .. }
            | Act::Proceeded { .. } => return Ok(()),
            Act::Evicted { node, served, .. } => (*node, *served, false),
            Act::Restarted { node, .. } => (*node, true, true),
        };
        let others = self.taken.iter().filter(|(other, served)| **other != node && (**served || !recovers));
        let other = others.map(|(other, _)| *other).next();
        self.taken.insert(node, served);
        match other.filter(|_| served) {
            Some(other) => Err(format!("it took n{} before, which is not back", other + 1)),
            None => Ok(()),
        }
    }
}
