//! The checker is checked: each rule that keeps a recovery safe is switched off, and the breach is found.

use crate::{
    losses::{approved, forming, the_final_one, the_next_one, two_of_three},
    search::Search,
    world::{Left, Rule, Setup},
};
use stateright::{Checker, HasDiscoveries, Model};

/// Demands that the breach of that property is found without the rule.
fn notices(rule: Rule, setup: Setup, property: &'static str) {
    let search = Search::new(Setup { off: Some(rule), ..setup });
    let checker = search.checker().finish_when(HasDiscoveries::AllOf([property].into())).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions().len())).collect();
    println!("without {rule:?}: {} states, {found:?}", checker.unique_state_count());
    assert!(found.iter().any(|(name, _)| *name == property), "'{property}' should not hold without {rule:?}");
}

fn with(left: impl FnOnce(&mut Left)) -> Setup {
    let mut setup = the_final_one();
    left(&mut setup.left);
    setup
}

/// One survivor forgets its group while the other takes part in it still.
#[test]
fn a_reset_that_does_not_wait() {
    notices(Rule::ResetWaits, the_final_one(), "nobody forgets the group beside a survivor that takes part in it");
}

/// A plan is withdrawn on a survivor that has forgotten its group by it.
#[test]
fn a_way_back_after_the_reset() {
    notices(Rule::NoWayBack, the_final_one(), "no plan is withdrawn once a group is forgotten by it");
}

/// What was acknowledged is in the log of one survivor, which does not know that it is committed.
#[test]
fn a_log_that_is_applied_to_what_is_committed() {
    notices(Rule::LogToItsEnd, the_final_one(), "what was acknowledged is there in the end");
}

/// The one that has it is not the donor then (62).
#[test]
fn a_donor_by_what_is_committed() {
    notices(Rule::PositionsOfLogs, the_final_one(), "what was acknowledged is there in the end");
}

/// Both groups live, if the lost come back.
#[test]
fn a_group_in_a_former_incarnation() {
    notices(Rule::NewIncarnation, two_of_three(), "one group in an incarnation");
}

/// Who founded the new group is lost before it has told anybody, and the next group is taken for the same.
#[test]
fn a_group_in_the_incarnation_of_a_lost_plan() {
    notices(Rule::PlansAreIncarnations, the_next_one(0b001), "one group in an incarnation");
}

/// The same of the first group that there ever was.
#[test]
fn a_group_in_the_incarnation_of_a_lost_founder() {
    notices(Rule::PlansAreIncarnations, forming(0b001), "one group in an incarnation");
}

/// Whatever hash a person has approved, the plan is carried out.
#[test]
fn a_plan_that_is_approved_by_another_hash() {
    let setup = approved(with(|left| left.mistakes = 1));
    notices(Rule::HashIsOfThePlan, setup, "nothing is ordered by a plan that nobody has approved");
}

/// Who is back tells survivors, who have no group at the time, of the former one (64).
#[test]
fn a_removed_host_that_is_believed() {
    notices(Rule::RemovedAreRefused, with(|left| left.returns = 1), "who has removed a host is not in its group");
}
