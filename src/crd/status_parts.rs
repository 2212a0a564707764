//! The parts of `status`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where the upgrade is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing has been looked at yet.
    #[default]
    Pending,
    /// The guards are asked before the first restart.
    Preflight,
    /// Nodes get the flag, one at a time.
    Rolling,
    /// Past the point of no return: nodes found and join the group.
    Forming,
    /// Schema changes are refused while the nodes make their schemas equal.
    Synchronizing,
    /// Every node is final and a voter of one group.
    Complete,
    /// Stopped by spec.paused.
    Paused,
    /// Nothing moves and the operator may not act.
    Stalled,
    /// A recovery is under way.
    Recovering,
    /// The flag is being taken back.
    Cancelling,
    /// The flag has been taken back.
    Cancelled,
    /// Another upgrade owns the StatefulSets: this one does nothing as long as that is there.
    Failed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One node.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its pod.
    #[schemars(length(max = 253))]
    pub pod_name: String,
    /// Its host id.
    #[serde(default, rename = "hostID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub host_id: Option<String>,
    /// The UID of its pod.
    #[serde(default, rename = "podUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub pod_uid: Option<String>,
    /// Tells one start of the process from the next.
    #[serde(default, rename = "bootID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub boot_id: Option<String>,
    /// recovery, use_pre_raft_procedures, synchronize or use_post_raft_procedures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub upgrade_state: Option<String>,
    /// Whether its pod carries the flag; absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<bool>,
    /// Its part in group 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raft: Option<NodeRaft>,
    /// Its schema version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub schema_version: Option<String>,
    /// Host ids that it does not see up: the first ten, then "and N more".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 11), inner(length(max = 64)))]
    pub does_not_see: Vec<String>,
    /// The step of its upgrade procedure.
    #[schemars(length(max = 128))]
    pub step: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// How often the operator has asked it to start its procedure again.
    #[serde(default)]
    pub attempts: u32,
    /// When it did so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Time>,
    /// How often the operator has restarted it to end a stall.
    #[serde(default)]
    pub restarts: u32,
    /// The newest version of its pod that a decision was made from: an older one counts as unknown.
    #[serde(default)]
    pub pod_version: u64,
    /// The newest word of its own that a decision was made from: an older one counts as unknown.
    #[serde(default)]
    pub status_seq: u64,
    /// The UID of the pod in which that host answered last.
    #[serde(default, rename = "hostPodUID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub host_pod_uid: Option<String>,
    /// Whether its schema was copied in this run.
    #[serde(default)]
    pub backed_up: bool,
    /// What holds it back, by its reason; empty if nothing.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub blocked_by: String,
    /// The same in words.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// A node's part in group 0.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeRaft {
    /// The group.
    #[serde(rename = "groupID")]
    #[schemars(length(max = 36))]
    pub group_id: String,
    /// Whether it votes.
    pub voter: bool,
    /// Whether it leads.
    pub leader: bool,
}

/// Why nothing moves.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Stall {
    /// The class, as the runbooks are named.
    #[schemars(length(max = 64))]
    pub class: String,
    /// What was seen.
    #[schemars(length(max = 1024))]
    pub evidence: String,
    /// Since when.
    pub since: Time,
}

/// A recovery that is refused, prepared or under way.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryStatus {
    /// The step that is being done.
    #[schemars(length(max = 64))]
    pub step: String,
    /// What is known, what is decided, what would be lost, and what is waited for, one a line.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(max = 512)))]
    pub plan: Vec<String>,
    /// Its hash: copy it to spec.recovery.approvedPlanHash to approve.
    #[schemars(length(max = 128))]
    pub plan_hash: String,
    /// The guards that fail, each with its reason.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 512)))]
    pub blocked_by: Vec<String>,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// What is remembered of the plan: its choices, and when things happened. Absent while none is frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<FrozenStatus>,
}

/// A frozen plan and how far it has come.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FrozenStatus {
    /// Its number: higher than that of any plan before it.
    pub number: u64,
    /// The class of the stall that it answers.
    #[schemars(length(max = 64))]
    pub trigger: String,
    /// The host ids of all that are left.
    #[schemars(length(max = 100), inner(length(max = 36)))]
    pub survivors: Vec<String>,
    /// All that are given up.
    #[schemars(length(max = 100))]
    pub excluded: Vec<ExcludedStatus>,
    /// The plan as it is approved, and as the survivors store it.
    #[schemars(length(max = 65536))]
    pub text: String,
    /// Since when it is in its step.
    pub step_since: Time,
    /// When it was frozen.
    pub frozen_at: Time,
    /// When the loss had made schema changes impossible, at the latest.
    pub lost_at: Time,
    /// When the last of the excluded counted as dead.
    pub proven_at: Time,
    /// Whether a human must approve it, whatever the mode is.
    #[serde(default)]
    pub needs_human: bool,
    /// Whether a plan before it had come to its point of no return.
    #[serde(default)]
    pub forward_only: bool,
    /// Why it follows another plan, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub because: Option<String>,
    /// When it was approved, or needed no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Time>,
    /// The host whose log is rolled forward, chosen once; empty if no survivor has a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub donor: Option<String>,
    /// When the intent of the first ResetGroup0 was journalled: the point of no return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_at: Option<Time>,
    /// When the survivors began to leave recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_at: Option<Time>,
    /// When the new group was seen whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// Pods that were given up for a fresh member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 253)))]
    pub replaced: Vec<String>,
    /// Why it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub withdrawn: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

/// An index of a group's log that is committed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KnownCommit {
    /// The group.
    #[serde(rename = "groupID")]
    #[schemars(length(max = 36))]
    pub group_id: String,
    /// The index.
    pub index: u64,
}

/// A host that a plan gives up.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExcludedStatus {
    /// The host.
    #[serde(rename = "hostID")]
    #[schemars(length(max = 36))]
    pub host_id: String,
    /// The pod that it was in; empty if that is not known.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub pod_name: String,
}

/// A known host that nobody sees alive, or that has lost its pod or volume.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SilentStatus {
    /// The host.
    #[serde(rename = "hostID")]
    #[schemars(length(max = 36))]
    pub host_id: String,
    /// The pod that it was in; empty if that is not known.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub pod_name: String,
    /// Since when; absent if others see it alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// What proves that it will not come back: Machine (out of service) or Volume (gone with its pod); empty if nothing does.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub gone: String,
    /// The UID of the pod that this was seen of.
    #[serde(default, rename = "gonePodUID")]
    #[schemars(length(max = 64))]
    pub gone_pod_uid: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Time>,
    /// Whether its pod and volume were given up, so that another host boots there.
    #[serde(default)]
    pub given_up: bool,
}

/// A run or a recovery that has ended.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its id.
    #[serde(rename = "runID")]
    #[schemars(length(max = 64))]
    pub run_id: String,
    /// When it started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// How it ended.
    #[schemars(length(max = 64))]
    pub result: String,
    /// Who approved it: the field manager that set the approval, e.g. kubectl-patch; empty if nobody had to.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub approved_by: String,
    /// Guards that were overridden, each with its reason.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(max = 1100)))]
    pub overridden: Vec<String>,
    /// The hash of its plan, if it had one.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub plan_hash: String,
    /// Of a recovery: the hosts that were given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 36)))]
    pub excluded: Vec<String>,
    /// Of a recovery: for how long schema changes were impossible, as far as the operator can know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_changes_off_millis: Option<i64>,
    /// How much of that was waiting until the lost counted as dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for_proof_millis: Option<i64>,
}

/// An action that was begun and whose outcome is not known yet.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IntentStatus {
    /// The verb.
    #[schemars(length(max = 64))]
    pub verb: String,
    /// The pod or StatefulSet.
    #[schemars(length(max = 253))]
    pub target: String,
    /// The pod's UID, if the verb names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The version of the object, or the start of the process, that the verb names.
    #[serde(default)]
    pub version: u64,
    /// The epoch of whoever began it.
    pub epoch: u64,
    /// When.
    pub at: Time,
}

/// Why the roll was given up.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HaltStatus {
    /// The pod that did not come back.
    #[schemars(length(max = 253))]
    pub pod_name: String,
    /// What it said.
    #[schemars(length(max = 1024))]
    pub why: String,
    /// The generation of spec in which this was decided; another one tries again.
    pub generation: i64,
}

/// What was asked for last and is not known to be done.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UndoneStatus {
    /// What, in words.
    #[schemars(length(max = 1024))]
    pub action: String,
    /// What was answered, if anything.
    #[schemars(length(max = 1024))]
    pub why: String,
}

/// How new what was seen of a StatefulSet is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SetVersion {
    /// The StatefulSet.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Its newest version.
    pub version: u64,
}
