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

/// It joins around the upgrade, which counts.
fn upgrade_and_join_with(base: &World, asks: Asks, crashes: &[Crash]) -> Outcome {
    let mut story = Story::new(World::after(base), OFTEN);
    story.plan(crashes);
    (0..3).for_each(|host| story.world.start(host));
    let is_synchronizing =
        |world: &World, host: usize| world.hosts[host].node.as_ref().is_some_and(|node| node.stage() >= Stage::Synchronize);
    match asks {
        Asks::Before => {}
        Asks::During => story.run_until(|world| (0..3).any(|host| is_synchronizing(world, host))),
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

/// The three are there and wait for a fourth; what counts is from its first start until it is in.
fn join_with(base: &World, is_in: fn(&World) -> bool, crashes: &[Crash]) -> Outcome {
    let mut story = Story::new(World::after(base), SELDOM);
    (0..3).for_each(|host| story.world.start(host));
    story.settles(&[0, 1, 2]);
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

#[test]
fn crashes_in_each_two_transactions_of_a_host_that_joins_and_of_each_member_are_survived() {
    let base = three_final(&three_and_a_fourth());
    for member in 0..3 {
        survives_each_two(3, member, |crashes| join_with(&base, has_four_voters, crashes));
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
        survives_each_two(3, member, |crashes| join_with(&base, is_in, crashes));
    }
}
