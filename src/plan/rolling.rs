//! Gives the flag and the hold to one node after the other, then passes the point of no return.

use super::{Action, Given, Journal, Plan, WaitingFor, forming, gate, health::signed};
use crate::{
    crd::Phase,
    observe::{NodeView, PodName, UpgradeState},
};
use k8s_openapi::jiff::Timestamp;
use std::{cmp::Reverse, time::Duration};

/// The next restart, or the point of no return, or what is waited for.
pub(super) fn next(given: &Given<'_>) -> Plan {
    if let Some(waiting) = unreadable_pods(given) {
        return given.wait(Phase::Rolling, waiting);
    }
    let next = next_to_take(given);
    let mut waiting = gate::closed_by(given, next.map(|(name, _)| name), &[UpgradeState::PreRaft]);
    if let Some((name, view)) = next
        && let Err(why) = given.healthy(name, view)
        && !given.needs_restart(name, view)
    {
        waiting.insert(0, why);
    }
    if !waiting.is_empty() {
        return gate_closed(given, waiting);
    }
    let journal = Journal { gate_held_since: given.journal.gate_held_since.or(Some(given.now)), ..given.journal.clone() };
    let given = &Given { journal: &journal, ..*given };
    match (next, held_back(given, next.is_some())) {
        (_, Some((why, until))) => Plan { next_look: until, ..given.wait(Phase::Rolling, vec![why]) },
        (Some((name, view)), None) => take(given, name, view),
        (None, None) => pass_the_point_of_no_return(given),
    }
}

/// Whether a pod has the flag must be known of every pod: it decides who is next, and whether all have it.
fn unreadable_pods(given: &Given<'_>) -> Option<Vec<WaitingFor>> {
    let unreadable = |(name, view): (&PodName, &NodeView)| match (view.pod.known(), given.answering(name, view)) {
        (None, Err(why)) => Some(why),
        _ => None,
    };
    let waiting: Vec<_> = given.seen.nodes.iter().filter_map(unreadable).collect();
    (!waiting.is_empty()).then_some(waiting)
}

/// Of the pods without flag or hold: one that needs a restart anyway, else rack by rack the highest ordinal.
pub(super) fn next_to_take<'a>(given: &Given<'a>) -> Option<(&'a PodName, &'a NodeView)> {
    let lacking = |view: &NodeView| view.pod.known().is_some_and(|pod| !(pod.flag && pod.hold));
    let order = |name: &PodName, view: &NodeView| (!given.needs_restart(name, view), name.rack, Reverse(name.ordinal));
    given.seen.nodes.iter().filter(|(_, view)| lacking(view)).min_by_key(|(name, view)| order(name, view))
}

fn gate_closed(given: &Given<'_>, waiting: Vec<WaitingFor>) -> Plan {
    let mut plan = given.wait(Phase::Rolling, waiting);
    plan.journal.gate_held_since = None;
    plan
}

/// What `spec.pacing` still asks for, and until when.
fn held_back(given: &Given<'_>, between_nodes: bool) -> Option<(WaitingFor, Timestamp)> {
    let later = |at: Option<Timestamp>, seconds: u32| {
        let until = at?.saturating_add(signed(Duration::from_secs(seconds.into()))).ok()?;
        (until > given.now).then_some(until)
    };
    let pacing = &given.spec.pacing;
    let baking = later(given.journal.gate_held_since, pacing.bake_seconds).map(|until| (WaitingFor::Baking { until }, until));
    let last_restart = given.journal.last_restart_at.filter(|_| between_nodes);
    let between = later(last_restart, pacing.min_seconds_between_nodes);
    baking.or_else(|| between.map(|until| (WaitingFor::Pacing { until }, until)))
}

/// Restarts this pod with the flag and the hold.
pub(super) fn take(given: &Given<'_>, name: &PodName, view: &NodeView) -> Plan {
    let uid = view.pod.known().map(|pod| pod.uid.clone()).unwrap_or_default();
    let mut plan = given.wait(Phase::Rolling, Vec::new());
    plan.journal.last_restart_at = Some(given.now);
    plan.journal.gate_held_since = None;
    plan.actions.push(Action::Recreate { node: name.clone(), uid, flag: true, hold: true });
    plan
}

fn pass_the_point_of_no_return(given: &Given<'_>) -> Plan {
    let journal = Journal { point_of_no_return_at: Some(given.now), ..given.journal.clone() };
    forming::follow(&Given { journal: &journal, ..*given })
}
