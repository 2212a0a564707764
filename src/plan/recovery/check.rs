//! What a recovery may not do, whatever is planned: rules that share nothing with those that made the plan. Each is asked of what
//! was seen, of the journal before and after, and of the actions.

use crate::{
    crd::{Group0UpgradeSpec, RecoveryMode},
    observe::{HostId, NodeSeen, Observation, Part, PlanState, PodName, StoredPlan, UpgradeState},
    plan::{Action, Donor, Journal, Plan, Recovery, RecoveryVerb, health::answer_max},
};

/// Violations of a plan by which a recovery is prepared or carried out.
pub(in crate::plan) fn audit(spec: &Group0UpgradeSpec, seen: &Observation, before: &Journal, plan: &Plan) -> Vec<String> {
    let Some(recovery) = plan.journal.recovery.as_ref() else {
        return of_the_past(before, plan).into_iter().collect();
    };
    let audit = Audit { spec, seen, before, plan, recovery };
    let rules = [
        of_the_past(before, plan),
        audit.begun_with_reason(),
        audit.no_living_host_is_given_up(),
        audit.only_survivors_are_ordered(),
        audit.fenced_when_all_have_stored_it(),
        audit.entered_when_all_are_fenced(),
        audit.rolled_forward_in_recovery(),
        audit.reset_when_all_is_saved(),
        audit.approved_first(),
        audit.left_when_all_have_reset(),
        audit.not_lifted_after_no_return(),
        audit.restarts_one_among_those_who_see_each_other(),
    ];
    rules.into_iter().flatten().collect()
}

/// Whether a restart belongs to a recovery: the rules of this file are for it, not those of a roll.
pub(in crate::plan) fn is_of_recovery(seen: &Observation, plan: &Plan, node: &PodName) -> bool {
    let said = seen.nodes.get(node).and_then(|view| view.node.known());
    let host = said.map(|said| said.host);
    let recovery = plan.journal.recovery.as_ref().filter(|recovery| recovery.is_in_force());
    recovery.zip(host).is_some_and(|(recovery, host)| recovery.approved_at.is_some() && recovery.plan.survivors.contains(&host))
}

/// What was decided stays decided: a plan is followed by one with a higher number, or not at all.
fn of_the_past(before: &Journal, plan: &Plan) -> Option<String> {
    let former = before.recovery.as_ref()?;
    let Some(next) = plan.journal.recovery.as_ref() else { return Some("it forgets a recovery".into()) };
    if next.plan.number > former.plan.number {
        return None;
    }
    let kept = next.plan == former.plan
        && (former.donor.is_none() || next.donor == former.donor)
        && (former.reset_at.is_none() || next.reset_at == former.reset_at)
        && (former.withdrawn.is_none() || next.withdrawn.is_some());
    (!kept).then(|| format!("it changes plan {}, which is frozen", former.plan.number))
}

struct Audit<'a> {
    spec: &'a Group0UpgradeSpec,
    seen: &'a Observation,
    before: &'a Journal,
    plan: &'a Plan,
    recovery: &'a Recovery,
}

impl Audit<'_> {
    fn nodes(&self) -> impl Iterator<Item = (&PodName, &NodeSeen)> {
        let limit = answer_max(self.spec);
        self.seen.nodes.iter().filter_map(move |(name, view)| match &view.node {
            Part::Known { value, age } if *age <= limit => Some((name, value)),
            _ => None,
        })
    }

    /// What one says that is removed for ever is of a group that it was in.
    fn members(&self) -> impl Iterator<Item = &NodeSeen> {
        self.nodes().map(|(_, node)| node).filter(|node| !self.is_removed(node.host))
    }

    /// What is for ever is so however long ago it was said.
    fn is_removed(&self, host: HostId) -> bool {
        let words = || self.seen.nodes.values().filter_map(|view| view.node.known());
        words().any(|node| node.evidence.removed.contains(&host))
    }

    fn node(&self, name: &PodName) -> Option<&NodeSeen> {
        self.seen.nodes.get(name).and_then(|view| view.node.known())
    }

    fn orders(&self) -> impl Iterator<Item = (&PodName, u64, RecoveryVerb)> {
        self.plan.actions.iter().filter_map(|action| match action {
            Action::Recover { node, plan, verb } => Some((node, *plan, *verb)),
            _ => None,
        })
    }

    fn orders_any(&self, of: fn(RecoveryVerb) -> bool) -> bool {
        self.orders().any(|(_, number, verb)| number == self.recovery.plan.number && of(verb))
    }

    /// The first survivor that does not answer, or of which this does not hold.
    fn not_all(&self, holds: impl Fn(&NodeSeen) -> bool) -> Option<HostId> {
        self.without(holds).next()
    }

    /// The survivors of which this does not hold.
    fn without(&self, holds: impl Fn(&NodeSeen) -> bool) -> impl Iterator<Item = HostId> {
        let holds_of = move |host: &HostId| self.nodes().any(|(_, node)| node.host == *host && holds(node));
        self.recovery.plan.survivors.iter().copied().filter(move |host| !holds_of(host))
    }

    fn stored<'b>(&self, node: &'b NodeSeen) -> Option<&'b StoredPlan> {
        node.evidence.plan.as_ref().filter(|it| it.number == self.recovery.plan.number && it.text == self.recovery.plan.text)
    }

    fn is_at_least(&self, node: &NodeSeen, state: PlanState) -> bool {
        self.stored(node).is_some_and(|it| it.state >= state && it.state != PlanState::Withdrawn)
    }

    /// No plan is made while a majority of the voters answers and is final, and none that a node knows by that number.
    fn begun_with_reason(&self) -> Option<String> {
        let former = self.before.recovery.as_ref();
        let is_new = former.is_none_or(|former| former.plan.number != self.recovery.plan.number);
        let begins = |verb| matches!(verb, RecoveryVerb::PrepareFence | RecoveryVerb::Fence | RecoveryVerb::EnterRecovery);
        let may_end = self.recovery.reset_at.is_none() && !self.recovery.forward_only;
        let is_begun = is_new || (may_end && self.orders_any(begins));
        if !is_begun {
            return None;
        }
        let voters = self.members().filter_map(|node| node.group.as_ref()).map(|group| &group.voters).max_by_key(|it| it.len());
        let is_final = |node: &NodeSeen| node.state == UpgradeState::PostRaft;
        let whole = voters.filter(|voters| {
            self.members().filter(|node| is_final(node) && voters.contains(&node.host)).count() * 2 > voters.len()
        });
        let adopted = is_new && self.nodes().any(|(_, node)| self.is_at_least(node, PlanState::Fenced));
        (whole.is_some() && !adopted).then(|| "it recovers while a majority of the voters goes on".into())
    }

    fn is_alive(&self, host: HostId) -> bool {
        self.nodes().any(|(_, node)| node.host == host || node.peers.get(&host).is_some_and(|peer| peer.up))
    }

    /// One that some node has removed for ever is given up already. Until the point of no return a sign of life of an excluded host
    /// ends every step but those that take the plan back.
    fn no_living_host_is_given_up(&self) -> Option<String> {
        let goes_on = self.orders().any(|(_, _, verb)| verb != RecoveryVerb::LiftFence);
        let may_still_end = self.before.recovery.as_ref().is_none_or(|former| former.reset_at.is_none());
        let mut words = self.seen.nodes.values().filter_map(|view| view.node.known());
        let adopts = words.any(|node| self.is_at_least(node, PlanState::Resetting));
        let alive = self.recovery.plan.excluded.iter().find(|host| self.is_alive(**host) && !self.is_removed(**host))?;
        (goes_on && may_still_end && !adopts).then(|| format!("it gives up host {alive}, which is alive"))
    }

    fn only_survivors_are_ordered(&self) -> Option<String> {
        let is_survivor = |node: &PodName| self.node(node).is_some_and(|it| self.recovery.plan.survivors.contains(&it.host));
        let stranger = self.orders().find(|(node, number, verb)| {
            let is_leftover = *verb == RecoveryVerb::LiftFence && *number != self.recovery.plan.number;
            let is_its = is_survivor(node) && *number == self.recovery.plan.number;
            !(is_leftover || is_its)
        });
        stranger.map(|(node, number, verb)| format!("{node} is ordered {} of plan {number}, which is not its", verb.name()))
    }

    fn fenced_when_all_have_stored_it(&self) -> Option<String> {
        let missing = self.not_all(|node| self.is_at_least(node, PlanState::Prepared))?;
        self.orders_any(|verb| verb == RecoveryVerb::Fence)
            .then(|| format!("it fences although host {missing} has not stored the plan"))
    }

    fn entered_when_all_are_fenced(&self) -> Option<String> {
        let missing = self.not_all(|node| self.is_at_least(node, PlanState::Fenced))?;
        self.orders_any(|verb| verb == RecoveryVerb::EnterRecovery)
            .then(|| format!("it enters recovery although host {missing} has no fence"))
    }

    fn rolled_forward_in_recovery(&self) -> Option<String> {
        let inside = |node: &NodeSeen| node.evidence.in_recovery && self.is_at_least(node, PlanState::Fenced);
        let rolls = self.orders().find_map(|(node, _, verb)| match verb {
            RecoveryVerb::RollForward { donor } => Some((node, donor)),
            _ => None,
        });
        let (node, donor) = rolls?;
        if self.recovery.donor != Some(Donor::Host(donor)) {
            return Some(format!("it rolls forward to host {donor}, which is not the donor"));
        }
        let is_donor = self.node(node).is_some_and(|it| it.host == donor);
        let donor_is_ready = self.nodes().any(|(_, it)| it.host == donor && self.stored(it).is_some_and(|it| it.rolled_forward));
        match self.not_all(inside) {
            Some(host) => Some(format!("it rolls forward although host {host} is not in recovery")),
            None if !is_donor && !donor_is_ready => Some("it rolls forward to a donor that has not applied its own log".into()),
            None => None,
        }
    }

    /// Before it is approved nothing of it is ordered, save that it is taken back.
    fn approved_first(&self) -> Option<String> {
        let is_taken_for_approved = self.recovery.approved_at.is_some();
        if is_taken_for_approved && !self.is_approved() {
            return Some("it takes a plan for approved that nobody has approved".into());
        }
        let orders = self.orders_any(|verb| verb != RecoveryVerb::LiftFence);
        (orders && !is_taken_for_approved).then(|| "it carries out a plan that is not approved".into())
    }

    fn reset_when_all_is_saved(&self) -> Option<String> {
        if !self.orders_any(|verb| verb == RecoveryVerb::ResetGroup0) {
            return None;
        }
        if self.recovery.reset_at.is_none() {
            return Some("it resets without the intent in the journal".into());
        }
        if !self.is_approved() {
            return Some("it resets without approval".into());
        }
        let is_saved = |node: &NodeSeen| match self.stored(node) {
            Some(stored) if stored.state == PlanState::Fenced => {
                let is_forward = stored.rolled_forward || self.recovery.donor == Some(Donor::Nobody) || self.has_begun();
                node.evidence.in_recovery && is_forward
            }
            Some(stored) => matches!(stored.state, PlanState::Resetting | PlanState::Done),
            None => false,
        };
        let is_first = !self.has_begun();
        let missing = if is_first { self.not_all(is_saved) } else { None };
        missing.map(|host| format!("it resets although host {host} is not ready for it"))
    }

    /// Whether the point of no return was passed before this plan: a survivor that is silent now was asked then.
    fn has_begun(&self) -> bool {
        let journalled = self
            .before
            .recovery
            .as_ref()
            .is_some_and(|former| former.plan.number == self.recovery.plan.number && former.reset_at.is_some());
        journalled || self.nodes().any(|(_, node)| self.is_at_least(node, PlanState::Resetting))
    }

    /// By hash; or by standing permission, which needs a proof of each loss; or once, and journalled.
    fn is_approved(&self) -> bool {
        let was = self.before.recovery.as_ref();
        let by_hash = self.spec.recovery.approved_plan_hash.as_ref() == Some(&self.recovery.plan.hash());
        let is_proven = |host: &HostId| self.plan.journal.silent.get(host).is_some_and(|it| it.proof.is_some());
        let standing = self.spec.recovery.mode == RecoveryMode::Automatic && self.recovery.plan.excluded.iter().all(is_proven);
        let before = was.is_some_and(|was| was.plan.number == self.recovery.plan.number && was.approved_at.is_some());
        by_hash || (standing && !self.recovery.needs_human) || before || self.has_begun()
    }

    fn left_when_all_have_reset(&self) -> Option<String> {
        let missing = self.not_all(|node| self.is_at_least(node, PlanState::Resetting))?;
        self.orders_any(|verb| verb == RecoveryVerb::LeaveRecovery)
            .then(|| format!("it leaves recovery although host {missing} has not reset its group"))
    }

    fn not_lifted_after_no_return(&self) -> Option<String> {
        let lifts = self.orders_any(|verb| verb == RecoveryVerb::LiftFence);
        (lifts && self.recovery.reset_at.is_some()).then(|| "it lifts a fence after the point of no return".into())
    }

    /// The dead are not up, and a survivor in recovery exchanges nothing with one outside: all that is asked is that every survivor
    /// answers, and that all see each other in their present start; of those that are lost since nothing, where the plan is taken back or has
    /// made a group that goes on; and where it is taken back, nothing of those that are away.
    fn restarts_one_among_those_who_see_each_other(&self) -> Option<String> {
        let taken = self.plan.actions.iter().find_map(|action| match action {
            Action::Restart { node, .. } if is_of_recovery(self.seen, self.plan, node) => Some(node),
            _ => None,
        })?;
        let sees = |node: &NodeSeen| {
            let others = self.nodes().filter(|(_, it)| it.host != node.host && self.recovery.plan.survivors.contains(&it.host));
            others
                .into_iter()
                .all(|(_, other)| node.peers.get(&other.host).is_some_and(|peer| peer.up && peer.generation == other.generation))
        };
        let needs_nobody = self.recovery.withdrawn.is_some() || self.recovery.reset_at.is_some();
        // Out of recovery, into a group that may have no majority without it.
        let leaves = self.recovery.withdrawn.is_some()
            && self.node(taken).is_some_and(|it| it.state == UpgradeState::Recovery && !it.evidence.recovery_stored);
        let is_away = |host: &HostId| leaves && !self.nodes().any(|(_, it)| it.host == *host);
        let record = |host: &HostId| self.plan.journal.silent.get(host).filter(|_| needs_nobody);
        let is_lost = |host: &HostId| record(host).is_some_and(|it| it.since.is_some() && it.proof.is_some());
        let missing = self.without(sees).find(|host| !is_lost(host) && !is_away(host))?;
        Some(format!("it restarts {taken} although host {missing} is away, or does not see another survivor"))
    }
}
