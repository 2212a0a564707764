//! The conditions: always all of them, `Ready`, `Reconciling` and `Stalled` as kstatus reads them.

use super::{message, with_runbook};
use crate::{
    crd::{Group0UpgradeStatus, Phase},
    observe::{NodeSeen, Observation, PodState, UpgradeState},
    plan::{Plan, WaitingFor, Why, members_of},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// What a condition says: its status, and for `Unknown` or a special case a reason of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    True,
    False,
    Unknown,
}

impl From<bool> for Verdict {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// All conditions, each stamped with the generation that it answers: `kubectl wait` ignores older ones.
pub(super) fn all(
    plan: &Plan,
    seen: &Observation,
    before: &Group0UpgradeStatus,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let (reason, text) = why(plan);
    let condition = |(kind, verdict): (&str, Verdict)| {
        let status = text_of(verdict);
        let old = before.conditions.iter().find(|old| old.type_ == kind && old.status == status);
        Condition {
            type_: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message: text.clone(),
            observed_generation: Some(generation),
            last_transition_time: old.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    verdicts(plan, seen).into_iter().map(condition).collect()
}

fn text_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::True => "True",
        Verdict::False => "False",
        Verdict::Unknown => "Unknown",
    }
}

/// One reason for all: what the run waits for first, else its phase.
fn why(plan: &Plan) -> (&'static str, String) {
    match plan.report.waiting.first() {
        Some(why) => (why.reason(), with_runbook(plan, why)),
        None => (phase_reason(plan.report.phase), message(plan)),
    }
}

fn phase_reason(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Preflight => "Preflight",
        Phase::Rolling => "Rolling",
        Phase::Forming => "Forming",
        Phase::Synchronizing => "Synchronizing",
        Phase::Complete => "Complete",
        Phase::Paused => "Paused",
        Phase::Stalled => "Stalled",
        Phase::Recovering => "Recovering",
        Phase::Cancelling => "Cancelling",
        Phase::Cancelled => "Cancelled",
        Phase::Failed => "Failed",
    }
}

fn verdicts(plan: &Plan, seen: &Observation) -> [(&'static str, Verdict); 15] {
    let phase = plan.report.phase;
    let complete = phase == Phase::Complete;
    let paused = phase == Phase::Paused;
    let asked =
        |why: &WaitingFor| matches!(why, WaitingFor::Unpause | WaitingFor::AwaitingApproval { .. } | WaitingFor::Cancelled);
    let stalled = plan.report.stall.is_some() || plan.report.waiting.iter().any(|why| why.needs_human() && !asked(why));
    let waits = |of: fn(&WaitingFor) -> bool| plan.report.waiting.iter().any(of);
    let flagged =
        !seen.nodes.is_empty() && seen.nodes.values().all(|view| view.pod.known().is_some_and(|pod| pod.flag && pod.hold));
    [
        ("Ready", (complete && !stalled && quorum(seen) != Verdict::False).into()),
        ("Reconciling", (!complete && !paused && !stalled).into()),
        ("Stalled", stalled.into()),
        ("PreflightPassed", (plan.journal.preflight_passed_at.is_some() || plan.journal.point_of_no_return_at.is_some()).into()),
        ("FlagRolledOut", (complete || flagged).into()),
        ("Group0Formed", every(seen, |node| node.group.is_some())),
        ("SchemaSynchronized", every(seen, |node| node.state == UpgradeState::PostRaft)),
        ("Complete", complete.into()),
        ("AwaitingApproval", waits(awaits_approval).into()),
        ("Paused", paused.into()),
        ("QuorumHealthy", quorum(seen)),
        ("RecoveryRequired", (waits(|why| matches!(why, WaitingFor::RecoveryRequired { .. })) || is_recovering(plan)).into()),
        ("RecoveryBlocked", waits(|why| matches!(why, WaitingFor::Recovery(why) if why.is_refusal())).into()),
        ("Recovering", (phase == Phase::Recovering).into()),
        ("Degraded", degraded(seen).into()),
    ]
}

fn awaits_approval(why: &WaitingFor) -> bool {
    matches!(why, WaitingFor::AwaitingApproval { .. } | WaitingFor::Recovery(Why::AwaitingApproval { .. }))
}

/// Whether a plan is in force that has not brought the group back yet.
fn is_recovering(plan: &Plan) -> bool {
    plan.journal.recovery.as_ref().is_some_and(|recovery| recovery.is_in_force() && recovery.verified_at.is_none())
}

/// True if all nodes are known to be so, False if one is known not to be. Where nobody is seen nothing is known.
fn every(seen: &Observation, holds: impl Fn(&NodeSeen) -> bool) -> Verdict {
    if seen.nodes.is_empty() {
        return Verdict::Unknown;
    }
    let known: Option<Vec<bool>> = seen.nodes.values().map(|view| view.node.known().map(&holds)).collect();
    known.map_or(Verdict::Unknown, |all| all.into_iter().all(|holds| holds).into())
}

/// Whether a majority of the voters answers and is not in recovery; Unknown while no node tells of a group.
fn quorum(seen: &Observation) -> Verdict {
    let nodes = || members_of(seen).filter(|node| node.state != UpgradeState::Recovery);
    let Some(voters) = nodes().filter_map(|node| node.group.as_ref()).map(|group| &group.voters).max_by_key(|v| v.len()) else {
        return Verdict::Unknown;
    };
    let answering = nodes().filter(|node| voters.contains(&node.host)).count();
    (answering * 2 > voters.len()).into()
}

fn degraded(seen: &Observation) -> bool {
    seen.nodes.values().any(|view| {
        let is_down = view.pod.known().is_none_or(|pod| matches!(pod.state, PodState::Down(_) | PodState::Broken(_)));
        is_down || view.node.known().is_none_or(|node| node.ready.is_err())
    })
}
