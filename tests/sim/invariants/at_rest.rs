//! While spec says paused or dryRun nothing is begun: no status written to that object adds an intent.

use super::{Act, Invariant, Scene, Verdict};
use crate::events::Events;
use group0_operator::crd::IntentStatus;

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
        // An operator that finds no journal presumes that something unknown is under way; it begins nothing by that.
        let is_presumed =
            |intent: &IntentStatus| intent.version == 0 && ["Recreate", "UnsetFlag"].contains(&intent.verb.as_str());
        match now.iter().find(|intent| !known.contains(intent) && !is_presumed(intent)) {
            Some(intent) => Err(format!("{} {} is begun", intent.verb, intent.target)),
            None => Ok(()),
        }
    }
}
