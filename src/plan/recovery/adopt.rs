//! Takes a plan over from the nodes: the object that knew it was made again, or its status was put back to an older one.

use super::{FrozenPlan, Recovery, Step};
use crate::{
    observe::{PlanState, StoredPlan},
    plan::{Given, stall::Class},
};
use std::collections::BTreeSet;

/// The highest-numbered plan that some node has fenced or reset by, if the journal knows of none as high; where a node has forgotten its group
/// and goes only forward, also one that was only prepared. Nothing is read out of its text but its hash.
pub(super) fn from_nodes(given: &Given<'_>) -> Option<Recovery> {
    let said = || given.seen.nodes.iter().filter_map(|(name, view)| Some(&given.answering(name, view).ok()?.node.evidence));
    let stored: Vec<&StoredPlan> = said().filter_map(|evidence| evidence.plan.as_ref()).collect();
    let forward_only = said().any(|evidence| evidence.forward_only);
    let last = given.journal.recovery.as_ref().map_or(0, |recovery| recovery.plan.number);
    let is_somewhere = |number: u64, state: PlanState| stored.iter().any(|plan| plan.number == number && plan.state == state);
    let is_given_up = |number| is_somewhere(number, PlanState::Withdrawn) && !is_somewhere(number, PlanState::Resetting);
    let has_begun = |state| matches!(state, PlanState::Fenced | PlanState::Resetting);
    let begun = stored.iter().filter(|plan| has_begun(plan.state) || (forward_only && plan.state == PlanState::Prepared));
    let known = begun.filter(|plan| plan.number > last && !is_given_up(plan.number));
    let highest = known.max_by_key(|plan| (plan.number, plan.state))?;
    let has_reset = [PlanState::Resetting, PlanState::Done].into_iter().any(|state| is_somewhere(highest.number, state));
    Some(Recovery { forward_only, ..adopted(given, highest, has_reset) })
}

fn adopted(given: &Given<'_>, stored: &StoredPlan, has_reset: bool) -> Recovery {
    let StoredPlan { number, survivors, excluded, text, .. } = stored.clone();
    let plan = FrozenPlan { number, survivors, excluded, text };
    let now = given.now;
    Recovery {
        pods: plan.excluded.iter().map(|host| (*host, given.journal.silent.get(host).and_then(|it| it.pod.clone()))).collect(),
        plan,
        trigger: Class::NodeLost,
        step: Step::Approve,
        step_since: now,
        frozen_at: now,
        lost_at: now,
        proven_at: now,
        needs_human: false,
        forward_only: false,
        because: None,
        approved_at: has_reset.then_some(now),
        donor: None,
        reset_at: has_reset.then_some(now),
        leaving_at: None,
        verified_at: None,
        replaced: BTreeSet::new(),
        withdrawn: None,
        ended_at: None,
    }
}
