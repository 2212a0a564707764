//! Before anything else: the nodes must follow this operator and no newer one, the StatefulSets must be ours, and whatever was
//! begun must be over or have become impossible.

use super::{Action, Given, Intent, Plan, WaitingFor};
use crate::observe::{Part, PodName, Set};

/// Whether a newer operator has taken over.
pub(super) fn newer_operator(given: &Given<'_>) -> Option<WaitingFor> {
    let newer = |(name, view): (&PodName, &crate::observe::NodeView)| {
        let epoch = view.node.known()?.epoch;
        (epoch > given.journal.epoch).then(|| WaitingFor::NewerOperator { node: name.clone(), epoch })
    };
    given.seen.nodes.iter().find_map(newer)
}

/// Replaces the actions of a plan by what must be done before them.
pub(super) fn settle(given: &Given<'_>, mut plan: Plan) -> Plan {
    let open: Vec<Intent> = given.journal.intents.iter().filter(|intent| !is_over(given, intent)).cloned().collect();
    let first: Vec<Action> = owning(given).into_iter().chain(claiming(given)).collect();
    if open.is_empty() && first.is_empty() {
        plan.journal.intents.clear();
        return plan;
    }
    plan.actions = first;
    plan.actions.extend(open.iter().filter_map(|intent| ending(given, intent)));
    plan.new_term =
        open.iter().any(|intent| matches!(intent.action, Action::Restart { .. }) && intent.epoch >= given.journal.epoch);
    plan.journal = super::Journal {
        nodes: plan.journal.nodes,
        progress: plan.journal.progress,
        intents: open.clone(),
        ..given.journal.clone()
    };
    if let Some(intent) = open.into_iter().next() {
        plan.report.waiting.insert(0, WaitingFor::IntentOpen { action: intent.action });
    }
    plan
}

/// Whether it has taken place, or can no longer.
fn is_over(given: &Given<'_>, intent: &Intent) -> bool {
    if !intent.action.is_harmful_when_late() {
        return true;
    }
    match &intent.action {
        action if action.is_lost() => false,
        Action::Recreate { node, uid, version } => given.pod(node).is_some_and(|pod| pod.uid != *uid || pod.version != *version),
        Action::Restart { node, generation } => {
            given.node(node).is_some_and(|node| node.generation != *generation || node.epoch > intent.epoch)
        }
        Action::SetTemplate { set, version, .. } => given.set(set).is_some_and(|set| set.version != *version),
        _ => true,
    }
}

/// What makes it impossible.
fn ending(given: &Given<'_>, intent: &Intent) -> Option<Action> {
    match &intent.action {
        Action::Recreate { node, .. } => {
            let uid = given.pod(node)?.uid.clone();
            Some(Action::TouchPod { node: node.clone(), uid })
        }
        Action::SetTemplate { set, .. } => {
            let version = given.set(set)?.version;
            Some(Action::TouchSet { set: set.clone(), version })
        }
        _ => None,
    }
}

fn owning(given: &Given<'_>) -> Vec<Action> {
    let is_ours = |set: &Set| set.owner.as_ref().is_some_and(|owner| owner.uid == given.seen.object.uid);
    let is_free = |set: &Set| set.owner.as_ref().is_none_or(|owner| !owner.exists);
    let sets = given.seen.sets.iter().filter_map(Part::known).filter(|set| !is_ours(set) && is_free(set));
    if given.journal.cancelled_at.is_some() {
        return Vec::new();
    }
    sets.map(|set| Action::Own { set: set.name.clone(), version: set.version }).collect()
}

fn claiming(given: &Given<'_>) -> Vec<Action> {
    let unclaimed = |(name, view): (&PodName, &crate::observe::NodeView)| {
        // One that does not answer cannot be claimed; it is Unknown, and nobody waits here for it.
        let epoch = given.fresh(&view.node).ok()?.epoch;
        (epoch < given.journal.epoch).then(|| Action::ClaimEpoch { node: name.clone() })
    };
    given.seen.nodes.iter().filter_map(unclaimed).collect()
}
