//! `status`: what the operator answers, and the journal of what it has begun.

use super::status_parts::{
    HaltStatus, IntentStatus, KnownCommit, NodeStatus, Phase, RecoveryStatus, Run, SetVersion, SilentStatus, Stall, UndoneStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the operator sees and has done. Figures that move by themselves never cause a write.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Group0UpgradeStatus {
    /// Where the upgrade is.
    #[serde(default)]
    pub phase: Phase,
    /// In Pending, Preflight and Rolling: nodes that carry the flag; afterwards: nodes that are final; of all nodes.
    #[schemars(length(max = 16))]
    #[serde(default)]
    pub progress: String,
    /// What is being done, in a few words.
    #[schemars(length(max = 256))]
    #[serde(default)]
    pub step: String,
    /// What the run waits for first, by its reason; empty if nothing.
    #[schemars(length(max = 64))]
    #[serde(default)]
    pub blocked_by: String,
    /// The same in words.
    #[schemars(length(max = 1024))]
    #[serde(default)]
    pub message: String,
    /// The pod that leads group 0, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub leader: Option<String>,
    /// The run: changes when a cancelled upgrade starts again.
    #[serde(default, rename = "runID")]
    #[schemars(length(max = 64))]
    pub run_id: String,
    /// The epoch claimed on the nodes by the operator that acts.
    #[serde(default)]
    pub epoch: i64,
    /// The generation of spec that this status answers.
    #[serde(default)]
    pub observed_generation: i64,
    /// When the run started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When every guard of the preflight had passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preflight_passed_at: Option<Time>,
    /// When a node was last restarted by the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_restart_at: Option<Time>,
    /// Since when the gate between two nodes has held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_held_since: Option<Time>,
    /// When anything last moved, or a wait that was asked for began or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_progress_at: Option<Time>,
    /// When lack of progress becomes a stall; absent while the wait is on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Time>,
    /// When the last node should have the flag, at the pace of the restarts so far; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<Time>,
    /// When the schemas of all nodes had been copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backed_up_at: Option<Time>,
    /// When the last flag had been taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Time>,
    /// The first pod that was given the flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub canary: Option<String>,
    /// Why the roll was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<HaltStatus>,
    /// Actions that were begun and whose outcome is not known yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    pub intents: Vec<IntentStatus>,
    /// What was asked for last and is not known to be done, while it is asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undone: Option<UndoneStatus>,
    /// The last restart by the operator, until its effect is seen: no other node is taken before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<IntentStatus>,
    /// The newest version of each StatefulSet that a decision was made from: an older one counts as unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sets: Vec<SetVersion>,
    /// What progress is measured by, as a hash: while it stays the same, nothing moves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub progress_marker: Option<String>,
    /// Guards that were let pass by spec.overrides in this run, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1100)))]
    pub overridden: Vec<String>,
    /// When the intent to send the first Proceed was journalled: the point of no return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_of_no_return_at: Option<Time>,
    /// When the last node became final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// The pod template of each rack without the operator's variables, hashed when the run started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1100))]
    pub template_hash: Option<String>,
    /// For how long schema changes were refused: from the first node in synchronize to the last one final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synchronize_window_millis: Option<i64>,
    /// Each node.
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["podName".into()]))]
    #[serde(default)]
    pub nodes: Vec<NodeStatus>,
    /// Why nothing moves, once that is a stall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
    /// The actions to come, in order, one a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 160), inner(length(max = 256)))]
    pub plan: Vec<String>,
    /// The highest index of the group's log that was ever known to be committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_commit: Option<KnownCommit>,
    /// Known hosts that nobody sees alive, or that have lost their pod or volume, in which pod each was, and what proves that it will not come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub silent: Vec<SilentStatus>,
    /// A recovery that is refused, prepared or under way; or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryStatus>,
    /// The last ten runs and recoveries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<Run>,
    /// Conditions, always all present. Ready, Reconciling and Stalled read as kstatus defines them.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
