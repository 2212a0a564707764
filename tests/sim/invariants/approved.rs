//! The point of no return is passed only by a run that a human approved, if one must; and what is journalled of it stays.

use super::{Act, Invariant, Scene, Verdict};
use crate::events::Events;
use group0_operator::crd::Mode;

#[derive(Default)]
pub struct Approved {
    passed: bool,
}

impl Invariant for Approved {
    fn name(&self) -> &'static str {
        "the point of no return is approved"
    }

    fn on_act(&mut self, act: &Act, scene: &Scene<'_>, events: &mut Events) -> Verdict {
        let (Act::Wrote { before: Some(before) }, Some(object)) = (act, scene.object) else { return Ok(()) };
        let passed = |status: &Option<group0_operator::crd::Group0UpgradeStatus>| {
            status.as_ref().is_some_and(|status| status.point_of_no_return_at.is_some())
        };
        match (passed(&before.status), passed(&object.status)) {
            (true, false) => return Err("the journal forgets the point of no return".into()),
            (false, true) => {}
            _ => return Ok(()),
        }
        if std::mem::replace(&mut self.passed, true) {
            events.count("point of no return found passed");
            return Ok(());
        }
        events.count("point of no return");
        let run = object.status.as_ref().map(|status| status.run_id.clone());
        if object.spec.mode == Mode::Supervised && object.spec.approved_run_id != run {
            return Err("nobody approved it".into());
        }
        Ok(())
    }
}
