//! The journal explains every act: what may do harm stands in it as an intent when it takes place, and a hold is lifted only once the
//! point of no return is written down.

use super::{Act, Invariant, Scene, Verdict};
use crate::events::Events;
use std::time::Duration;

/// What was ordered for an object that is gone may take place for so long after it was made again: its journal knows nothing of it.
const AFTERLIFE: Duration = Duration::from_mins(1);

#[derive(Default)]
pub struct Journalled {
    made: u64,
    made_at: Option<Duration>,
    no_return: bool,
}

impl Journalled {
    fn forgives(&self, scene: &Scene<'_>) -> bool {
        scene.object.is_none() || self.made_at.is_some_and(|at| scene.now < at + AFTERLIFE)
    }
}

impl Invariant for Journalled {
    fn name(&self) -> &'static str {
        "the journal explains every act"
    }

    fn on_act(&mut self, act: &Act, scene: &Scene<'_>, _: &mut Events) -> Verdict {
        if scene.made != self.made {
            self.made_at = (self.made > 0).then_some(scene.now);
            self.made = scene.made;
        }
        let status = scene.object.and_then(|object| object.status.as_ref());
        self.no_return |= status.is_some_and(|status| status.point_of_no_return_at.is_some());
        let intent = |verb: &str, target: &str, uid: &str, version: u64| {
            let intents = status.map(|status| status.intents.as_slice()).unwrap_or_default();
            intents.iter().any(|i| i.verb == verb && i.target == target && i.uid == uid && i.version == version)
        };
        let is_explained = match act {
            Act::Wrote { .. } => true,
            Act::Evicted { name, uid, version, .. } => intent("Recreate", name, uid, *version) || self.forgives(scene),
            Act::Replaced { name, uid } => intent("Replace", name, uid, 0) || self.forgives(scene),
            Act::Templated { set, version, flag } => {
                intent(if *flag { "SetFlag" } else { "UnsetFlag" }, set, "", *version) || self.forgives(scene)
            }
            Act::Restarted { name, generation, .. } => intent("Restart", name, "", *generation) || self.forgives(scene),
            Act::Proceeded { .. } => self.no_return || status.is_none(),
        };
        if is_explained { Ok(()) } else { Err("nothing of it is in the journal".into()) }
    }
}
