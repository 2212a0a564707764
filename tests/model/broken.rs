//! The checker is checked: each rule that whoever drives the machines must obey is switched off, and the breach is found.

use crate::{
    search::Search,
    world::{Rule, Setup},
};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;

/// Demands that the breach of that property is found without the rule.
pub fn notices(setup: Setup, rule: Rule, property: &'static str) {
    let search = Search::new(Setup { off: Some(rule), ..setup });
    let checker = search.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    println!("without {rule:?}: {} states, {found:?}", checker.unique_state_count());
    assert!(found.iter().any(|(name, _)| name.starts_with(property)), "{property} should not hold without {rule:?}");
}

/// Demands that without the rule there are states that do not lead to the goal, and nothing worse.
pub fn gets_stuck(setup: Setup, rule: Rule) {
    let checker = Search::new(Setup { off: Some(rule), ..setup }).checker().spawn_bfs().join();
    checker.assert_properties();
    println!("without {rule:?}: {} states", checker.unique_state_count());
    assert!(checker.model().for_the_stuck().is_some(), "every state leads to the goal without {rule:?}");
}

#[test]
fn versions_that_are_not_compared() {
    notices(Setup { old_ddls: 1, ..Setup::of(2) }, Rule::VersionsAreCompared, "S2");
}

#[test]
fn stages_that_are_not_true() {
    notices(Setup { old_ddls: 1, ..Setup::of(2) }, Rule::StagesAreTrue, "S2");
}

#[test]
fn a_stage_that_is_not_durable() {
    notices(Setup { crashes: 1, ..Setup::of(2) }, Rule::StageIsDurable, "S6");
}

#[test]
fn a_surplus_that_is_not_noticed() {
    let peers = vec![BTreeSet::new(), BTreeSet::from([0])];
    notices(Setup { peers, old_ddls: 1, strangers: true, ..Setup::default() }, Rule::SurplusIsNoticed, "S7");
}

/// Rows of a stranger get into the log between the guard and the command.
#[test]
fn a_lost_race_that_is_not_noticed() {
    let peers = vec![BTreeSet::new(), BTreeSet::from([0])];
    notices(Setup { peers, old_ddls: 1, logged_ddl: true, strangers: true, ..Setup::default() }, Rule::LostIsNoticed, "S5");
}

#[test]
fn an_old_statement_in_synchronize() {
    notices(Setup { old_ddls: 1, ..Setup::of(2) }, Rule::OldDdlIsRefused, "S1");
}

#[test]
fn a_back_off_without_end() {
    gets_stuck(Setup { timeouts: 1, ..Setup::of(2) }, Rule::BackoffEnds);
}
