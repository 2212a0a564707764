//! From the point of no return to the end: the nodes work, the operator lifts holds, starts failed procedures again, and
//! says what is waited for.

use super::{Action, Given, Journal, Plan, WaitingFor, health::Member, recovery::hosts, rolling};
use crate::{
    crd::Phase,
    observe::{PodName, Procedure, UpgradeState},
};
use k8s_openapi::jiff::SignedDuration;
use uuid::Uuid;

/// A procedure that failed so often needs a human.
const MAX_RETRIES: u32 = 10;
/// Between two retries: the cause may pass by itself.
const RETRY_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// Whether the point of no return has been passed, whatever the journal says: it may have been lost.
pub(super) fn has_begun(given: &Given<'_>) -> bool {
    let nodes = || given.seen.nodes.values().filter_map(|view| view.node.known());
    given.journal.point_of_no_return_at.is_some()
        || nodes().any(|node| node.proceed || node.feature_enabled || node.group.is_some())
}

/// Follows the nodes to the end.
pub(super) fn follow(given: &Given<'_>) -> Plan {
    let journal =
        Journal { point_of_no_return_at: given.journal.point_of_no_return_at.or(Some(given.now)), ..given.journal.clone() };
    let given = &Given { journal: &journal, ..*given };
    let (members, mut waiting) = sort_out(given);
    // Nobody knows whether these are all.
    waiting.extend((0..given.spec.cluster_ref.stateful_sets.len()).filter_map(|rack| given.set_of(rack).err()));
    waiting.extend(given.nobody());
    waiting.extend(members.iter().filter_map(not_final));
    waiting.extend(not_one_group(&members));
    waiting.extend(hosts::missing(given).into_iter().map(|host| WaitingFor::HostMissing { host }));
    if waiting.is_empty() {
        return complete(given);
    }
    let halted = waiting.iter().any(|why| matches!(why, WaitingFor::UnknownNodeState { .. }));
    let phase = if given.journal.completed_at.is_some() { Phase::Complete } else { phase(&members) };
    let mut plan = given.wait(phase, waiting);
    if phase == Phase::Complete || halted {
        return plan;
    }
    plan.actions = members.iter().filter(|m| needs_proceed(m)).map(|m| Action::Proceed { node: m.name.clone() }).collect();
    for member in &members {
        retry(given, &mut plan, member);
    }
    if !plan.actions.is_empty() {
        return plan;
    }
    corrected(given, phase).or_else(|| flag_missing(given)).unwrap_or(plan)
}

/// The members who answer, and why the others don't. Readiness of an answering node is no matter here: it is what is worked on.
fn sort_out<'a>(given: &Given<'a>) -> (Vec<Member<'a>>, Vec<WaitingFor>) {
    let mut members = Vec::new();
    let mut waiting = Vec::new();
    for (name, view) in &given.seen.nodes {
        match given.answering(name, view) {
            Ok(member) => {
                waiting.extend(given.healthy(name, view).err());
                members.push(member);
            }
            Err(why) => waiting.push(why),
        }
    }
    (members, waiting)
}

fn phase(members: &[Member<'_>]) -> Phase {
    let beyond = |m: &Member<'_>| matches!(m.node.state, UpgradeState::Synchronize | UpgradeState::PostRaft);
    if members.iter().any(beyond) { Phase::Synchronizing } else { Phase::Forming }
}

pub(super) fn not_final(member: &Member<'_>) -> Option<WaitingFor> {
    let node = member.name.clone();
    match (&member.node.state, &member.node.procedure) {
        // Of a state that is not recognized `healthy` has spoken already.
        (UpgradeState::PostRaft | UpgradeState::Unrecognized(_), _) => None,
        (UpgradeState::Recovery, _) => Some(WaitingFor::InRecovery { node }),
        (_, Procedure::Failed { cause, .. }) => Some(WaitingFor::UpgradeFiberFailed { node, cause: cause.clone() }),
        (_, Procedure::Running { step, waiting, .. }) => {
            Some(WaitingFor::Procedure { node, step: step.clone(), waiting: waiting.join(", ") })
        }
        (_, Procedure::Idle | Procedure::Done) if !member.node.feature_enabled => Some(WaitingFor::FeatureNotEnabled { node }),
        (_, Procedure::Idle | Procedure::Done) => {
            Some(WaitingFor::Procedure { node, step: "not started".into(), waiting: String::new() })
        }
    }
}

/// One group for all, and in the configuration of each final node every node a voter.
pub(super) fn not_one_group(members: &[Member<'_>]) -> Vec<WaitingFor> {
    let first = members.iter().find_map(|m| m.node.group.as_ref().map(|group| (m.name, group.id)));
    members.iter().flat_map(|of| not_in_group(of, members, first)).collect()
}

fn not_in_group(of: &Member<'_>, members: &[Member<'_>], first: Option<(&PodName, Uuid)>) -> Vec<WaitingFor> {
    let not_voter = |m: &Member<'_>| WaitingFor::NotVoter { node: m.name.clone(), of: of.name.clone() };
    let is_final = of.node.state == UpgradeState::PostRaft;
    match (&of.node.group, first) {
        (Some(group), Some((other, id))) if group.id != id => {
            vec![WaitingFor::GroupsDiffer { node: of.name.clone(), other: other.clone() }]
        }
        (Some(group), _) if is_final => members.iter().filter(|m| !group.voters.contains(&m.node.host)).map(not_voter).collect(),
        (None, _) if is_final => vec![not_voter(of)],
        _ => Vec::new(),
    }
}

fn complete(given: &Given<'_>) -> Plan {
    let mut plan = given.wait(Phase::Complete, Vec::new());
    plan.journal.completed_at = plan.journal.completed_at.or(Some(given.now));
    plan
}

fn needs_proceed(member: &Member<'_>) -> bool {
    let node = member.node;
    node.flag && node.held && !node.proceed && !node.feature_enabled
}

/// Asks for a failed procedure again, not too often and not for ever.
pub(super) fn retry(given: &Given<'_>, plan: &mut Plan, member: &Member<'_>) {
    if !matches!(member.node.procedure, Procedure::Failed { .. }) || member.node.state == UpgradeState::Recovery {
        return;
    }
    let before = given.journal.node(member.name);
    let due = before.last_attempt_at.map_or(given.now, |at| at + RETRY_EVERY);
    if before.retries >= MAX_RETRIES {
        return;
    }
    if due > given.now {
        plan.next_look = plan.next_look.min(due);
        return;
    }
    let remembered = plan.journal.nodes.entry(member.name.clone()).or_default();
    remembered.retries += 1;
    remembered.last_attempt_at = Some(given.now);
    plan.actions.push(Action::RetryUpgrade { node: member.name.clone() });
}

/// A pod that came back without the flag keeps the feature from being enabled: it is taken again, through the same gate.
fn flag_missing(given: &Given<'_>) -> Option<Plan> {
    let (name, view) = rolling::next_to_take(given, |pod| !pod.flag)?;
    if view.node.known()?.feature_enabled {
        return None;
    }
    let allowed = [UpgradeState::PreRaft, UpgradeState::Synchronize, UpgradeState::PostRaft];
    let templates = rolling::templates_first(given, Phase::Forming, true);
    Some(templates.unwrap_or_else(|| rolling::take_gated(given, Phase::Forming, (name, view), &allowed)))
}

/// A pod that cannot run gets a corrected template now as before, and the flag with it.
fn corrected(given: &Given<'_>, phase: Phase) -> Option<Plan> {
    let plan = rolling::corrected(given, phase)?;
    Some(rolling::templates_first(given, phase, true).unwrap_or(plan))
}
