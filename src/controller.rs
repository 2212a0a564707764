//! The whole operator on one screen: read → observe → plan → audit → write the intents → act → write the outcomes.
//!
//! What one process remembers is only which term it has begun, and when it wrote last: everything else is read anew. It may end between any two lines.
//! What each step comes to is decided in [`look`].

use crate::{
    act::{Failure, World, perform},
    crd::Group0UpgradeStatus,
    look::{self, Start},
    plan::Plan,
};
use k8s_openapi::jiff::Timestamp;
use std::hash::{Hash, Hasher};

/// One process of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operator {
    epoch: Option<u64>,
    written_at: LastWrite,
}

/// When it wrote last: figures need not be written each time. Nothing else follows from it, and processes that differ in it only are alike.
#[derive(Clone, Copy, Debug, Default)]
struct LastWrite(Option<Timestamp>);

impl PartialEq for LastWrite {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LastWrite {}

impl Hash for LastWrite {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// What a look came to.
#[derive(Debug)]
pub enum Look {
    /// This was planned, and done as far as possible.
    Planned(Box<Plan>, Box<Group0UpgradeStatus>),
    /// Another operator has begun a newer term. This one does nothing any more until it is made the leader again.
    Deposed,
    /// The object is deleted: nothing is done any more.
    Deleted,
}

impl Operator {
    /// Looks once and does what is to be done now. `run_id` names the run if this look begins it.
    pub async fn reconcile(&mut self, world: &mut impl World, run_id: &str) -> Result<Look, Failure> {
        let Some(mut stored) = world.read().await? else { return Ok(Look::Deleted) };
        let seen = world.observe().await;
        let journal = match look::start(self.epoch, &stored.object, &seen, run_id, world.now()) {
            Start::Deposed => {
                self.epoch = None;
                return Ok(Look::Deposed);
            }
            Start::GoOn(journal) => journal,
            Start::NewTerm(journal, status) => {
                stored.version = world.write(&stored.version, &status).await?;
                stored.object.status = Some(*status);
                self.epoch = Some(journal.epoch);
                journal
            }
        };
        let mut decision = look::decide(&stored.object, &seen, &journal, run_id, world.now());
        if decision.plan.new_term {
            self.epoch = None;
        }
        if decision.news.are_due(self.written_at.0, world.now()) {
            stored.version = world.write(&stored.version, &decision.status).await?;
            self.written_at = LastWrite(Some(world.now()));
        }
        if !decision.plan.actions.is_empty() {
            let outcomes = perform(world, &decision.plan.actions, &decision.order).await;
            decision.settle(&outcomes);
            world.write(&stored.version, &decision.status).await?;
        }
        for event in &decision.events {
            world.event(event).await;
        }
        Ok(Look::Planned(Box::new(decision.plan), Box::new(decision.status)))
    }
}
