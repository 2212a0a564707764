//! Brings a cluster back that has lost nodes which group 0 needs: a plan is frozen, approved, carried out step by step, and verified.
//!
//! Each look begins at the first step: what is missing for it, on whom? Nothing: the next. So it goes on wherever it was left, by
//! whomever. What is remembered is in [`underway`]; who is dead is decided in [`hosts`], who goes on and who is given up in
//! [`freeze`], and the order of the verbs in [`steps`]. [`withdraw`] takes a plan back before its point of no return, [`adopt`]
//! takes one over from the nodes when the object has lost it. What may not be done, whatever is planned, is in [`check`].

mod adopt;
pub(super) mod check;
mod freeze;
mod frozen;
pub(super) mod hosts;
mod scene;
mod steps;
mod underway;
mod why;
mod withdraw;

pub use frozen::FrozenPlan;
pub use hosts::{Gone, Proof, Silent};
pub use underway::{Donor, Recovery, Step};
pub use why::{Because, Event, Why};

use super::{
    Given, Journal, Plan, WaitingFor,
    stall::{Class, Stall},
};
use crate::{crd::Phase, observe::Part};

/// What is to be done by the plan in force, if there is one.
pub(super) fn follow(given: &Given<'_>) -> Option<Plan> {
    let mut plan = by_the_plan(given)?;
    if let Some(taken) = taken(given) {
        plan.actions.clear();
        plan.journal = given.journal.clone();
        plan.report.waiting.insert(0, taken);
    }
    Some(plan)
}

/// A StatefulSet that another upgrade owned when it was last read, however long ago that is.
fn taken(given: &Given<'_>) -> Option<WaitingFor> {
    let uid = &given.seen.object.uid;
    given.seen.sets.iter().filter_map(Part::known).find_map(|set| {
        let other = set.owner.as_ref().filter(|owner| owner.exists && owner.uid != *uid)?;
        Some(WaitingFor::ClusterTaken { set: set.name.clone(), by: other.uid.clone() })
    })
}

fn by_the_plan(given: &Given<'_>) -> Option<Plan> {
    // Of those whom an adopted plan excludes nothing has been remembered: that begins now.
    if let Some(adopted) = adopt::from_nodes(given) {
        let why = WaitingFor::Recovery(Why::Adopted { number: adopted.plan.number });
        return Some(report(given, adopted, vec![why]));
    }
    match given.journal.recovery.as_ref().filter(|recovery| recovery.is_in_force()) {
        Some(recovery) => Some(steps::next(given, recovery)),
        None => withdraw::leftovers(given),
    }
}

/// Whether a plan is in force: then nothing else is done about a stall.
pub(super) fn is_under_way(journal: &Journal) -> bool {
    journal.recovery.as_ref().is_some_and(Recovery::is_in_force)
}

/// Answers a loss: a plan is frozen, or each guard that forbids it is named. Nothing is done yet.
pub(super) fn begin(given: &Given<'_>, plan: &mut Plan, trigger: Class) {
    match freeze::plan(given, trigger) {
        Ok(recovery) => {
            let unapproved = steps::unapproved(given, &recovery);
            for node in plan.journal.nodes.values_mut() {
                node.backed_up = false;
            }
            plan.report.waiting.splice(0..0, unapproved);
            plan.journal.recovery = Some(recovery);
        }
        Err(refused) => plan.report.waiting.splice(0..0, refused.into_iter().map(WaitingFor::Recovery)).for_each(drop),
    }
}

/// What a plan says that is in force.
fn report(given: &Given<'_>, recovery: Recovery, mut waiting: Vec<WaitingFor>) -> Plan {
    waiting.splice(0..0, withdraw::said(&recovery));
    let is_held = waiting.iter().any(|why| matches!(why, WaitingFor::Recovery(why) if why.needs_human()));
    let phase = if is_held && recovery.approved_at.is_none() { Phase::Stalled } else { Phase::Recovering };
    let evidence = format!("lost for good: {}", names(&recovery));
    let stall = is_held.then_some(Stall { class: recovery.trigger, evidence, since: recovery.lost_at });
    let mut plan = given.wait(phase, waiting);
    plan.report.stall = stall;
    plan.journal.recovery = Some(recovery);
    plan
}

/// Those who are given up, as people know them.
fn names(recovery: &Recovery) -> String {
    let name = |host| match recovery.pods.get(host) {
        Some(Some(pod)) => pod.name.clone(),
        _ => format!("host {host}"),
    };
    recovery.plan.excluded.iter().map(name).collect::<Vec<_>>().join(", ")
}
