//! Does without deciding: carries a plan's actions out on a [`World`], in their order.
//!
//! Pods of Kubernetes, processes of this machine and a simulated world each implement the few verbs; the loop is the same.

use crate::{
    crd::Group0UpgradeStatus,
    error::Error,
    observe::{Observation, PodName},
    plan::Action,
};

/// Who orders a change of a node. A node refuses orders of an epoch below the highest that was claimed on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The run that it belongs to.
    pub run_id: String,
    /// The epoch that this operator has claimed; 0 if it has claimed none.
    pub epoch: u64,
}

/// Why an order has not been confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The node refused it: it did not take place and will not.
    #[error("refused: {0}")]
    Refused(String),
    /// There was no answer: it may have taken place, or may still.
    #[error("not known whether it took place: {0}")]
    Unknown(String),
}

/// What can be seen and done. Each verb is idempotent.
#[expect(async_fn_in_trait, reason = "used with one type at a time, never across threads")]
pub trait World {
    /// Everything that is to be seen now.
    fn observe(&self) -> Observation;
    /// Writes the status, with the journal in it, durably.
    async fn record(&mut self, status: &Group0UpgradeStatus) -> Result<(), Error>;
    /// Makes the pod again with this environment, if it is still the pod with this UID.
    async fn recreate(&mut self, node: &PodName, uid: &str, flag: bool, hold: bool) -> Result<(), Error>;
    /// Lifts the hold on this node. No answer is no error: the next look tells.
    async fn proceed(&mut self, node: &PodName) -> Result<(), String>;
    /// Starts this node's failed procedure again. No answer is no error: the next look tells.
    async fn retry_upgrade(&mut self, node: &PodName) -> Result<(), String>;
}

/// Carries the actions out. One that gets no answer is logged: whether it took place, the next observation tells.
pub async fn perform(world: &mut impl World, actions: &[Action]) -> Result<(), Error> {
    for action in actions {
        tracing::info!(%action, "acting");
        let answer = match action {
            Action::Recreate { node, uid, flag, hold } => {
                world.recreate(node, uid, *flag, *hold).await?;
                Ok(())
            }
            Action::Proceed { node } => world.proceed(node).await,
            Action::RetryUpgrade { node } => world.retry_upgrade(node).await,
        };
        if let Err(why) = answer {
            tracing::warn!(%action, why, "no answer");
        }
    }
    Ok(())
}
