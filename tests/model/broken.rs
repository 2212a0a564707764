//! The checker is checked: each rule that whoever drives the machines must obey is switched off, and the breach is found.

use crate::{
    search::Search,
    world::{Rule, Setup},
};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;

fn notices(setup: Setup, rule: Rule, property: &'static str) {
    let search = Search::new(Setup { off: Some(rule), ..setup });
    let checker = search.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    println!("without {rule:?}: {found:?}");
    assert!(found.iter().any(|(name, _)| name.starts_with(property)), "{property} should not hold without {rule:?}");
}

/// Trace 56: the first does not know the third, and applies the configuration late.
fn late_configuration() -> Setup {
    let peers = vec![BTreeSet::from([1]), BTreeSet::from([0, 2]), BTreeSet::from([0, 1])];
    Setup { peers, joined: true, lean: true, ..Setup::default() }
}

#[test]
fn a_barrier_that_does_not_wait() {
    notices(late_configuration(), Rule::BarrierWaits, "S2");
}

#[test]
fn versions_that_are_not_compared() {
    notices(Setup { old_ddls: 1, ..Setup::of(2) }, Rule::VersionsAreCompared, "S2");
}

#[test]
fn stages_that_are_not_true() {
    notices(Setup { old_ddls: 1, ..Setup::of(2) }, Rule::StagesAreTrue, "S2");
}

/// Trace 61: nobody knows the first, who has the smallest id.
#[test]
fn a_leader_that_answers_its_list() {
    let peers = vec![BTreeSet::from([1]), BTreeSet::from([2]), BTreeSet::from([1])];
    notices(Setup { peers, lean: true, ..Setup::default() }, Rule::LeaderIsSilent, "S3");
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

#[test]
fn an_old_statement_in_synchronize() {
    notices(Setup { old_ddls: 1, ..Setup::of(2) }, Rule::OldDdlIsRefused, "S1");
}

#[test]
fn a_back_off_without_end() {
    let setup = Setup { timeouts: 1, off: Some(Rule::BackoffEnds), ..Setup::of(2) };
    let checker = Search::new(setup).checker().spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.model().for_the_stuck().is_some());
}
