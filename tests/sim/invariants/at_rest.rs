//! While spec says paused or dryRun nothing is begun: no status written to that object adds an intent.

use super::{Act, Invariant, Scene, Verdict};
use crate::events::Events;

pub struct AtRest;

impl Invariant for AtRest {
    fn name(&self) -> &'static str {
        "nothing is begun while the run is paused"
    }

    fn on_act(&mut self, act: &Act, scene: &Scene<'_>, _: &mut Events) -> Verdict {
        let (Act::Wrote { before: Some(before) }, Some(object)) = (act, scene.object) else { return Ok(()) };
        if !(before.spec.paused || before.spec.dry_run) {
            return Ok(());
        }
        let known = before.status.as_ref().map(|status| status.intents.as_slice()).unwrap_or_default();
        let now = object.status.as_ref().map(|status| status.intents.as_slice()).unwrap_or_default();
        match now.iter().find(|intent| !known.contains(intent)) {
            Some(intent) => Err(format!("{} {} is begun", intent.verb, intent.target)),
            None => Ok(()),
        }
    }
}
