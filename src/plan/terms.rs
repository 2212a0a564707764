//! Before anything else: the nodes must follow this operator and no newer one, the StatefulSets must be ours, and whatever was
//! begun must be over or have become impossible.

use super::{Action, Given, Intent, Journal, LOOK_EVERY, Plan, WaitingFor, recovery::hosts};
use crate::observe::{Observation, Part, PodName, Set};

/// Whether a newer operator has taken over.
pub(super) fn newer_operator(given: &Given<'_>) -> Option<WaitingFor> {
    let newer = |(name, view): (&PodName, &crate::observe::NodeView)| {
        let epoch = view.node.known()?.epoch;
        (epoch > given.journal.epoch).then(|| WaitingFor::NewerOperator { node: name.clone(), epoch })
    };
    given.seen.nodes.iter().find_map(newer)
}

/// Replaces the actions of a plan by what must be done before them.
pub(super) fn settle(given: &Given<'_>, plan: Plan) -> Plan {
    let open = open(given, &plan);
    let first: Vec<Action> = owning(given).into_iter().chain(claiming(given)).collect();
    let Some(oldest) = open.first() else {
        return if first.is_empty() { at_last(given, plan) } else { before(given, plan, first) };
    };
    let begun_by_us = |intent: &Intent| matches!(intent.action, Action::Restart { .. }) && intent.epoch >= given.journal.epoch;
    let new_term = open.iter().any(begun_by_us);
    let actions = first.into_iter().chain(open.iter().filter_map(|intent| ending(given, intent))).collect();
    let ignored = ignored(given, &plan);
    let plan = waiting_for(given, plan, &oldest.action);
    let intents = open.into_iter().chain(ignored).collect();
    Plan { actions, journal: Journal { intents, ..plan.journal }, new_term, ..plan }
}

/// What was begun and may still take place: by its intent, or because it was the last to take a node down and another one is to
/// be taken now.
fn open(given: &Given<'_>, plan: &Plan) -> Vec<Intent> {
    let matters = |intent: &Intent| matters(given, plan, intent);
    let intents = given.journal.intents.iter().filter(|intent| !is_over(given.seen, intent) && matters(intent));
    let is_another = |taken: &&Intent| plan.actions.iter().any(|action| action.disrupts().is_some() && *action != taken.action);
    let mut open: Vec<_> = intents.cloned().collect();
    let mut taken = given.journal.taken.iter().filter(is_another).filter(|taken| matters(taken));
    let taken = taken.find(|taken| open.iter().all(|intent| intent.action != taken.action));
    open.extend(taken.cloned());
    open
}

/// What may still take place as well, and is waited for by nobody.
fn ignored(given: &Given<'_>, plan: &Plan) -> Vec<Intent> {
    given.journal.intents.iter().filter(|intent| !is_over(given.seen, intent) && !matters(given, plan, intent)).cloned().collect()
}

/// Whether it must be over before anything else is done. Of what was begun at a node that is lost for good nobody will ever know that it
/// is over, and once it is removed for ever it is no matter. To a recovery only survivors matter: the others are what it is about. The
/// recovery as this look leaves it, that is: when it is taken back, others may be restarted in the same look.
pub(super) fn matters(given: &Given<'_>, plan: &Plan, intent: &Intent) -> bool {
    let host = intent.action.pod().and_then(|node| given.journal.node(node).host);
    let is_lost = |host| hosts::dead(given).iter().any(|dead| dead.host == host) || given.removed.contains(&host);
    if host.is_some_and(is_lost) {
        return false;
    }
    let Some(recovery) = plan.journal.recovery.as_ref().filter(|recovery| recovery.is_in_force()) else { return true };
    let is_survivor = |node: &PodName| given.journal.node(node).host.is_some_and(|host| recovery.plan.survivors.contains(&host));
    intent.action.pod().is_none_or(is_survivor)
}

/// Nothing is in the way. The same node is not asked for twice at once: the first time may only not be seen yet.
fn at_last(given: &Given<'_>, mut plan: Plan) -> Plan {
    if let Some(taken) = given.journal.taken.as_ref().filter(|taken| plan.actions.contains(&taken.action)) {
        let until = taken.at + LOOK_EVERY;
        if until > given.now {
            return Plan { next_look: until, ..waiting_for(given, plan, &taken.action) };
        }
    }
    plan.journal.intents = ignored(given, &plan);
    plan
}

fn before(given: &Given<'_>, plan: Plan, first: Vec<Action>) -> Plan {
    let journal = Journal { intents: ignored(given, &plan), ..given.journal.clone() };
    Plan { actions: first, journal, new_run: false, ..plan }
}

/// Nothing of the plan is done before this is known to be over. What it would have written down has not happened.
fn waiting_for(given: &Given<'_>, mut plan: Plan, action: &Action) -> Plan {
    let view = action.pod().and_then(|name| Some((name, given.seen.nodes.get(name)?)));
    // What keeps it from being known.
    let away = view.and_then(|(name, view)| given.healthy(name, view).err()).filter(|why| !plan.report.waiting.contains(why));
    plan.report.waiting.splice(0..0, [WaitingFor::IntentOpen { action: action.clone() }].into_iter().chain(away));
    Plan { actions: Vec::new(), journal: given.journal.clone(), new_run: false, ..plan }
}

/// Whether it has taken place, or can no longer. Only something newer proves that: a view from before it does not.
pub(super) fn is_over(seen: &Observation, intent: &Intent) -> bool {
    let is_gone = |name: &PodName| !seen.nodes.contains_key(name);
    let known = |name: &PodName| seen.nodes.get(name).map(|view| (view.pod.known(), view.node.known()));
    match &intent.action {
        action if action.is_lost() => false,
        Action::Recreate { node, version, .. } => {
            let pod = known(node).and_then(|(pod, _)| pod);
            is_gone(node) || pod.is_some_and(|pod| pod.version > *version)
        }
        Action::Restart { node, generation } => {
            let said = known(node).and_then(|(_, node)| node);
            is_gone(node) || said.is_some_and(|said| said.generation > *generation || said.epoch > intent.epoch)
        }
        Action::SetTemplate { set, version, .. } => {
            let mut sets = seen.sets.iter().filter_map(Part::known);
            sets.any(|seen| seen.name == *set && seen.version > *version)
        }
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
