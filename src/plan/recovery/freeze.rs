//! Step 1: the guards of a recovery, and the plan that is frozen when all of them hold.

use super::{
    FrozenPlan, Recovery, Step, Why,
    frozen::MAX_TEXT_BYTES,
    hosts::{self, Dead},
    scene,
};
use crate::{
    crd::RecoveryMode,
    observe::{HostId, PodName},
    plan::{Given, health::Member, stall::Class},
};
use std::collections::{BTreeMap, BTreeSet};

/// Who is left, who is dead, and of whom neither is known.
struct Census<'a> {
    answering: BTreeMap<HostId, Member<'a>>,
    dead: Vec<Dead>,
    unknown: Vec<HostId>,
}

/// The plan against the loss of those who are dead now; or what forbids it, each guard by its name.
pub(super) fn plan(given: &Given<'_>, trigger: Class) -> Result<Recovery, Vec<Why>> {
    let census = Census::take(given);
    let frozen = census.choices(next_number(given));
    let mut refused = census.refused(given);
    if given.spec.recovery.mode == RecoveryMode::Disabled {
        refused.insert(0, Why::Disabled);
    }
    if frozen.survivors.is_empty() {
        refused.push(Why::NobodyLeft);
    }
    if frozen.text.len() > MAX_TEXT_BYTES {
        refused.push(Why::PlanTooLarge { bytes: frozen.text.len() });
    }
    if refused.is_empty() { Ok(census.recovery(given, trigger, frozen)) } else { Err(refused) }
}

/// Higher than any that the journal or a node that answers knows of.
fn next_number(given: &Given<'_>) -> u64 {
    let nodes = given.seen.nodes.values().filter_map(|view| view.node.known());
    let stored = nodes.filter_map(|node| node.evidence.plan.as_ref()).map(|plan| plan.number);
    let last = given.journal.recovery.as_ref().map(|recovery| recovery.plan.number);
    stored.chain(last).max().unwrap_or_default() + 1
}

impl<'a> Census<'a> {
    fn take(given: &'a Given<'a>) -> Self {
        let dead = hosts::dead(given);
        let is_dead = |host: &HostId| dead.iter().any(|dead| dead.host == *host);
        let mut answering = scene::answering(given);
        let members = hosts::members(given);
        answering.retain(|host, _| members.contains(host));
        let unknown = members.into_iter().filter(|host| !answering.contains_key(host) && !is_dead(host)).collect();
        Self { answering, dead, unknown }
    }

    fn choices(&self, number: u64) -> FrozenPlan {
        let excluded = self.dead.iter().map(|dead| dead.host).collect();
        FrozenPlan::new(number, self.answering.keys().copied().collect(), excluded)
    }

    fn refused(&self, given: &Given<'_>) -> Vec<Why> {
        let mut refused: Vec<_> = self.unknown.iter().map(|host| unknown(given, *host)).collect();
        refused.extend(foreign_group(self.answering.values()));
        refused
    }

    fn recovery(&self, given: &Given<'_>, trigger: Class, plan: FrozenPlan) -> Recovery {
        let now = given.now;
        let silent_since = |dead: &Dead| hosts::silent_since(given, dead.host);
        Recovery {
            plan,
            trigger,
            pods: self.dead.iter().map(|dead| (dead.host, dead.pod.clone())).collect(),
            step: Step::Approve,
            step_since: now,
            frozen_at: now,
            lost_at: self.dead.iter().filter_map(silent_since).max().unwrap_or(now),
            proven_at: self.dead.iter().map(|dead| dead.since).max().unwrap_or(now).min(now),
            needs_human: false,
            forward_only: false,
            because: None,
            approved_at: None,
            donor: None,
            reset_at: None,
            leaving_at: None,
            verified_at: None,
            replaced: BTreeSet::new(),
            withdrawn: None,
            ended_at: None,
        }
    }
}

/// All that have stored a group must have stored the same.
pub(super) fn foreign_group<'a>(members: impl Iterator<Item = &'a Member<'a>>) -> Option<Why> {
    let mut groups = members.filter_map(|member| Some((member.name, member.node.evidence.group?)));
    let (other, first) = groups.next()?;
    let (node, _) = groups.find(|(_, group)| *group != first)?;
    Some(Why::ForeignGroup { node: node.clone(), other: other.clone() })
}

/// A member that neither answers nor counts as dead.
fn unknown(given: &Given<'_>, host: HostId) -> Why {
    let pod = pod_of(given, host);
    let name = pod.as_ref().map_or_else(|| "a node".to_owned(), |pod| pod.name.clone());
    let answers = hosts::view_of(given, host);
    if let Some((pod, _)) = answers.filter(|(_, view)| view.node.known().is_some_and(|node| node.bootstrapped.is_err())) {
        return Why::StillJoining { node: pod.clone() };
    }
    let why = hosts::not_dead_because(given, host);
    let is_alive = hosts::silent_since(given, host).is_none();
    if is_alive { Why::MemberUnreachable { host, name, why } } else { Why::NotProvenDead { host, name, why } }
}

fn pod_of(given: &Given<'_>, host: HostId) -> Option<PodName> {
    let silent = given.journal.silent.get(&host).and_then(|record| record.pod.clone());
    silent.or_else(|| given.journal.nodes.iter().find(|(_, node)| node.host == Some(host)).map(|(name, _)| name.clone()))
}

/// The plan after one whose survivor was lost, or one of whose lost has come back: for those who are there now.
pub(super) fn successor(given: &Given<'_>, former: &Recovery) -> Result<Recovery, Vec<Why>> {
    let next = plan(given, former.trigger)?;
    let pods: BTreeMap<_, _> = former.pods.iter().map(|(host, pod)| (*host, pod.clone())).chain(next.pods.clone()).collect();
    let excluded: BTreeSet<HostId> =
        former.plan.excluded.difference(&next.plan.survivors).chain(&next.plan.excluded).copied().collect();
    let plan = FrozenPlan::new(next.plan.number, next.plan.survivors.clone(), excluded);
    let forward_only = former.forward_only || former.reset_at.is_some();
    Ok(Recovery { pods, plan, forward_only, lost_at: former.lost_at.min(next.lost_at), ..next })
}
