//! Who is gone for good: known hosts that nobody sees alive, in which pod each was, and what proves that it will not come back.
//!
//! A host is not its pod: a StatefulSet gives the pod's name to a fresh host while the recovery from the loss of the former one is
//! still under way, and with the former pod taint and volume vanish from view. Both are remembered here, per host.

use crate::{
    observe::{HostId, Machine, NodeSeen, NodeView, Observation, Part, Pod, PodName, PodState, UpgradeState},
    plan::{Given, Journal, health::signed},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A known host that shows no sign of life, or of which something is known that must outlast what its peers believe of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Silent {
    /// The pod that it was in, if that is known.
    pub pod: Option<PodName>,
    /// Since when; nothing if its peers see it alive, be it that they have not noticed yet.
    pub since: Option<Timestamp>,
    /// What proves that it will not come back.
    pub proof: Option<Proof>,
    /// Whether its pod and volume were given up, so that another host boots there.
    pub given_up: bool,
}

/// What proves a host dead, as Kubernetes tells it. Not being ready is none, nor is a Node object that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    /// Which of the two.
    pub of: Gone,
    /// The pod that it was seen of.
    pub uid: String,
    /// When.
    pub at: Timestamp,
}

/// What is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gone {
    /// A human has declared its machine out of service.
    Machine,
    /// Its volume is gone, and its pod with it.
    Volume,
}

/// A host that counts as dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Dead {
    pub host: HostId,
    pub pod: Option<PodName>,
    /// What people know it by.
    pub name: String,
    /// When it began to count.
    pub since: Timestamp,
    /// Whether it is a ghost, or Kubernetes proves it; else a human declares it.
    pub is_proven: bool,
}

/// Brings the journal up to what is seen. `moved` are hosts whose pod another one has taken over since the last look.
pub(in crate::plan) fn remember(given: &Given<'_>, journal: &mut Journal, moved: &BTreeMap<HostId, PodName>) {
    let (seen, now, removed) = (given.seen, given.now, given.removed);
    let mut silent = std::mem::take(&mut journal.silent);
    let last_signs = last_signs(given);
    for host in known(seen, journal).into_iter().chain(moved.keys().copied()) {
        let pod = moved.get(&host).cloned().or_else(|| pod_of(journal, host));
        let record = silent.entry(host).or_insert(Silent { pod: None, since: None, proof: None, given_up: false });
        record.pod = pod.or(record.pod.take());
    }
    let plan = journal.recovery.as_ref().filter(|recovery| recovery.is_in_force());
    let excluded = plan.map(|recovery| &recovery.plan.excluded);
    silent.retain(|host, record| {
        let is_excluded = excluded.is_some_and(|excluded| excluded.contains(host));
        !removed.contains(host) || is_excluded || holds_its_pod(journal, *host, record)
    });
    for (host, record) in &mut silent {
        let last_sign = last_signs.get(host).copied();
        let since = record.since.unwrap_or(now).min(now).max(last_sign.unwrap_or(Timestamp::MIN));
        record.since = (last_sign != Some(now)).then_some(since);
        prove(seen, journal, *host, record, now);
    }
    silent.retain(|host, record| record.since.is_some() || record.proof.is_some() || has_lost_its_pod(journal, *host, record));
    journal.silent = silent;
}

/// It is lost with what it had, and no other host has answered in its pod since.
fn holds_its_pod(journal: &Journal, host: HostId, record: &Silent) -> bool {
    record.proof.is_some() && record.pod.as_ref().is_some_and(|pod| journal.node(pod).host == Some(host))
}

/// Another host has answered in its pod since.
fn has_lost_its_pod(journal: &Journal, host: HostId, record: &Silent) -> bool {
    record.pod.as_ref().is_some_and(|pod| journal.node(pod).host.is_some_and(|other| other != host))
}

fn nodes(seen: &Observation) -> impl Iterator<Item = &NodeSeen> {
    seen.nodes.values().filter_map(|view| view.node.known())
}

/// Those that are no host that is removed for ever.
pub(crate) fn members_of(seen: &Observation) -> impl Iterator<Item = &NodeSeen> {
    let removed = removed(seen);
    nodes(seen).filter(move |node| !removed.contains(&node.host))
}

/// The hosts that some node has removed for ever; not by the word of one that was removed by a later incarnation of the group.
pub(in crate::plan) fn removed(seen: &Observation) -> BTreeSet<HostId> {
    let is_later = |other: &NodeSeen, node: &NodeSeen| other.evidence.incarnation > node.evidence.incarnation;
    let removes = |other: &NodeSeen, node: &NodeSeen| is_later(other, node) && other.evidence.removed.contains(&node.host);
    let is_of_the_past = |node: &&NodeSeen| nodes(seen).any(|other| removes(other, node));
    nodes(seen).filter(|node| !is_of_the_past(node)).flat_map(|node| &node.evidence.removed).copied().collect()
}

/// Every host that a member tells of, and those of pods that do not answer.
fn known(seen: &Observation, journal: &Journal) -> BTreeSet<HostId> {
    let of_silent_pods = seen.nodes.iter().filter(|(_, view)| view.node.known().is_none());
    let remembered = of_silent_pods.filter_map(|(name, _)| journal.node(name).host);
    let planned = journal.recovery.iter().filter(|recovery| recovery.is_in_force()).flat_map(|recovery| &recovery.plan.excluded);
    told(members_of(seen)).chain(non_voters(seen)).chain(remembered).chain(planned.copied()).collect()
}

/// Those whom a final node knows as members without a vote.
fn non_voters(seen: &Observation) -> impl Iterator<Item = HostId> {
    let finals = members_of(seen).filter(|node| node.state == UpgradeState::PostRaft);
    finals.filter_map(|node| node.group.as_ref()).flat_map(|group| &group.learners).copied()
}

fn told<'a>(nodes: impl Iterator<Item = &'a NodeSeen>) -> impl Iterator<Item = HostId> {
    let members = nodes.filter(|node| node.bootstrapped.is_ok());
    members.flat_map(|node| {
        let voters = node.group.iter().flat_map(|group| &group.voters);
        node.peers.keys().chain(voters).copied().chain([node.host])
    })
}

/// When each host last showed a sign of life that is known of: now, if it answers or is seen up.
fn last_signs(given: &Given<'_>) -> BTreeMap<HostId, Timestamp> {
    let now = given.now;
    let mut signs = BTreeMap::new();
    let mut sign = |host: HostId, ago: SignedDuration| {
        let at = now.saturating_sub(ago).unwrap_or(Timestamp::MIN).min(now);
        let last = signs.entry(host).or_insert(at);
        *last = at.max(*last);
    };
    for view in given.seen.nodes.values() {
        let Part::Known { value: node, age } = &view.node else { continue };
        // A fresh answer is as good as one of this moment; an older one tells of the past.
        let ago = if given.fresh(&view.node).is_ok() { SignedDuration::ZERO } else { *age };
        sign(node.host, ago);
        node.peers.iter().filter(|(_, peer)| peer.up).for_each(|(host, _)| sign(*host, ago));
        node.evidence.heard.iter().for_each(|(host, ago)| sign(*host, ago.saturating_add(*age)));
    }
    signs
}

fn pod_of(journal: &Journal, host: HostId) -> Option<PodName> {
    journal.nodes.iter().find(|(_, node)| node.host == Some(host)).map(|(name, _)| name.clone())
}

/// A proof is of the pod that the host was in, and holds when that pod is gone. If that pod itself turns out to be well, it is void.
fn prove(seen: &Observation, journal: &Journal, host: HostId, record: &mut Silent, now: Timestamp) {
    let Some(pod) = record.pod.as_ref().and_then(|name| seen.nodes.get(name)?.pod.known()) else { return };
    let of = gone(journal, host, record.pod.as_ref(), pod);
    let is_same_pod = record.proof.as_ref().is_none_or(|proof| proof.uid == pod.uid);
    record.proof = match (of, record.proof.take()) {
        (Some(of), Some(proof)) if proof.of == of => Some(proof),
        (Some(of), _) => Some(Proof { of, uid: pod.uid.clone(), at: now }),
        (None, proof) => proof.filter(|_| !is_same_pod),
    };
}

/// What is gone of this pod, which the host was in. That of a pod in which another host has answered since says nothing of it; nor
/// does the machine of a pod that was made since: the volume may have been used elsewhere before, unless it can be used nowhere else.
fn gone(journal: &Journal, host: HostId, name: Option<&PodName>, pod: &Pod) -> Option<Gone> {
    let last = journal.node(name?);
    let is_its_pod = last.host_pod.as_ref() == Some(&pod.uid);
    match (last.host == Some(host), pod.machine) {
        (true, Machine::OutOfService) if is_its_pod => Some(Gone::Machine),
        (true, Machine::OutOfServiceForItsVolume) => Some(Gone::Machine),
        (true, _) if pod.volume_gone => Some(Gone::Volume),
        _ => None,
    }
}

/// The hosts that the members who answer know of.
pub(in crate::plan) fn members(given: &Given<'_>) -> BTreeSet<HostId> {
    let removed = given.removed;
    told(members_of(given.seen)).filter(|host| !removed.contains(host)).collect()
}

/// The members that have been silent for long enough, and of which it is known that they will not come back.
pub(in crate::plan) fn dead(given: &Given<'_>) -> Vec<Dead> {
    let members = members(given);
    let silent = given.journal.silent.iter().filter(|(host, _)| members.is_empty() || members.contains(host));
    silent.filter_map(|(host, record)| judge(given, *host, record)).collect()
}

/// The dead and the ghosts: all that the others need not wait for, once their group goes on.
pub(in crate::plan) fn removable(given: &Given<'_>) -> Vec<Dead> {
    let ghosts = given.journal.silent.iter().filter(|(host, record)| is_ghost(given, **host, record));
    let ghosts = ghosts.filter_map(|(host, record)| judge(given, *host, record));
    dead(given).into_iter().chain(ghosts).collect()
}

/// A newcomer that was lost on its way in: a non-voter in nobody's ring, for which there is no pod. Nothing is lost with it, so that its
/// silence is enough.
fn is_ghost(given: &Given<'_>, host: HostId, record: &Silent) -> bool {
    let is_non_voter = non_voters(given.seen).any(|it| it == host) && !told(members_of(given.seen)).any(|it| it == host);
    is_non_voter && !given.removed.contains(&host) && has_no_pod(given, host, record)
}

/// Members, with or without a vote, that are silent, although all pods answer: others answer there.
pub(in crate::plan) fn missing(given: &Given<'_>) -> BTreeSet<HostId> {
    if given.seen.nodes.values().any(|view| given.fresh(&view.node).is_err()) {
        return BTreeSet::new();
    }
    let removed = given.removed;
    let is_missing = |host: &HostId| silent_since(given, *host).is_some() && !removed.contains(host);
    told(members_of(given.seen)).chain(non_voters(given.seen)).filter(is_missing).collect()
}

/// When the next of the silent counts as dead, if nobody hears of it before.
pub(in crate::plan) fn next_death(given: &Given<'_>) -> Option<Timestamp> {
    let counts = |(host, record): &(&HostId, &Silent)| {
        record.proof.is_some() || is_declared(given, **host) || is_ghost(given, **host, record)
    };
    let silent = given.journal.silent.iter().filter(counts);
    let due = silent.filter_map(|(_, record)| record.since?.checked_add(dead_after(given)).ok());
    due.filter(|at| *at > given.now).min()
}

fn judge(given: &Given<'_>, host: HostId, record: &Silent) -> Option<Dead> {
    let silent_enough = record.since?.saturating_add(dead_after(given)).unwrap_or(Timestamp::MAX);
    let proven_at = record.proof.as_ref().map(|proof| proof.at);
    let is_ghost = is_ghost(given, host, record);
    let by_silence = || (is_ghost || is_declared(given, host)).then_some(silent_enough);
    let since = proven_at.or_else(by_silence)?.max(silent_enough);
    let (pod, name) = (record.pod.clone(), name(given, host, record));
    (given.now >= silent_enough).then(|| Dead { host, pod, name, since, is_proven: is_ghost || proven_at.is_some() })
}

fn name(given: &Given<'_>, host: HostId, record: &Silent) -> String {
    match &record.pod {
        Some(pod) if has_lost_its_pod(given.journal, host, record) => format!("{host} (formerly {pod})"),
        Some(pod) => pod.name.clone(),
        None => host.to_string(),
    }
}

/// What is missing before this host, which does not answer, counts as dead.
pub(super) fn not_dead_because(given: &Given<'_>, host: HostId) -> String {
    let silent = given.journal.silent.get(&host).and_then(|record| Some((record, record.since?)));
    let Some((record, since)) = silent else { return "others see it alive".into() };
    let silent_for = given.now.duration_since(since);
    let pod = record.pod.as_ref().and_then(|name| given.pod(name));
    if record.proof.is_some() || is_declared(given, host) {
        let dead_after = dead_after(given);
        return format!(
            "it has been silent for {} s of the {} s of recovery.deadAfter",
            silent_for.as_secs(),
            dead_after.as_secs()
        );
    }
    match pod.map(|pod| pod.machine) {
        _ if has_lost_its_pod(given.journal, host, record) => {
            "another host answers in its pod by now, and what became of its own machine or volume was not seen".into()
        }
        Some(Machine::Gone) => "its machine is gone from Kubernetes, which proves nothing about its containers".into(),
        Some(_) => "its machine and its volume exist".into(),
        None => "of its pod nothing is known".into(),
    }
}

/// Members that have been silent for long enough, for which there is no pod, since all are of others by now, and of which nothing
/// proves that they will not come back: no restart brings them, and only a human can say it.
pub(in crate::plan) fn displaced(given: &Given<'_>) -> Vec<HostId> {
    let members = members(given);
    let is_displaced = |(host, record): &(&HostId, &Silent)| {
        let is_open = record.proof.is_none() && !is_declared(given, **host) && members.contains(host);
        let is_silent = record.since.is_some_and(|since| given.now.duration_since(since) >= dead_after(given));
        is_open && is_silent && has_no_pod(given, **host, record)
    };
    given.journal.silent.iter().filter(is_displaced).map(|(host, _)| *host).collect()
}

/// A member that has been silent for long enough, of which nothing proves that it will not come back.
pub(in crate::plan) fn is_unproven(given: &Given<'_>, host: HostId) -> bool {
    let record = given.journal.silent.get(&host).filter(|record| record.proof.is_none() && !is_declared(given, host));
    let since = record.and_then(|record| record.since);
    since.is_some_and(|since| given.now.duration_since(since) >= dead_after(given)) && members(given).contains(&host)
}

/// All pods are of other hosts. One in which nobody answers, nor is known to have been, may be that of any host.
fn has_no_pod(given: &Given<'_>, host: HostId, record: &Silent) -> bool {
    let is_anothers = |(name, view): (&PodName, &NodeView)| {
        given.fresh(&view.node).is_ok() || given.journal.node(name).host.is_some_and(|known| known != host)
    };
    match &record.pod {
        Some(pod) => given.journal.node(pod).host != Some(host),
        None => given.seen.nodes.iter().all(is_anothers),
    }
}

fn dead_after(given: &Given<'_>) -> SignedDuration {
    signed(given.spec.recovery.dead_after.into())
}

/// Since when this host has shown no sign of life.
pub(super) fn silent_since(given: &Given<'_>, host: HostId) -> Option<Timestamp> {
    given.journal.silent.get(&host)?.since
}

fn is_declared(given: &Given<'_>, host: HostId) -> bool {
    given.spec.recovery.confirm_dead.iter().any(|dead| dead.host_id == host.to_string())
}

/// Where hosts were that are removed for ever and proven to be lost with what they had, and where nobody has answered since; each until it
/// was given up.
pub(in crate::plan) fn given_up<'a>(given: &Given<'a>) -> Vec<&'a PodName> {
    let removed = given.removed;
    let open = given
        .journal
        .silent
        .iter()
        .filter(|(host, record)| removed.contains(*host) && !record.given_up && holds_its_pod(given.journal, **host, record));
    let pods = open.filter_map(|(_, record)| record.pod.as_ref()).filter(|pod| is_left(given, pod));
    pods.filter(|pod| given.seen.nodes.get(*pod).is_some_and(|view| given.fresh(&view.node).is_err())).collect()
}

/// Whether what stands there now is what is left of the host that was in it: the same pod, one whose volume or machine is lost, or one that
/// does not run. Any other may be a fresh member already that has not answered yet.
pub(super) fn is_left(given: &Given<'_>, name: &PodName) -> bool {
    let is_it = |pod: &Pod| given.journal.node(name).host_pod.as_ref() == Some(&pod.uid);
    let is_lost = |pod: &Pod| pod.volume_gone || matches!(pod.machine, Machine::OutOfService | Machine::OutOfServiceForItsVolume);
    given.pod(name).is_some_and(|pod| is_it(pod) || is_lost(pod) || pod.state != PodState::Running)
}

/// The pod in which this host answers, if it does.
pub(super) fn view_of<'a>(given: &Given<'a>, host: HostId) -> Option<(&'a PodName, &'a NodeView)> {
    given.seen.nodes.iter().find(|(_, view)| view.node.known().is_some_and(|node| node.host == host))
}
