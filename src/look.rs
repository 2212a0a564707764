//! The steps of one look without the world: where it starts, what it decides, what is written before and after acting.
//!
//! Pure and synchronous; [`crate::controller`] strings them together and awaits the world between them.

use crate::{
    act::{Event, Failure, Order},
    crd::{Group0Upgrade, Group0UpgradeStatus, Phase},
    observe::{NodeView, Observation, Part, Set},
    plan::{Action, Intent, Journal, Plan, Undone, WaitingFor, check, plan},
    status,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};

/// Figures that move by themselves are written at most so often while somebody may look at them.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// When all is over: clients go on changing schemas, and each change moves figures.
const REFRESH_AFTER_ALL: SignedDuration = SignedDuration::from_mins(1);

/// After an act: what it has changed is to be seen by then.
const SEEN_AFTER: SignedDuration = SignedDuration::from_millis(20);
/// After an act that failed, or of which nothing is known.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_millis(500);

/// What a look begins with.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Start {
    /// The object says that another operator has begun a newer term.
    Deposed,
    /// The term goes on, or nothing will be done that needs one.
    GoOn(Journal),
    /// A term is to be begun: by writing this status, before anything else.
    NewTerm(Journal, Box<Group0UpgradeStatus>),
}

/// What a look has decided.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Decision {
    /// What is done, and what is said.
    pub plan: Plan,
    /// For which run it is done, and in which epoch.
    pub order: Order,
    /// What the object is to say before anything is done.
    pub status: Group0UpgradeStatus,
    /// Whether that is more than it says already.
    pub news: News,
    /// What people are told: what a human must end now, and what a recovery has come to.
    pub events: Vec<Event>,
    /// When this was decided.
    pub at: Timestamp,
    /// What was known before it of the last restart.
    before: LastRestart,
}

/// What a status says that the one before it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    Nothing,
    /// Only figures that move by themselves: to be written when the last write is as old as this.
    Figures(SignedDuration),
    /// More than that.
    Something,
}

impl News {
    /// Whether it is to be written, when something was written then; also if the clock has been set back since.
    pub fn are_due(self, last_written: Option<Timestamp>, now: Timestamp) -> bool {
        match self {
            Self::Nothing => false,
            Self::Figures(every) => last_written.is_none_or(|last| now.duration_since(last).abs() >= every),
            Self::Something => true,
        }
    }
}

/// Of the last node that was taken down.
#[derive(Clone, Debug, PartialEq)]
struct LastRestart {
    taken: Option<Intent>,
    at: Option<Timestamp>,
    gate_held_since: Option<Timestamp>,
}

impl LastRestart {
    fn of(journal: &Journal) -> Self {
        Self { taken: journal.taken.clone(), at: journal.last_restart_at, gate_held_since: journal.gate_held_since }
    }

    fn put_back(&self, journal: &mut Journal) {
        journal.taken.clone_from(&self.taken);
        journal.last_restart_at = self.at;
        journal.gate_held_since = self.gate_held_since;
    }
}

/// Where a look starts of an operator that has begun the term `epoch`, or none yet. `run_id` names the run if this begins it.
pub fn start(epoch: Option<u64>, object: &Group0Upgrade, seen: &Observation, run_id: &str, now: Timestamp) -> Start {
    let mut status = object.status.clone().unwrap_or_default();
    let stored = status::journal(&status, seen.nodes.keys());
    match epoch {
        Some(epoch) if epoch != stored.epoch => Start::Deposed,
        // A node knows of a term that the object does not: an object before it had it, while this node could not be asked.
        Some(epoch) if object.spec.dry_run || highest_epoch(&stored, seen) == epoch => Start::GoOn(stored),
        None if object.spec.dry_run => Start::GoOn(begun(stored, run_id, now)),
        _ => {
            let mut journal = Journal { epoch: highest_epoch(&stored, seen) + 1, ..begun(stored.clone(), run_id, now) };
            if stored.epoch == 0 && somebody_was_here(seen) {
                journal.intents.extend(lost_intents(seen, now));
            }
            status::write_journal(&journal, &mut status);
            Start::NewTerm(journal, Box::new(status))
        }
    }
}

/// Of the object and of every node that answers: either may have been lost.
fn highest_epoch(journal: &Journal, seen: &Observation) -> u64 {
    let said = |view: &NodeView| view.node.known().map_or(0, |node| node.epoch);
    seen.nodes.values().map(said).max().unwrap_or_default().max(journal.epoch)
}

/// Whether an operator may have acted here before whose journal is not ours: it owned before it did anything else.
fn somebody_was_here(seen: &Observation) -> bool {
    let is_free = |set: &Part<Set>| set.known().is_some_and(|set| set.owner.is_none());
    let is_claimed = |view: &NodeView| view.node.known().is_some_and(|node| node.epoch > 0);
    !seen.sets.iter().all(is_free) || seen.nodes.values().any(is_claimed)
}

/// What that operator may have begun, and may still do late: anything, to anyone.
fn lost_intents(seen: &Observation, at: Timestamp) -> impl Iterator<Item = Intent> {
    let sets = seen.sets.iter().filter_map(Part::known).map(|set| Action::lost_template(&set.name));
    sets.chain(seen.nodes.keys().map(Action::lost_recreate)).map(move |action| Intent { action, epoch: 0, at })
}

fn begun(journal: Journal, run_id: &str, now: Timestamp) -> Journal {
    if journal.started_at.is_some() { journal } else { Journal { epoch: journal.epoch, ..Journal::begin(run_id.into(), now) } }
}

/// Plans, audits, and writes the intents into the journal.
pub fn decide(object: &Group0Upgrade, seen: &Observation, journal: &Journal, run_id: &str, now: Timestamp) -> Decision {
    let mut plan = audited(object, seen, journal, now);
    if plan.new_run {
        plan.journal = plan.journal.next(run_id.into(), now);
    }
    let frozen = plan.journal.recovery.as_ref().map(|recovery| recovery.plan.clone());
    let order = Order { run_id: plan.journal.run_id.clone(), epoch: plan.journal.epoch, plan: frozen };
    let intend = |action: &Action| Intent { action: action.clone(), epoch: order.epoch, at: now };
    plan.journal.intents.extend(plan.actions.iter().map(intend));
    let before = object.status.clone().unwrap_or_default();
    let status = status::render(&plan, seen, &before, now);
    let news = if plan.actions.is_empty() { news(&before, &status) } else { News::Something };
    let events = events(&plan, &before);
    Decision { plan, order, status, news, events, at: now, before: LastRestart::of(journal) }
}

/// Told once: when it becomes what is waited for first.
fn events(plan: &Plan, before: &Group0UpgradeStatus) -> Vec<Event> {
    let is_worth_it = |why: &&WaitingFor| why.needs_human() || matches!(why, WaitingFor::Recovery(_));
    let first = plan.report.waiting.first().filter(is_worth_it).filter(|why| why.reason() != before.blocked_by);
    let event = |why: &WaitingFor| Event {
        reason: why.reason(),
        pod: why.node().map(|pod| pod.name.clone()),
        message: why.to_string(),
        is_warning: why.needs_human(),
    };
    first.map(event).into_iter().collect()
}

fn audited(object: &Group0Upgrade, seen: &Observation, journal: &Journal, now: Timestamp) -> Plan {
    let plan = plan(&object.spec, seen, journal, now);
    let violations = check::audit(&object.spec, seen, journal, &plan, now);
    if violations.is_empty() { plan } else { plan.refused(journal, violations.join("; ")) }
}

impl Decision {
    /// Writes down how the actions ended: what is known to be done, or known not to be, is no intent any more. The next look comes
    /// soon, but not at once: what was done must be seen first, and what failed would fail again.
    pub fn settle(&mut self, outcomes: &[Result<(), Failure>]) {
        let journal = &mut self.plan.journal;
        for (action, outcome) in self.plan.actions.iter().zip(outcomes) {
            if !matches!(outcome, Err(Failure::Unknown(_))) {
                journal.intents.retain(|intent| intent.action != *action);
            }
            match outcome {
                Ok(()) => note_done(journal, action),
                // A budget refuses often, and nobody was taken down this time. Of a former time, whose outcome was not known, the
                // refusal says nothing. A restart in place is not tried again as soon: what refused it would do so again.
                Err(Failure::Refused(_)) if matches!(action, Action::Recreate { .. }) => self.before.put_back(journal),
                Err(_) => {}
            }
        }
        let failed = self.plan.actions.iter().zip(outcomes).find_map(|(action, outcome)| Some((action, outcome.as_ref().err()?)));
        journal.undone = failed.map(|(action, failure)| Undone { action: action.to_string(), why: failure.to_string() });
        status::write_journal(journal, &mut self.status);
        self.plan.next_look = self.at + if outcomes.iter().all(Result::is_ok) { SEEN_AFTER } else { AGAIN_AFTER };
    }
}

/// What follows from an action that took place. A pod that was made again has a newer version than the one that was taken:
/// whoever still sees that one, healthy and in its place, sees the past.
fn note_done(journal: &mut Journal, action: &Action) {
    match action {
        Action::Backup { node } => journal.nodes.entry(node.clone()).or_default().backed_up = true,
        Action::Recreate { node, version, .. } => {
            let remembered = journal.nodes.entry(node.clone()).or_default();
            remembered.pod_version = remembered.pod_version.max(version + 1);
        }
        Action::TouchPod { node, .. } => {
            journal.intents.retain(|intent| intent.action != Action::lost_recreate(node));
        }
        Action::Replace { node, .. } => {
            journal.recovery.iter_mut().for_each(|recovery| recovery.replaced.extend([node.clone()]));
            let were_there = journal.silent.values_mut().filter(|silent| silent.pod.as_ref() == Some(node));
            were_there.for_each(|silent| silent.given_up = true);
        }
        Action::TouchSet { set, .. } => journal.intents.retain(|intent| intent.action != Action::lost_template(set)),
        _ => {}
    }
}

fn news(before: &Group0UpgradeStatus, status: &Group0UpgradeStatus) -> News {
    let without_figures = |status: &Group0UpgradeStatus| {
        let mut status = status.clone();
        status.last_progress_at = None;
        status.progress_marker = None;
        status.deadline_at = None;
        status.sets.clear();
        status.known_commit = None;
        // Its lines tell how far each log is.
        status.recovery.iter_mut().for_each(|recovery| recovery.plan.clear());
        // As long as something is heard of a host now and then, it moves.
        status.silent.iter_mut().for_each(|host| host.since = host.since.take().map(|_| Time(Timestamp::UNIX_EPOCH)));
        for node in &mut status.nodes {
            node.schema_version = None;
            node.status_seq = 0;
            node.pod_version = 0;
        }
        status
    };
    if before == status {
        News::Nothing
    } else if without_figures(before) != without_figures(status) {
        News::Something
    } else if status.phase == Phase::Complete && before.silent == status.silent {
        News::Figures(REFRESH_AFTER_ALL)
    } else {
        News::Figures(REFRESH_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::{News, news};
    use crate::crd::{Group0UpgradeStatus, Phase, RecoveryStatus};

    /// Its lines go on telling how far each log is, for ever.
    #[test]
    fn a_change_of_the_schema_after_a_recovery_is_a_figure() {
        let status = |line: &str, step: &str| Group0UpgradeStatus {
            phase: Phase::Complete,
            recovery: Some(RecoveryStatus { plan: vec![line.into()], step: step.into(), ..RecoveryStatus::default() }),
            ..Group0UpgradeStatus::default()
        };
        let before = status("its log ends at index 7", "Verify");
        assert_eq!(news(&before, &before), News::Nothing);
        assert!(matches!(news(&before, &status("its log ends at index 8", "Verify")), News::Figures(_)));
        assert_eq!(news(&before, &status("its log ends at index 8", "Freeze")), News::Something);
    }
}
