//! Decides without doing: `plan(spec, observation, journal, now)`.
//!
//! Pure and synchronous; no client, clock or file is in scope. It is computed anew from every observation; the journal only
//! remembers when things began and choices that must not change. Where is what: [`guard`] names what must hold, [`preflight`]
//! asks it before the first restart, [`gate`] between two restarts, [`rolling`] gives the flag, [`cancel`] takes it back,
//! [`forming`] follows the nodes from the point of no return to the end, [`stall`] says why nothing moves, [`terms`] sees to
//! it that only one operator acts, [`report`] says why nothing can be done, [`check`] audits any plan by rules of its own.

mod action;
mod cancel;
pub mod check;
mod evidence;
mod forming;
mod gate;
pub mod guard;
mod health;
mod journal;
mod outlook;
mod preflight;
mod recovery;
mod remember;
mod removal;
mod report;
mod rolling;
pub mod stall;
mod terms;
pub mod window;

pub use action::{Action, RecoveryVerb};
pub use journal::{Commit, Halt, Intent, Journal, Progress, Remembered, Undone};
pub(crate) use recovery::hosts::members_of;
pub use recovery::{Because, Donor, Event, FrozenPlan, Gone, Proof, Recovery, Silent, Step, Why};
pub use removal::Remover;
pub use report::{Report, WaitingFor, runbook};

use crate::{
    crd::{Group0UpgradeSpec, Phase},
    observe::{HostId, NodeSeen, Observation, Part, Pod, PodName, Set},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// How soon to look again when nothing calls earlier.
pub const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// What to do, what to remember, what to say.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Plan {
    /// In this order. Each is idempotent.
    pub actions: Vec<Action>,
    /// Written down before the first action.
    pub journal: Journal,
    /// Why nothing more is done.
    pub report: Report,
    /// Look again then, or when something changes.
    pub next_look: Timestamp,
    /// Something that was begun can only be ended by a higher epoch: begin a new term.
    pub new_term: bool,
    /// The run is over and another one is asked for: begin it.
    pub new_run: bool,
}

impl Plan {
    /// The same look with nothing done, because the audit found this.
    pub fn refused(mut self, before: &Journal, violation: String) -> Self {
        self.journal = before.clone();
        self.actions.clear();
        self.new_run = false;
        self.report.waiting.insert(0, WaitingFor::AuditFailed { violation });
        self
    }

    /// The page of `docs/runbooks` that says what it means, what is done about it, and how to do that by hand: of what a recovery waits
    /// for, of the step that it is in, or of a stall.
    pub fn runbook(&self) -> Option<String> {
        let of_reason = self.report.waiting.iter().find_map(|why| match why {
            WaitingFor::Recovery(why) => Some(why.page().to_owned()),
            _ => None,
        });
        let recovery = self.journal.recovery.as_ref().filter(|_| self.report.phase == Phase::Recovering);
        // Beside a plan that is over, what it has left behind is taken back.
        let of_step = || recovery.map(|it| if it.is_in_force() { it.step.name() } else { Step::Withdraw.name() });
        let of_stall = || Some(self.report.stall.as_ref()?.class.to_string());
        of_reason.or_else(of_step).or_else(of_stall).map(|page| runbook(&page))
    }

    /// What is asked for again, and why it was not done the last time.
    fn not_done(&self) -> Option<WaitingFor> {
        let Undone { action, why } = self.journal.undone.clone()?;
        let is_asked = self.actions.iter().any(|asked| asked.to_string() == action);
        is_asked.then_some(WaitingFor::NotDone { action, why })
    }
}

/// What a plan is made from. Only this file and its children see it.
struct Given<'a> {
    spec: &'a Group0UpgradeSpec,
    seen: &'a Observation,
    journal: &'a Journal,
    now: Timestamp,
    /// The hosts that are removed for ever.
    removed: &'a BTreeSet<HostId>,
}

/// What to do about this cluster now.
pub fn plan(spec: &Group0UpgradeSpec, seen: &Observation, journal: &Journal, now: Timestamp) -> Plan {
    let removed = &recovery::hosts::removed(seen);
    let journal = &remember::all(&Given { spec, seen, journal, now, removed });
    let given = &Given { spec, seen, journal, now, removed };
    let decided = decide(given);
    let outlook = outlook::lines(given, &decided);
    let mut plan = restrained(given, decided);
    plan.report.outlook = outlook;
    remember::progress(given, &mut plan);
    stall::classify(given, &mut plan);
    let not_done = plan.not_done();
    plan.journal.undone = plan.journal.undone.filter(|_| not_done.is_some());
    plan.report.waiting.splice(0..0, not_done);
    plan
}

/// What may be done of it: nothing while a human or a newer operator says so, and first what must come first.
fn restrained(given: &Given<'_>, plan: Plan) -> Plan {
    let phase = plan.report.phase;
    let is_complete = phase == Phase::Complete;
    if given.spec.paused {
        let (phase, why) = if is_complete { (phase, None) } else { (Phase::Paused, Some(WaitingFor::Unpause)) };
        return hold_still(given, plan, phase, why);
    }
    if given.spec.dry_run {
        return hold_still(given, plan, phase, (!is_complete).then_some(WaitingFor::DryRun));
    }
    if let Some(newer) = terms::newer_operator(given) {
        return hold_still(given, plan, phase, Some(newer));
    }
    if phase == Phase::Failed { plan } else { terms::settle(given, plan) }
}

/// What would be done if nothing were in the way.
fn decide(given: &Given<'_>) -> Plan {
    if let Some(taken) = guard::ask(given, |guard| guard == guard::Guard::ClusterTaken)
        .into_iter()
        .find(|v| v.refused.iter().any(|why| matches!(why, WaitingFor::ClusterTaken { .. })))
    {
        return given.wait(Phase::Failed, taken.refused);
    }
    match recovery::follow(given) {
        Some(plan) if recovery::is_under_way(&plan.journal) || !plan.actions.is_empty() => plan,
        Some(ended) => undisturbed(&Given { journal: &ended.journal, ..*given }),
        None => undisturbed(given),
    }
}

/// What is done while nothing is lost that group 0 needs.
fn undisturbed(given: &Given<'_>) -> Plan {
    if forming::has_begun(given) {
        let mut plan = forming::follow(given);
        if given.spec.cancel && plan.report.phase != Phase::Complete {
            plan.report.waiting.insert(0, WaitingFor::CancelRefused);
        }
        return plan;
    }
    if given.spec.cancel {
        return cancel::next(given);
    }
    if given.journal.cancelled_at.is_some() {
        return Plan { new_run: true, ..given.wait(Phase::Pending, Vec::new()) };
    }
    if given.journal.preflight_passed_at.is_none() { preflight::ask(given) } else { rolling::next(given) }
}

/// The same report, but nothing is done and nothing begun.
fn hold_still(given: &Given<'_>, mut plan: Plan, phase: Phase, why: Option<WaitingFor>) -> Plan {
    plan.actions.clear();
    let held = given.journal.gate_held_since.filter(|_| plan.journal.gate_held_since.is_some());
    plan.journal = Journal { gate_held_since: held, ..given.journal.clone() };
    plan.report.phase = phase;
    plan.report.waiting.splice(0..0, why);
    plan.new_run = false;
    plan
}

impl<'a> Given<'a> {
    /// Nothing to do but to wait for these.
    fn wait(&self, phase: Phase, waiting: Vec<WaitingFor>) -> Plan {
        Plan {
            actions: Vec::new(),
            journal: self.journal.clone(),
            report: Report::new(phase, waiting),
            next_look: self.now + LOOK_EVERY,
            new_term: false,
            new_run: false,
        }
    }

    fn pod(&self, name: &PodName) -> Option<&'a Pod> {
        self.seen.nodes.get(name).and_then(|view| view.pod.known())
    }

    fn node(&self, name: &PodName) -> Option<&'a NodeSeen> {
        self.seen.nodes.get(name).and_then(|view| view.node.known())
    }

    fn set(&self, name: &str) -> Option<&'a Set> {
        self.seen.sets.iter().filter_map(Part::known).find(|set| set.name == name)
    }

    /// The templates of all racks without our variables.
    fn template_hash(&self) -> String {
        let hash = |part: &Part<Set>| part.known().map_or_else(|| "?".to_owned(), |set| set.template_hash.clone());
        self.seen.sets.iter().map(hash).collect::<Vec<_>>().join(" ")
    }
}
