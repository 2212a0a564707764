//! Takes a plan back before its point of no return: fences are lifted and markers removed with the group kept, and whoever has
//! been restarted into recovery is restarted out of it.

use super::{Recovery, Step, Why, hosts, scene::Scene, steps::Missing};
use crate::{
    crd::{Phase, RecoveryMode},
    observe::{HostId, PlanState, PodName, StoredPlan},
    plan::{
        Action, Given, Intent, Plan, RecoveryVerb, WaitingFor, evidence,
        health::{Member, signed},
        terms,
    },
};
use k8s_openapi::jiff::Timestamp;

/// It is kept in status, which bounds it.
const MAX_WHY_CHARS: usize = 400;

/// What is still to be done if the plan has to be taken back; nothing waits any more once that is all done.
pub(super) fn look(scene: &mut Scene<'_>) -> Option<Missing> {
    scene.recovery.withdrawn = Some(cause(scene)?);
    let missing = missing(scene);
    if missing.is_none() {
        scene.recovery.ended_at = Some(scene.given.now);
    }
    Some(missing.unwrap_or(Missing::Waits(Vec::new())))
}

/// Why the plan has to be taken back, if it has to and still may be.
pub(super) fn cause(scene: &Scene<'_>) -> Option<String> {
    let recovery = &scene.recovery;
    let may_be = recovery.may_be_withdrawn() && recovery.ended_at.is_none();
    recovery.withdrawn.clone().or_else(|| reason(scene)).filter(|_| may_be)
}

/// What is said of it.
pub(super) fn said(recovery: &Recovery) -> Option<WaitingFor> {
    let why = recovery.withdrawn.clone()?;
    Some(WaitingFor::Recovery(Why::Withdrawing { number: recovery.plan.number, why }))
}

/// A sign of life of one that was to be excluded; a group that goes on, which people may have made; or somebody who does not want it any
/// more.
fn reason(scene: &Scene<'_>) -> Option<String> {
    let (given, recovery) = (scene.given, &scene.recovery);
    if given.spec.recovery.mode == RecoveryMode::Disabled {
        return Some("spec.recovery.mode is Disabled".into());
    }
    if let Some(alive) = alive(given, recovery) {
        return Some(format!("{} (host {alive}) shows a sign of life", recovery.name_of(alive)));
    }
    if evidence::goes_on(given) {
        return Some("a majority of the voters answers and is final: the group goes on without a recovery".into());
    }
    unreachable(scene)
}

/// An excluded host that has shown a sign of life since the plan was frozen. What one does that is removed for ever is no matter.
pub(super) fn alive(given: &Given<'_>, recovery: &Recovery) -> Option<HostId> {
    let is_alive = |host: &&HostId| hosts::silent_since(given, **host).is_none_or(|since| since > recovery.frozen_at);
    recovery.plan.excluded.difference(given.removed).find(is_alive).copied()
}

/// A survivor that could not be asked for too long, before all had stored the plan: nothing is enabled anywhere.
fn unreachable(scene: &Scene<'_>) -> Option<String> {
    let no_progress = signed(scene.given.spec.deadlines.no_progress.into());
    let is_late = scene.given.now.duration_since(scene.recovery.step_since) >= no_progress;
    let is_enabled = scene.members().any(|member| scene.state(member).is_some_and(|state| state >= PlanState::Fenced));
    let why = scene.missing.first().filter(|_| scene.recovery.step == Step::Fence && is_late && !is_enabled)?;
    let text = format!("not every survivor can store it: {why}");
    Some(text.chars().take(MAX_WHY_CHARS).collect())
}

fn missing(scene: &mut Scene<'_>) -> Option<Missing> {
    let stored = scene.without(|member| !matches!(scene.state(member), Some(PlanState::Prepared | PlanState::Fenced)));
    let lift = scene.order(&stored, RecoveryVerb::LiftFence);
    if !lift.is_empty() {
        return Some(Missing::Acts(lift));
    }
    let inside = scene.without(|member| !Scene::leaves_with_a_start(member) || scene.state(member).is_none());
    let Recovery { step, step_since, .. } = scene.recovery;
    if step == Step::Withdraw && was_waited_for(scene.given, step_since) {
        scene.missing.clear();
    }
    scene.restart_one(inside)
}

/// Whether those who are away were waited for long enough: without who is to be restarted, the others may have no majority.
fn was_waited_for(given: &Given<'_>, since: Timestamp) -> bool {
    given.now.duration_since(since) >= signed(given.spec.deadlines.no_progress.into())
}

/// Lifts fences of plans that nobody carries out any more, on nodes that could not be asked when these were taken back, and ends the
/// recovery that they had ordered there. Not of one that was carried out.
pub(super) fn leftovers(given: &Given<'_>) -> Option<Plan> {
    let nodes = given.seen.nodes.iter().filter_map(|(name, view)| given.answering(name, view).ok());
    let stored: Vec<_> = nodes.filter_map(|member| Some((member, member.node.evidence.plan.as_ref()?))).collect();
    let last =
        given.journal.recovery.as_ref().filter(|recovery| recovery.reset_at.is_some()).map(|recovery| recovery.plan.number);
    let has_reset = |number: u64| {
        let resets = |plan: &StoredPlan| matches!(plan.state, PlanState::Resetting | PlanState::Done);
        last == Some(number) || stored.iter().any(|(_, plan)| plan.number == number && resets(plan))
    };
    let is_left = |plan: &StoredPlan| matches!(plan.state, PlanState::Prepared | PlanState::Fenced) && !has_reset(plan.number);
    let may_lift = |member: &Member<'_>| !member.node.evidence.forward_only;
    let lift = |node: &PodName, plan| Action::Recover { node: node.clone(), plan, verb: RecoveryVerb::LiftFence };
    let of_nobody = stored.iter().filter(|(member, plan)| is_left(plan) && may_lift(member));
    let actions: Vec<_> = of_nobody.map(|(member, plan)| lift(member.name, plan.number)).collect();
    let lifts = (!actions.is_empty()).then(|| Plan { actions, ..given.wait(Phase::Recovering, Vec::new()) });
    lifts.or_else(|| leave(given))
}

/// Restarts one that a withdrawn plan had put into recovery, which ends with its next start. While somebody does not serve nobody is; the
/// dead are not waited for, nor is who is away while nothing moves.
fn leave(given: &Given<'_>) -> Option<Plan> {
    let dead = hosts::dead(given);
    let since = given.journal.progress.as_ref().map_or(given.now, |progress| progress.since);
    let is_awaited = |name: &PodName| !was_waited_for(given, since) && !dead.iter().any(|dead| dead.pod.as_ref() == Some(name));
    let expected = given.seen.nodes.iter().filter(|(name, view)| given.answering(name, view).is_ok() || is_awaited(name));
    let members: Vec<_> = expected.map(|(name, view)| given.healthy(name, view)).collect::<Result<_, _>>().ok()?;
    let is_withdrawn = |plan: &StoredPlan| plan.state == PlanState::Withdrawn;
    let is_left =
        |member: &&Member<'_>| Scene::leaves_with_a_start(member) && member.node.evidence.plan.as_ref().is_some_and(is_withdrawn);
    let mut plan = given.wait(Phase::Recovering, Vec::new());
    let is_one_away = given.journal.taken.as_ref().is_some_and(|taken| terms::matters(given, &plan, taken));
    let member = members.iter().find(is_left).filter(|_| !is_one_away)?;
    let action = Action::Restart { node: member.name.clone(), generation: member.node.generation };
    plan.journal.taken = Some(Intent { action: action.clone(), epoch: given.journal.epoch, at: given.now });
    plan.actions.push(action);
    Some(plan)
}
