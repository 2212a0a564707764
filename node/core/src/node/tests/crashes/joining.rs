//! A fourth host joins: through group 0, while the others are upgraded, or the old way before that.

use super::{
    super::{
        newcomers::{three_and_a_fourth, three_final},
        proceed,
        world::World,
    },
    Crash, OFTEN, Outcome, SELDOM, Story, are_final, have_met, survives_each_crash, survives_each_two,
};
use crate::upgrade::Stage;

/// When the fourth host asks to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Before,
    During,
    After,
}

fn has_four_voters(world: &World) -> bool {
    world.all(|node| {
        let voters = node.group.as_ref().map_or(0, |(_, group)| group.configuration().voters.len());
        voters == 4 && node.boot.is_completed() && node.stage() == Stage::UsePostRaft
    })
}

/// One of the three, or more.
fn is_synchronizing(world: &World) -> bool {
    let is_there = |host: usize| world.hosts[host].node.as_ref().is_some_and(|node| node.stage() >= Stage::Synchronize);
    (0..3).any(is_there)
}

/// It joins around the upgrade, which counts.
fn upgrade_and_join_with(base: &World, asks: Asks, crashes: &[Crash]) -> Outcome {
    let mut story = Story::new(World::after(base), OFTEN);
    story.plan(crashes);
    (0..3).for_each(|host| story.world.start(host));
    match asks {
        Asks::Before => {}
        Asks::During => story.run_until(is_synchronizing),
        Asks::After => story.run_until(|world| are_final(world, &[0, 1, 2])),
    }
    story.world.start(3);
    story.run_until(has_four_voters);
    let outcome = story.outcome();
    story.ends(&[0, 1, 2, 3]);
    outcome
}

#[test]
fn a_crash_in_each_transaction_of_a_host_that_joins_and_of_those_who_take_it_in_is_survived() {
    let base = three_and_a_fourth();
    for asks in [Asks::Before, Asks::During, Asks::After] {
        println!("{asks:?}");
        survives_each_crash(|crashes| upgrade_and_join_with(&base, asks, crashes));
    }
}

/// The three are as far as that, and there comes a fourth; what counts is from its first start until it is in.
fn join_with(base: &World, come_to: fn(&mut Story), is_in: fn(&World) -> bool, crashes: &[Crash]) -> Outcome {
    let mut story = Story::new(World::after(base), SELDOM);
    (0..3).for_each(|host| story.world.start(host));
    come_to(&mut story);
    story.plan(crashes);
    story.world.start(3);
    story.run_until(is_in);
    let outcome = story.outcome();
    // Who is held back before the upgrade.
    proceed(&mut story.world);
    story.run_until(has_four_voters);
    story.ends(&[0, 1, 2, 3]);
    outcome
}

fn they_wait(story: &mut Story) {
    story.settles(&[0, 1, 2]);
}

#[test]
fn crashes_in_each_two_transactions_of_a_host_that_joins_and_of_each_member_are_survived() {
    let base = three_final(&three_and_a_fourth());
    for member in 0..3 {
        survives_each_two(3, member, |crashes| join_with(&base, they_wait, has_four_voters, crashes));
    }
}

/// What the members have to do goes on while the fourth is not touched.
#[test]
fn crashes_in_each_two_transactions_of_those_who_take_a_host_in_are_survived() {
    let base = three_final(&three_and_a_fourth());
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        survives_each_two(one, other, |crashes| join_with(&base, they_wait, has_four_voters, crashes));
    }
}

#[test]
fn crashes_in_each_two_transactions_of_a_host_that_asks_during_the_upgrade_and_of_each_member_are_survived() {
    let base = three_and_a_fourth();
    for member in 0..3 {
        survives_each_two(3, member, |crashes| {
            join_with(&base, |story| story.run_until(is_synchronizing), has_four_voters, crashes)
        });
    }
}

/// Whoever has come in so is upgraded with the others.
#[test]
fn crashes_in_each_two_transactions_of_a_host_that_joins_the_old_way_and_of_each_member_are_survived() {
    let mut base = three_and_a_fourth();
    base.hosts.iter_mut().for_each(|host| host.settings.hold = true);
    let is_in = |world: &World| have_met(world, &[0, 1, 2, 3]) && world.all(|node| node.joining.group().is_none());
    for (loses_pushes, member) in [false, true].into_iter().flat_map(|loses| (0..3).map(move |member| (loses, member))) {
        base.loses_pushes = loses_pushes;
        survives_each_two(3, member, |crashes| join_with(&base, they_wait, is_in, crashes));
    }
}
