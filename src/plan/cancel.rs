//! `spec.cancel` before the point of no return: the flag is taken back on every pod that has it, one at a time.

use super::{Action, Given, Plan, rolling};
use crate::{crd::Phase, observe::UpgradeState};

/// The next pod that must lose the flag, or the end of the run.
pub(super) fn next(given: &Given<'_>) -> Plan {
    if let Some(waiting) = rolling::unreadable_pods(given) {
        return given.wait(Phase::Cancelling, waiting);
    }
    if let Some(plan) = rolling::templates_first(given, Phase::Cancelling, false) {
        return plan;
    }
    if let Some(plan) = rolling::corrected(given, Phase::Cancelling) {
        return plan;
    }
    match rolling::next_to_take(given, |pod| pod.flag || pod.hold) {
        Some(next) => rolling::take_gated(given, Phase::Cancelling, next, &[UpgradeState::PreRaft]),
        None => cancelled(given),
    }
}

/// No pod and no template has the flag: a later run starts fresh.
fn cancelled(given: &Given<'_>) -> Plan {
    let mut plan = given.wait(Phase::Cancelled, vec![super::WaitingFor::Cancelled]);
    plan.journal.cancelled_at = plan.journal.cancelled_at.or(Some(given.now));
    plan.actions = given
        .seen
        .sets
        .iter()
        .filter_map(crate::observe::Part::known)
        .filter_map(|set| {
            let is_ours = set.owner.as_ref().is_some_and(|owner| owner.uid == given.seen.object.uid);
            is_ours.then(|| Action::Disown { set: set.name.clone(), version: set.version })
        })
        .collect();
    plan
}
