//! Why nothing moves: lack of progress is classified by its evidence before anything is touched.
//!
//! The signal is that nothing has moved for `deadlines.noProgress`, not that much time has passed. A few classes may be answered
//! by a restart in place, once for each node and never two at a time; the rest is said, and waited for. How the classes are told
//! from each other is in [`super::evidence`].

use super::{
    Action, Given, Intent, Plan, Progress, RecoveryVerb, WaitingFor, Why, evidence,
    health::after,
    recovery::{self, hosts},
    removal, terms, window,
};
use crate::{
    crd::{Phase, RecoveryMode},
    observe::{NodeSeen, PodName, Procedure},
};
use k8s_openapi::jiff::Timestamp;
use std::fmt;

/// Why nothing moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Of which kind it is.
    pub class: Class,
    /// What was seen.
    pub evidence: String,
    /// Since when nothing has moved.
    pub since: Timestamp,
}

/// The kinds of stalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A node reports a state that this release does not know.
    UnknownNodeState,
    /// A pod came back without the flag, or its process has not read it.
    WrongConfig,
    /// A majority of the group's voters is lost for good.
    QuorumLost,
    /// A node that the upgrade needs is lost for good.
    NodeLost,
    /// After the upgrade fewer than a majority are lost: they are replaced through group 0, no recovery.
    MinorityLost,
    /// A pod does not run, does not answer or is not ready, and nothing proves that it is lost.
    NodeDownRestartable,
    /// Two nodes answer us, and one does not see the other.
    Partitioned,
    /// One node is in `recovery` beside others that are final.
    StrayRecovery,
    /// A node's procedure has failed, again and again.
    UpgradeFiberFailed,
    /// A majority of the voters answers us, and no read barrier passes.
    NoLeader,
    /// Schema changes are off, all are alive, and the schemas do not become equal.
    SchemaDisagreement,
    /// The first step is refused: it names a host that is no member.
    StepRefused,
    /// None of these.
    Unclassified,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::UnknownNodeState,
        Self::WrongConfig,
        Self::QuorumLost,
        Self::NodeLost,
        Self::MinorityLost,
        Self::NodeDownRestartable,
        Self::Partitioned,
        Self::StrayRecovery,
        Self::UpgradeFiberFailed,
        Self::NoLeader,
        Self::SchemaDisagreement,
        Self::StepRefused,
        Self::Unclassified,
    ];
}

impl Class {
    /// The class with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.to_string() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Says why nothing moves, if nothing moves, and adds what may be done about it.
pub(super) fn classify(given: &Given<'_>, plan: &mut Plan) {
    let waits = !(plan.actions.is_empty() && plan.report.waiting.is_empty());
    let halts = |why: &WaitingFor| matches!(why, WaitingFor::CanaryFailed { .. });
    let is_halted = plan.report.waiting.iter().any(halts);
    if !waits || plan.report.waiting.iter().any(|why| why.is_on_purpose() && !halts(why)) {
        return;
    }
    let Some(Progress { since, .. }) = plan.journal.progress.clone() else { return };
    let stalled_at = after(since, given.spec.deadlines.no_progress.into());
    plan.report.deadline = Some(stalled_at);
    // The cluster itself may be quiet until then: what is lost says nothing.
    plan.next_look = hosts::next_death(given).map_or(plan.next_look, |at| plan.next_look.min(at));
    let is_recovery = recovery::is_under_way(&plan.journal);
    if !is_recovery {
        removal::replace(given, plan);
    }
    let found = if is_recovery { evidence::down(given, &plan.report.waiting) } else { evidence::find(given, plan) };
    let is_loss = |class| matches!(class, Class::NodeLost | Class::QuorumLost | Class::MinorityLost);
    // What a first node waits for is a human's decision; what is lost meanwhile is no part of that.
    if is_halted && !found.as_ref().is_some_and(|(class, _)| is_loss(*class)) {
        return;
    }
    // A loss has been waited for already, for all of `recovery.deadAfter`; schema changes may go on meanwhile, the old way. In the middle
    // the others may still come to the end.
    let is_at_once = match found {
        Some((Class::UnknownNodeState | Class::NodeLost | Class::QuorumLost, _)) => true,
        Some((Class::MinorityLost, _)) => plan.report.phase == Phase::Complete,
        _ => false,
    };
    if given.now < stalled_at && !is_at_once {
        plan.next_look = plan.next_look.min(stalled_at);
        return;
    }
    let (class, evidence) = found.unwrap_or_else(|| (Class::Unclassified, unclassified(plan)));
    if is_recovery {
        plan.report.stall.get_or_insert(Stall { class, evidence, since });
        return;
    }
    let after_it = plan.report.phase == Phase::Complete;
    plan.report.stall = Some(Stall { class, evidence, since });
    if !after_it || matches!(class, Class::QuorumLost) {
        plan.report.phase = Phase::Stalled;
    }
    answer(given, plan, class, after_it);
}

/// What is waited for; or, if nothing is, what is asked for again and again, and why it is not done if that is known.
fn unclassified(plan: &Plan) -> String {
    let asked = plan.actions.first().map(|action| format!("asked for again and again, without effect: {action}"));
    let waited = plan.report.waiting.first().cloned().or_else(|| plan.not_done());
    waited.map(|why| why.to_string()).or(asked).unwrap_or_default()
}

/// What a class allows. After the end nothing is restarted.
fn answer(given: &Given<'_>, plan: &mut Plan, class: Class, after_it: bool) {
    if let Some(stray) = evidence::stray(given) {
        end_stray_recovery(given, plan, stray);
    }
    match class {
        Class::QuorumLost => require(given, plan, class),
        Class::NodeLost if evidence::voters(given).is_some() || evidence::moves_without_a_group(given) => {
            require(given, plan, class);
        }
        Class::NodeLost | Class::MinorityLost => {
            let (lost, by) = (evidence::names(&hosts::removable(given)), removal::remover(given));
            let has_group = class == Class::MinorityLost;
            let why = if has_group { WaitingFor::ReplaceLost { lost, by } } else { WaitingFor::RemoveLost { lost, by } };
            plan.report.waiting.insert(0, why);
            removal::remove(given, plan);
        }
        Class::UpgradeFiberFailed if !after_it => {
            let failed = evidence::nodes(given).filter(|(_, node)| matches!(node.procedure, Procedure::Failed { .. }));
            restart_once(given, plan, failed.map(|(name, _)| name.clone()).collect());
        }
        Class::SchemaDisagreement if !after_it => restart_once(given, plan, given.seen.nodes.keys().cloned().collect()),
        Class::NoLeader if !after_it => {
            let (leaders, others): (Vec<_>, Vec<_>) = evidence::nodes(given).partition(|(_, node)| evidence::leads(node));
            restart_once(given, plan, leaders.into_iter().chain(others).map(|(name, _)| name.clone()).collect());
        }
        _ => {}
    }
}

/// A marker of recovery on one node of a cluster that goes on: asked about; with standing permission it is taken away once nothing
/// has moved for so long that nobody is at work there. The group is kept. No other node is touched.
fn end_stray_recovery(given: &Given<'_>, plan: &mut Plan, (name, node): (&PodName, &NodeSeen)) {
    let is_marked = node.evidence.recovery_stored;
    let why = WaitingFor::Recovery(Why::StrayMarker { node: name.clone(), is_marked });
    plan.report.waiting.insert(0, why);
    let since = plan.report.stall.as_ref().map_or(given.now, |stall| stall.since);
    let due = after(since, given.spec.recovery.dead_after.into());
    let may_act = given.spec.recovery.mode == RecoveryMode::Automatic && !given.spec.paused && !given.spec.dry_run;
    if !may_act || !is_free(given, plan) {
        return;
    }
    if is_marked && given.now < due {
        plan.next_look = plan.next_look.min(due);
        return;
    }
    if is_marked {
        plan.actions.push(Action::Recover { node: name.clone(), plan: 0, verb: RecoveryVerb::LiftFence });
        return;
    }
    restart(given, plan, name, node);
}

fn require(given: &Given<'_>, plan: &mut Plan, class: Class) {
    plan.report.waiting.insert(0, WaitingFor::RecoveryRequired { lost: evidence::names(&hosts::dead(given)) });
    recovery::begin(given, plan, class);
}

/// Restarts in place the first of these that was not restarted before, if all serve, the window is open, and nothing that was
/// begun may still take place.
fn restart_once(given: &Given<'_>, plan: &mut Plan, candidates: Vec<PodName>) {
    let all_serve = given.seen.nodes.iter().all(|(name, view)| given.healthy(name, view).is_ok());
    let fresh = candidates.into_iter().find(|name| given.journal.node(name).restarts == 0);
    let may_act = is_free(given, plan) && all_serve;
    let Some((name, node)) = fresh.filter(|_| may_act).and_then(|name| Some((name.clone(), given.node(&name)?))) else {
        return;
    };
    if let Some((why, _)) = given.spec.window.as_ref().and_then(|window| window::wait(window, given.now)) {
        plan.report.waiting.push(why);
        return;
    }
    let remembered = plan.journal.nodes.entry(name.clone()).or_default();
    remembered.restarts += 1;
    remembered.last_attempt_at = Some(given.now);
    plan.journal.last_restart_at = Some(given.now);
    restart(given, plan, &name, node);
}

/// Whether nothing else is to be done, and nothing that was begun may still take place.
pub(super) fn is_free(given: &Given<'_>, plan: &Plan) -> bool {
    let intents = plan.journal.intents.iter().filter(|intent| intent.action.is_harmful_when_late());
    let is_open = given.journal.taken.iter().chain(intents).any(|intent| terms::matters(given, plan, intent));
    plan.actions.is_empty() && !is_open
}

/// In place, and remembered until it is seen.
fn restart(given: &Given<'_>, plan: &mut Plan, name: &PodName, node: &NodeSeen) {
    let action = Action::Restart { node: name.clone(), generation: node.generation };
    plan.journal.taken = Some(Intent { action: action.clone(), epoch: given.journal.epoch, at: given.now });
    plan.actions.push(action);
}
