//! When the roll should be over, from the restarts that it has behind it.

use crate::{
    crd::Phase,
    observe::{NodeView, Observation},
    plan::{Plan, WaitingFor},
};
use k8s_openapi::jiff::Timestamp;

/// The last restart, and the time between two of them for each pod that is still to come, and once more for the last to come
/// back. It stays the same from one restart to the next. Nobody can tell before the second restart, while a human or a window
/// is waited for, and once the estimate has turned out too short; from the point of no return the nodes set the pace.
pub(super) fn eta(plan: &Plan, seen: &Observation, now: Timestamp) -> Option<Timestamp> {
    let journal = &plan.journal;
    let (began, last) = (journal.preflight_passed_at?, journal.last_restart_at?);
    let is_paced = |why: &WaitingFor| matches!(why, WaitingFor::Pacing { .. } | WaitingFor::Baking { .. });
    let is_held = plan.report.waiting.iter().any(|why| why.is_on_purpose() && !is_paced(why));
    if plan.report.phase != Phase::Rolling || is_held {
        return None;
    }
    let has_flag = |view: &&NodeView| view.pod.known().is_some_and(|pod| pod.flag && pod.hold);
    let of_this_run = |view: &&NodeView| view.pod.known().is_some_and(|pod| pod.since >= began);
    let under_way = usize::from(journal.taken.is_some());
    let restarts = seen.nodes.values().filter(has_flag).filter(of_this_run).count() + under_way;
    let left = seen.nodes.values().filter(|view| !has_flag(view)).count().saturating_sub(under_way);
    let times = |count: usize| i32::try_from(count).ok();
    let pace = last.duration_since(began).checked_div(times(restarts.checked_sub(1)?)?)?;
    let eta = last.checked_add(pace.checked_mul(times(left + 1)?)?).ok()?;
    (eta > now).then_some(eta)
}
