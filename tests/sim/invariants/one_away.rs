//! An operator never takes a serving node while another one that it took is not back. One that is as its template has it and does not serve is
//! given up rather than taken: what comes instead may have to wait for a recovery, in which the others are restarted (seed 7305 with
//! disasters).

use super::{Act, Invariant, Scene, Verdict};
use crate::{events::Events, process::Pid};
use std::collections::BTreeSet;

#[derive(Default)]
pub struct OneAway {
    taken: BTreeSet<Pid>,
}

impl Invariant for OneAway {
    fn name(&self) -> &'static str {
        "an operator takes one node at a time"
    }

    fn on_act(&mut self, act: &Act, scene: &Scene<'_>, _: &mut Events) -> Verdict {
        // One whose machine is lost since does not come back.
        self.taken.retain(|node| !scene.lost.contains(node) && !scene.serving.get(*node).copied().unwrap_or_default());
        let (node, served) = match act {
            Act::Evicted { served: false, is_right: true, .. } | Act::Wrote { .. } | Act::Proceeded { .. } => return Ok(()),
            Act::Evicted { node, served, .. } => (*node, *served),
            Act::Restarted { node, .. } => (*node, true),
        };
        let other = self.taken.iter().find(|other| **other != node).copied();
        self.taken.insert(node);
        match other.filter(|_| served) {
            Some(other) => Err(format!("it took n{} before, which is not back", other + 1)),
            None => Ok(()),
        }
    }
}
