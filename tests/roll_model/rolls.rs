//! The rolls that are explored, each for what it can show.

use crate::{search::Search, world::Setup};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::time::Instant;

/// No roll here comes upon so many, however often upon each. More would mean that something grows without end, as the
/// epochs of operators do that depose each other for ever.
const MAX_STATES: usize = 3_000_000;

/// Every property holds in every state. A path to one where it does not is told by its moves.
fn holds(name: &str, setup: Setup) {
    let begin = Instant::now();
    let checker =
        Search::new(setup).checker().finish_when(HasDiscoveries::AnyFailures).target_state_count(MAX_STATES).spawn_bfs().join();
    println!("{name}: {} states, {:.1} s", checker.unique_state_count(), begin.elapsed().as_secs_f32());
    for property in checker.model().properties() {
        if let (Expectation::Always, Some(path)) = (&property.expectation, checker.discovery(property.name)) {
            let end = path.last_state().clone();
            let moves: Vec<_> = path.into_actions().iter().map(|step| format!("  {step:?}")).collect();
            panic!("not so: {}\n{}\n{end:#?}", property.name, moves.join("\n"));
        }
    }
    assert!(checker.state_count() < MAX_STATES, "it does not end");
    checker.assert_properties();
}

#[test]
fn undisturbed() {
    holds("undisturbed", Setup { backup: true, reaches: vec!["complete"], ..Setup::default() });
}

#[test]
fn pods_crash() {
    holds("pods crash", Setup { crashes: 2, reaches: vec!["complete"], ..Setup::default() });
}

/// As when machines restart: with the flag or without it, whatever the template says at that time.
#[test]
fn pods_are_deleted() {
    holds("pods are deleted", Setup { deletions: 2, reaches: vec!["complete"], ..Setup::default() });
}

/// It is not ready when the run begins, and is taken first.
#[test]
fn one_is_sick() {
    holds("one is sick", Setup { sick: Some(0), crashes: 1, reaches: vec!["complete"], ..Setup::default() });
}

#[test]
fn cancelled_and_begun_again() {
    let reaches = vec!["complete", "cancelled", "cancelled too late"];
    holds("cancelled and begun again", Setup { cancels: 2, crashes: 1, lean: true, reaches, ..Setup::default() });
}

/// An act without an answer, by an operator that another one replaces.
#[test]
fn unanswered() {
    let reaches = vec!["complete", "an act of an older operator is still to come"];
    holds("unanswered", Setup { unknowns: 1, elections: 1, lean: true, reaches, ..Setup::default() });
}

/// The same in a run that is cancelled.
#[test]
fn unanswered_and_cancelled() {
    let reaches = vec!["complete", "cancelled"];
    holds("unanswered and cancelled", Setup { unknowns: 1, cancels: 1, lean: true, reaches, ..Setup::default() });
}

/// What was written, and by whom, is not known to the writer.
#[test]
fn writes_without_answer() {
    let reaches = vec!["complete", "cancelled"];
    holds("writes without answer", Setup { lost_writes: 2, cancels: 1, lean: true, reaches, ..Setup::default() });
}

/// A pod, its node or both are seen as they were before they were taken.
#[test]
fn seen_late() {
    holds("seen late", Setup { stale: 1, crashes: 1, reaches: vec!["complete"], ..Setup::default() });
}

#[test]
fn seen_late_while_one_is_sick() {
    let reaches = vec!["complete"];
    holds("seen late while one is sick", Setup { stale: 2, crashes: 1, sick: Some(0), lean: true, reaches, ..Setup::default() });
}

/// The former one goes on wherever it was, at any time.
#[test]
fn another_operator() {
    holds("another operator", Setup { elections: 1, reaches: vec!["complete", "two operators act"], ..Setup::default() });
}

#[test]
fn another_operator_and_a_crash() {
    let reaches = vec!["complete", "two operators act"];
    holds("another operator and a crash", Setup { elections: 1, crashes: 1, lean: true, reaches, ..Setup::default() });
}

#[test]
fn another_operator_and_cancelled() {
    let reaches = vec!["complete", "cancelled", "two operators act"];
    holds("another operator and cancelled", Setup { elections: 1, cancels: 1, lean: true, reaches, ..Setup::default() });
}

/// The object is deleted and made again: its status is lost, and an act of before may still take place.
#[test]
fn another_object() {
    let reaches = vec!["complete", "an act of an older operator is still to come"];
    holds("another object", Setup { deletes_of_object: 1, unknowns: 1, lean: true, reaches, ..Setup::default() });
}

#[test]
fn another_object_is_cancelled() {
    let reaches = vec!["complete", "cancelled"];
    holds("another object is cancelled", Setup { deletes_of_object: 1, cancels: 1, lean: true, reaches, ..Setup::default() });
}

/// The record of a former run is lost before this begins, and with it that a pod and the template may still be changed by it.
#[test]
fn a_lost_record() {
    let setup = Setup { is_record_lost: true, crashes: 1, lean: true, reaches: vec!["complete"], ..Setup::default() };
    holds("a lost record", setup);
}

/// The same, and perhaps no node answers: how far epochs have come is not to be seen.
#[test]
fn a_lost_record_in_an_outage() {
    let setup = Setup { is_record_lost: true, outages: 1, lean: true, reaches: vec!["complete"], ..Setup::default() };
    holds("a lost record in an outage", setup);
}
