//! What each look adds to the journal: who is who, how new what was seen is, since when a node is silent, when anything moved.

use super::{Action, Given, Journal, Plan, Progress, WaitingFor, terms};
use crate::observe::{HostId, NodeView, Observation, Part, PodName, PodState, Procedure};
use k8s_openapi::jiff::Timestamp;
use std::{
    collections::BTreeSet,
    fmt::Write as _,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// The journal with what this look adds.
pub(super) fn all(seen: &Observation, journal: &Journal, now: Timestamp) -> Journal {
    let mut journal = journal.clone();
    journal.begin_timers_by(now);
    journal.nodes.retain(|name, _| seen.nodes.contains_key(name));
    for set in seen.sets.iter().filter_map(Part::known) {
        let newest = journal.sets.entry(set.name.clone()).or_default();
        *newest = set.version.max(*newest);
    }
    for (name, view) in &seen.nodes {
        let node = journal.nodes.entry(name.clone()).or_default();
        if let Some(pod) = view.pod.known() {
            node.pod_version = node.pod_version.max(pod.version);
        }
        if let Some(said) = view.node.known() {
            node.sequence = node.sequence.max(said.sequence);
            node.host = Some(said.host);
        }
    }
    let up = seen_up(seen);
    for (name, view) in &seen.nodes {
        let node = journal.nodes.entry(name.clone()).or_default();
        let is_alive = view.node.known().is_some() || node.host.is_some_and(|host| up.contains(&host));
        node.silent_since = if is_alive { None } else { node.silent_since.or(Some(now)) };
    }
    journal.taken = journal.taken.filter(|taken| !terms::is_over(seen, taken));
    journal
}

/// Writes down since when nothing has moved. What is done, or waited for on purpose, is part of it: when a pause ends, or an act
/// is over, the time without progress begins anew.
pub(super) fn progress(given: &Given<'_>, plan: &mut Plan) {
    let marker = marker(given.seen, plan);
    let before = given.journal.progress.clone().filter(|progress| progress.marker == marker);
    plan.journal.progress = Some(before.unwrap_or(Progress { marker, since: given.now }));
}

/// Hosts that some node sees up.
fn seen_up(seen: &Observation) -> BTreeSet<HostId> {
    let peers = seen.nodes.values().filter_map(|view| view.node.known()).flat_map(|node| &node.peers);
    peers.filter(|(_, peer)| peer.up).map(|(host, _)| *host).collect()
}

/// States, steps, indexes, versions and readiness: whatever moves when the upgrade moves.
fn marker(seen: &Observation, plan: &Plan) -> String {
    let mut text = String::new();
    for (name, view) in &seen.nodes {
        mark(&mut text, name, view);
    }
    for set in seen.sets.iter().filter_map(Part::known) {
        let _ = write!(text, "{} {} {};", set.name, set.flag, set.template_hash);
    }
    // That a failed procedure is started again is no progress, nor that something is asked for a second time.
    for action in plan.actions.iter().filter(|action| !matches!(action, Action::RetryUpgrade { .. })) {
        let _ = write!(text, "{action};");
    }
    for why in &plan.report.waiting {
        let _ = match why {
            WaitingFor::IntentOpen { action } => write!(text, "{action};"),
            why if why.is_on_purpose() => write!(text, "{};", why.reason()),
            _ => Ok(()),
        };
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn mark(text: &mut String, name: &PodName, view: &NodeView) {
    if let Some(pod) = view.pod.known() {
        let state = match &pod.state {
            PodState::Running => "running",
            PodState::Changing => "changing",
            PodState::Down(_) => "down",
            PodState::Broken(_) => "broken",
        };
        let _ = write!(text, "{name} {} {state};", pod.uid);
    }
    if let Some(node) = view.node.known() {
        let step = match &node.procedure {
            Procedure::Running { step, .. } | Procedure::Failed { step, .. } => step.as_str(),
            Procedure::Idle => "idle",
            Procedure::Done => "done",
        };
        let commit = node.group.as_ref().map(|group| group.commit);
        let _ = write!(
            text,
            "{} {} {step} {commit:?} {} {} {} {};",
            node.generation,
            node.state,
            node.schema_version,
            node.ready.is_ok(),
            node.bootstrapped.is_ok(),
            node.feature_enabled
        );
    }
}
