//! Crashes in every transaction of an upgrade, of a host that joins and of one that leaves, and in every two of them on two hosts.
//! Clients change the schema all the while: at the end all is final, ring and group 0 are of the same hosts, schemas are equal, and nothing
//! that was acknowledged is lost.
//!
//! Nothing is sampled, and no number of transactions is written down: whoever enumerates goes on until there is no such transaction.

mod joining;
mod leaving;

use super::{
    has_table, report, with_keyspace,
    world::{Host, World},
};
use crate::{
    ids::HostId,
    io::{Point, RequestId},
    node::StartError,
    upgrade::{Stage, Step, machine::Event},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Who is down comes back after this.
const AWAY: Duration = Duration::from_millis(300);
/// Somebody looks so often who is down.
const PACE: Duration = Duration::from_millis(100);
/// Clients change the schema each time, or where very many pairs are enumerated each so many times: each of their changes is a few transactions
/// more at every host, and these are not what is looked at.
const OFTEN: usize = 1;
const SELDOM: usize = 4;
/// By then all have heard of everything.
const QUIET: Duration = Duration::from_secs(2);
/// An upgrade with two crashes takes a few seconds.
const LIMIT: Duration = Duration::from_mins(1);

/// A crash in the transaction of that number, before it is durable or after.
#[derive(Clone, Copy, Debug)]
struct Crash {
    host: usize,
    transaction: usize,
    after: bool,
}

/// What came of the crashes that were planned.
struct Outcome {
    /// How many of them took place.
    struck: usize,
    /// How many transactions each host made in the time for which they were planned.
    transactions: Vec<usize>,
}

/// A world with clients, and with somebody who starts what is down.
struct Story {
    world: World,
    crashes: Vec<Crash>,
    /// The transactions of each host before they were planned.
    before: Vec<usize>,
    statements: BTreeMap<RequestId, String>,
    /// Each so many looks there is one more of these.
    pace: usize,
    looks: usize,
    down_since: BTreeMap<usize, Duration>,
}

impl Story {
    fn new(world: World, pace: usize) -> Self {
        let (statements, down_since) = (BTreeMap::new(), BTreeMap::new());
        Self { world, crashes: vec![], before: vec![], statements, pace, looks: 0, down_since }
    }

    /// From now on they are to come, one or two: the second counts transactions from when the first has struck. So, taken both ways round,
    /// these are all pairs, and what the first adds to the other host, too.
    fn plan(&mut self, crashes: &[Crash]) {
        self.crashes = crashes.to_vec();
        self.before = self.world.hosts.iter().map(|host| host.transactions).collect();
        let mut crashes = crashes.iter().map(|crash| (crash.host, (crash.transaction, crash.after)));
        if let Some((host, crash)) = crashes.next() {
            self.world.hosts[host].crash_in = Some(crash);
        }
        self.world.crash_next = crashes.next();
        assert!(crashes.next().is_none());
    }

    /// From now on nobody crashes any more.
    fn outcome(&mut self) -> Outcome {
        let is_next = self.world.crash_next.take().is_some();
        let pending = self.world.hosts.iter_mut().filter_map(|host| host.crash_in.take()).count() + usize::from(is_next);
        let transactions = self.world.hosts.iter().zip(&self.before).map(|(host, before)| host.transactions - before);
        Outcome { struck: self.crashes.len() - pending, transactions: transactions.collect() }
    }

    const fn has_pair(&self) -> bool {
        self.crashes.len() > 1
    }

    /// Runs until that is so, with a statement now and then.
    fn run_until(&mut self, condition: impl Fn(&World) -> bool) {
        let until = self.world.now + LIMIT;
        while !condition(&self.world) {
            assert!(self.world.now < until, "{:?}\n{}", self.crashes, report(&self.world));
            if self.looks.is_multiple_of(self.pace) {
                self.change_schema();
            }
            self.looks += 1;
            self.world.run_until(PACE, &condition);
            self.start_who_is_down();
        }
    }

    fn change_schema(&mut self) {
        let (number, hosts) = (self.statements.len(), self.world.hosts.len());
        let is_ready = |host: &usize| self.world.hosts[*host].node.is_some() && self.world.hosts[*host].ready.is_ok();
        if let Some(host) = (0..hosts).map(|host| (host + number) % hosts).find(is_ready) {
            self.change_schema_at(host);
        }
    }

    fn change_schema_at(&mut self, host: usize) {
        let name = format!("t{}", self.statements.len());
        let id = self.world.client(host, &format!("CREATE TABLE ks.{name} (a int PRIMARY KEY, b text)"));
        self.statements.insert(id, name);
    }

    /// These have met, somebody leads their group if they have one, and what clients have asked for is answered.
    fn settles(&mut self, hosts: &[usize]) {
        let is_led = |host: &Host| {
            let group = host.node.as_ref().and_then(|node| node.group.as_ref());
            group.is_none_or(|(_, group)| group.status().leader.is_some())
        };
        self.run_until(|world| have_met(world, hosts) && world.hosts.iter().all(is_led) && !world.has_waiting_clients());
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

    /// These hosts and nobody else are the cluster. They have the same schema, and in it is all that was acknowledged.
    fn ends(mut self, members: &[usize]) {
        let until = self.world.now + QUIET;
        while self.world.now < until && !(self.has_pair() && self.are_one(members).is_ok()) {
            self.world.run(PACE);
        }
        self.are_one(members).unwrap_or_else(|why| panic!("{:?}: {why}\n{}", self.crashes, report(&self.world)));
        let is_acknowledged = |id: &RequestId| self.world.acknowledges(*id);
        let acknowledged: Vec<_> = self.statements.iter().filter(|(id, _)| is_acknowledged(id)).collect();
        assert!(!acknowledged.is_empty(), "{:?}: no statement has succeeded", self.crashes);
        for (_, name) in acknowledged {
            assert!(has_table(&self.world, members[0], name), "{name} is lost: {:?}", self.crashes);
        }
    }

    /// They are who runs, and are final; for each of them ring and group 0 are of these, and the schema is the same.
    fn are_one(&self, members: &[usize]) -> Result<(), String> {
        let running: Vec<_> = (0..self.world.hosts.len()).filter(|host| self.world.hosts[*host].node.is_some()).collect();
        if running != members {
            return Err(format!("{running:?} run"));
        }
        let hosts: BTreeSet<HostId> = members.iter().map(|member| self.world.node(*member).host).collect();
        let first = self.world.node(members[0]);
        for node in members.iter().map(|member| self.world.node(*member)) {
            let configuration = node.group.as_ref().map(|(_, group)| group.configuration()).ok_or("without group")?;
            let voters: BTreeSet<HostId> = configuration.voters.iter().copied().collect();
            let ring: BTreeSet<HostId> = node.peers.hosts().iter().copied().chain([node.host]).collect();
            let is_whole = node.stage() == Stage::UsePostRaft && node.boot.is_completed();
            if !is_whole || node.joining.group() != first.joining.group() {
                return Err(format!("{} is not in the group", node.host));
            }
            if ring != hosts || configuration.members() != hosts || voters != hosts || configuration.is_joint() {
                return Err(format!("for {} the ring is {ring:?}, and group 0 is {configuration:?}", node.host));
            }
            if node.schema.rows() != first.schema.rows() {
                return Err(format!("{} has another schema", node.host));
            }
        }
        Ok(())
    }
}

/// One crash of each kind in each transaction of each host. The first that does not take place is one beyond the last of an undisturbed run.
fn survives_each_crash(run: impl Fn(&[Crash]) -> Outcome) {
    let undisturbed = run(&[]).transactions;
    println!("transactions: {undisturbed:?}");
    for (host, last) in undisturbed.into_iter().enumerate() {
        let strikes = |transaction| {
            let [before, after] = [false, true].map(|after| run(&[Crash { host, transaction, after }]).struck);
            assert_eq!(before, after, "transaction {transaction} of host {host}");
            before == 1
        };
        let missed: Vec<_> = (1..=last + 1).filter(|transaction| !strikes(*transaction)).collect();
        assert_eq!(missed, [last + 1], "host {host}");
    }
}

/// One crash of each kind in each transaction of each of these two hosts, and after it each in those that the other one makes from then on:
/// until there is none. At least as many as there are pairs of transactions in an undisturbed run, each crash before it is durable and after.
fn survives_each_two(one: usize, other: usize, run: impl Fn(&[Crash]) -> Outcome) {
    let never = |host| Crash { host, transaction: usize::MAX, after: false };
    let undisturbed = run(&[never(one), never(other)]).transactions;
    let pairs = crashes_after(one, other, &run) + crashes_after(other, one, &run);
    let least = 4 * undisturbed[one] * undisturbed[other];
    println!("hosts {one} and {other}: transactions: {undisturbed:?}, {pairs} pairs, at least {least}");
    assert!(least > 0 && pairs >= least, "{pairs} pairs have struck, at least {least} are expected");
}

/// How many pairs have struck: both of each.
fn crashes_after(first: usize, second: usize, run: &impl Fn(&[Crash]) -> Outcome) -> usize {
    let mut pairs = 0;
    for (transaction, after) in (1..).flat_map(|transaction| [(transaction, false), (transaction, true)]) {
        let first = Crash { host: first, transaction, after };
        for transaction in 1.. {
            let second = |after| Crash { host: second, transaction, after };
            match run(&[first, second(false)]).struck {
                2 => assert_eq!(run(&[first, second(true)]).struck, 2, "{first:?}, {:?}", second(true)),
                1 => break,
                _ => return pairs,
            }
            pairs += 2;
        }
    }
    pairs
}

/// Three hosts of before the upgrade with a keyspace, ready for their last restart: with the flag and without hold.
fn before_the_upgrade() -> World {
    let mut world = with_keyspace(3);
    world.run(Duration::from_secs(1));
    world.hosts.iter_mut().for_each(|host| host.settings.flag = Some(true));
    world
}

fn are(world: &World, hosts: &[usize], stage: Stage) -> bool {
    hosts.iter().all(|host| world.hosts[*host].node.as_ref().is_some_and(|node| node.stage() == stage))
}

fn are_final(world: &World, hosts: &[usize]) -> bool {
    are(world, hosts, Stage::UsePostRaft)
}

/// They are there, in the ring, and see one another.
fn have_met(world: &World, hosts: &[usize]) -> bool {
    let has_met = |host: &Host| {
        host.node.as_ref().is_some_and(|node| {
            host.ready.is_ok() && node.gossip.live().count() + 1 == hosts.len() && node.peers.hosts().len() + 1 >= hosts.len()
        })
    };
    hosts.iter().all(|host| has_met(&world.hosts[*host]))
}

fn upgrade_with(base: &World, pace: usize, crashes: &[Crash]) -> Outcome {
    let mut story = Story::new(World::after(base), pace);
    story.plan(crashes);
    (0..3).for_each(|host| story.world.start(host));
    story.run_until(|world| are_final(world, &[0, 1, 2]));
    let outcome = story.outcome();
    story.ends(&[0, 1, 2]);
    outcome
}

#[test]
fn a_crash_in_each_transaction_of_an_upgrade_is_survived() {
    for loses_pushes in [false, true] {
        let mut base = before_the_upgrade();
        base.loses_pushes = loses_pushes;
        survives_each_crash(|crashes| upgrade_with(&base, OFTEN, crashes));
    }
}

#[test]
fn crashes_in_each_two_transactions_of_the_first_and_the_second_host_are_survived() {
    let base = before_the_upgrade();
    survives_each_two(0, 1, |crashes| upgrade_with(&base, SELDOM, crashes));
}

#[test]
fn crashes_in_each_two_transactions_of_the_first_and_the_third_host_are_survived() {
    let base = before_the_upgrade();
    survives_each_two(0, 2, |crashes| upgrade_with(&base, SELDOM, crashes));
}

#[test]
fn crashes_in_each_two_transactions_of_the_second_and_the_third_host_are_survived() {
    let base = before_the_upgrade();
    survives_each_two(1, 2, |crashes| upgrade_with(&base, SELDOM, crashes));
}

/// In which a host can be. `EnterSynchronize` and `Finish` are a transaction each, with nothing to wait for: before it and after it the host is
/// in another step, and what a crash in it does is enumerated above.
const STEPS: [Step; 8] = [
    Step::AskPeers,
    Step::JoinGroup0,
    Step::AwaitPeersInGroup0,
    Step::PullSchema,
    Step::AskMembers,
    Step::AwaitMembers,
    Step::SynchronizeSchema,
    Step::EarlyFinish,
];

fn is_in(world: &World, host: usize, step: Step) -> bool {
    world.hosts[host].node.as_ref().is_some_and(|node| node.upgrade.step() == Some(step))
}

/// It comes to that step, with some help where it would not by itself.
fn comes_to(story: &mut Story, host: usize, step: Step) {
    let others: Vec<_> = (0..3).filter(|other| *other != host).collect();
    match step {
        // Who has the same schema as all others asks them nothing more after `PullSchema`. Here a push is lost.
        Step::AskMembers => {
            story.world.loses_pushes = true;
            story.run_until(|world| is_in(world, host, Step::AwaitPeersInGroup0));
            for other in &others {
                story.change_schema_at(*other);
            }
        }
        // Its procedure fails in `synchronize`, and it is restarted when the others are done.
        Step::EarlyFinish => {
            story.run_until(|world| are(world, &[host], Stage::Synchronize));
            story.world.hosts[host].node.as_mut().unwrap().upgrade_event(Event::Fatal("out of luck".into()));
            story.run_until(|world| are_final(world, &others));
            story.world.crash(host);
        }
        _ => {}
    }
    story.run_until(|world| is_in(world, host, step) || are_final(world, &[host]));
    assert!(is_in(&story.world, host, step), "host {host} has not come to {step:?}");
}

/// The power fails everywhere at once, or at one host, whatever step that host is in; what it last wrote is on disk.
#[test]
fn a_power_failure_in_each_step_is_survived() {
    let base = before_the_upgrade();
    for (step, host, everywhere) in
        STEPS.iter().flat_map(|step| (0..3).flat_map(|host| [(*step, host, false), (*step, host, true)]))
    {
        let mut story = Story::new(World::after(&base), OFTEN);
        (0..3).for_each(|host| story.world.start(host));
        comes_to(&mut story, host, step);
        let victims = if everywhere { vec![0, 1, 2] } else { vec![host] };
        for victim in victims {
            story.world.crash(victim);
        }
        story.run_until(|world| are_final(world, &[0, 1, 2]));
        story.ends(&[0, 1, 2]);
    }
}
