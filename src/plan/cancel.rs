//! `spec.cancel` before the point of no return: the flag is taken back on every pod that has it, one at a time.

use super::{Action, Given, Plan, gate, rolling};
use crate::{crd::Phase, observe::UpgradeState};

/// The next pod that must lose the flag, or the end of the run.
pub(super) fn next(given: &Given<'_>) -> Plan {
    if let Some(waiting) = rolling::unreadable_pods(given) {
        return given.wait(Phase::Cancelling, waiting);
    }
    let actions = rolling::templates(given, false);
    if !actions.is_empty() {
        return Plan { actions, ..given.wait(Phase::Cancelling, Vec::new()) };
    }
    if let Some(plan) = rolling::corrected(given, Phase::Cancelling) {
        return plan;
    }
    let Some((name, view)) = rolling::next_to_take(given, |pod| pod.flag || pod.hold) else { return cancelled(given) };
    let mut waiting = gate::closed_by(given, Some(name), &[UpgradeState::PreRaft]);
    waiting.extend(rolling::not_to_be_taken_yet(given, name, view));
    if !waiting.is_empty() {
        return given.wait(Phase::Cancelling, waiting);
    }
    if let Some(plan) = rolling::held_back(given, Phase::Cancelling, true) {
        return plan;
    }
    rolling::take(given, Phase::Cancelling, name, view)
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
