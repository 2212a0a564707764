//! The losses that are explored, each for what it can show.

use crate::{
    search::Search,
    world::{Left, Setup},
};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::time::Instant;

/// Every property holds, and every state still leads to the goal.
fn holds(name: &str, setup: Setup) {
    let begin = Instant::now();
    let checker = Search::new(setup).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{name}: {} states, {:.1} s", checker.unique_state_count(), begin.elapsed().as_secs_f32());
    tell(&checker);
    checker.assert_properties();
    if let Some(search) = checker.model().for_the_stuck() {
        let checker = search.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        tell(&checker);
        checker.assert_properties();
    }
}

/// A path to a state in which a property does not hold is told by its moves.
fn tell(checker: &impl Checker<Search>) {
    for property in checker.model().properties() {
        if let (Expectation::Always, Some(path)) = (&property.expectation, checker.discovery(property.name)) {
            let end = path.last_state().clone();
            let moves: Vec<_> = path.into_actions().iter().map(|step| format!("  {step:?}")).collect();
            panic!("not so: {}\n{}\n{end:#?}", property.name, moves.join("\n"));
        }
    }
}

/// One of three is final, and lost.
pub fn the_final_one() -> Setup {
    Setup { lost: 0b100, is_final: 0b100, terms: 2, left: Left { losses: 1, changes: 1, ..Left::default() }, ..Setup::default() }
}

#[test]
fn one_is_lost() {
    let reaches = vec!["recovered", "acknowledged in a log only", "half a fence"];
    holds("one is lost", Setup { reaches, ..the_final_one() });
}

/// It had been away only, and comes back at any point; perhaps it is lost after all.
#[test]
fn one_comes_back() {
    let reaches = vec!["recovered", "withdrawn and whole", "back when it is removed", "two plans"];
    let setup = the_final_one();
    let left = Left { losses: 2, returns: 1, ..setup.left };
    holds("one comes back", Setup { left, reaches, ..setup });
}

/// A survivor crashes at any point.
#[test]
fn a_survivor_crashes() {
    let setup = the_final_one();
    let left = Left { crashes: 1, ..setup.left };
    holds("a survivor crashes", Setup { left, reaches: vec!["recovered"], ..setup });
}

/// Another operator takes over at any point, and what the former was about to do comes late.
#[test]
fn another_operator() {
    let setup = the_final_one();
    let left = Left { successors: 1, ..setup.left };
    let reaches = vec!["recovered", "an order of a former operator is to come"];
    holds("another operator", Setup { left, reaches, ..setup });
}

/// What only the lost have is lost with them.
#[test]
fn two_are_lost() {
    let reaches = vec!["recovered", "withdrawn and whole", "back when it is removed"];
    holds("two are lost", Setup { reaches, ..two_of_three() });
}

/// Two of three that are final are away, and may come back.
pub fn two_of_three() -> Setup {
    let left = Left { losses: 1, returns: 1, changes: 1, old_changes: 1, ..Left::default() };
    Setup { lost: 0b110, is_final: 0b111, terms: 1, left, ..Setup::default() }
}
