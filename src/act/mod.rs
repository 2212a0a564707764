//! Does without deciding: carries a plan's actions out on a [`World`], in their order.
//!
//! Pods of Kubernetes, processes of this machine and a simulated world each implement the few verbs; the loop is the same.

use crate::{
    crd::Group0UpgradeStatus,
    error::Error,
    observe::{Observation, PodName},
    plan::Action,
};

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
