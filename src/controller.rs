//! The whole operator on one screen: observe → plan → record the intent → act.

use crate::{
    act::{self, World},
    crd::{Group0Upgrade, Group0UpgradeStatus},
    error::Error,
    plan::{Journal, Plan, plan},
    status,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Figures that move by themselves are written at most so often.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// Looks once and does what is to be done now. The status of `object` is the one that was last recorded.
/// `run_id` names the run if this look begins it.
pub async fn reconcile(world: &mut impl World, object: &mut Group0Upgrade, run_id: &str, now: Timestamp) -> Result<Plan, Error> {
    let seen = world.observe();
    let before = object.status.clone().unwrap_or_default();
    let journal = match before.started_at {
        Some(_) => status::journal(&before, seen.nodes.keys()),
        None => Journal::begin(run_id.into(), now),
    };
    let plan = plan(&object.spec, &seen, &journal, now);
    let generation = object.metadata.generation.unwrap_or_default();
    let status = status::render(&plan, &seen, &before, generation, now);
    if is_worth_writing(&before, &status, now) {
        world.record(&status).await?;
        object.status = Some(status);
    }
    act::perform(world, &plan.actions).await?;
    Ok(plan)
}

/// Whether more than figures that move by themselves has changed, or these are due.
fn is_worth_writing(before: &Group0UpgradeStatus, status: &Group0UpgradeStatus, now: Timestamp) -> bool {
    let without_figures = |status: &Group0UpgradeStatus| {
        let mut status = status.clone();
        status.last_progress_at = None;
        status.nodes.iter_mut().for_each(|node| node.schema_version = None);
        status
    };
    let last = before.last_progress_at.as_ref().map(|time| time.0);
    let are_due = last.is_none_or(|last| now.duration_since(last) >= REFRESH_EVERY);
    without_figures(before) != without_figures(status) || (are_due && before != status)
}
