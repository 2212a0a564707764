//! Pure: journal, report and observation → status and conditions; and status → journal.

mod conditions;
mod journal;
mod nodes;
mod pace;
mod recovery;
mod story;

pub use journal::{journal, write as write_journal};

use crate::{
    crd::{Group0UpgradeStatus, Phase, Run, Stall},
    observe::{NodeSeen, Observation, UpgradeState},
    plan::{Action, Plan, WaitingFor},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// Messages are cut here: their field is bounded in the CRD.
const MAX_MESSAGE_CHARS: usize = 1000;
/// Lines of the plan kept, and their length, as the CRD bounds them: the guards, a line for each rack and node, and a few more.
const MAX_LINES: usize = 160;
const MAX_LINE_CHARS: usize = 256;
/// Runs kept.
const MAX_RUNS: usize = 10;
/// Of whoever approved one, as the CRD bounds it.
const MAX_APPROVER_CHARS: usize = 253;
/// Overridden guards kept of each of them: as many as there are.
const MAX_OVERRIDDEN: usize = 10;

/// The status to write: what `plan` says of `seen`. `before` keeps the times at which conditions last changed.
pub fn render(plan: &Plan, seen: &Observation, before: &Group0UpgradeStatus, now: Timestamp) -> Group0UpgradeStatus {
    let first = plan.report.waiting.first();
    let mut status = Group0UpgradeStatus {
        phase: plan.report.phase,
        progress: progress(plan, seen),
        step: step(plan),
        blocked_by: first.map_or_else(String::new, |why| why.reason().into()),
        message: first.map_or_else(|| message(plan), |why| with_runbook(plan, why)),
        leader: nodes::leader(seen),
        observed_generation: seen.object.generation,
        synchronize_window_millis: synchronize_window_millis(seen).or(before.synchronize_window_millis),
        nodes: nodes::all(plan, seen, before),
        stall: plan.report.stall.as_ref().map(stall),
        deadline_at: plan.report.deadline.map(Time),
        eta: pace::eta(plan, seen, now).map(Time),
        plan: plan.report.outlook.iter().take(MAX_LINES).map(|line| cut(line, MAX_LINE_CHARS)).collect(),
        recovery: recovery::shown(plan, seen),
        history: history(plan, seen, before, now),
        ..Group0UpgradeStatus::default()
    };
    journal::write(&plan.journal, &mut status);
    status.conditions = conditions::all(plan, seen, before, seen.object.generation, now);
    status
}

fn stall(stall: &crate::plan::stall::Stall) -> Stall {
    Stall { class: stall.class.to_string(), evidence: bounded(&stall.evidence), since: Time(stall.since) }
}

/// A run or a recovery that has just ended is added, once.
fn history(plan: &Plan, seen: &Observation, before: &Group0UpgradeStatus, now: Timestamp) -> Vec<Run> {
    let mut history = before.history.clone();
    let ended = [plan.journal.recovery.as_ref().and_then(|it| recovery::ended(&plan.journal.run_id, it)), run(plan, now)];
    let approver = |run: &Run| seen.object.approvals.get(if run.plan_hash.is_empty() { &run.run_id } else { &run.plan_hash });
    for run in ended.into_iter().flatten() {
        // One that ended before all of these was pushed out by them.
        let is_past = history.len() >= MAX_RUNS && history.iter().all(|known| known.ended_at.0 > run.ended_at.0);
        if !is_past && history.iter().all(|known| known.run_id != run.run_id) {
            let approved_by = approver(&run).map_or_else(String::new, |by| cut(by, MAX_APPROVER_CHARS));
            history.push(Run { approved_by, ..run });
        }
    }
    let surplus = history.len().saturating_sub(MAX_RUNS);
    history.drain(..surplus);
    history
}

/// The run, if it has ended.
fn run(plan: &Plan, now: Timestamp) -> Option<Run> {
    let journal = &plan.journal;
    let (result, ended_at) = match plan.report.phase {
        Phase::Complete => ("Complete", journal.completed_at),
        Phase::Cancelled => ("Cancelled", journal.cancelled_at),
        _ => return None,
    };
    Some(Run {
        run_id: journal.run_id.clone(),
        started_at: Time(journal.started_at.unwrap_or(now)),
        ended_at: Time(ended_at.unwrap_or(now)),
        result: result.into(),
        approved_by: String::new(),
        overridden: journal.overridden.iter().take(MAX_OVERRIDDEN).cloned().collect(),
        plan_hash: String::new(),
        excluded: Vec::new(),
        schema_changes_off_millis: None,
        waiting_for_proof_millis: None,
    })
}

/// Of all nodes: those that carry the flag, and from the point of no return those that are final.
fn progress(plan: &Plan, seen: &Observation) -> String {
    let is_final = |node: &NodeSeen| node.state == UpgradeState::PostRaft;
    let done = if plan.journal.point_of_no_return_at.is_some() || plan.report.phase == Phase::Complete {
        seen.nodes.values().filter(|view| view.node.known().is_some_and(is_final)).count()
    } else {
        seen.nodes.values().filter(|view| view.pod.known().is_some_and(|pod| pod.flag)).count()
    };
    format!("{done}/{}", seen.nodes.len())
}

fn step(plan: &Plan) -> String {
    match plan.actions.as_slice() {
        [] => plan.report.waiting.first().map_or_else(String::new, |why| format!("waiting: {}", why.reason())),
        [Action::Proceed { .. }, _, ..] => "proceed on all nodes".into(),
        [action, ..] => action.to_string(),
    }
}

fn message(plan: &Plan) -> String {
    match plan.report.phase {
        Phase::Cancelled => "the flag has been taken back everywhere".into(),
        Phase::Complete => "every node is final and a voter of one group; from here on the operator restarts nothing".into(),
        _ => plan.actions.first().map_or_else(String::new, ToString::to_string),
    }
}

/// From the first node in synchronize to the last one final, if every node has told.
fn synchronize_window_millis(seen: &Observation) -> Option<i64> {
    let figures: Option<Vec<_>> = seen.nodes.values().map(|view| view.node.known()?.figures).collect();
    let figures = figures?;
    let from = figures.iter().map(|f| f.synchronize).min()?;
    let to = figures.iter().map(|f| f.finished).max()?;
    i64::try_from(to.duration_since(from).as_millis()).ok()
}

/// What is waited for, and where more is said of it.
fn with_runbook(plan: &Plan, why: &WaitingFor) -> String {
    let page = plan.runbook().map_or_else(String::new, |page| format!("; see {page}"));
    cut(&why.to_string(), MAX_MESSAGE_CHARS - page.len()) + &page
}

/// Cut to what the CRD allows, at a character.
fn bounded(text: &str) -> String {
    cut(text, MAX_MESSAGE_CHARS)
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests;
