//! Does without deciding: carries a plan's actions out on a [`World`], in their order.
//!
//! Pods of Kubernetes, processes of this machine and a simulated world each implement the few verbs; the loop is the same.

use crate::{
    crd::{Group0Upgrade, Group0UpgradeStatus},
    observe::Observation,
    plan::{Action, FrozenPlan},
};
use k8s_openapi::jiff::Timestamp;
use std::fmt;

/// For which run something is done, and by which of its operators: nodes refuse an older epoch than the one they know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The run.
    pub run_id: String,
    /// The epoch of whoever acts.
    pub epoch: u64,
    /// The plan of recovery, if there is one.
    pub plan: Option<FrozenPlan>,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its precondition does not hold: it certainly did not take place.
    Refused(String),
    /// No answer: it may have taken place, or may still.
    Unknown(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unknown(why) => write!(f, "no answer: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

/// The object as it is stored, not as some cache has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The object, its status included.
    pub object: Group0Upgrade,
    /// Changes with every write, of whomever.
    pub version: String,
}

/// Something worth telling whoever looks at the object or at a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// One word: a restart, a refusal.
    pub reason: &'static str,
    /// The pod that it is about, if it is about one.
    pub pod: Option<String>,
    /// What happened, and why.
    pub message: String,
    /// Whether it calls for somebody: `kubectl get events --field-selector type=Warning` shows only such.
    pub is_warning: bool,
}

/// What can be seen and done. Each verb is idempotent and has its precondition.
#[expect(async_fn_in_trait, reason = "used with one type at a time, never across threads")]
pub trait World {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// The object; `None` once it is deleted.
    async fn read(&mut self) -> Result<Option<Stored>, Failure>;
    /// Writes the status durably if the object still is at this version, and returns its next one.
    async fn write(&mut self, version: &str, status: &Group0UpgradeStatus) -> Result<String, Failure>;
    /// Everything that is to be seen, each part of its own age.
    async fn observe(&mut self) -> Observation;
    /// Carries one action out.
    async fn act(&mut self, action: &Action, order: &Order) -> Result<(), Failure>;
    /// Tells it. Nothing depends on whether anybody hears it.
    async fn event(&mut self, event: &Event);
}

/// Carries the actions out, one after the other, and returns how each ended.
pub async fn perform(world: &mut impl World, actions: &[Action], order: &Order) -> Vec<Result<(), Failure>> {
    let mut outcomes = Vec::new();
    for action in actions {
        tracing::info!(%action, epoch = order.epoch, "acting");
        let outcome = world.act(action, order).await;
        if let Err(failure) = &outcome {
            tracing::warn!(%action, %failure, "not known to be done");
        }
        // Without an answer it may have taken place, and nobody would know by whom.
        if let Some(event) = event(action).filter(|_| !matches!(outcome, Err(Failure::Refused(_)))) {
            world.event(&event).await;
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// A restart is told, with its reason.
fn event(action: &Action) -> Option<Event> {
    let (reason, pod) = match action {
        Action::Recreate { node, .. } => ("Recreate", node),
        Action::Restart { node, .. } => ("Restart", node),
        Action::Proceed { node } => ("Proceed", node),
        Action::Recover { node, verb, .. } => (verb.name(), node),
        Action::RemoveHost { node, .. } => ("RemoveHost", node),
        Action::Replace { node, .. } => ("Replace", node),
        _ => return None,
    };
    Some(Event { reason, pod: Some(pod.name.clone()), message: action.to_string(), is_warning: false })
}
