//! Why nothing moves: lack of progress is classified by its evidence before anything is touched.
//!
//! The signal is that nothing has moved for `deadlines.noProgress`, not that much time has passed. A few classes may be answered
//! by a restart in place, once for each node and never two at a time; the rest is said, and waited for.

use super::{Action, Given, Plan, WaitingFor, health::signed, report::names};
use crate::{
    crd::Phase,
    observe::{Machine, NodeSeen, NodeView, PodName, Procedure, UpgradeState},
};
use k8s_openapi::jiff::Timestamp;
use std::{collections::BTreeSet, fmt};

/// Why nothing moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Of which kind it is.
    pub class: Class,
    /// What was seen.
    pub evidence: String,
    /// Since when nothing has moved.
    pub since: Timestamp,
}

/// The kinds of stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A node reports a state that this release does not know.
    UnknownNodeState,
    /// A pod came back without the flag, or its process has not read it.
    WrongConfig,
    /// A majority of the group's voters is lost for good.
    QuorumLost,
    /// A node that the upgrade needs is lost for good.
    NodeLost,
    /// After the upgrade fewer than a majority are lost: they are replaced through group 0, no recovery.
    MinorityLost,
    /// A pod does not run, does not answer or is not ready, and nothing proves that it is lost.
    NodeDownRestartable,
    /// Two nodes answer us, and one does not see the other.
    Partitioned,
    /// One node is in `recovery` beside others that are final.
    StrayRecovery,
    /// A node's procedure has failed, again and again.
    UpgradeFiberFailed,
    /// A majority of the voters answers us, and no read barrier passes.
    NoLeader,
    /// Schema changes are off, all are alive, and the schemas do not become equal.
    SchemaDisagreement,
    /// The first step is refused: it names a host that is no member.
    StepRefused,
    /// None of these.
    Unclassified,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Says why nothing moves, if nothing moves, and adds what may be done about it.
pub(super) fn classify(given: &Given<'_>, plan: &mut Plan) {
    let after_it = plan.report.phase == Phase::Complete;
    let is_quiet = plan.actions.is_empty() && !plan.report.waiting.is_empty();
    if !is_quiet || plan.report.waiting.iter().any(is_waited_for_on_purpose) {
        return;
    }
    let Some(progress) = &given.journal.progress else { return };
    let stalled_at = progress.since + signed(given.spec.deadlines.no_progress.into());
    let found = find(given, plan);
    let is_at_once = matches!(found, Some((Class::UnknownNodeState, _)));
    if given.now < stalled_at && !is_at_once {
        plan.next_look = plan.next_look.min(stalled_at);
        return;
    }
    let (class, evidence) = found.unwrap_or_else(|| (Class::Unclassified, plan.report.waiting[0].to_string()));
    plan.report.stall = Some(Stall { class, evidence, since: progress.since });
    if !after_it || matches!(class, Class::QuorumLost) {
        plan.report.phase = Phase::Stalled;
    }
    answer(given, plan, class);
}

/// People, hours and pauses are no stall.
fn is_waited_for_on_purpose(why: &WaitingFor) -> bool {
    matches!(
        why,
        WaitingFor::Unpause
            | WaitingFor::Cancelled
            | WaitingFor::AwaitingApproval { .. }
            | WaitingFor::OutsideWindow { .. }
            | WaitingFor::Pacing { .. }
            | WaitingFor::Baking { .. }
            | WaitingFor::CanaryFailed { .. }
            | WaitingFor::ClusterTaken { .. }
    )
}

/// What a class allows.
fn answer(given: &Given<'_>, plan: &mut Plan, class: Class) {
    match class {
        Class::QuorumLost | Class::NodeLost => {
            let lost = lost(given);
            plan.report.waiting.insert(0, WaitingFor::RecoveryRequired { lost });
        }
        Class::UpgradeFiberFailed => {
            let failed = nodes(given).filter(|(_, node)| matches!(node.procedure, Procedure::Failed { .. }));
            restart_once(given, plan, failed.map(|(name, _)| name.clone()).collect());
        }
        Class::SchemaDisagreement => restart_once(given, plan, given.seen.nodes.keys().cloned().collect()),
        Class::NoLeader => {
            let leads = |node: &NodeSeen| node.group.as_ref().is_some_and(|group| group.leader == Some(node.host));
            let (leaders, others): (Vec<_>, Vec<_>) = nodes(given).partition(|(_, node)| leads(node));
            restart_once(given, plan, leaders.into_iter().chain(others).map(|(name, _)| name.clone()).collect());
        }
        _ => {}
    }
}

/// Restarts in place the first of these that was not restarted before, if all others serve.
fn restart_once(given: &Given<'_>, plan: &mut Plan, candidates: Vec<PodName>) {
    let all_serve = given.seen.nodes.iter().all(|(name, view)| given.healthy(name, view).is_ok());
    let fresh = candidates.into_iter().find(|name| given.journal.node(name).restarts == 0);
    let Some((name, node)) = fresh.filter(|_| all_serve).and_then(|name| Some((name.clone(), given.node(&name)?))) else {
        return;
    };
    let remembered = plan.journal.nodes.entry(name.clone()).or_default();
    remembered.restarts += 1;
    remembered.last_attempt_at = Some(given.now);
    plan.journal.last_restart_at = Some(given.now);
    plan.actions.push(Action::Restart { node: name, generation: node.generation });
}

fn nodes<'a>(given: &Given<'a>) -> impl Iterator<Item = (&'a PodName, &'a NodeSeen)> {
    given.seen.nodes.iter().filter_map(|(name, view)| Some((name, view.node.known()?)))
}

fn find(given: &Given<'_>, plan: &Plan) -> Option<(Class, String)> {
    let waiting = &plan.report.waiting;
    let said = |of: fn(&WaitingFor) -> bool| waiting.iter().find(|why| of(why)).map(ToString::to_string);
    let says = |class: Class, of: fn(&WaitingFor) -> bool| said(of).map(|text| (class, text));
    says(Class::UnknownNodeState, |why| matches!(why, WaitingFor::UnknownNodeState { .. }))
        .or_else(|| says(Class::WrongConfig, |why| matches!(why, WaitingFor::FlagNotTaken { .. })))
        .or_else(|| losses(given, plan))
        .or_else(|| down(given, waiting))
        .or_else(|| partitioned(given))
        .or_else(|| stray_recovery(given))
        .or_else(|| says(Class::UpgradeFiberFailed, |why| matches!(why, WaitingFor::UpgradeFiberFailed { .. })))
        .or_else(|| no_leader(given))
        .or_else(|| schema_disagreement(given))
        .or_else(|| step_refused(given))
}

/// Nodes that nobody has seen alive for long enough, and whose machine or volume is known to be gone.
fn lost(given: &Given<'_>) -> Vec<PodName> {
    let dead_after = signed(given.spec.recovery.dead_after.into());
    let is_lost = |(name, view): &(&PodName, &NodeView)| {
        let remembered = given.journal.node(name);
        let is_silent = remembered.silent_since.is_some_and(|since| given.now.duration_since(since) >= dead_after);
        let host = remembered.host.map(|host| host.to_string());
        let declared = given.spec.recovery.confirm_dead.iter().any(|dead| Some(&dead.host_id) == host.as_ref());
        let proven = view.pod.known().is_some_and(|pod| pod.volume_gone || pod.machine == Machine::OutOfService);
        is_silent && (declared || proven)
    };
    given.seen.nodes.iter().filter(is_lost).map(|(name, _)| name.clone()).collect()
}

fn losses(given: &Given<'_>, plan: &Plan) -> Option<(Class, String)> {
    let lost = lost(given);
    if lost.is_empty() {
        return None;
    }
    let evidence = format!("lost for good: {}", names(&lost));
    let voters = nodes(given).filter_map(|(_, node)| node.group.as_ref()).map(|group| &group.voters).max_by_key(|v| v.len());
    let Some(voters) = voters else {
        return Some((Class::NodeLost, format!("{evidence}; no node has a group yet: remove them the old way")));
    };
    let lost_voters = lost.iter().filter(|name| given.journal.node(name).host.is_some_and(|host| voters.contains(&host))).count();
    let evidence = format!("{evidence}; {lost_voters} of {} voters", voters.len());
    let class = match (lost_voters * 2 >= voters.len() && lost_voters > 0, plan.report.phase) {
        (true, _) => Class::QuorumLost,
        (false, Phase::Complete) => Class::MinorityLost,
        (false, _) => Class::NodeLost,
    };
    Some((class, evidence))
}

fn down(given: &Given<'_>, waiting: &[WaitingFor]) -> Option<(Class, String)> {
    let is_down = |why: &&WaitingFor| {
        matches!(
            why,
            WaitingFor::PodDown { .. }
                | WaitingFor::PodBroken { .. }
                | WaitingFor::NodeUnknown { .. }
                | WaitingFor::PodNotReady { .. }
        )
    };
    let why = waiting.iter().find(is_down)?;
    let machine = why.node().and_then(|name| given.pod(name)).map(|pod| pod.machine);
    let where_it_is = match machine {
        Some(Machine::Gone) => "its machine is gone from Kubernetes, which proves nothing about its containers",
        Some(Machine::OutOfService) => "its machine is out of service, but not for long enough",
        Some(Machine::There) => "its machine and its volume exist",
        None => "of its pod nothing is known",
    };
    Some((Class::NodeDownRestartable, format!("{why}; {where_it_is}")))
}

fn partitioned(given: &Given<'_>) -> Option<(Class, String)> {
    let blind = nodes(given).find_map(|(name, node)| {
        let (other, _) = nodes(given).find(|(_, other)| node.peers.get(&other.host).is_some_and(|peer| !peer.up))?;
        Some((name, other))
    });
    blind.map(|(a, b)| (Class::Partitioned, format!("{a} and {b} both answer, but {a} does not see {b} up")))
}

fn stray_recovery(given: &Given<'_>) -> Option<(Class, String)> {
    let (name, _) = nodes(given).find(|(_, node)| node.state == UpgradeState::Recovery)?;
    let finals = nodes(given).filter(|(_, node)| node.state == UpgradeState::PostRaft).count();
    let is_stray = finals * 2 > given.seen.nodes.len();
    is_stray
        .then(|| (Class::StrayRecovery, format!("{name} is in recovery, {finals} of {} nodes are final", given.seen.nodes.len())))
}

fn no_leader(given: &Given<'_>) -> Option<(Class, String)> {
    let groups: Vec<_> = nodes(given).filter_map(|(name, node)| Some((name, node, node.group.as_ref()?))).collect();
    let voters = groups.iter().map(|(_, _, group)| &group.voters).max_by_key(|voters| voters.len())?;
    let answering = groups.iter().filter(|(_, node, _)| voters.contains(&node.host)).count();
    let waits = groups.iter().any(|(_, node, _)| {
        matches!(&node.procedure, Procedure::Running { waiting, .. } if waiting.iter().any(|text| text.contains("barrier")))
    });
    let leads = |node: &NodeSeen| node.group.as_ref().is_some_and(|group| group.leader == Some(node.host));
    let leader = groups.iter().find(|(_, node, _)| leads(node));
    if answering * 2 <= voters.len() || !(waits || leader.is_none()) {
        return None;
    }
    let leader = leader.map_or_else(|| "nobody".to_owned(), |(name, _, _)| name.to_string());
    Some((Class::NoLeader, format!("{answering} of {} voters answer, {leader} leads, and no read barrier passes", voters.len())))
}

fn schema_disagreement(given: &Given<'_>) -> Option<(Class, String)> {
    let all: Vec<_> = nodes(given).collect();
    let is_off = all.iter().any(|(_, node)| node.state == UpgradeState::Synchronize);
    let versions: BTreeSet<&str> = all.iter().map(|(_, node)| node.schema_version.as_str()).collect();
    let disagree = is_off && all.len() == given.seen.nodes.len() && versions.len() > 1;
    let listed = || versions.iter().copied().collect::<Vec<_>>().join(", ");
    disagree.then(|| {
        (Class::SchemaDisagreement, format!("schema changes are off, all nodes answer, their versions are {}", listed()))
    })
}

fn step_refused(given: &Given<'_>) -> Option<(Class, String)> {
    nodes(given).find_map(|(name, node)| match &node.procedure {
        Procedure::Running { step, waiting, .. } if step == "ask_peers" => {
            Some((Class::StepRefused, format!("{name} is still in its first step: {}", waiting.join(", "))))
        }
        _ => None,
    })
}
