//! The clusters that are explored, each for what it can show.

use crate::{
    search::Search,
    traces::{
        held_newcomer, lost_joiner, lost_newcomer, newcomer_beside_a_stranger, newcomer_of_before, repair_beside_a_dead_member,
        two_recoveries, who_know,
    },
    world::Setup,
};
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
    let reaches = vec!["all are final", "set aside", "command twice in the log"];
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

/// Three who know each other find one group, and its founder crashes anywhere, twice (12, 59, 60).
#[test]
fn three_join() {
    let unbreakable = 0b110;
    holds("three join", Setup { crashes: 2, unbreakable, lean: true, asked: true, until_joined: true, ..Setup::of(3) });
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

/// A person puts one of two into recovery, at any moment of the upgrade, and out again (57, 65, 74, 75).
#[test]
fn two_nodes_with_a_recovery() {
    let reaches = vec!["all are final", "recovery beside a final node"];
    let setup = Setup { recoveries: 1, recoverable: 0b01, old_ddls: 1, joined: true, reaches, ..Setup::of(2) };
    holds("two nodes with a recovery", setup);
}

/// One of two that are final is in recovery for a while, under statements of both kinds, and may crash.
#[test]
fn a_recovery_after_the_upgrade() {
    let reaches = vec!["all are final", "surplus merged", "recovery beside a final node"];
    let (recoveries, recoverable) = (1, 0b01);
    let setup =
        Setup { finished: true, recoveries, recoverable, old_ddls: 1, logged_ddl: true, crashes: 1, reaches, ..Setup::of(2) };
    holds("a recovery after the upgrade", setup);
}

/// The same beside a member that is lost for good (58).
#[test]
fn a_repair_beside_a_dead_member() {
    holds("a repair beside a dead member", Setup { old_ddls: 1, without_clients: 0b100, ..repair_beside_a_dead_member() });
}

/// Two of three are in recovery for a while (75).
#[test]
fn two_of_three_recover() {
    holds("two of three recover", two_recoveries());
}

/// A node boots while two upgrade, with a crash (53, 54, 76).
#[test]
fn one_boots_while_two_upgrade() {
    let setup = Setup { fresh: 0b100, crashes: 1, old_ddls: 1, joined: true, lean: true, ..who_know(&[&[1], &[0], &[]]) };
    holds("one boots while two upgrade", setup);
}

/// A node boots while three upgrade.
#[test]
fn one_boots_while_three_upgrade() {
    holds("one boots while three upgrade", newcomer_beside_three());
}

fn newcomer_beside_three() -> Setup {
    Setup { fresh: 0b1000, joined: true, lean: true, ..who_know(&[&[1, 2], &[0, 2], &[0, 1], &[]]) }
}

/// A node boots beside three that are final, two of which crash anywhere, or one twice; and the newcomer, too.
#[test]
fn one_boots_beside_three_with_two_crashes() {
    let setup = Setup { crashes: 2, unbreakable: 0b0100, ..newcomer_beside_three_that_are_final() };
    holds("one boots beside three with two crashes", setup);
}

/// The same, and a person puts one of the three into recovery at any moment, and out again; one of them crashes, or the newcomer does. They
/// differ by their number only, so that it is always the first, and the second.
#[test]
fn one_boots_beside_three_and_one_recovers() {
    let reaches = vec!["all are final", "recovery beside a final node"];
    let setup =
        Setup { recoveries: 1, recoverable: 0b0001, crashes: 1, unbreakable: 0b0100, ..newcomer_beside_three_that_are_final() };
    holds("one boots beside three and one recovers", Setup { reaches, ..setup });
}

fn newcomer_beside_three_that_are_final() -> Setup {
    Setup { joined: false, finished: true, ..newcomer_beside_three() }
}

/// A node boots while two upgrade from step 3 on, one of which a person puts into recovery at any moment, and out again.
#[test]
fn one_boots_while_two_upgrade_and_one_recovers() {
    let reaches = vec!["all are final", "recovery beside a final node"];
    let setup = Setup { fresh: 0b100, recoveries: 1, recoverable: 0b001, joined: true, lean: true, reaches, ..Setup::default() };
    holds("one boots while two upgrade and one recovers", Setup { peers: who_know(&[&[1], &[0], &[]]).peers, ..setup });
}

/// A newcomer is lost for good (55).
#[test]
fn a_newcomer_is_lost() {
    holds("a newcomer is lost", lost_newcomer());
}

/// A newcomer finds one that is final, and one that is not yet (76).
#[test]
fn a_newcomer_beside_a_stranger() {
    holds("a newcomer beside a stranger", newcomer_beside_a_stranger());
}

/// A node comes in the old way while the other one enables the feature, with a crash and a statement (71, 72).
#[test]
fn one_comes_in_the_old_way_beside_one() {
    let reaches = vec!["all are final", "recorded when the feature is enabled"];
    let setup = Setup { enabling: true, fresh: 0b10, crashes: 1, old_ddls: 1, lean: true, reaches, ..who_know(&[&[], &[0]]) };
    holds("one comes in the old way beside one", setup);
}

/// The same beside two, of which one may have recorded it and the other never have heard of it, until all three are in the group.
#[test]
fn one_comes_in_the_old_way_beside_two() {
    holds("one comes in the old way beside two", Setup { until_joined: true, ..newcomer_of_before() });
}

/// One that comes in the old way is lost before it is in, and is removed (72).
#[test]
fn one_is_lost_on_the_old_way() {
    holds("one is lost on the old way", lost_joiner(who_know(&[&[], &[0]])));
    let setup = Setup { until_joined: true, ..who_know(&[&[1], &[0], &[0, 1]]) };
    holds("one is lost on the old way to two", lost_joiner(setup));
}

/// One with a hold comes in before or after (73).
#[test]
fn one_with_a_hold_comes_in() {
    holds("one with a hold comes in", held_newcomer());
}

/// Two crashes, anywhere, with a statement of the old style and stale answers.
#[test]
fn two_nodes_with_two_crashes() {
    holds("two nodes with two crashes", Setup { crashes: 2, old_ddls: 1, stale_answers: true, ..Setup::of(2) });
}

/// Two crashes anywhere from step 3 on.
#[test]
fn three_synchronize_with_two_crashes() {
    holds("three synchronize with two crashes", Setup { crashes: 2, lean: true, joined: true, ..Setup::of(3) });
}

/// A person puts one of three into recovery at any moment from step 3 on, and out again.
#[test]
fn three_synchronize_with_a_recovery() {
    let reaches = vec!["all are final", "recovery beside a final node"];
    let setup = Setup { recoveries: 1, recoverable: 0b001, lean: true, joined: true, reaches, ..Setup::of(3) };
    holds("three synchronize with a recovery", setup);
}

/// Answers to any question get lost, twice, or commands.
#[test]
fn two_nodes_with_two_timeouts() {
    let setup = Setup { timeouts: 2, old_ddls: 1, logged_ddl: true, stale_answers: true, ..Setup::of(2) };
    holds("two nodes with two timeouts", setup);
}
