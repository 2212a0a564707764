//! One object: looks at it again and again for as long as it is there and we lead. One that is broken holds up no other.

use super::{lease::Leads, metrics::Metrics, world::KubeWorld};
use crate::{
    act::{Event, Failure, World as _},
    controller::{Look, Operator},
    crd::{Group0Upgrade, Phase},
    plan::Plan,
    unique,
};
use kube::runtime::reflector::ObjectRef;
use std::time::{Duration, Instant};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// So many looks in a row have failed when people are told: conflicts are usual.
const TOLD_AFTER: u32 = 5;
/// Between two looks at an upgrade that is over, if nothing changes: whatever changes is told by a watch or by a node.
const IDLE: Duration = Duration::from_mins(5);
/// Changes that come together are looked at together.
const TOGETHER: Duration = Duration::from_millis(20);
/// After a look that failed; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// At most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a task is told by the rest of the process.
#[derive(Clone, Debug)]
pub struct Told {
    /// Counts the changes of caches.
    pub changed: watch::Receiver<u64>,
    /// When we last knew that we lead.
    pub leads: Leads,
    /// Where figures go.
    pub metrics: Metrics,
}

/// Looks until the object is deleted.
pub async fn guard(mut world: KubeWorld, object: ObjectRef<Group0Upgrade>, mut told: Told) {
    let mut operator = Operator::default();
    let (mut pause, mut failures) = (FIRST_PAUSE, 0);
    world.begin().await;
    loop {
        match operator.reconcile(&mut world, &unique::id().to_string()).await {
            Ok(Look::Planned(plan, status)) => {
                told.metrics.looked(&object, &status);
                (pause, failures) = (FIRST_PAUSE, 0);
                wait(&world, &plan, &mut told).await;
            }
            Ok(Look::Deposed) => confirmed(&mut told.leads).await,
            Ok(Look::Deleted) => return,
            Err(failure) => {
                tracing::warn!(%object, %failure, "a look has failed, the next follows");
                told.metrics.failed(&object);
                failures += 1;
                if failures == TOLD_AFTER {
                    world.event(&in_vain(&failure)).await;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// What is told of an object whose status cannot be written.
fn in_vain(failure: &Failure) -> Event {
    let message =
        format!("nothing is done, and the status is not kept up to date, because a look fails again and again: {failure}");
    Event { reason: "LookFailed", pod: None, message, is_warning: true }
}

/// Until the plan wants to look again, or something changes; after an act only the former.
async fn wait(world: &KubeWorld, plan: &Plan, told: &mut Told) {
    if plan.new_run || plan.new_term {
        return;
    }
    let mut until = Duration::try_from(plan.next_look.duration_since(world.now())).unwrap_or_default();
    if !plan.actions.is_empty() {
        return sleep(until).await;
    }
    let is_over = matches!(plan.report.phase, Phase::Complete | Phase::Cancelled);
    if is_over && plan.report.waiting.is_empty() {
        until = IDLE;
    }
    let news = world.news();
    let something = async {
        tokio::select! {
            () = news.notified() => {}
            () = world.changed(&mut told.changed) => {}
        }
    };
    // A later look is as good: the plan is made anew each time.
    let _ = timeout(until, something).await;
    sleep(TOGETHER).await;
}

/// Somebody has begun a newer term. If the lease still is ours after that, the object was made again.
async fn confirmed(leads: &mut Leads) {
    let now = Instant::now();
    // The sender lives as long as the process.
    let _ = leads.wait_for(|leads| leads.is_some_and(|at| at > now)).await;
}
