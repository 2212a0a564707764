//! The checker is checked: each rule that the world keeps for the operators is switched off, and the breach is found.

use crate::{
    search::Search,
    world::{Rule, Setup},
};
use stateright::{Checker, HasDiscoveries, Model};

fn notices(setup: Setup, rule: Rule, property: &'static str) {
    let search = Search::new(Setup { off: Some(rule), lean: true, ..setup });
    let checker = search.checker().finish_when(HasDiscoveries::AllOf([property].into())).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    println!("without {rule:?}: {} states, {found:?}", checker.unique_state_count());
    assert!(found.iter().any(|(name, _)| *name == property), "'{property}' should not hold without {rule:?}");
}

/// Whoever is replaced takes the pod that he had chosen, whatever has become of it.
#[test]
fn a_pod_that_is_taken_in_any_version() {
    notices(
        Setup { unknowns: 1, elections: 1, ..Setup::default() },
        Rule::PodVersionIsChecked,
        "the journal explains what harms",
    );
}

/// An order of the former object's run reaches a node whose present run is cancelled.
#[test]
fn a_node_that_obeys_anyone() {
    let setup = Setup { elections: 1, deletes_of_object: 1, cancels: 1, from_no_return: true, ..Setup::default() };
    notices(setup, Rule::EpochIsChecked, "nothing proceeds in a cancelled run");
}

/// Two write over each other what they are about to do, and do it.
#[test]
fn an_object_that_is_written_in_any_version() {
    notices(Setup { elections: 1, ..Setup::default() }, Rule::ObjectVersionIsChecked, "the journal explains what harms");
}

/// What is not written down is not waited for by the next one.
#[test]
fn intents_that_are_not_stored() {
    notices(Setup { elections: 1, ..Setup::default() }, Rule::IntentsAreWritten, "the journal explains what harms");
}

/// Then nothing ends, and that is found at the first restart.
#[test]
fn pods_that_stay_away() {
    notices(Setup::default(), Rule::PodsComeBack, "every state ends well");
}
