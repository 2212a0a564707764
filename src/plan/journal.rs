//! What must be remembered from one plan to the next. It is kept in status: intents before anything is done, outcomes after.

use super::{
    Action,
    recovery::{Recovery, Silent},
};
use crate::observe::{HostId, PodName};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

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
    /// What was asked for last and is not known to be done.
    pub undone: Option<Undone>,
    /// The last node that was taken down, until that is seen: no other one is taken before.
    pub taken: Option<Intent>,
    /// What was seen of each node, as far as it must be remembered.
    pub nodes: BTreeMap<PodName, Remembered>,
    /// The newest version of each StatefulSet that a plan was made from.
    pub sets: BTreeMap<String, u64>,
    /// What progress is measured by, and since when it is as it is.
    pub progress: Option<Progress>,
    /// Guards that were let pass, each with its reason.
    pub overridden: Vec<String>,
    /// The highest index that was ever known to be committed, and in which group.
    pub commit: Option<Commit>,
    /// Known hosts that nobody sees alive.
    pub silent: BTreeMap<HostId, Silent>,
    /// The recovery that is under way, or the last one.
    pub recovery: Option<Recovery>,
}

/// An index that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit {
    /// Of this group's log.
    pub group: Uuid,
    /// The index.
    pub index: u64,
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

/// An action that failed. Nothing is decided by it: it is said for as long as the same is asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Undone {
    /// What, in words.
    pub action: String,
    /// What was answered, if anything.
    pub why: String,
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
    /// The pod, by its UID, in which that host answered last.
    pub host_pod: Option<String>,
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
    /// States, steps, indexes and versions of all nodes, what is done and what is waited for on purpose, hashed.
    pub marker: String,
    /// Since when.
    pub since: Timestamp,
}

impl Journal {
    /// A run that starts now, without any before it.
    pub fn begin(run_id: String, now: Timestamp) -> Self {
        Self { run_id, started_at: Some(now), ..Self::default() }
    }

    /// The run after this one. Kept is only the epoch, what nodes and StatefulSets are known by, who is
    /// silent, the last recovery, and a restart that is not seen yet.
    #[must_use]
    pub fn next(self, run_id: String, now: Timestamp) -> Self {
        let known_by = |node: Remembered| Remembered { backed_up: false, retries: 0, restarts: 0, last_attempt_at: None, ..node };
        let nodes = self.nodes.into_iter().map(|(name, node)| (name, known_by(node))).collect();
        let Self { epoch, taken, sets, commit, silent, recovery, .. } = self;
        Self { epoch, taken, nodes, sets, commit, silent, recovery, ..Self::begin(run_id, now) }
    }

    /// Timers that began after `now` were set by a clock that has been set back since: they begin now, so that nothing waits
    /// until that clock's time comes again. When something happened stays as it was written down.
    pub(super) fn begin_timers_by(&mut self, now: Timestamp) {
        self.silent.values_mut().for_each(|host| host.since = host.since.map(|at| at.min(now)));
        self.recovery.iter_mut().for_each(|recovery| recovery.begin_timers_by(now));
        let of_nodes = self.nodes.values_mut().map(|node| &mut node.last_attempt_at);
        for timer in of_nodes.chain([&mut self.last_restart_at, &mut self.gate_held_since]) {
            *timer = timer.map(|at| at.min(now));
        }
        for timer in
            self.progress.iter_mut().map(|progress| &mut progress.since).chain(self.taken.iter_mut().map(|taken| &mut taken.at))
        {
            *timer = (*timer).min(now);
        }
    }

    /// What is remembered of this node.
    pub fn node(&self, name: &PodName) -> Remembered {
        self.nodes.get(name).cloned().unwrap_or_default()
    }
}
