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

/// What it has acknowledged may be in the log of a survivor only (62).
#[test]
fn one_is_lost() {
    let reaches = vec!["recovered", "acknowledged in a log only", "half a fence"];
    holds("one is lost", Setup { reaches, ..the_final_one() });
}

/// It had been away only, and comes back at any point; perhaps it is lost after all (63, 64, 77, 78).
#[test]
fn one_comes_back() {
    let reaches = vec!["recovered", "half a fence", "withdrawn and whole", "back when it is removed", "two plans"];
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

/// The same, and the survivor crashes at any point.
#[test]
fn two_are_lost_and_the_survivor_crashes() {
    let setup = two_of_three();
    let left = Left { crashes: 1, ..setup.left };
    holds("two are lost, and the survivor crashes", Setup { left, ..setup });
}

/// The same, and another operator takes over at any point.
#[test]
fn two_are_lost_and_another_operator_takes_over() {
    let setup = two_of_three();
    let left = Left { successors: 1, ..setup.left };
    holds("two are lost, and another operator takes over", Setup { left, ..setup });
}

/// It comes back at any point, and a survivor crashes at any point.
#[test]
fn one_comes_back_and_a_survivor_crashes() {
    let setup = the_final_one();
    let left = Left { returns: 1, crashes: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "withdrawn and whole", "back when it is removed"];
    holds("one comes back, and a survivor crashes", Setup { left, terms: 1, reaches, ..setup });
}

/// It comes back at any point, and another operator takes over at any point.
#[test]
fn one_comes_back_under_another_operator() {
    let setup = the_final_one();
    let left = Left { returns: 1, successors: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "withdrawn and whole", "back when it is removed"];
    holds("one comes back under another operator", Setup { left, terms: 1, reaches, ..setup });
}

/// Nobody is final when one is lost, or one is at that moment (46).
#[test]
fn one_is_lost_while_all_synchronize() {
    let setup = the_final_one();
    let left = Left { returns: 1, ..setup.left };
    let reaches = vec!["recovered", "withdrawn and whole", "back when it is removed"];
    holds("one is lost while all synchronize", Setup { left, is_final: 0, reaches, ..setup });
}

/// The same with a crash and a takeover, when nobody is final: a survivor in recovery may be down when its plan is withdrawn.
#[test]
fn one_comes_back_while_a_survivor_is_down() {
    let left = Left { losses: 1, returns: 1, crashes: 1, successors: 1, ..Left::default() };
    holds("one comes back while a survivor is down", Setup { is_final: 0, terms: 1, left, ..the_final_one() });
}

/// Nothing is done before a person has approved the plan. At first something else may be approved, or afterwards, before that is seen.
#[test]
fn a_person_approves() {
    let setup = approved(the_final_one());
    let left = Left { mistakes: 2, ..setup.left };
    holds("a person approves", Setup { left, reaches: vec!["recovered", "another hash than that of the plan"], ..setup });
}

/// It comes back, and is lost again: what is approved late is the hash of a plan that was taken back.
#[test]
fn a_person_approves_late() {
    let setup = approved(the_final_one());
    let left = Left { losses: 2, returns: 1, mistakes: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "two plans", "the hash of a former plan"];
    holds("a person approves late", Setup { terms: 1, left, reaches, ..setup });
}

/// The same loss, where nothing is done before a plan is approved.
pub fn approved(setup: Setup) -> Setup {
    Setup { approves: true, has_person: true, ..setup }
}

/// A survivor is lost in the middle of it: another plan follows, for the one that is left. Where the donor is lost, a person approves.
#[test]
fn a_survivor_is_lost_in_the_middle() {
    let reaches = vec!["recovered", "two plans", "the donor is lost"];
    holds("a survivor is lost in the middle", Setup { reaches, ..the_next_one(0b001) });
}

/// The same of the other one, which joins the group that the first founds.
#[test]
fn the_other_survivor_is_lost_in_the_middle() {
    holds("the other survivor is lost in the middle", Setup { reaches: vec!["recovered", "two plans"], ..the_next_one(0b010) });
}

/// The same, and another operator takes over at any point.
#[test]
fn a_survivor_is_lost_under_another_operator() {
    let setup = the_next_one(0b001);
    let left = Left { successors: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "two plans", "an order of a former operator is to come"];
    holds("a survivor is lost under another operator", Setup { terms: 1, left, reaches, ..setup });
}

/// The same, and the other one, which is left, crashes at any point.
#[test]
fn a_survivor_is_lost_and_the_last_one_crashes() {
    let setup = the_next_one(0b001);
    let left = Left { crashes: 1, changes: 0, ..setup.left };
    holds("a survivor is lost, and the last one crashes", Setup { terms: 1, left, reaches: vec!["two plans"], ..setup });
}

/// The same of either, and the first comes back: what a plan has begun before the other one was lost is taken back, and the two go on.
#[test]
fn a_survivor_is_lost_and_the_first_comes_back() {
    let setup = the_next_one(0b011);
    let left = Left { returns: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "two plans", "withdrawn and whole"];
    holds("a survivor is lost, and the first comes back", Setup { left, terms: 1, reaches, ..setup });
}

/// The same, and another operator takes over at any point.
#[test]
fn the_first_comes_back_under_another_operator() {
    let setup = the_next_one(0b011);
    let left = Left { returns: 1, successors: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "two plans", "withdrawn and whole"];
    holds("the first comes back under another operator", Setup { left, terms: 1, reaches, ..setup });
}

/// The same, and the one that is left crashes at any point.
#[test]
fn the_first_comes_back_and_the_last_one_crashes() {
    let setup = the_next_one(0b011);
    let left = Left { returns: 1, crashes: 1, changes: 0, ..setup.left };
    let reaches = vec!["recovered", "two plans", "withdrawn and whole"];
    holds("the first comes back, and the last one crashes", Setup { left, terms: 1, reaches, ..setup });
}

/// A survivor is lost where nothing is done before a person has approved the plan, who may have looked before that.
#[test]
fn a_survivor_is_lost_and_a_person_approves() {
    let setup = approved(the_next_one(0b010));
    let left = Left { mistakes: 1, ..setup.left };
    let reaches = vec!["recovered", "two plans", "the hash of a former plan"];
    holds("a survivor is lost, and a person approves", Setup { left, reaches, ..setup });
}

/// One is lost, and of the survivors one of these.
pub fn the_next_one(lost_later: u8) -> Setup {
    let setup = the_final_one();
    let left = Left { later_losses: 1, ..setup.left };
    Setup { lost_later, has_person: true, left, ..setup }
}

/// One of three is lost, perhaps for a while, before they have a group or while they form it; a client changes the schema the old way.
#[test]
fn one_is_lost_before_there_is_a_group() {
    let setup = forming(0b100);
    let left = Left { returns: 1, ..setup.left };
    let reaches = vec!["recovered", "withdrawn and whole", "back when it is removed", "lost before there is a group"];
    holds("one is lost before there is a group", Setup { left, reaches, ..setup });
}

/// It is the one that founds the group; a survivor crashes.
#[test]
fn the_founder_is_lost() {
    let setup = forming(0b001);
    let left = Left { crashes: 1, ..setup.left };
    let reaches = vec!["recovered", "lost before there is a group", "nobody else knows the group of the lost"];
    holds("the founder is lost", Setup { left, reaches, ..setup });
}

/// It is neither the first nor the last; another operator takes over.
#[test]
fn one_is_lost_before_there_is_a_group_under_another_operator() {
    let setup = forming(0b010);
    let left = Left { successors: 1, ..setup.left };
    let reaches = vec!["recovered", "lost before there is a group", "an order of a former operator is to come"];
    holds("one is lost before there is a group, under another operator", Setup { left, reaches, ..setup });
}

/// Three without a group, of which these are lost.
pub fn forming(lost: u8) -> Setup {
    Setup { lost, is_forming: true, terms: 1, left: Left { losses: 1, old_changes: 1, ..Left::default() }, ..Setup::default() }
}

/// Two of three that are final are away, and may come back.
pub fn two_of_three() -> Setup {
    let left = Left { losses: 1, returns: 1, changes: 1, old_changes: 1, ..Left::default() };
    Setup { lost: 0b110, is_final: 0b111, terms: 1, left, ..Setup::default() }
}
