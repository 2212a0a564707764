//! The status of the node in the words of the Admin service.

use group0_api::v1;
use group0_core::{
    status::{Boot, Evidence, GroupStatus, PeerStatus, PlanState, Procedure, Status, StoredPlan, UpgradeFigures},
    upgrade::{Step, WaitingOn},
};
use std::time::Duration;

/// The whole status. The core knows no disk; `disk_free_bytes` is `None` where it cannot be told.
pub fn status(status: &Status, disk_free_bytes: Option<u64>) -> v1::Status {
    v1::Status {
        sequence: status.sequence,
        cluster_name: status.cluster_name.clone(),
        host_id: status.host.to_string(),
        generation: status.generation.0,
        address: status.address.to_string(),
        release: status.release.clone(),
        clock_micros: status.clock.0,
        ready: status.ready.is_ok(),
        not_ready_reason: status.ready.clone().err().unwrap_or_default(),
        bootstrapped: status.boot == Boot::Completed,
        boot_waiting: boot_waiting(&status.boot),
        flag: status.flag,
        held: status.held,
        proceed: status.proceed,
        feature_enabled: status.feature_enabled,
        upgrade_state: status.stage.name().to_owned(),
        procedure: Some(procedure(&status.procedure)),
        group: status.group.as_ref().map(group),
        schema_version: status.schema_version.to_string(),
        peers: status.peers.iter().map(|(host, status)| peer(host.to_string(), status)).collect(),
        upgrade_figures: status.upgrade_figures.as_ref().map(figures),
        round_trip_nanos: nanos(status.cost.round_trip),
        fsync_nanos: nanos(status.cost.fsync),
        operator_epoch: status.operator_epoch,
        disk_free_bytes,
        evidence: Some(evidence(&status.evidence)),
    }
}

/// What a recovery is planned from.
pub fn evidence(evidence: &Evidence) -> v1::Evidence {
    let heard = evidence.heard.iter().map(|(host, ago)| v1::HostHeard {
        host_id: host.to_string(),
        millis_ago: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
    });
    v1::Evidence {
        group_id: evidence.group.map(|group| group.to_string()).unwrap_or_default(),
        incarnation: evidence.incarnation.0,
        last_term: evidence.last.term,
        last_index: evidence.last.index,
        commit_index: evidence.commit,
        in_recovery: evidence.in_recovery,
        recovery_stored: evidence.recovery_stored,
        heard: heard.collect(),
        removed_host_ids: evidence.removed.iter().map(ToString::to_string).collect(),
        plan: evidence.plan.as_ref().map(plan),
        plan_state: evidence.plan.as_ref().map_or(v1::evidence::PlanState::Unspecified, |plan| plan_state(plan.state)).into(),
        rolled_forward: evidence.plan.as_ref().is_some_and(|plan| plan.rolled_forward),
        forward_only: evidence.forward_only,
    }
}

fn plan(StoredPlan { plan, .. }: &StoredPlan) -> v1::RecoveryPlan {
    v1::RecoveryPlan {
        number: plan.number,
        survivors: plan.survivors.iter().map(ToString::to_string).collect(),
        excluded: plan.excluded.iter().map(ToString::to_string).collect(),
        text: plan.text.clone(),
    }
}

const fn plan_state(state: PlanState) -> v1::evidence::PlanState {
    match state {
        PlanState::Prepared => v1::evidence::PlanState::Prepared,
        PlanState::Fenced => v1::evidence::PlanState::Fenced,
        PlanState::Resetting => v1::evidence::PlanState::Resetting,
        PlanState::Done => v1::evidence::PlanState::Done,
        PlanState::Withdrawn => v1::evidence::PlanState::Withdrawn,
    }
}

fn boot_waiting(boot: &Boot) -> String {
    match boot {
        Boot::Joining(waiting) => waiting.clone(),
        Boot::Completed => String::new(),
    }
}

fn procedure(procedure: &Procedure) -> v1::Procedure {
    use v1::procedure::Phase;
    let at = |phase: Phase, step: Step| v1::Procedure {
        phase: phase.into(),
        step: step.number().into(),
        step_name: step.name().to_owned(),
        ..v1::Procedure::default()
    };
    match procedure {
        Procedure::Idle => v1::Procedure { phase: Phase::Idle.into(), ..v1::Procedure::default() },
        Procedure::Running { step, waiting, since } => v1::Procedure {
            waiting: waiting.iter().map(WaitingOn::to_string).collect(),
            since_micros: since.0,
            ..at(Phase::Running, *step)
        },
        Procedure::Failed { step, cause } => v1::Procedure { cause: cause.clone(), ..at(Phase::Failed, *step) },
        Procedure::Done => v1::Procedure { phase: Phase::Done.into(), ..v1::Procedure::default() },
    }
}

fn group(group: &GroupStatus) -> v1::Group {
    v1::Group {
        id: group.group.to_string(),
        incarnation: group.incarnation.0,
        term: group.term,
        leader: group.leader.map(|host| host.to_string()).unwrap_or_default(),
        commit_index: group.commit,
        applied_index: group.applied,
        log_length: group.log_length,
        voters: group.voters.iter().map(ToString::to_string).collect(),
        learners: group.learners.iter().map(ToString::to_string).collect(),
        joint: group.joint,
        state_id: group.state_id.map(|state| state.to_string()).unwrap_or_default(),
    }
}

fn peer(host_id: String, peer: &PeerStatus) -> v1::PeerStatus {
    v1::PeerStatus {
        host_id,
        address: peer.address.to_string(),
        up: peer.up,
        status: peer.status.clone(),
        generation: peer.generation.0,
        schema_version: peer.schema_version.map(|version| version.to_string()).unwrap_or_default(),
        pulled_from_generation: peer.pulled_from_generation.map_or(0, |generation| generation.0),
    }
}

fn figures(figures: &UpgradeFigures) -> v1::UpgradeFigures {
    v1::UpgradeFigures {
        started_micros: figures.started.0,
        synchronize_micros: figures.synchronize.0,
        finished_micros: figures.finished.0,
        hops: figures.path.hops,
        fsyncs: figures.path.fsyncs,
        refused_hops: figures.refused_path.hops,
        refused_fsyncs: figures.refused_path.fsyncs,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
