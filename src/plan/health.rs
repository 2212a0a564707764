//! Whether one node or StatefulSet can be relied upon. Unknown and old answers are no.

use super::{Given, WaitingFor, Why};
use crate::{
    crd::Group0UpgradeSpec,
    observe::{ASK_EVERY, NodeSeen, NodeView, Part, Pod, PodName, PodState, Set, UpgradeState},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A node whose pod runs and that answers.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub name: &'a PodName,
    pub pod: &'a Pod,
    pub node: &'a NodeSeen,
}

/// Whether this release knows the state that the node reports.
pub(super) fn recognized(name: &PodName, node: &NodeSeen) -> Result<(), WaitingFor> {
    match &node.state {
        UpgradeState::Unrecognized(state) => Err(WaitingFor::UnknownNodeState { node: name.clone(), state: state.clone() }),
        _ => Ok(()),
    }
}

impl Given<'_> {
    /// The node, if its pod runs, its own word is at hand, and it is not removed for ever; else what is missing.
    pub(super) fn answering<'a>(&self, name: &'a PodName, view: &'a NodeView) -> Result<Member<'a>, WaitingFor> {
        let unknown = |why: String| WaitingFor::NodeUnknown { node: name.clone(), why };
        let pod = self.current_pod(name, view).map_err(unknown)?;
        match &pod.state {
            PodState::Down(why) => return Err(WaitingFor::PodDown { node: name.clone(), why: why.clone() }),
            PodState::Broken(why) => return Err(WaitingFor::PodBroken { node: name.clone(), why: why.clone() }),
            PodState::Changing => return Err(not_ready(name, "it is being started or stopped")),
            PodState::Ending => return Err(not_ready(name, "it is being deleted")),
            PodState::Running => {}
        }
        let node = self.fresh(&view.node).map_err(unknown)?;
        if node.sequence < self.journal.node(name).sequence {
            return Err(unknown("its answer is older than one that a decision was made from".into()));
        }
        if self.removed.contains(&node.host) {
            return Err(WaitingFor::Recovery(Why::ExcludedAlive { node: name.clone(), host: node.host }));
        }
        Ok(Member { name, pod, node })
    }

    /// The pod, if what was seen of it is neither old nor older than what was seen before; else why not.
    pub(super) fn current_pod<'a>(&self, name: &PodName, view: &'a NodeView) -> Result<&'a Pod, String> {
        let pod = self.fresh(&view.pod)?;
        if pod.version < self.journal.node(name).pod_version {
            return Err("its pod was seen in an older version than a decision was made from".into());
        }
        Ok(pod)
    }

    /// As [`Self::answering`], and it serves clients as a full member, with the environment of its pod.
    pub(super) fn healthy<'a>(&self, name: &'a PodName, view: &'a NodeView) -> Result<Member<'a>, WaitingFor> {
        let member = self.answering(name, view)?;
        let node = member.node;
        recognized(name, node)?;
        if let Err(why) = node.bootstrapped.as_ref().and(node.ready.as_ref()) {
            return Err(not_ready(name, why));
        }
        if member.pod.flag && !node.flag {
            return Err(WaitingFor::FlagNotTaken { node: name.clone() });
        }
        Ok(member)
    }

    /// Whether a restart is what this node needs: it is down, or was given all the time there is to become ready.
    /// Of a pod of which nothing is known, nothing can be said; one that is being deleted comes again by itself.
    pub(super) fn needs_restart(&self, name: &PodName, view: &NodeView) -> bool {
        match self.healthy(name, view) {
            Ok(_) | Err(WaitingFor::UnknownNodeState { .. } | WaitingFor::Recovery(_)) => false,
            Err(WaitingFor::PodDown { .. } | WaitingFor::PodBroken { .. }) => true,
            Err(_) => self.current_pod(name, view).is_ok_and(|pod| pod.state != PodState::Ending && self.had_time(pod)),
        }
    }

    /// Whether the pod was given all the time there is to become ready. Of one that was made in the future, by a clock that has
    /// been set back, only this is known: it is not newer than what moved last.
    pub(super) fn had_time(&self, pod: &Pod) -> bool {
        let last_moved = self.journal.progress.as_ref().map_or(self.now, |progress| progress.since);
        let since = if pod.since > self.now { last_moved } else { pod.since };
        self.now.duration_since(since) >= signed(self.spec.deadlines.pod_ready.into())
    }

    /// The StatefulSet of this rack.
    pub(super) fn set_of(&self, rack: usize) -> Result<&Set, WaitingFor> {
        let name = self.spec.cluster_ref.stateful_sets.get(rack).cloned().unwrap_or_default();
        let unknown = |why: String| WaitingFor::SetUnknown { set: name.clone(), why };
        let part = self.seen.sets.get(rack).ok_or_else(|| unknown("it was not looked for".into()))?;
        let set = self.fresh(part).map_err(unknown)?;
        if self.journal.sets.get(&set.name).is_some_and(|newest| set.version < *newest) {
            return Err(unknown("it was seen in an older version than a decision was made from".into()));
        }
        Ok(set)
    }

    /// That the StatefulSets are to have no pods. Of one that cannot be read nobody knows.
    pub(super) fn nobody(&self) -> Option<WaitingFor> {
        let racks = 0..self.spec.cluster_ref.stateful_sets.len();
        (self.seen.nodes.is_empty() && racks.into_iter().all(|rack| self.set_of(rack).is_ok())).then_some(WaitingFor::NoPods)
    }

    /// The value of a part that is not older than a question and its answer may take.
    pub(super) fn fresh<'a, T>(&self, part: &'a Part<T>) -> Result<&'a T, String> {
        match part {
            Part::Known { value, age } if *age <= answer_max(self.spec) => Ok(value),
            Part::Known { age, .. } => Err(format!("its last answer is {} s old", age.as_secs())),
            Part::Unknown(why) => Err(why.clone()),
        }
    }
}

/// How old the last answer of a node is at most that answers: it is asked so often, and has so long for each.
pub(super) fn answer_max(spec: &Group0UpgradeSpec) -> SignedDuration {
    signed(Duration::from(spec.deadlines.rpc).saturating_add(ASK_EVERY))
}

fn not_ready(name: &PodName, why: &str) -> WaitingFor {
    WaitingFor::PodNotReady { node: name.clone(), why: why.into() }
}

/// A duration of spec, bounded as time itself is.
pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// So long after that, or at the end of time.
pub(super) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.saturating_add(signed(duration)).unwrap_or(Timestamp::MAX)
}
