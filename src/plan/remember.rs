//! What each look adds to the journal: who is who, how new what was seen is, since when a node is silent, when anything moved.

use super::{Action, Commit, Given, Journal, Plan, Progress, WaitingFor, recovery::hosts, terms};
use crate::observe::{HostId, NodeView, Observation, Part, PodName, PodState, Procedure, UpgradeState};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

/// The journal with what this look adds.
pub(super) fn all(given: &Given<'_>) -> Journal {
    let (seen, now) = (given.seen, given.now);
    let mut journal = given.journal.clone();
    journal.begin_timers_by(now);
    journal.nodes.retain(|name, _| seen.nodes.contains_key(name));
    for set in seen.sets.iter().filter_map(Part::known) {
        let newest = journal.sets.entry(set.name.clone()).or_default();
        *newest = set.version.max(*newest);
    }
    let moved: BTreeMap<_, _> =
        seen.nodes.iter().filter_map(|(name, view)| Some((of_node(&mut journal, name, view)?, name.clone()))).collect();
    hosts::remember(given, &mut journal, &moved);
    journal.commit = commit(seen, journal.commit);
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

/// The highest known of the same group as before; of another group once nobody tells of that one any more.
fn commit(seen: &Observation, before: Option<Commit>) -> Option<Commit> {
    let told: Vec<_> = hosts::members_of(seen)
        .filter_map(|node| Some(Commit { group: node.evidence.group?, index: node.evidence.commit }))
        .collect();
    let of = |group| told.iter().filter(move |commit| commit.group == group).max().copied();
    match before {
        Some(before) if told.is_empty() || of(before.group).is_some() => {
            Some(of(before.group).map_or(before, |it| it.max(before)))
        }
        _ => told.iter().max().copied(),
    }
}

/// What is new of one node. Returns the host whose pod it was until now, if another one answers there.
fn of_node(journal: &mut Journal, name: &PodName, view: &NodeView) -> Option<HostId> {
    let node = journal.nodes.entry(name.clone()).or_default();
    let pod = view.pod.known();
    node.pod_version = pod.map_or(node.pod_version, |pod| node.pod_version.max(pod.version));
    let said = view.node.known()?;
    let former = node.host.replace(said.host).filter(|former| *former != said.host);
    // Another host counts its own words.
    node.sequence = if former.is_some() { said.sequence } else { node.sequence.max(said.sequence) };
    node.host_pod = pod.map(|pod| pod.uid.clone()).or(node.host_pod.take());
    former
}

/// States, steps and readiness, and indexes and versions while clients do not move them: whatever moves when the upgrade moves.
fn marker(seen: &Observation, plan: &Plan) -> String {
    let mut text = String::new();
    for (name, view) in &seen.nodes {
        mark(&mut text, name, view);
    }
    what_clients_leave_alone(&mut text, seen);
    for set in seen.sets.iter().filter_map(Part::known) {
        let _ = write!(text, "{} {} {} {};", set.name, set.flag, set.hold, set.template_hash);
    }
    // That a failed procedure is started again is no progress, nor that something is asked for a second time.
    for action in plan.actions.iter().filter(|action| !matches!(action, Action::RetryUpgrade { .. })) {
        let _ = write!(text, "{action};");
    }
    if let Some(recovery) = &plan.journal.recovery {
        let _ = write!(text, "{} {};", recovery.plan.number, recovery.step.name());
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

/// Clients commit to the group once one node is final, and change schemas the old way until one synchronizes: what goes on by them would hide
/// that the upgrade stands still.
fn what_clients_leave_alone(text: &mut String, seen: &Observation) {
    let nodes = || seen.nodes.values().filter_map(|view| view.node.known());
    if nodes().any(|node| node.state == UpgradeState::PostRaft) {
        return;
    }
    let changes_are_off = nodes().any(|node| node.state == UpgradeState::Synchronize);
    for node in nodes() {
        let commit = node.group.as_ref().map(|group| group.commit);
        let version = changes_are_off.then_some(&node.schema_version);
        let _ = write!(text, "{commit:?} {version:?};");
    }
}

fn mark(text: &mut String, name: &PodName, view: &NodeView) {
    if let Some(pod) = view.pod.known() {
        let state = match &pod.state {
            PodState::Running => "running",
            PodState::Changing => "changing",
            PodState::Ending => "ending",
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
        let voters = node.group.as_ref().map(|group| group.voters.len());
        let _ = write!(
            text,
            "{} {} {step} {voters:?} {} {} {} {:?};",
            node.generation,
            node.state,
            node.ready.is_ok(),
            node.bootstrapped.is_ok(),
            node.feature_enabled,
            node.evidence.plan.as_ref().map(|plan| (plan.number, plan.state, plan.rolled_forward))
        );
    }
}
