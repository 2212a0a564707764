//! Nobody is restarted for nothing: a pod that serves, and is as its template has it, is never evicted.

use super::{Act, Invariant, Scene, Verdict};
use crate::events::Events;

pub struct Needed;

impl Invariant for Needed {
    fn name(&self) -> &'static str {
        "no pod is made again that is as it is to be"
    }

    fn on_act(&mut self, act: &Act, _: &Scene<'_>, _: &mut Events) -> Verdict {
        match act {
            Act::Evicted { served: true, is_right: true, .. } => Err("it serves, and is as its template has it".into()),
            _ => Ok(()),
        }
    }
}
