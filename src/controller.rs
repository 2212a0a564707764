//! The whole operator on one screen: read → observe → plan → audit → write the intents → act → write the outcomes.
//!
//! What one process remembers is only which term it has begun: everything else is read anew. It may end between any two lines.

use crate::{
    act::{Failure, Order, Stored, World, perform},
    crd::Group0UpgradeStatus,
    observe::{NodeView, Observation},
    plan::{Action, Intent, Journal, Plan, check, plan},
    status,
};
use k8s_openapi::jiff::SignedDuration;

/// Figures that move by themselves are written at most so often.
const REFRESH_EVERY: SignedDuration = SignedDuration::from_secs(1);

/// One process of the operator.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    epoch: Option<u64>,
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
        let Some(stored) = world.read().await? else { return Ok(Look::Deleted) };
        let seen = world.observe().await;
        let before = stored.object.status.clone().unwrap_or_default();
        let journal = status::journal(&before, seen.nodes.keys());
        if self.epoch.is_some_and(|epoch| epoch != journal.epoch) {
            self.epoch = None;
            return Ok(Look::Deposed);
        }
        let (journal, stored) = match self.epoch {
            Some(_) => (journal, stored),
            None if stored.object.spec.dry_run => (begun(journal, run_id, world), stored),
            None => self.begin_term(world, stored, journal, &seen, run_id).await?,
        };
        self.look(world, stored, journal, &seen, run_id).await
    }

    /// A term is begun by writing its epoch down, and then claimed on each node.
    async fn begin_term(
        &mut self,
        world: &mut impl World,
        mut stored: Stored,
        journal: Journal,
        seen: &Observation,
        run_id: &str,
    ) -> Result<(Journal, Stored), Failure> {
        let said = |view: &NodeView| view.node.known().map_or(0, |node| node.epoch);
        let highest = seen.nodes.values().map(said).max().unwrap_or_default().max(journal.epoch);
        let journal = Journal { epoch: highest + 1, ..begun(journal, run_id, world) };
        let mut status = stored.object.status.clone().unwrap_or_default();
        status::write_journal(&journal, &mut status);
        stored.version = world.write(&stored.version, &status).await?;
        stored.object.status = Some(status);
        self.epoch = Some(journal.epoch);
        Ok((journal, stored))
    }

    async fn look(
        &mut self,
        world: &mut impl World,
        stored: Stored,
        journal: Journal,
        seen: &Observation,
        run_id: &str,
    ) -> Result<Look, Failure> {
        let Stored { object, mut version } = stored;
        let now = world.now();
        let mut plan = plan(&object.spec, seen, &journal, now);
        let violations = check::audit(&object.spec, seen, &journal, &plan, now);
        if !violations.is_empty() {
            plan = plan.refused(&journal, violations.join("; "));
        }
        if plan.new_run {
            plan.journal = Journal { epoch: journal.epoch, ..Journal::begin(run_id.into(), now) };
        }
        if plan.new_term {
            self.epoch = None;
        }
        let order = Order { run_id: plan.journal.run_id.clone(), epoch: plan.journal.epoch };
        plan.journal.intents.extend(plan.actions.iter().map(|action| Intent {
            action: action.clone(),
            epoch: order.epoch,
            at: now,
        }));
        let before = object.status.clone().unwrap_or_default();
        let mut status = status::render(&plan, seen, &before, now);
        if is_worth_writing(&before, &status, now, !plan.actions.is_empty()) {
            version = world.write(&version, &status).await?;
        } else {
            status = before;
        }
        if !plan.actions.is_empty() {
            let outcomes = perform(world, &plan.actions, &order).await;
            settle(&mut plan, &outcomes);
            status::write_journal(&plan.journal, &mut status);
            world.write(&version, &status).await?;
        }
        Ok(Look::Planned(Box::new(plan), Box::new(status)))
    }
}

fn begun(journal: Journal, run_id: &str, world: &impl World) -> Journal {
    if journal.started_at.is_some() {
        journal
    } else {
        Journal { epoch: journal.epoch, ..Journal::begin(run_id.into(), world.now()) }
    }
}

/// What is known to be done, or known not to be, is no intent any more.
fn settle(plan: &mut Plan, outcomes: &[Result<(), Failure>]) {
    for (action, outcome) in plan.actions.iter().zip(outcomes) {
        if !matches!(outcome, Err(Failure::Unknown(_))) {
            plan.journal.intents.retain(|intent| intent.action != *action);
        }
        if let (Action::Backup { node }, Ok(())) = (action, outcome) {
            plan.journal.nodes.entry(node.clone()).or_default().backed_up = true;
        }
    }
}

/// Whether more than figures that move by themselves has changed, or these are due.
fn is_worth_writing(
    before: &Group0UpgradeStatus,
    status: &Group0UpgradeStatus,
    now: k8s_openapi::jiff::Timestamp,
    acts: bool,
) -> bool {
    let without_figures = |status: &Group0UpgradeStatus| {
        let mut status = status.clone();
        status.last_progress_at = None;
        status.progress_marker = None;
        for node in &mut status.nodes {
            node.schema_version = None;
            node.status_seq = 0;
            node.pod_version = 0;
        }
        status
    };
    let last = before.last_progress_at.as_ref().map(|time| time.0);
    let are_due = last.is_none_or(|last| now.duration_since(last) >= REFRESH_EVERY);
    acts || without_figures(before) != without_figures(status) || (are_due && before != status)
}
