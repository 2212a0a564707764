//! What is still to come, one line a step: for `dryRun`, and for anyone who asks.

use super::{Given, Plan, guard, rolling};
use crate::{
    crd::{Mode, Phase},
    observe::{NodeView, PodName},
};
use std::cmp::Reverse;

/// The ordered plan. Before the roll it begins with every guard's verdict.
pub(super) fn lines(given: &Given<'_>, plan: &Plan) -> Vec<String> {
    match plan.report.phase {
        Phase::Complete | Phase::Cancelled | Phase::Failed => Vec::new(),
        Phase::Forming | Phase::Synchronizing => vec!["follow every node until it is final and a voter of one group".into()],
        Phase::Cancelling => taking_back(given),
        _ => whole(given),
    }
}

fn whole(given: &Given<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if given.journal.preflight_passed_at.is_none() {
        lines.extend(guard::ask(given, |_| true).iter().map(verdict));
    }
    lines.extend(rolling::templates(given, true).iter().map(ToString::to_string));
    lines.extend(in_order(given, |flag, hold| !(flag && hold)).map(|name| format!("recreate {name}, then wait for the gate")));
    if given.spec.mode == Mode::Supervised && given.spec.approved_run_id.as_ref() != Some(&given.journal.run_id) {
        lines.push(format!("wait for spec.approvedRunID: {}", given.journal.run_id));
    }
    if given.spec.backup.enabled && given.journal.nodes.values().any(|node| !node.backed_up) {
        lines.push("back up the schema of every node".into());
    }
    lines.push("pass the point of no return: proceed on every node".into());
    lines.push("follow every node until it is final and a voter of one group".into());
    lines
}

fn taking_back(given: &Given<'_>) -> Vec<String> {
    let templates = rolling::templates(given, false).into_iter().map(|action| action.to_string());
    let pods = in_order(given, |flag, hold| flag || hold).map(|name| format!("recreate {name}, then wait for the gate"));
    templates.chain(pods).collect()
}

/// The pods that are to be made again, in the order in which they would be.
fn in_order(given: &Given<'_>, is_to_be: impl Fn(bool, bool) -> bool) -> impl Iterator<Item = String> {
    let mut pods: Vec<(&PodName, &NodeView)> =
        given.seen.nodes.iter().filter(|(_, view)| view.pod.known().is_none_or(|pod| is_to_be(pod.flag, pod.hold))).collect();
    pods.sort_by_key(|(name, view)| (!given.needs_restart(name, view), name.rack, Reverse(name.ordinal)));
    pods.into_iter().map(|(name, _)| name.name.clone())
}

fn verdict(verdict: &guard::Verdict) -> String {
    let name = verdict.guard.name();
    match (verdict.refused.first(), &verdict.overridden) {
        (None, _) => format!("guard {name}: passes"),
        (Some(why), Some(reason)) => format!("guard {name}: overridden ({reason}): {why}"),
        (Some(why), None) => format!("guard {name}: refuses: {why}"),
    }
}
