//! A host leaves, or is removed while it is down: by a change of group 0, or the old way, before there is a group.

use super::{
    super::{proceed, report, upgraded, with_keyspace, world::World},
    Crash, LIMIT, OFTEN, Outcome, SELDOM, Story, are_final, survives_each_crash, survives_each_two,
};
use crate::{
    ids::HostId,
    io::{AdminReply, AdminRequest},
    node::Node,
};
use std::time::Duration;

/// Who asks for something and hears nothing asks again after this.
const PATIENCE: Duration = Duration::from_secs(2);

/// A host goes, by its own order or, since it is down, by that of another.
struct Departure {
    leaver: usize,
    /// Who is told.
    asked: usize,
    gone: HostId,
    staying: Vec<usize>,
}

impl Departure {
    fn of(base: &World, leaver: usize, asked: usize) -> Self {
        let staying = (0..base.hosts.len()).filter(|host| *host != leaver).collect();
        Self { leaver, asked, gone: base.node(leaver).host, staying }
    }

    fn is_by_itself(&self) -> bool {
        self.asked == self.leaver
    }

    /// Who runs when it begins.
    fn running(&self) -> Vec<usize> {
        let runs = |host: &usize| *host != self.leaver || self.is_by_itself();
        (0..=self.staying.len()).filter(runs).collect()
    }

    /// Who is asked, and for what. Who has left for good and died before the others took leave of it is removed.
    fn order(&self, world: &World) -> (usize, AdminRequest) {
        if self.is_by_itself() && world.hosts[self.leaver].started {
            (self.leaver, AdminRequest::Decommission { order: None })
        } else {
            let asked = if self.is_by_itself() { self.staying[0] } else { self.asked };
            (asked, AdminRequest::RemoveNode { order: None, host: self.gone, ignore: vec![] })
        }
    }

    fn is_over(&self, world: &World) -> bool {
        let has_recorded = |node: &Node| node.local.removed().contains(&self.gone);
        self.staying.iter().all(|host| world.hosts[*host].node.as_ref().is_some_and(has_recorded))
    }

    /// It is asked for until that is acknowledged; then it is done without anybody's doing, for who is down too.
    fn takes_place(&self, story: &mut Story) {
        let limit = story.world.now + LIMIT;
        let mut orders = Vec::new();
        while !self.is_over(&story.world) {
            assert!(story.world.now < limit, "{:?}\n{}", story.crashes, report(&story.world));
            let is_done = |id| matches!(story.world.admin_replies.get(id), Some(AdminReply::Done));
            let (asked, order) = self.order(&story.world);
            if !orders.iter().any(is_done) && story.world.hosts[asked].node.is_some() {
                orders.push(story.world.admin(asked, order));
            }
            let until = story.world.now + PATIENCE;
            story.run_until(|world| self.is_over(world) || world.now >= until);
        }
    }
}

/// What counts is from the order until it is done.
fn leave_with(base: &World, leaver: usize, asked: usize, pace: usize, crashes: &[Crash]) -> Outcome {
    let mut story = Story::new(World::after(base), pace);
    let departure = Departure::of(base, leaver, asked);
    let running = departure.running();
    for host in &running {
        story.world.start(*host);
    }
    story.settles(&running);
    story.plan(crashes);
    departure.takes_place(&mut story);
    let outcome = story.outcome();
    story.world.crash(leaver);
    story.world.hosts[leaver].started = false;
    // Who is held back before the upgrade.
    proceed(&mut story.world);
    story.run_until(|world| are_final(world, &departure.staying));
    story.ends(&departure.staying);
    outcome
}

/// Before the upgrade.
fn held_back(hosts: u8) -> World {
    let mut world = with_keyspace(hosts);
    world.run(Duration::from_secs(1));
    world.hosts.iter_mut().for_each(|host| (host.settings.flag, host.settings.hold) = (Some(true), true));
    world
}

#[test]
fn a_crash_in_each_transaction_of_a_host_that_leaves_and_of_those_who_stay_is_survived() {
    let base = upgraded(4);
    for asked in [3, 0] {
        survives_each_crash(|crashes| leave_with(&base, 3, asked, OFTEN, crashes));
    }
}

#[test]
fn a_crash_in_each_transaction_of_a_host_that_leaves_the_old_way_and_of_those_who_stay_is_survived() {
    let base = held_back(4);
    for asked in [3, 0] {
        survives_each_crash(|crashes| leave_with(&base, 3, asked, OFTEN, crashes));
    }
}

/// Each two of three hosts, both ways round: whoever leads, it is who leaves or who is asked once, and another time it is not.
fn each_two() -> impl Iterator<Item = (usize, usize)> {
    (0..3).flat_map(|one| (0..3).filter(move |other| *other != one).map(move |other| (one, other)))
}

#[test]
fn crashes_in_each_two_transactions_of_a_host_that_leaves_and_of_each_other_are_survived() {
    let base = upgraded(3);
    for (leaver, other) in each_two() {
        survives_each_two(leaver, other, |crashes| leave_with(&base, leaver, leaver, SELDOM, crashes));
    }
}

#[test]
fn crashes_in_each_two_transactions_of_those_whom_a_host_leaves_are_survived() {
    let base = upgraded(3);
    for leaver in 0..3 {
        let (one, other) = ((leaver + 1) % 3, (leaver + 2) % 3);
        survives_each_two(one, other, |crashes| leave_with(&base, leaver, leaver, SELDOM, crashes));
    }
}

#[test]
fn crashes_in_each_two_transactions_of_those_whom_a_host_leaves_the_old_way_are_survived() {
    let base = held_back(3);
    survives_each_two(0, 1, |crashes| leave_with(&base, 2, 2, OFTEN, crashes));
}

#[test]
fn crashes_in_each_two_transactions_of_who_removes_a_host_and_of_each_other_are_survived() {
    let base = upgraded(4);
    for (asked, other) in each_two() {
        survives_each_two(asked, other, |crashes| leave_with(&base, 3, asked, SELDOM, crashes));
    }
}

#[test]
fn crashes_in_each_two_transactions_of_a_host_that_leaves_the_old_way_and_of_each_other_are_survived() {
    let base = held_back(3);
    for other in 0..2 {
        survives_each_two(2, other, |crashes| leave_with(&base, 2, 2, OFTEN, crashes));
    }
}

#[test]
fn crashes_in_each_two_transactions_of_who_removes_a_host_the_old_way_and_of_each_other_are_survived() {
    let base = held_back(4);
    for other in 1..3 {
        survives_each_two(0, other, |crashes| leave_with(&base, 3, 0, OFTEN, crashes));
    }
}
