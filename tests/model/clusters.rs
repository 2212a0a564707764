//! The clusters that are explored, each for what it can show.

use crate::{search::Search, world::Setup};
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;

/// Every property holds, and every state still leads to the goal.
fn holds(name: &str, setup: Setup) {
    let checker = Search::new(setup).checker().spawn_bfs().join();
    println!("{name}: {} states", checker.unique_state_count());
    checker.assert_properties();
    if let Some(search) = checker.model().for_the_stuck() {
        search.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join().assert_properties();
    }
}

/// Stale answers in any order, and a crash anywhere.
#[test]
fn two_nodes_with_a_crash() {
    let reaches = vec![
        "all are final",
        "set aside",
        "crash in step 0",
        "crash in step 1",
        "crash in step 2",
        "crash in step 3",
        "crash in step 4",
        "crash in step 6",
        "crash in step 7",
        "crash in the early finish",
        "restart in synchronize",
    ];
    holds("two nodes with a crash", Setup { crashes: 1, old_ddls: 1, stale_answers: true, reaches, ..Setup::of(2) });
}

/// The same with a timeout instead, and with a statement through the log.
#[test]
fn two_nodes_with_a_timeout() {
    let reaches = vec!["all are final", "set aside"];
    let setup = Setup { timeouts: 1, old_ddls: 1, logged_ddl: true, stale_answers: true, reaches, ..Setup::of(2) };
    holds("two nodes with a timeout", setup);
}

/// The first knows nobody, founds alone and is final at once; the other finds it, with a surplus (53 to 58).
#[test]
fn a_stranger_joins() {
    let peers = vec![BTreeSet::new(), BTreeSet::from([0])];
    let reaches = vec!["all are final", "surplus merged", "crash in the early finish"];
    let setup = Setup { peers, crashes: 1, timeouts: 1, old_ddls: 1, strangers: true, reaches, ..Setup::default() };
    holds("a stranger joins", setup);
}

/// The same without a crash, with a statement through the log that races with the surplus.
#[test]
fn a_stranger_joins_under_statements() {
    let peers = vec![BTreeSet::new(), BTreeSet::from([0])];
    let reaches = vec!["all are final", "surplus merged"];
    let setup = Setup { peers, old_ddls: 1, logged_ddl: true, strangers: true, reaches, ..Setup::default() };
    holds("a stranger joins under statements", setup);
}

/// Three who know each other find one group, and its founder crashes anywhere (12, 59, 60).
#[test]
fn three_join() {
    let unbreakable = 0b110;
    holds("three join", Setup { crashes: 1, unbreakable, lean: true, asked: true, until_joined: true, ..Setup::of(3) });
}

/// Nobody knows the first, who has the smallest id (61): replies cross, and there is one group.
#[test]
fn three_discover() {
    let peers = vec![BTreeSet::from([1]), BTreeSet::from([2]), BTreeSet::from([1])];
    holds("three discover", Setup { peers, lean: true, asked: true, until_joined: true, strangers: true, ..Setup::default() });
}

/// The first does not know the third, and applies the configuration late (56).
#[test]
fn a_late_configuration() {
    let peers = vec![BTreeSet::from([1]), BTreeSet::from([0, 2]), BTreeSet::from([0, 1])];
    holds("a late configuration", Setup { peers, joined: true, lean: true, reaches: vec!["all are final"], ..Setup::default() });
}

/// From step 3 on, with a crash.
#[test]
fn three_synchronize() {
    holds("three synchronize", Setup { crashes: 1, lean: true, joined: true, ..Setup::of(3) });
}

/// From step 3 on, with a statement of the old style.
#[test]
fn three_synchronize_under_statements() {
    let without_clients = 0b110;
    holds("three synchronize under statements", Setup { old_ddls: 1, without_clients, lean: true, joined: true, ..Setup::of(3) });
}
