//! What must be remembered from one plan to the next. It is kept in status: intents before anything is done, outcomes after.

use super::Action;
use crate::observe::{HostId, PodName};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

/// When things began, choices that must not change, and what is being done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The run.
    pub run_id: String,
    /// The epoch of the operator that acts.
    pub epoch: u64,
    /// When the run started.
    pub started_at: Option<Timestamp>,
    /// When every guard of the preflight had passed.
    pub preflight_passed_at: Option<Timestamp>,
    /// The pod templates without our variables, hashed, when the roll began; joined in the order of the racks.
    pub template_hash: Option<String>,
    /// The first node that was given the flag.
    pub canary: Option<PodName>,
    /// Why the roll was given up, and in which generation of spec: another one tries again.
    pub halted: Option<Halt>,
    /// When a node was last restarted by us.
    pub last_restart_at: Option<Timestamp>,
    /// Since when the gate has held without a break.
    pub gate_held_since: Option<Timestamp>,
    /// When the schemas of all nodes had been copied.
    pub backed_up_at: Option<Timestamp>,
    /// The intent to send the first `Proceed`: the point of no return.
    pub point_of_no_return_at: Option<Timestamp>,
    /// When the last node was seen final.
    pub completed_at: Option<Timestamp>,
    /// When the last flag had been taken back.
    pub cancelled_at: Option<Timestamp>,
    /// Actions whose outcome is not known.
    pub intents: Vec<Intent>,
    /// What was seen of each node, as far as it must be remembered.
    pub nodes: BTreeMap<PodName, Remembered>,
    /// What progress is measured by, and since when it is as it is.
    pub progress: Option<Progress>,
    /// Guards that were let pass, each with its reason.
    pub overridden: Vec<String>,
}

/// An action that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// What.
    pub action: Action,
    /// In which epoch.
    pub epoch: u64,
    /// When.
    pub at: Timestamp,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Remembered {
    /// Its host id.
    pub host: Option<HostId>,
    /// The newest version of its pod that a plan was made from.
    pub pod_version: u64,
    /// The newest word of its own that a plan was made from.
    pub sequence: u64,
    /// Since when nobody has seen it alive.
    pub silent_since: Option<Timestamp>,
    /// When its schema was copied.
    pub backed_up: bool,
    /// How often its procedure was started again.
    pub retries: u32,
    /// How often it was restarted to end a stall.
    pub restarts: u32,
    /// When either was last done.
    pub last_attempt_at: Option<Timestamp>,
}

/// Why the roll was given up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Halt {
    /// The node that did not come back.
    pub node: PodName,
    /// What it said.
    pub why: String,
    /// The generation of spec that this was decided in.
    pub generation: i64,
}

/// What progress is measured by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// States, steps, indexes and versions of all nodes, hashed.
    pub marker: String,
    /// Since when.
    pub since: Timestamp,
}

impl Journal {
    /// A run that starts now. Of the one before only the epoch and what the nodes are known by is kept.
    pub fn begin(run_id: String, now: Timestamp) -> Self {
        Self { run_id, started_at: Some(now), ..Self::default() }
    }

    /// What is remembered of this node.
    pub fn node(&self, name: &PodName) -> Remembered {
        self.nodes.get(name).cloned().unwrap_or_default()
    }
}
