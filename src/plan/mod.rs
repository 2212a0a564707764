//! Decides without doing: `plan(spec, observation, journal, now)`.
//!
//! Pure and synchronous; no client, clock or file is in scope. It is computed anew from every observation; the journal only
//! remembers when things began and choices that must not change. Where is what: [`preflight`] asks the guards before the
//! first restart, [`gate`] between two restarts, [`rolling`] gives the flag, [`forming`] follows the nodes from the point of
//! no return to the end, [`report`] says why nothing can be done.

mod forming;
mod gate;
mod health;
mod journal;
mod preflight;
mod report;
mod rolling;

pub use journal::{Journal, Retries};
pub use report::{Report, WaitingFor};

use crate::{
    crd::{Group0UpgradeSpec, Phase},
    observe::{Observation, PodName},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::fmt;

/// How soon to look again when nothing calls earlier.
pub const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// What to do, what to remember, what to say.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Plan {
    /// In this order. Each is idempotent.
    pub actions: Vec<Action>,
    /// Written down before the first action.
    pub journal: Journal,
    /// Why nothing more is done.
    pub report: Report,
    /// Look again then, or when something changes.
    pub next_look: Timestamp,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the pod again, with this environment.
    Recreate {
        /// The pod.
        node: PodName,
        /// The pod with this UID, and no other.
        uid: String,
        /// Whether the flag is on.
        flag: bool,
        /// Whether the hold is on.
        hold: bool,
    },
    /// Lift the hold on this node.
    Proceed {
        /// The node.
        node: PodName,
    },
    /// Start the failed upgrade procedure of this node again.
    RetryUpgrade {
        /// The node.
        node: PodName,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recreate { node, flag, hold, .. } => {
                write!(f, "recreate {node} (flag {}, hold {})", on_off(*flag), on_off(*hold))
            }
            Self::Proceed { node } => write!(f, "proceed {node}"),
            Self::RetryUpgrade { node } => write!(f, "retry upgrade {node}"),
        }
    }
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// What a plan is made from. Only this file and its children see it.
struct Given<'a> {
    spec: &'a Group0UpgradeSpec,
    seen: &'a Observation,
    journal: &'a Journal,
    now: Timestamp,
}

/// What to do about this cluster now.
pub fn plan(spec: &Group0UpgradeSpec, seen: &Observation, journal: &Journal, now: Timestamp) -> Plan {
    let given = Given { spec, seen, journal, now };
    let plan = if forming::has_begun(&given) {
        forming::follow(&given)
    } else if journal.preflight_passed_at.is_none() {
        preflight::ask(&given)
    } else {
        rolling::next(&given)
    };
    if spec.paused && plan.report.phase != Phase::Complete { pause(plan, journal) } else { plan }
}

/// The same report, but nothing is done and nothing begun.
fn pause(mut plan: Plan, journal: &Journal) -> Plan {
    plan.actions.clear();
    plan.journal = journal.clone();
    plan.report.phase = Phase::Paused;
    plan.report.waiting.insert(0, WaitingFor::Unpause);
    plan
}

impl Given<'_> {
    /// Nothing to do but to wait for these.
    fn wait(&self, phase: Phase, waiting: Vec<WaitingFor>) -> Plan {
        Plan {
            actions: Vec::new(),
            journal: self.journal.clone(),
            report: Report::new(phase, waiting),
            next_look: self.now + LOOK_EVERY,
        }
    }
}
