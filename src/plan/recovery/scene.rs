//! The survivors of a plan as they are seen now.

use super::{Recovery, hosts};
use crate::{
    observe::{HostId, PlanState, StoredPlan, UpgradeState},
    plan::{Given, WaitingFor, evidence, health::Member},
};
use std::collections::BTreeMap;

/// What a step works on.
pub(super) struct Scene<'a> {
    pub given: &'a Given<'a>,
    pub recovery: Recovery,
    /// Those who answer.
    pub survivors: BTreeMap<HostId, Member<'a>>,
    /// What is missing of the others.
    pub missing: Vec<WaitingFor>,
}

impl<'a> Scene<'a> {
    /// The point of no return is past when one has passed it, whatever the journal says.
    pub fn of(given: &'a Given<'a>, recovery: &Recovery) -> Self {
        let (survivors, dead) = (answering(given), hosts::dead(given));
        let survivors: BTreeMap<_, _> =
            survivors.into_iter().filter(|(host, _)| recovery.plan.survivors.contains(host)).collect();
        // Once the new group goes on, a survivor that is lost since is a member that it can do without, and nothing is left for it to do. Nor
        // is anything to be taken back there.
        let has_new_group = recovery.reset_at.is_some() && evidence::goes_on(given);
        let needs_nobody = recovery.verified_at.is_some() || recovery.withdrawn.is_some() || has_new_group;
        let is_of_no_matter = |host: &HostId| needs_nobody && dead.iter().any(|dead| dead.host == *host);
        let absent = recovery.plan.survivors.iter().filter(|host| !survivors.contains_key(host) && !is_of_no_matter(host));
        let missing = absent.map(|host| absence(given, *host)).collect();
        let mut scene = Self { given, recovery: recovery.clone(), survivors, missing };
        if scene.members().any(|member| scene.has_reset(member)) {
            scene.recovery.approved_at.get_or_insert(given.now);
            scene.recovery.reset_at.get_or_insert(given.now);
        }
        scene
    }

    pub fn members(&self) -> impl Iterator<Item = &Member<'a>> {
        self.survivors.values()
    }

    /// The survivors of which this does not hold.
    pub fn without(&self, holds: impl Fn(&Member<'a>) -> bool) -> Vec<Member<'a>> {
        self.members().filter(|member| !holds(member)).copied().collect()
    }

    /// How far this plan has come on a survivor; `None` if it has another one, or none.
    pub fn state(&self, member: &Member<'_>) -> Option<PlanState> {
        self.stored(member).map(|stored| stored.state)
    }

    pub fn stored<'b>(&self, member: &Member<'b>) -> Option<&'b StoredPlan> {
        let stored = member.node.evidence.plan.as_ref()?;
        (stored.number == self.recovery.plan.number && stored.text == self.recovery.plan.text).then_some(stored)
    }

    /// Whether a survivor has reset its group by this plan.
    pub fn has_reset(&self, member: &Member<'_>) -> bool {
        matches!(self.state(member), Some(PlanState::Resetting | PlanState::Done))
    }

    /// Whether its present start is in recovery.
    pub fn is_in_recovery(member: &Member<'_>) -> bool {
        member.node.evidence.in_recovery
    }

    /// Whether it says so: from the order on, and until the start after it was taken back.
    pub fn says_recovery(member: &Member<'_>) -> bool {
        member.node.state == UpgradeState::Recovery
    }

    /// Whether its next start ends that. With a marker, which a person may have left, it would only lead back inside.
    pub fn leaves_with_a_start(member: &Member<'_>) -> bool {
        Self::says_recovery(member) && !member.node.evidence.recovery_stored
    }
}

/// The full members that answer, by host.
pub(super) fn answering<'a>(given: &'a Given<'a>) -> BTreeMap<HostId, Member<'a>> {
    let answers = given.seen.nodes.iter().filter_map(|(name, view)| given.answering(name, view).ok());
    answers.filter(|member| member.node.bootstrapped.is_ok()).map(|member| (member.node.host, member)).collect()
}

fn absence(given: &Given<'_>, host: HostId) -> WaitingFor {
    let pod = given.journal.nodes.iter().find(|(_, node)| node.host == Some(host)).map(|(name, _)| name);
    let view = pod.and_then(|name| Some((name, given.seen.nodes.get(name)?)));
    let gone = || WaitingFor::HostMissing { host };
    let Some((name, view)) = view else { return gone() };
    match given.answering(name, view) {
        Err(why) => why,
        Ok(member) if member.node.host == host => {
            let why = member.node.bootstrapped.clone().err().unwrap_or_default();
            WaitingFor::PodNotReady { node: name.clone(), why }
        }
        Ok(_) => gone(),
    }
}
