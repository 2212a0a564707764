//! What must be remembered from one plan to the next. It is kept in status, and written before anything is done.

use crate::observe::PodName;
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

/// When things began, and choices that must not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The run.
    pub run_id: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When every guard of the preflight had passed.
    pub preflight_passed_at: Option<Timestamp>,
    /// When a node was last restarted by us.
    pub last_restart_at: Option<Timestamp>,
    /// Since when the gate has held without a break.
    pub gate_held_since: Option<Timestamp>,
    /// The intent to send the first `Proceed`: the point of no return.
    pub point_of_no_return_at: Option<Timestamp>,
    /// When the last node was seen final.
    pub completed_at: Option<Timestamp>,
    /// Nodes whose procedure was started again.
    pub retries: BTreeMap<PodName, Retries>,
}

/// How often a node's procedure was started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// So often.
    pub attempts: u32,
    /// The last time.
    pub last_at: Timestamp,
}

impl Journal {
    /// A run that starts now.
    pub fn begin(run_id: String, now: Timestamp) -> Self {
        Self { run_id, started_at: Some(now), ..Self::default() }
    }
}
