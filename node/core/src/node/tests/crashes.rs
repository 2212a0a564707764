//! Crashes in every transaction of an upgrade, of a host that joins and of one that leaves, and in every two of an upgrade on two hosts.
//! Clients change the schema all the while: at the end all is final, schemas are equal, and nothing that was acknowledged is lost.

use super::{
    agree, has_table,
    newcomers::three_and_a_fourth,
    report, upgraded, with_keyspace,
    world::{Host, World},
};
use crate::{
    ids::HostId,
    io::{AdminRequest, Point, RequestId},
    node::StartError,
    upgrade::{Stage, Step},
};
use std::{collections::BTreeMap, time::Duration};

/// Who is down comes back after this.
const AWAY: Duration = Duration::from_millis(300);
/// Clients change the schema so often.
const PACE: Duration = Duration::from_millis(100);
/// An upgrade with two crashes takes a few seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// A crash in the transaction of that number, before it is durable or after.
#[derive(Clone, Copy, Debug)]
struct Crash {
    host: usize,
    transaction: usize,
    after: bool,
}

/// A world with clients, and with somebody who starts what is down.
struct Story {
    world: World,
    crashes: Vec<Crash>,
    statements: BTreeMap<RequestId, String>,
    down_since: BTreeMap<usize, Duration>,
}

impl Story {
    fn new(world: World, crashes: &[Crash]) -> Self {
        let mut story = Self { world, crashes: crashes.to_vec(), statements: BTreeMap::new(), down_since: BTreeMap::new() };
        for crash in crashes {
            story.world.hosts[crash.host].crash_in = Some((crash.transaction, crash.after));
        }
        story
    }

    /// Runs until that is so, with a statement now and then.
    fn run_until(&mut self, condition: impl Fn(&World) -> bool) {
        let until = self.world.now + LIMIT;
        while !condition(&self.world) {
            assert!(self.world.now < until, "{:?}\n{}", self.crashes, report(&self.world));
            self.change_schema();
            self.world.run_until(PACE, &condition);
            self.start_who_is_down();
        }
    }

    fn change_schema(&mut self) {
        let number = self.statements.len();
        let name = format!("t{number}");
        let hosts = self.world.hosts.len();
        let is_ready = |host: &usize| self.world.hosts[*host].node.is_some() && self.world.hosts[*host].ready.is_ok();
        if let Some(host) = (0..hosts).map(|host| (host + number) % hosts).find(is_ready) {
            let id = self.world.client(host, &format!("CREATE TABLE ks.{name} (a int PRIMARY KEY, b text)"));
            self.statements.insert(id, name);
        }
    }

    fn start_who_is_down(&mut self) {
        for host in 0..self.world.hosts.len() {
            let is_started = self.world.hosts[host].started;
            if !is_started || self.world.hosts[host].node.is_some() {
                self.down_since.remove(&host);
            } else if self.world.now.saturating_sub(*self.down_since.entry(host).or_insert(self.world.now)) >= AWAY {
                match self.world.try_start(host) {
                    Ok(()) => self.remembers(host),
                    Err(StartError::Left) => self.world.hosts[host].started = false,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Whoever starts again is where it had been, and in the group that it had been in.
    fn remembers(&self, number: usize) {
        let host = &self.world.hosts[number];
        let Some(node) = &host.node else { return };
        let had = |point| host.points.contains(&point);
        let least = [(Point::Final, Stage::UsePostRaft), (Point::Synchronize, Stage::Synchronize)];
        let least = least.into_iter().find(|(point, _)| had(*point)).map_or(Stage::UsePreRaft, |(_, stage)| stage);
        assert!(node.stage() >= least, "host {number} has gone back: {:?}", self.crashes);
        let had_group = had(Point::Founded) || had(Point::Joining);
        assert!(node.joining.group().is_some() || !had_group, "host {number} has forgotten its group: {:?}", self.crashes);
    }

    fn transactions_since(&self, before: &[usize]) -> Vec<usize> {
        self.world.hosts.iter().zip(before).map(|(host, before)| host.transactions - before).collect()
    }

    /// Whoever runs has the same schema, and in it is all that was acknowledged.
    fn ends(mut self) {
        if let [crash] = self.crashes.as_slice() {
            assert_eq!(self.world.hosts[crash.host].crash_in, None, "{crash:?} has not taken place");
        }
        self.world.hosts.iter_mut().for_each(|host| host.crash_in = None);
        agree(&mut self.world);
        let host = self.world.hosts.iter().position(|host| host.node.is_some()).unwrap();
        let is_acknowledged = |id: &RequestId| self.world.acknowledges(*id);
        let acknowledged: Vec<_> = self.statements.iter().filter(|(id, _)| is_acknowledged(id)).collect();
        assert!(!acknowledged.is_empty(), "{:?}: no statement has succeeded", self.crashes);
        for (_, name) in acknowledged {
            assert!(has_table(&self.world, host, name), "{name} is lost: {:?}", self.crashes);
        }
    }
}

/// Three hosts of before the upgrade with a keyspace, ready for their last restart: with the flag and without hold.
fn before_the_upgrade() -> World {
    let mut world = with_keyspace(3);
    world.run(Duration::from_secs(1));
    world.hosts.iter_mut().for_each(|host| host.settings.flag = Some(true));
    world
}

fn are_final(world: &World, hosts: &[usize]) -> bool {
    hosts.iter().all(|host| world.hosts[*host].node.as_ref().is_some_and(|node| node.stage() == Stage::UsePostRaft))
}

/// How many transactions each of them made.
fn upgrade_with(base: &World, crashes: &[Crash]) -> Vec<usize> {
    let mut story = Story::new(World::after(base), crashes);
    let before: Vec<_> = story.world.hosts.iter().map(|host| host.transactions).collect();
    for host in 0..3 {
        story.world.start(host);
    }
    story.run_until(|world| are_final(world, &[0, 1, 2]));
    let counts = story.transactions_since(&before);
    story.ends();
    counts
}

/// One crash of each kind in each transaction that an undisturbed run made.
fn each_crash(counts: &[usize]) -> Vec<Crash> {
    let of_host = |(host, count): (usize, &usize)| {
        let each = (1..=*count).flat_map(move |transaction| [false, true].map(|after| Crash { host, transaction, after }));
        each.collect::<Vec<_>>()
    };
    counts.iter().enumerate().flat_map(of_host).collect()
}

#[test]
fn a_crash_in_each_transaction_of_an_upgrade_is_survived() {
    for loses_pushes in [false, true] {
        let mut base = before_the_upgrade();
        base.loses_pushes = loses_pushes;
        let counts = upgrade_with(&base, &[]);
        println!("transactions: {counts:?}");
        for crash in each_crash(&counts) {
            upgrade_with(&base, &[crash]);
        }
    }
}

/// Of these two hosts.
fn survives_pairs(one: usize, other: usize) {
    let base = before_the_upgrade();
    let crashes = each_crash(&upgrade_with(&base, &[]));
    let of = |host| crashes.iter().filter(move |crash| crash.host == host);
    let pairs: Vec<_> = of(one).flat_map(|crash| of(other).map(move |second| [*crash, *second])).collect();
    println!("{} pairs", pairs.len());
    for pair in pairs {
        upgrade_with(&base, &pair);
    }
}

#[test]
fn crashes_in_each_two_transactions_of_the_first_and_the_second_host_are_survived() {
    survives_pairs(0, 1);
}

#[test]
fn crashes_in_each_two_transactions_of_the_first_and_the_third_host_are_survived() {
    survives_pairs(0, 2);
}

#[test]
fn crashes_in_each_two_transactions_of_the_second_and_the_third_host_are_survived() {
    survives_pairs(1, 2);
}

/// The power fails everywhere at once, or at one host, whatever step that host is in; what it last wrote is on disk.
#[test]
fn a_power_failure_in_each_step_is_survived() {
    let base = before_the_upgrade();
    let steps = [
        Step::AskPeers,
        Step::JoinGroup0,
        Step::AwaitPeersInGroup0,
        Step::PullSchema,
        Step::AskMembers,
        Step::AwaitMembers,
        Step::SynchronizeSchema,
    ];
    for (step, host, everywhere) in
        steps.iter().flat_map(|step| (0..3).flat_map(|host| [(*step, host, false), (*step, host, true)]))
    {
        let mut story = Story::new(World::after(&base), &[]);
        (0..3).for_each(|host| story.world.start(host));
        let is_there = |world: &World| world.hosts[host].node.as_ref().is_some_and(|node| node.upgrade.step() == Some(step));
        story.run_until(|world| is_there(world) || are_final(world, &[host]));
        let victims = if everywhere { vec![0, 1, 2] } else { vec![host] };
        for host in victims {
            story.world.crash(host);
        }
        story.run_until(|world| are_final(world, &[0, 1, 2]));
        story.ends();
    }
}

/// When the fourth host asks to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Before,
    During,
    After,
}

fn join_with(base: &World, asks: Asks, crashes: &[Crash]) -> Vec<usize> {
    let mut story = Story::new(World::after(base), crashes);
    let before: Vec<_> = story.world.hosts.iter().map(|host| host.transactions).collect();
    (0..3).for_each(|host| story.world.start(host));
    match asks {
        Asks::Before => {}
        Asks::During => story.run_until(|world| (0..3).any(|host| is_synchronizing(world, host))),
        Asks::After => story.run_until(|world| are_final(world, &[0, 1, 2])),
    }
    story.world.start(3);
    story.run_until(|world| are_final(world, &[0, 1, 2, 3]) && world.all(|node| node.boot.is_completed()));
    story.run_until(|world| {
        world.all(|node| node.group.as_ref().is_some_and(|(_, group)| group.configuration().voters.len() == 4))
    });
    let counts = story.transactions_since(&before);
    story.ends();
    counts
}

fn is_synchronizing(world: &World, host: usize) -> bool {
    world.hosts[host].node.as_ref().is_some_and(|node| node.stage() >= Stage::Synchronize)
}

#[test]
fn a_crash_in_each_transaction_of_a_host_that_joins_and_of_those_who_take_it_in_is_survived() {
    let base = three_and_a_fourth();
    for asks in [Asks::Before, Asks::During, Asks::After] {
        let counts = join_with(&base, asks, &[]);
        println!("{asks:?}: transactions: {counts:?}");
        for crash in each_crash(&counts) {
            join_with(&base, asks, &[crash]);
        }
    }
}

/// By its own order, or because it is down by that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    ByItself,
    Dead,
}

impl Goes {
    /// Who is asked, and for what.
    fn order(self, gone: HostId) -> (usize, AdminRequest) {
        match self {
            Self::ByItself => (3, AdminRequest::Decommission { order: None }),
            Self::Dead => (0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] }),
        }
    }
}

/// It is asked for until it is done.
fn leave_with(base: &World, goes: Goes, crashes: &[Crash]) -> Vec<usize> {
    let mut story = Story::new(World::after(base), crashes);
    let before: Vec<_> = story.world.hosts.iter().map(|host| host.transactions).collect();
    let gone = base.node(3).host;
    let runs = if goes == Goes::ByItself { 4 } else { 3 };
    (0..runs).for_each(|host| story.world.start(host));
    let is_out = |host: &Host| host.node.as_ref().is_some_and(|node| node.local.removed().contains(&gone));
    let is_over = |world: &World| world.hosts[..3].iter().all(is_out);
    let are_up = |world: &World| {
        let meets =
            |host: &Host| host.node.as_ref().is_some_and(|node| host.ready.is_ok() && node.gossip.live().count() + 1 == runs);
        world.hosts[..runs].iter().all(meets)
    };
    let limit = story.world.now + LIMIT;
    while !is_over(&story.world) {
        assert!(story.world.now < limit, "{crashes:?}\n{}", report(&story.world));
        story.run_until(|world| is_over(world) || are_up(world) || !world.hosts[3].started && goes == Goes::ByItself);
        let (asked, order) = goes.order(gone);
        if story.world.hosts[asked].node.is_some() {
            story.world.admin(asked, order);
        }
        let until = story.world.now + Duration::from_secs(2);
        story.run_until(|world| is_over(world) || world.now >= until);
    }
    let counts = story.transactions_since(&before);
    story.world.crash(3);
    story.ends();
    counts
}

#[test]
fn a_crash_in_each_transaction_of_a_host_that_leaves_and_of_those_who_stay_is_survived() {
    let base = upgraded(4);
    for goes in [Goes::ByItself, Goes::Dead] {
        let counts = leave_with(&base, goes, &[]);
        println!("{goes:?}: transactions: {counts:?}");
        for crash in each_crash(&counts) {
            leave_with(&base, goes, &[crash]);
        }
    }
}
