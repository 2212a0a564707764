//! The border to the nodes: the answer of the Admin service → [`NodeSeen`]. What cannot be parsed is a reason, not a guess.

use super::{Evidence, Figures, Group, HostId, NodeSeen, Peer, PlanState, Position, Procedure, StoredPlan, UpgradeState};
use group0_api::v1::{self, procedure::Phase};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a node said, at `now` of our clock.
pub fn node_seen(status: &v1::Status, now: Timestamp) -> Result<NodeSeen, String> {
    Ok(NodeSeen {
        sequence: status.sequence,
        host: host(&status.host_id)?,
        generation: status.generation,
        release: status.release.clone(),
        clock_offset: time(status.clock_micros)?.duration_since(now),
        ready: unless(status.ready, &status.not_ready_reason),
        bootstrapped: unless(status.bootstrapped, &status.boot_waiting),
        flag: status.flag == Some(true),
        proceed: status.proceed,
        held: status.held,
        feature_enabled: status.feature_enabled,
        state: UpgradeState::from(status.upgrade_state.as_str()),
        procedure: procedure(status.procedure.as_ref())?,
        group: status.group.as_ref().map(group).transpose()?,
        schema_version: status.schema_version.clone(),
        peers: status.peers.iter().map(peer).collect::<Result<BTreeMap<_, _>, _>>()?,
        figures: status.upgrade_figures.as_ref().map(figures).transpose()?,
        epoch: status.operator_epoch,
        disk_free: status.disk_free_bytes,
        evidence: status.evidence.as_ref().map(evidence).transpose()?.unwrap_or_default(),
    })
}

fn evidence(evidence: &v1::Evidence) -> Result<Evidence, String> {
    let heard = |heard: &v1::HostHeard| {
        let ago = i64::try_from(heard.millis_ago).map_or(SignedDuration::MAX, SignedDuration::from_millis);
        Ok::<_, String>((host(&heard.host_id)?, ago))
    };
    Ok(Evidence {
        group: if evidence.group_id.is_empty() { None } else { Some(uuid(&evidence.group_id)?) },
        incarnation: evidence.incarnation,
        last: Position { term: evidence.last_term, index: evidence.last_index },
        commit: evidence.commit_index,
        in_recovery: evidence.in_recovery,
        recovery_stored: evidence.recovery_stored,
        heard: evidence.heard.iter().map(heard).collect::<Result<_, _>>()?,
        removed: hosts(&evidence.removed_host_ids)?,
        plan: evidence.plan.as_ref().map(|plan| stored_plan(plan, evidence)).transpose()?,
        forward_only: evidence.forward_only,
    })
}

fn stored_plan(plan: &v1::RecoveryPlan, evidence: &v1::Evidence) -> Result<StoredPlan, String> {
    use v1::evidence::PlanState as Wire;
    let state = match evidence.plan_state() {
        Wire::Prepared => PlanState::Prepared,
        Wire::Fenced => PlanState::Fenced,
        Wire::Resetting => PlanState::Resetting,
        Wire::Done => PlanState::Done,
        Wire::Withdrawn => PlanState::Withdrawn,
        Wire::Unspecified => return Err("its plan of recovery is in a state that is not known".into()),
    };
    Ok(StoredPlan {
        number: plan.number,
        survivors: hosts(&plan.survivors)?,
        excluded: hosts(&plan.excluded)?,
        text: plan.text.clone(),
        state,
        rolled_forward: evidence.rolled_forward,
    })
}

fn unless(holds: bool, why_not: &str) -> Result<(), String> {
    match (holds, why_not) {
        (true, _) => Ok(()),
        (false, "") => Err("it does not say why".into()),
        (false, why) => Err(why.into()),
    }
}

fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::parse_str(text).map_err(|error| format!("'{text}' in its answer is no UUID: {error}"))
}

fn host(text: &str) -> Result<HostId, String> {
    uuid(text).map(HostId)
}

fn hosts(texts: &[String]) -> Result<BTreeSet<HostId>, String> {
    texts.iter().map(|text| host(text)).collect()
}

fn time(micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(micros).map_err(|error| format!("'{micros}' in its answer is no time: {error}"))
}

fn procedure(procedure: Option<&v1::Procedure>) -> Result<Procedure, String> {
    let Some(procedure) = procedure else { return Ok(Procedure::Idle) };
    let step = procedure.step_name.clone();
    match Phase::try_from(procedure.phase) {
        Ok(Phase::Idle) => Ok(Procedure::Idle),
        Ok(Phase::Running) => {
            let since = time(procedure.since_micros)?;
            Ok(Procedure::Running { step, waiting: procedure.waiting.clone(), since })
        }
        Ok(Phase::Failed) => Ok(Procedure::Failed { step, cause: procedure.cause.clone() }),
        Ok(Phase::Done) => Ok(Procedure::Done),
        Ok(Phase::Unspecified) | Err(_) => Err(format!("its procedure is in a phase that is not known: {}", procedure.phase)),
    }
}

fn group(group: &v1::Group) -> Result<Group, String> {
    let leader = if group.leader.is_empty() { None } else { Some(host(&group.leader)?) };
    Ok(Group {
        id: uuid(&group.id)?,
        leader,
        voters: hosts(&group.voters)?,
        learners: hosts(&group.learners)?,
        joint: group.joint,
        commit: group.commit_index,
        state_id: group.state_id.clone(),
    })
}

fn peer(peer: &v1::PeerStatus) -> Result<(HostId, Peer), String> {
    let seen = Peer {
        up: peer.up,
        status: peer.status.clone(),
        generation: peer.generation,
        pulled_from_generation: peer.pulled_from_generation,
    };
    Ok((host(&peer.host_id)?, seen))
}

fn figures(figures: &v1::UpgradeFigures) -> Result<Figures, String> {
    Ok(Figures {
        started: time(figures.started_micros)?,
        synchronize: time(figures.synchronize_micros)?,
        finished: time(figures.finished_micros)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_parsed_is_named() {
        let status = v1::Status { host_id: "nobody".into(), ..v1::Status::default() };
        let why = node_seen(&status, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(why.contains("'nobody' in its answer is no UUID"), "{why}");
        let procedure = v1::Procedure { phase: 77, ..v1::Procedure::default() };
        let status = v1::Status { host_id: Uuid::nil().to_string(), procedure: Some(procedure), ..v1::Status::default() };
        let why = node_seen(&status, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(why, "its procedure is in a phase that is not known: 77");
    }

    #[test]
    fn a_full_disk_is_told_from_one_that_is_not_known() {
        for free in [None, Some(0), Some(1 << 30)] {
            let status = v1::Status {
                host_id: Uuid::nil().to_string(),
                procedure: Some(v1::Procedure { phase: v1::procedure::Phase::Idle.into(), ..v1::Procedure::default() }),
                disk_free_bytes: free,
                ..v1::Status::default()
            };
            assert_eq!(node_seen(&status, Timestamp::UNIX_EPOCH).unwrap().disk_free, free);
        }
    }
}
