//! The audit: whether a plan may be carried out, by rules that share nothing with those that made it.
//!
//! It looks at what was seen, at the journal and at the actions only. A plan that it refuses is not carried out, whatever made it.

use super::{Action, Journal, Plan, recovery};
use crate::{
    crd::{Group0UpgradeSpec, Mode},
    observe::{HostId, Machine, NodeSeen, NodeView, Observation, Part, PlanState, PodName, PodState, UpgradeState},
};
use k8s_openapi::jiff::Timestamp;

/// What is wrong with the plan; nothing if it may be carried out.
pub fn audit(spec: &Group0UpgradeSpec, seen: &Observation, before: &Journal, plan: &Plan, now: Timestamp) -> Vec<String> {
    let audit = Audit { spec, seen, before, plan, now };
    let rules = [
        audit.nothing_while_told_not_to(),
        audit.one_disruption(),
        audit.all_others_serve(),
        audit.right_pod(),
        audit.nothing_made_again_after_no_return(),
        audit.no_return_is_earned(),
        audit.proceeds_after_no_return(),
        audit.completion_is_seen(),
        audit.only_when_followed(),
        audit.only_the_lost_are_removed(),
        audit.nobodys_place_is_given_up(),
        audit.nothing_while_something_is_open(),
        audit.the_past_stays(),
    ];
    rules.into_iter().flatten().chain(recovery::check::audit(spec, seen, before, plan)).collect()
}

struct Audit<'a> {
    spec: &'a Group0UpgradeSpec,
    seen: &'a Observation,
    before: &'a Journal,
    plan: &'a Plan,
    now: Timestamp,
}

/// Whether this pod runs and its node serves.
fn serves(view: &NodeView) -> bool {
    let runs = view.pod.known().is_some_and(|pod| pod.state == PodState::Running);
    runs && view.node.known().is_some_and(|node| node.ready.is_ok() && node.bootstrapped.is_ok())
}

impl Audit<'_> {
    /// What the nodes have said, however long ago.
    fn nodes(&self) -> impl Iterator<Item = &NodeSeen> {
        self.seen.nodes.values().filter_map(|view| view.node.known())
    }

    fn disrupted(&self) -> impl Iterator<Item = &PodName> {
        self.plan.actions.iter().filter_map(Action::disrupts)
    }

    fn nothing_while_told_not_to(&self) -> Option<String> {
        let told = self.spec.paused || self.spec.dry_run;
        (told && !self.plan.actions.is_empty()).then(|| "it acts although spec says paused or dryRun".into())
    }

    fn one_disruption(&self) -> Option<String> {
        (self.disrupted().count() > 1).then(|| "it takes two nodes at once".into())
    }

    fn all_others_serve(&self) -> Option<String> {
        let taken = self.disrupted().next().filter(|taken| !self.is_recovery(taken))?;
        let (other, _) = self.seen.nodes.iter().find(|(name, view)| *name != taken && !serves(view))?;
        let is_correction = self.broken(taken) || self.is_stray(taken) || self.leaves_recovery(taken);
        (!is_correction).then(|| format!("it takes {taken} while {other} does not serve"))
    }

    /// A node in recovery takes no part in the group, and a majority of that is final and serves: it loses nothing.
    fn is_stray(&self, taken: &PodName) -> bool {
        let node = |view: &NodeView| view.node.known().cloned();
        let is_inside = self.seen.nodes.get(taken).and_then(node).is_some_and(|node| node.evidence.in_recovery);
        let believed = |node: &&NodeSeen| !self.is_removed(node.host);
        let serving =
            || self.seen.nodes.values().filter(|view| serves(view)).filter_map(|view| view.node.known()).filter(believed);
        let finals = || serving().filter(|node| node.state == UpgradeState::PostRaft);
        let voters = finals().filter_map(|node| node.group.as_ref()).map(|group| &group.voters).max_by_key(|voters| voters.len());
        let goes_on = voters.is_some_and(|voters| finals().filter(|it| voters.contains(&it.host)).count() * 2 > voters.len());
        is_inside && goes_on
    }

    /// Its plan was taken back, and its next start is in its group again, which may have no majority without it.
    fn leaves_recovery(&self, taken: &PodName) -> bool {
        let node = self.seen.nodes.get(taken).and_then(|view| view.node.known());
        node.is_some_and(|node| {
            let said = &node.evidence;
            let is_withdrawn = said.plan.as_ref().is_some_and(|plan| plan.state == PlanState::Withdrawn);
            node.state == UpgradeState::Recovery && !said.recovery_stored && is_withdrawn
        })
    }

    /// Of a recovery other things are asked: those that are given up do not serve.
    fn is_recovery(&self, taken: &PodName) -> bool {
        let in_place = self.plan.actions.iter().any(|action| matches!(action, Action::Restart { .. }));
        in_place && recovery::check::is_of_recovery(self.seen, self.plan, taken)
    }

    /// A pod that cannot run as it is serves nobody anyway.
    fn broken(&self, name: &PodName) -> bool {
        let pod = self.seen.nodes.get(name).and_then(|view| view.pod.known());
        pod.is_some_and(|pod| matches!(pod.state, PodState::Broken(_)))
    }

    fn right_pod(&self) -> Option<String> {
        self.plan.actions.iter().find_map(|action| match action {
            Action::Recreate { node, uid, version } => {
                let pod = self.seen.nodes.get(node).and_then(|view| view.pod.known());
                let is_right = pod.is_some_and(|pod| pod.uid == *uid && pod.version == *version);
                (!is_right).then(|| format!("it takes a pod {node} that was not seen"))
            }
            Action::Restart { node, generation } => {
                let seen = self.seen.nodes.get(node).and_then(|view| view.node.known());
                let is_right = seen.is_some_and(|seen| seen.generation == *generation);
                (!is_right).then(|| format!("it restarts a process of {node} that was not seen"))
            }
            _ => None,
        })
    }

    /// From then on a pod that is made again is one that lacks the flag while the feature still waits for it, or one that cannot
    /// run with the template that it was made from.
    fn nothing_made_again_after_no_return(&self) -> Option<String> {
        let begun = self.before.point_of_no_return_at.is_some() || self.past_no_return();
        let made_again = self.plan.actions.iter().filter(|action| matches!(action, Action::Recreate { .. }));
        let mut nodes = made_again.filter_map(Action::disrupts);
        let needs_it = |name: &PodName| {
            let pod = self.seen.nodes.get(name).and_then(|view| view.pod.known());
            let set = self.seen.sets.get(name.rack).and_then(Part::known);
            let is_old = pod.zip(set).is_some_and(|(pod, set)| pod.template_hash != set.template_hash);
            pod.is_some_and(|pod| !pod.flag) || (self.broken(name) && is_old)
        };
        let wrong = nodes.find(|name| begun && !needs_it(name))?;
        Some(format!("it makes {wrong} again after the point of no return"))
    }

    fn past_no_return(&self) -> bool {
        self.nodes().any(|node| node.proceed || node.feature_enabled || node.group.is_some())
    }

    fn no_return_is_earned(&self) -> Option<String> {
        let passes = self.plan.journal.point_of_no_return_at.is_some() && self.before.point_of_no_return_at.is_none();
        if !passes || self.past_no_return() {
            return None;
        }
        let flagged = |view: &NodeView| view.pod.known().is_some_and(|pod| pod.flag && pod.hold);
        let node = |view: &NodeView| view.node.known().map(|node| node.state.clone());
        let not_ready = self
            .seen
            .nodes
            .iter()
            .find(|(_, view)| !(flagged(view) && serves(view) && node(view) == Some(UpgradeState::PreRaft)));
        if let Some((name, _)) = not_ready {
            return Some(format!("it passes the point of no return although {name} is not ready for it"));
        }
        let approved = self.spec.mode == Mode::Automatic || self.spec.approved_run_id.as_ref() == Some(&self.before.run_id);
        if !approved {
            return Some("it passes the point of no return without approval".into());
        }
        let backed_up = |name: &PodName| self.before.nodes.get(name).is_some_and(|node| node.backed_up);
        let unsaved = self.seen.nodes.keys().find(|name| self.spec.backup.enabled && !backed_up(name));
        if let Some(name) = unsaved {
            return Some(format!("it passes the point of no return without a copy of the schema of {name}"));
        }
        self.spec.cancel.then(|| "it passes the point of no return although the run is cancelled".into())
    }

    fn completion_is_seen(&self) -> Option<String> {
        let completes = self.plan.journal.completed_at.is_some() && self.before.completed_at.is_none();
        let sets: Option<Vec<_>> = self.seen.sets.iter().map(Part::known).collect();
        let replicas = sets.filter(|sets| !sets.is_empty()).map(|sets| sets.iter().map(|set| set.replicas).sum::<u32>());
        let are_all = replicas.is_some_and(|count| usize::try_from(count).is_ok_and(|count| count <= self.seen.nodes.len()));
        let is_final =
            |view: &NodeView| view.node.known().is_some_and(|it| it.state == UpgradeState::PostRaft && it.group.is_some());
        let is_seen = are_all && !self.seen.nodes.is_empty() && self.seen.nodes.values().all(is_final);
        (completes && !is_seen).then(|| "it says that the upgrade is complete, and not every pod was seen final".into())
    }

    fn proceeds_after_no_return(&self) -> Option<String> {
        let proceeds = self.plan.actions.iter().any(|action| matches!(action, Action::Proceed { .. }));
        let passed_at = self.before.point_of_no_return_at.unwrap_or(self.now);
        let journalled = self.plan.journal.point_of_no_return_at == Some(passed_at);
        (proceeds && !journalled).then(|| "it proceeds without the point of no return in the journal".into())
    }

    /// A verb goes to a node that follows this operator, and follows no newer one.
    fn only_when_followed(&self) -> Option<String> {
        let epoch = self.plan.journal.epoch;
        self.plan.actions.iter().find_map(|action| {
            let (Action::Restart { node, .. }
            | Action::Proceed { node }
            | Action::RetryUpgrade { node }
            | Action::Recover { node, .. }
            | Action::RemoveHost { node, .. }) = action
            else {
                return None;
            };
            let seen = self.seen.nodes.get(node).and_then(|view| view.node.known());
            (seen.map(|seen| seen.epoch) != Some(epoch)).then(|| format!("{node} does not follow epoch {epoch}"))
        })
    }

    /// Those whom the plan of a recovery gives up.
    fn is_excluded(&self, host: HostId) -> bool {
        self.plan.journal.recovery.as_ref().is_some_and(|recovery| recovery.plan.excluded.contains(&host))
    }

    fn is_removed(&self, host: HostId) -> bool {
        self.nodes().any(|node| node.evidence.removed.contains(&host))
    }

    /// Only who shows no sign of life and is proven to be lost, or is a ghost, is removed; in a recovery whoever its plan gives up.
    fn only_the_lost_are_removed(&self) -> Option<String> {
        let silent = &self.plan.journal.silent;
        let is_lost = |host| {
            let record = silent.get(&host).filter(|record| record.since.is_some());
            record.is_some_and(|record| record.proof.is_some() || self.is_ghost(host))
        };
        self.plan.actions.iter().find_map(|action| {
            let Action::RemoveHost { host, .. } = *action else { return None };
            (!self.is_excluded(host) && !is_lost(host)).then(|| format!("it removes host {host}, which is not known to be lost"))
        })
    }

    /// A member of the group that has no vote and is in no ring. Nobody misses it.
    fn is_ghost(&self, host: HostId) -> bool {
        let groups = || self.nodes().filter_map(|node| node.group.as_ref());
        let is_in_ring = self.nodes().any(|node| node.host == host || node.peers.contains_key(&host));
        let votes = groups().any(|group| group.voters.contains(&host));
        !is_in_ring && !votes && groups().any(|group| group.learners.contains(&host))
    }

    /// A host that a member tells of, which nobody has removed, and which answers in no pod. Those that a recovery gives up are none.
    fn member_away(&self) -> Option<HostId> {
        let members = self.nodes().filter(|node| !self.is_removed(node.host));
        let mut told = members.flat_map(|node| node.peers.keys().chain(node.group.iter().flat_map(|group| &group.voters)));
        let is_away = |host: HostId| !self.nodes().any(|node| node.host == host);
        told.find(|host| !self.is_removed(**host) && !self.is_excluded(**host) && is_away(**host)).copied()
    }

    /// A member's place is not given up.
    fn nobodys_place_is_given_up(&self) -> Option<String> {
        self.plan.actions.iter().find_map(|action| {
            let Action::Replace { node, .. } = action else { return None };
            let known = self.plan.journal.node(node);
            let Some(host) = known.host else {
                let away = self.member_away()?;
                return Some(format!("it gives up {node}, of which nothing is known, while host {away} is away"));
            };
            let pod = self.seen.nodes.get(node).and_then(|view| view.pod.known())?;
            // Whoever was made since, runs, and lacks nothing may be a fresh member.
            let may_be_fresh = known.host_pod.as_ref() != Some(&pod.uid) && pod.state == PodState::Running;
            if may_be_fresh && !pod.volume_gone && pod.machine == Machine::There {
                return Some(format!("it gives up {node}, which was made after its host was lost"));
            }
            (!self.is_excluded(host) && !self.is_removed(host)).then(|| format!("it gives up {node}, whose host is not removed"))
        })
    }

    fn nothing_while_something_is_open(&self) -> Option<String> {
        let mut intents = self.plan.journal.intents.iter();
        let open = intents.find(|intent| intent.action.is_harmful_when_late() && !self.is_of_the_lost(&intent.action))?;
        let harms = self.plan.actions.iter().any(Action::is_harmful_when_late);
        harms.then(|| format!("it acts while this may still take place: {}", open.action))
    }

    /// What was begun on a pod that is none of a recovery's survivors may never be known to be over: it is what is recovered from. Nor may
    /// what was begun where the host is removed for ever, or silent, and proven or declared to be lost.
    fn is_of_the_lost(&self, action: &Action) -> bool {
        let journal = &self.plan.journal;
        let Some(host) = action.pod().map(|pod| journal.nodes.get(pod).and_then(|node| node.host)) else { return false };
        let recovery = journal.recovery.as_ref().filter(|recovery| recovery.is_in_force());
        let is_none_of_ours = recovery.is_some_and(|it| host.is_none_or(|host| !it.plan.survivors.contains(&host)));
        is_none_of_ours || host.is_some_and(|host| self.is_lost(host) || self.is_removed(host))
    }

    /// It is silent, and that it will not come back is proven, or declared by a human.
    fn is_lost(&self, host: HostId) -> bool {
        let record = self.plan.journal.silent.get(&host).filter(|record| record.since.is_some());
        let is_declared = || self.spec.recovery.confirm_dead.iter().any(|dead| dead.host_id == host.to_string());
        record.is_some_and(|record| record.proof.is_some() || is_declared())
    }

    /// The journal does not forget what cannot be undone, and changes neither run nor epoch.
    fn the_past_stays(&self) -> Option<String> {
        let (before, after) = (self.before, &self.plan.journal);
        let kept = before.point_of_no_return_at.is_none_or(|at| after.point_of_no_return_at == Some(at))
            && before.started_at == after.started_at
            && before.run_id == after.run_id
            && before.epoch == after.epoch;
        let owned = self.seen.sets.iter().filter_map(Part::known).all(|set| {
            let is_ours = set.owner.as_ref().is_none_or(|owner| owner.uid == self.seen.object.uid || !owner.exists);
            is_ours || !self.plan.actions.iter().any(Action::is_harmful_when_late)
        });
        (!(kept && owned)).then(|| "it forgets what was done, or acts on what another upgrade owns".into())
    }
}
