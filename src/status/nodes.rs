//! `status.nodes`: each node in a few lines.

use super::cut;
use crate::{
    crd::{Group0UpgradeStatus, NodeRaft, NodeStatus},
    observe::{Group, NodeSeen, NodeView, Observation, PodName, PodState, Procedure},
    plan::{Action, Plan},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Host ids named in `doesNotSee`; the rest is a count.
const MAX_NOT_SEEN: usize = 10;
/// A message for each of a hundred nodes: the object must stay small enough to be stored. The first is whole in `status.message`.
const MAX_NODE_MESSAGE_CHARS: usize = 256;
/// What a node says of itself is cut to what the CRD allows: a status that is refused would stop everything.
const MAX_STATE_CHARS: usize = 64;
/// The same for its schema version.
const MAX_VERSION_CHARS: usize = 36;
/// The same for the step of its procedure.
const MAX_STEP_CHARS: usize = 128;

/// Each node as it is now; what is not known now is as it was.
pub(super) fn all(plan: &Plan, seen: &Observation, before: &Group0UpgradeStatus) -> Vec<NodeStatus> {
    let of = |(name, view): (&PodName, &NodeView)| {
        let old = before.nodes.iter().find(|node| node.pod_name == name.name);
        one(plan, name, view, old)
    };
    seen.nodes.iter().map(of).collect()
}

fn one(plan: &Plan, name: &PodName, view: &NodeView, old: Option<&NodeStatus>) -> NodeStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.pod_name.clone_from(&name.name);
    status.flag = view.pod.known().map(|pod| pod.flag);
    status.pod_uid = view.pod.known().map(|pod| pod.uid.clone());
    if let Some(node) = view.node.known() {
        fill(&mut status, node);
    }
    (status.step, status.since) = step(plan, name, view);
    let blocked = plan.report.waiting.iter().find(|why| why.node() == Some(name));
    status.blocked_by = blocked.map_or_else(String::new, |why| why.reason().into());
    status.message = blocked.map_or_else(String::new, |why| cut(&why.to_string(), MAX_NODE_MESSAGE_CHARS));
    status
}

fn fill(status: &mut NodeStatus, node: &NodeSeen) {
    status.host_id = Some(node.host.to_string());
    status.boot_id = Some(node.generation.to_string());
    status.upgrade_state = Some(cut(&node.state.to_string(), MAX_STATE_CHARS));
    status.schema_version = Some(cut(&node.schema_version, MAX_VERSION_CHARS));
    status.raft = node.group.as_ref().map(|group| raft(node, group));
    let down: Vec<_> = node.peers.iter().filter(|(_, peer)| !peer.up).map(|(host, _)| host.to_string()).collect();
    let more = down.len().saturating_sub(MAX_NOT_SEEN);
    status.does_not_see = down.into_iter().take(MAX_NOT_SEEN).collect();
    if more > 0 {
        status.does_not_see.push(format!("and {more} more"));
    }
}

fn raft(node: &NodeSeen, group: &Group) -> NodeRaft {
    NodeRaft { group_id: group.id.to_string(), voter: group.voters.contains(&node.host), leader: group.leader == Some(node.host) }
}

fn step(plan: &Plan, name: &PodName, view: &NodeView) -> (String, Option<Time>) {
    let is_taken = |action: &Action| action.disrupts() == Some(name);
    if plan.actions.iter().any(is_taken) {
        return ("restarting".into(), None);
    }
    match (view.pod.known().map(|pod| &pod.state), view.node.known()) {
        (Some(PodState::Down(_)), _) => ("down".into(), None),
        (Some(PodState::Broken(_)), _) => ("broken".into(), None),
        (Some(PodState::Ending), _) => ("ending".into(), None),
        (Some(PodState::Changing) | None, _) | (_, None) => ("starting".into(), None),
        (Some(PodState::Running), Some(node)) => node_step(node),
    }
}

fn node_step(node: &NodeSeen) -> (String, Option<Time>) {
    match &node.procedure {
        _ if node.bootstrapped.is_err() => ("joining".into(), None),
        Procedure::Idle if node.held && !node.proceed => ("held".into(), None),
        Procedure::Idle => ("serving".into(), None),
        Procedure::Running { step, since, .. } => (cut(step, MAX_STEP_CHARS), Some(Time(*since))),
        Procedure::Failed { step, .. } => (cut(&format!("failed in {step}"), MAX_STEP_CHARS), None),
        Procedure::Done => ("final".into(), None),
    }
}

/// The pod of the leader that most recently answered for itself.
pub(super) fn leader(seen: &Observation) -> Option<String> {
    let leads = |node: &NodeSeen| node.group.as_ref().is_some_and(|group| group.leader == Some(node.host));
    seen.nodes.iter().find(|(_, view)| view.node.known().is_some_and(leads)).map(|(name, _)| name.name.clone())
}
