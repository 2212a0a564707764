//! What tells one kind of stall from another: pure functions of what was seen, in the order in which they are asked.

use super::{
    Given, Plan, WaitingFor,
    health::signed,
    recovery::hosts::{self, Dead},
    stall::Class,
};
use crate::{
    crd::Phase,
    observe::{HostId, Machine, NodeSeen, Pod, PodName, Procedure, UpgradeState},
};
use std::{collections::BTreeSet, time::Duration};

/// How often a node probes one of the others, with the default `failure_detector_timeout_in_ms`.
const PROBE_PERIOD: Duration = Duration::from_secs(4);

/// The nodes whose word is at hand, without those that are removed for ever: what these say is of the group that they were in.
pub(super) fn nodes<'a>(given: &Given<'a>) -> impl Iterator<Item = (&'a PodName, &'a NodeSeen)> {
    let removed = given.removed;
    let fresh: Vec<_> = given.seen.nodes.iter().filter_map(|(name, view)| Some((name, given.fresh(&view.node).ok()?))).collect();
    fresh.into_iter().filter(|(_, node)| !removed.contains(&node.host))
}

/// The first class whose evidence is there, with it.
pub(super) fn find(given: &Given<'_>, plan: &Plan) -> Option<(Class, String)> {
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

/// What people know these by.
pub(super) fn names(lost: &[Dead]) -> Vec<String> {
    let mut names: Vec<_> = lost.iter().map(|dead| dead.name.clone()).collect();
    names.sort();
    names
}

/// The voters of the group, if any node tells of one.
pub(super) fn voters<'a>(given: &Given<'a>) -> Option<&'a BTreeSet<HostId>> {
    nodes(given).filter_map(|(_, node)| node.group.as_ref()).map(|group| &group.voters).max_by_key(|voters| voters.len())
}

/// Whether the move to group 0 waits for somebody who is lost, before any node that answers has the group. The lost one may have founded it:
/// once the feature is enabled nodes do not remove a host the old way any more, save one that had not come in. Where people have put nodes
/// into recovery, they are at work.
pub(super) fn moves_without_a_group(given: &Given<'_>) -> bool {
    let is_enabled = nodes(given).any(|(_, node)| node.feature_enabled);
    let is_at_work = |node: &NodeSeen| node.state == UpgradeState::Recovery || node.evidence.in_recovery;
    let has_come_in = |status: &str| !matches!(status, "WAITING" | "JOINING");
    let is_in = |host: HostId| nodes(given).any(|(_, node)| node.peers.get(&host).is_some_and(|peer| has_come_in(&peer.status)));
    is_enabled && !nodes(given).any(|(_, node)| is_at_work(node)) && hosts::dead(given).iter().any(|dead| is_in(dead.host))
}

/// Whether a majority of the group's voters answers and is final: it goes on, whatever becomes of the others.
pub(super) fn goes_on(given: &Given<'_>) -> bool {
    let is_final = |node: &NodeSeen| node.state == UpgradeState::PostRaft;
    voters(given).is_some_and(|voters| {
        nodes(given).filter(|(_, node)| is_final(node) && voters.contains(&node.host)).count() * 2 > voters.len()
    })
}

/// While no node is final all are needed. Afterwards a majority of the voters is, and if it answers, the others need not come back.
fn losses(given: &Given<'_>, plan: &Plan) -> Option<(Class, String)> {
    let dead = hosts::removable(given);
    if dead.is_empty() {
        return None;
    }
    let evidence = format!("lost for good: {}", names(&dead).join(", "));
    if nodes(given).next().is_none() {
        // Who is merely silent may know of a group, and comes first.
        let is_dead = |host: HostId| dead.iter().any(|dead| dead.host == host);
        let is_nobody_left = given.seen.nodes.keys().filter_map(|name| given.journal.node(name).host).all(is_dead);
        return is_nobody_left.then(|| (Class::QuorumLost, format!("{evidence}; nobody is left")));
    }
    let Some(voters) = voters(given) else {
        // In recovery a node takes part in no group, and says of none.
        let in_recovery = nodes(given).any(|(_, node)| node.state == UpgradeState::Recovery);
        let of_whom = if in_recovery { "no node that is not in recovery has a group" } else { "no node has a group yet" };
        return Some((Class::NodeLost, format!("{evidence}; {of_whom}")));
    };
    let lost_voters = dead.iter().filter(|dead| voters.contains(&dead.host)).count();
    let evidence = format!("{evidence}; {lost_voters} of {} voters", voters.len());
    let is_final = plan.report.phase == Phase::Complete || nodes(given).any(|(_, node)| node.state == UpgradeState::PostRaft);
    let answering = nodes(given).filter(|(_, node)| voters.contains(&node.host)).count();
    let class = match (lost_voters * 2 >= voters.len() && lost_voters > 0, is_final) {
        (true, _) => Class::QuorumLost,
        (false, false) => Class::NodeLost,
        (false, true) if answering * 2 > voters.len() => Class::MinorityLost,
        (false, true) => return None,
    };
    Some((class, evidence))
}

/// Of those that are away, and why: first one that is in the way, then one that is lost and counts as such later.
pub(super) fn down(given: &Given<'_>, waiting: &[WaitingFor]) -> Option<(Class, String)> {
    let is_down = |why: &&WaitingFor| {
        matches!(
            why,
            WaitingFor::PodDown { .. }
                | WaitingFor::PodBroken { .. }
                | WaitingFor::NodeUnknown { .. }
                | WaitingFor::PodNotReady { .. }
                | WaitingFor::HostMissing { .. }
        )
    };
    let pod_of = |why: &WaitingFor| why.node().and_then(|name| given.pod(name));
    let is_out = |pod: &Pod| matches!(pod.machine, Machine::OutOfService | Machine::OutOfServiceForItsVolume);
    let is_lost = |why: &&WaitingFor| pod_of(why).is_some_and(|pod| pod.volume_gone || is_out(pod));
    let dead = hosts::dead(given);
    let host_of = |why: &WaitingFor| why.node().and_then(|name| given.journal.node(name).host);
    let counts_as_dead = |why: &WaitingFor| host_of(why).is_some_and(|host| dead.iter().any(|dead| dead.host == host));
    // One that merely waits, as a fresh member does for its group, says less than what it waits for.
    let merely_waits = |why: &WaitingFor| matches!(why, WaitingFor::PodNotReady { .. });
    let why = waiting.iter().filter(is_down).min_by_key(|why| (merely_waits(why), counts_as_dead(why), !is_lost(why)))?;
    let pod = pod_of(why);
    let of_whom = what_that_proves(given, why);
    let host = host_of(why);
    // A pod that was made since is that of a fresh member which has not answered yet.
    let is_its_pod = why.node().zip(pod).is_some_and(|(name, pod)| given.journal.node(name).host_pod.as_ref() == Some(&pod.uid));
    if let Some(host) = host.filter(|host| given.removed.contains(host) && (is_its_pod || is_lost(&why))) {
        let what_to_do = "which is removed for ever: delete its volume and its pod, and a fresh member takes its place";
        return Some((Class::NodeDownRestartable, format!("{why}; in it is host {host}, {what_to_do}")));
    }
    let where_it_is = match pod.map(|pod| pod.machine) {
        _ if pod.is_some_and(|pod| pod.volume_gone) => format!("its volume is gone{of_whom}"),
        Some(Machine::Gone) => "its machine is gone from Kubernetes, which proves nothing about its containers".into(),
        Some(Machine::OutOfService) => format!("its machine is out of service{of_whom}"),
        Some(Machine::OutOfServiceForItsVolume) => {
            format!("the machines on which its volume can be used are out of service{of_whom}")
        }
        Some(Machine::There) => "its machine and its volume exist".into(),
        None if matches!(why, WaitingFor::HostMissing { .. }) => "nobody sees it up".into(),
        None => "of its pod nothing is known".into(),
    };
    let displaced: Vec<_> = hosts::displaced(given).iter().map(ToString::to_string).collect();
    let only_a_human = if displaced.is_empty() {
        String::new()
    } else {
        let hosts = displaced.join(", ");
        format!(
            "; other hosts answer in the pods of [{hosts}], which are silent, and nothing proves that they are gone: if they are, name them in spec.recovery.confirmDead"
        )
    };
    let unproven = host
        .filter(|host| hosts::is_unproven(given, *host))
        .map(|host| format!("; if it does not come back, say so: name host {host} in spec.recovery.confirmDead"));
    Some((Class::NodeDownRestartable, format!("{why}; {where_it_is}{only_a_human}{}", unproven.unwrap_or_default())))
}

/// A proof is of the host that was in the pod: of none if nobody knows it, and of no use if it is no member any more.
fn what_that_proves(given: &Given<'_>, why: &WaitingFor) -> &'static str {
    let members = hosts::members(given);
    match why.node().and_then(|name| given.journal.node(name).host) {
        Some(host) if members.is_empty() || members.contains(&host) => {
            ", which counts once it has been silent for recovery.deadAfter"
        }
        Some(_) => "; the host in it is no member any more: delete its volume and its pod, and a fresh member takes its place",
        None if members.iter().all(|host| answers(given, *host)) => {
            "; which host was in it is not known, and no member is missing: delete its volume and its pod, and a fresh member takes its place"
        }
        None => ", and which host was in it is not known: if that is lost, name it in spec.recovery.confirmDead",
    }
}

/// Whether that host answers, in whichever pod.
pub(super) fn answers(given: &Given<'_>, host: HostId) -> bool {
    nodes(given).any(|(_, node)| node.host == host)
}

fn partitioned(given: &Given<'_>) -> Option<(Class, String)> {
    let pairs = || nodes(given).flat_map(|a| nodes(given).filter(move |b| a.0 != b.0).map(move |b| (a, b)));
    let is_blind = |node: &NodeSeen, other: &NodeSeen| node.peers.get(&other.host).is_none_or(|peer| !peer.up);
    let blind = pairs().find(|((_, a), (_, b))| is_blind(a, b));
    let evidence = blind.map(|((a, _), (b, _))| format!("{a} and {b} both answer, but {a} does not see {b} up"));
    let deaf = || {
        pairs().find_map(|((a, node), (b, other))| {
            let silence = silence(given, node, other)?;
            Some(format!(
                "{a} and {b} both answer, and others vouch for {b}, but {a} has heard nothing from {b} itself {silence}"
            ))
        })
    };
    evidence.or_else(deaf).map(|evidence| (Class::Partitioned, evidence))
}

/// How long a node has not heard that other one itself, if that is longer than it can be by chance: who reaches nobody but helpers is up for
/// all, and yet cannot be asked. Failure detection probes the members in turn.
fn silence(given: &Given<'_>, node: &NodeSeen, other: &NodeSeen) -> Option<String> {
    let in_turn = PROBE_PERIOD * u32::try_from(given.seen.nodes.len()).unwrap_or(u32::MAX);
    let limit = signed(Duration::from(given.spec.deadlines.no_progress).max(in_turn));
    if let Some(ago) = node.evidence.heard.get(&other.host) {
        return (*ago > limit).then(|| format!("for {} s", ago.as_secs()));
    }
    // It has been up since anything has moved. One that hears nobody at all is down for all.
    let since = given.journal.progress.as_ref().map_or(given.now, |progress| progress.since);
    let is_late = given.now.duration_since(since) >= limit;
    (is_late && !node.evidence.heard.is_empty()).then(|| "since it was started".to_owned())
}

fn stray_recovery(given: &Given<'_>) -> Option<(Class, String)> {
    let (name, _) = stray(given)?;
    let finals = finals(given).count();
    Some((Class::StrayRecovery, format!("{name} is in recovery, {finals} of {} nodes are final", given.seen.nodes.len())))
}

/// A node that is in recovery beside others of which a quorum is final. It has no group of its own then, and no plan has put it there.
pub(super) fn stray<'a>(given: &'a Given<'a>) -> Option<(&'a PodName, &'a NodeSeen)> {
    let stray = nodes(given).find(|(_, node)| node.state == UpgradeState::Recovery || node.evidence.in_recovery)?;
    let voters = finals(given).filter_map(|node| node.group.as_ref()).map(|group| &group.voters).max_by_key(|it| it.len())?;
    (finals(given).filter(|node| voters.contains(&node.host)).count() * 2 > voters.len()).then_some(stray)
}

/// The final nodes that serve.
fn finals<'a>(given: &'a Given<'a>) -> impl Iterator<Item = &'a NodeSeen> {
    let healthy = nodes(given).filter(|(name, _)| given.healthy(name, &given.seen.nodes[*name]).is_ok());
    healthy.map(|(_, node)| node).filter(|node| node.state == UpgradeState::PostRaft)
}

fn no_leader(given: &Given<'_>) -> Option<(Class, String)> {
    let groups: Vec<_> = nodes(given).filter_map(|(name, node)| Some((name, node, node.group.as_ref()?))).collect();
    let voters = groups.iter().map(|(_, _, group)| &group.voters).max_by_key(|voters| voters.len())?;
    let answering = groups.iter().filter(|(_, node, _)| voters.contains(&node.host)).count();
    let waits = groups.iter().any(|(_, node, _)| {
        matches!(&node.procedure, Procedure::Running { waiting, .. } if waiting.iter().any(|text| text.contains("barrier")))
    });
    let leader = groups.iter().find(|(_, node, _)| leads(node));
    if answering * 2 <= voters.len() || !(waits || leader.is_none()) {
        return None;
    }
    let leader = leader.map_or_else(|| "nobody".to_owned(), |(name, _, _)| name.to_string());
    Some((Class::NoLeader, format!("{answering} of {} voters answer, {leader} leads, and no read barrier passes", voters.len())))
}

/// Whether it says that it leads.
pub(super) fn leads(node: &NodeSeen) -> bool {
    node.group.as_ref().is_some_and(|group| group.leader == Some(node.host))
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
