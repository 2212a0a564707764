//! The journal's place in status, both ways.

use super::recovery;
use crate::{
    crd::{Group0UpgradeStatus, HaltStatus, IntentStatus, KnownCommit, NodeStatus, SetVersion, UndoneStatus},
    observe::{HostId, PodName},
    plan::{Action, Commit, Halt, Intent, Journal, Progress, RecoveryVerb, Remembered, Undone},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use uuid::Uuid;

/// The journal that this status holds. Of nodes that are no longer members nothing is remembered.
pub fn journal<'a>(status: &Group0UpgradeStatus, members: impl IntoIterator<Item = &'a PodName>) -> Journal {
    let members: Vec<&PodName> = members.into_iter().collect();
    let member = |name: &str| members.iter().find(|member| member.name == name).map(|member| (*member).clone());
    let progress = status.progress_marker.clone().zip(at(status.last_progress_at.as_ref()));
    Journal {
        run_id: status.run_id.clone(),
        epoch: u64::try_from(status.epoch).unwrap_or_default(),
        started_at: at(status.started_at.as_ref()),
        preflight_passed_at: at(status.preflight_passed_at.as_ref()),
        template_hash: status.template_hash.clone(),
        canary: status.canary.as_deref().and_then(member),
        halted: status
            .halted
            .as_ref()
            .and_then(|halt| Some(Halt { node: member(&halt.pod_name)?, why: halt.why.clone(), generation: halt.generation })),
        last_restart_at: at(status.last_restart_at.as_ref()),
        gate_held_since: at(status.gate_held_since.as_ref()),
        backed_up_at: at(status.backed_up_at.as_ref()),
        point_of_no_return_at: at(status.point_of_no_return_at.as_ref()),
        completed_at: at(status.completed_at.as_ref()),
        cancelled_at: at(status.cancelled_at.as_ref()),
        intents: status.intents.iter().filter_map(|intent| read_intent(intent, &member)).collect(),
        undone: status.undone.as_ref().map(|undone| Undone { action: undone.action.clone(), why: undone.why.clone() }),
        taken: status.taken.as_ref().and_then(|taken| read_intent(taken, &member)),
        sets: status.sets.iter().map(|set| (set.name.clone(), set.version)).collect(),
        nodes: status.nodes.iter().filter_map(|node| Some((member(&node.pod_name)?, remembered(node)))).collect(),
        progress: progress.map(|(marker, since)| Progress { marker, since }),
        overridden: status.overridden.clone(),
        commit: status
            .known_commit
            .as_ref()
            .and_then(|commit| Some(Commit { group: Uuid::parse_str(&commit.group_id).ok()?, index: commit.index })),
        silent: status.silent.iter().filter_map(|host| recovery::read_silent(host, &member)).collect(),
        recovery: status.recovery.as_ref().and_then(|recovery| recovery::read(recovery, &member)),
    }
}

pub(super) fn at(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

fn remembered(node: &NodeStatus) -> Remembered {
    Remembered {
        host: node.host_id.as_ref().and_then(|host| Uuid::parse_str(host).ok()).map(HostId),
        pod_version: node.pod_version,
        sequence: node.status_seq,
        host_pod: node.host_pod_uid.clone(),
        backed_up: node.backed_up,
        retries: node.attempts,
        restarts: node.restarts,
        last_attempt_at: at(node.last_attempt_at.as_ref()),
    }
}

/// Writes all of it.
pub fn write(journal: &Journal, status: &mut Group0UpgradeStatus) {
    let Journal {
        run_id,
        epoch,
        started_at,
        preflight_passed_at,
        template_hash,
        canary,
        halted,
        last_restart_at,
        gate_held_since,
        backed_up_at,
        point_of_no_return_at,
        completed_at,
        cancelled_at,
        intents,
        undone,
        taken,
        nodes,
        sets,
        progress,
        overridden,
        commit,
        silent,
        recovery,
    } = journal;
    status.run_id.clone_from(run_id);
    status.epoch = i64::try_from(*epoch).unwrap_or(i64::MAX);
    status.started_at = started_at.map(Time);
    status.preflight_passed_at = preflight_passed_at.map(Time);
    status.template_hash.clone_from(template_hash);
    status.canary = canary.as_ref().map(|name| name.name.clone());
    status.halted = halted.as_ref().map(|halt| HaltStatus {
        pod_name: halt.node.name.clone(),
        why: halt.why.clone(),
        generation: halt.generation,
    });
    status.last_restart_at = last_restart_at.map(Time);
    status.gate_held_since = gate_held_since.map(Time);
    status.backed_up_at = backed_up_at.map(Time);
    status.point_of_no_return_at = point_of_no_return_at.map(Time);
    status.completed_at = completed_at.map(Time);
    status.cancelled_at = cancelled_at.map(Time);
    status.intents = intents.iter().map(write_intent).collect();
    status.undone =
        undone.as_ref().map(|undone| UndoneStatus { action: undone.action.clone(), why: super::bounded(&undone.why) });
    status.taken = taken.as_ref().map(write_intent);
    status.sets = sets.iter().map(|(name, version)| SetVersion { name: name.clone(), version: *version }).collect();
    status.progress_marker = progress.as_ref().map(|progress| progress.marker.clone());
    status.last_progress_at = progress.as_ref().map(|progress| Time(progress.since));
    status.overridden.clone_from(overridden);
    status.known_commit = commit.map(|commit| KnownCommit { group_id: commit.group.to_string(), index: commit.index });
    status.silent = silent.iter().map(recovery::write_silent).collect();
    status.recovery = recovery::write(recovery.as_ref(), status.recovery.take());
    let is_forgotten = |node: &&mut NodeStatus| !nodes.keys().any(|name| name.name == node.pod_name);
    for node in status.nodes.iter_mut().filter(is_forgotten) {
        fill(node, &Remembered::default());
    }
    for (name, node) in nodes {
        write_node(name, node, status);
    }
}

fn write_node(name: &PodName, node: &Remembered, status: &mut Group0UpgradeStatus) {
    let place = status.nodes.iter().position(|status| status.pod_name == name.name).unwrap_or_else(|| {
        status.nodes.push(NodeStatus { pod_name: name.name.clone(), ..NodeStatus::default() });
        status.nodes.len() - 1
    });
    fill(&mut status.nodes[place], node);
}

/// The host id of a node that has none in the journal stays: people read it.
fn fill(written: &mut NodeStatus, node: &Remembered) {
    let Remembered { host, pod_version, sequence, host_pod, backed_up, retries, restarts, last_attempt_at } = node;
    if let Some(host) = host {
        written.host_id = Some(host.to_string());
    }
    written.pod_version = *pod_version;
    written.status_seq = *sequence;
    written.host_pod_uid.clone_from(host_pod);
    written.backed_up = *backed_up;
    written.attempts = *retries;
    written.restarts = *restarts;
    written.last_attempt_at = last_attempt_at.map(Time);
}

fn write_intent(Intent { action, epoch, at }: &Intent) -> IntentStatus {
    let host = match action {
        Action::Recover { verb: RecoveryVerb::RollForward { donor: host }, .. } | Action::RemoveHost { host, .. } => {
            host.to_string()
        }
        _ => String::new(),
    };
    let (target, uid, version) = match action {
        Action::Own { set, version }
        | Action::Disown { set, version }
        | Action::TouchSet { set, version }
        | Action::SetTemplate { set, version, .. } => (set, "", *version),
        Action::TouchPod { node, uid } | Action::Replace { node, uid } => (&node.name, uid.as_str(), 0),
        Action::Recreate { node, uid, version } => (&node.name, uid.as_str(), *version),
        Action::Restart { node, generation } => (&node.name, "", *generation),
        Action::ClaimEpoch { node } | Action::Backup { node } | Action::Proceed { node } | Action::RetryUpgrade { node } => {
            (&node.name, "", 0)
        }
        Action::Recover { node, plan, .. } => (&node.name, host.as_str(), *plan),
        Action::RemoveHost { node, .. } => (&node.name, host.as_str(), 0),
    };
    IntentStatus { verb: action.verb().into(), target: target.clone(), uid: uid.into(), version, epoch: *epoch, at: Time(*at) }
}

/// An intent about a pod that is no member any more has no object left to take place on.
fn read_intent(intent: &IntentStatus, member: &impl Fn(&str) -> Option<PodName>) -> Option<Intent> {
    let IntentStatus { verb, target, uid, version, epoch, at } = intent;
    let (set, version, uid) = (target.clone(), *version, uid.clone());
    let action = match verb.as_str() {
        "Own" => Action::Own { set, version },
        "Disown" => Action::Disown { set, version },
        "TouchSet" => Action::TouchSet { set, version },
        "SetFlag" => Action::SetTemplate { set, version, flag: true },
        "UnsetFlag" => Action::SetTemplate { set, version, flag: false },
        verb => {
            let node = member(target)?;
            match verb {
                "TouchPod" => Action::TouchPod { node, uid },
                "ClaimEpoch" => Action::ClaimEpoch { node },
                "Recreate" => Action::Recreate { node, uid, version },
                "Restart" => Action::Restart { node, generation: version },
                "Backup" => Action::Backup { node },
                "Proceed" => Action::Proceed { node },
                "RetryUpgrade" => Action::RetryUpgrade { node },
                "Replace" => Action::Replace { node, uid },
                "RemoveHost" => Action::RemoveHost { node, host: host(&uid)?, ignore: Vec::new() },
                verb => Action::Recover { node, plan: version, verb: recovery_verb(verb, &uid)? },
            }
        }
    };
    Some(Intent { action, epoch: *epoch, at: at.0 })
}

pub(super) fn host(text: &str) -> Option<HostId> {
    Uuid::parse_str(text).ok().map(HostId)
}

fn recovery_verb(name: &str, donor: &str) -> Option<RecoveryVerb> {
    Some(match name {
        "PrepareFence" => RecoveryVerb::PrepareFence,
        "Fence" => RecoveryVerb::Fence,
        "LiftFence" => RecoveryVerb::LiftFence,
        "EnterRecovery" => RecoveryVerb::EnterRecovery,
        "RollForward" => RecoveryVerb::RollForward { donor: host(donor)? },
        "ResetGroup0" => RecoveryVerb::ResetGroup0,
        "LeaveRecovery" => RecoveryVerb::LeaveRecovery,
        "CloseRecovery" => RecoveryVerb::CloseRecovery,
        _ => return None,
    })
}
