//! `spec`: what the user asks for.
#![expect(clippy::duplicated_attributes, reason = "each printed column has a type and a priority")]

use super::{
    Group0UpgradeStatus,
    spec_parts::{Backup, ClusterRef, Deadlines, GuardOverride, Mode, Pacing, Recovery, Window},
};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Moves one cluster from gossip-propagated schema to group 0, once, and guards that group afterwards.
///
/// It refers to StatefulSets that it does not own. Deleting it stops all acting and touches nothing.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "group0.dev",
    version = "v1alpha1",
    kind = "Group0Upgrade",
    plural = "group0upgrades",
    namespaced,
    shortname = "g0u",
    category = "all",
    status = "Group0UpgradeStatus",
    derive = "PartialEq",
    doc = "Moves one cluster from gossip-propagated schema to group 0, once, and guards that group afterwards.",
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "PROGRESS", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "QUORUM", type_ = "string", json_path = ".status.conditions[?(@.type==\"QuorumHealthy\")].status"),
    printcolumn(name = "BLOCKED-BY", type_ = "string", json_path = ".status.blockedBy"),
    printcolumn(name = "STALLED", type_ = "string", json_path = ".status.conditions[?(@.type==\"Stalled\")].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "STEP", type_ = "string", json_path = ".status.step", priority = 1),
    printcolumn(name = "LEADER", type_ = "string", json_path = ".status.leader", priority = 1),
    printcolumn(name = "ETA", type_ = "string", json_path = ".status.eta", priority = 1),
    printcolumn(name = "RUN", type_ = "string", json_path = ".status.runID", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct Group0UpgradeSpec {
    /// The cluster: its StatefulSets and how to reach its nodes.
    pub cluster_ref: ClusterRef,
    /// Automatic goes through to the end; Supervised waits for approval before the point of no return.
    #[serde(default)]
    pub mode: Mode,
    /// Stop before the next action. Observation and status go on.
    #[serde(default)]
    pub paused: bool,
    /// Compute the whole ordered plan and every guard's verdict into status, and write nothing else.
    #[serde(default)]
    pub dry_run: bool,
    /// Before the point of no return: turn the flag off again on every node that has it, so that a later run starts fresh.
    /// After it: refused with a reason.
    #[serde(default)]
    pub cancel: bool,
    /// With mode Supervised: the run, by its id in status, that a human lets pass the point of no return. It serves that run only.
    #[serde(default, rename = "approvedRunID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub approved_run_id: Option<String>,
    /// How fast the roll may go.
    #[serde(default)]
    pub pacing: Pacing,
    /// When disruptive actions may start; absent means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// How long things may take before they are reported.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Guards that are let pass, each with a reason and an end. Recorded in history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub overrides: Vec<GuardOverride>,
    /// Copies of the schema made before what cannot be undone.
    #[serde(default)]
    pub backup: Backup,
    /// What may be done when nodes are lost for good, or a node is left in recovery.
    #[serde(default)]
    pub recovery: Recovery,
}

impl Group0UpgradeSpec {
    /// The upgrade of this cluster, with everything else at its default.
    pub fn new_for(cluster_ref: ClusterRef) -> Self {
        Self {
            cluster_ref,
            mode: Mode::default(),
            paused: false,
            dry_run: false,
            cancel: false,
            approved_run_id: None,
            pacing: Pacing::default(),
            window: None,
            deadlines: Deadlines::default(),
            overrides: Vec::new(),
            backup: Backup::default(),
            recovery: Recovery::default(),
        }
    }
}
