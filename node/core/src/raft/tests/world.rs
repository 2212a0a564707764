//! A few members in a random world: messages are lost, doubled, delayed and cut off; members crash before and after a turn is
//! durable and come back from the rows that it wrote; the membership changes all the time.

use super::{
    super::{Corrupt, Group, Member, Output, RaftMessage, Stored},
    GROUP, TICK, member,
    oracle::{Machine, Oracle},
};
use crate::{
    ids::{GroupId, HostId},
    io::{Table, Write},
    random::Random,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One crash in so many turns, before as well as after persisting.
const CRASH_ONE_IN: u64 = 2_000;

/// A store of rows, and the state that is persisted with them.
#[derive(Default)]
pub struct Disk {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    machine: Machine,
    /// Where the log of the member ended when it wrote last.
    last_index: u64,
}

impl Disk {
    fn write(&mut self, write: Write) {
        match write {
            Write::Put(table, key, value) => drop(self.rows.insert((table, key), value)),
            Write::Delete(table, key) => drop(self.rows.remove(&(table, key))),
            Write::DeleteRange(table, from, to) => {
                let range = (table, from)..(table, to);
                let gone: Vec<_> = self.rows.range(range).map(|(key, _)| key.clone()).collect();
                for key in gone {
                    self.rows.remove(&key);
                }
            }
        }
    }

    pub fn write_all(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.write(write);
        }
    }

    pub fn load_group(&self, group: GroupId) -> Result<Option<Stored>, Corrupt> {
        let image: Vec<_> = self.rows.iter().map(|((table, key), value)| (*table, key.clone(), value.clone())).collect();
        Stored::load(group, &image)
    }

    fn load(&self) -> Stored {
        self.load_group(GROUP).unwrap().unwrap()
    }
}

/// How bad the world is.
pub struct Faults {
    pub lost_of_100: u64,
    pub doubled_of_100: u64,
    pub delay_millis: u64,
    pub disasters: bool,
}

pub struct World {
    random: Random,
    now_millis: u64,
    sent: u64,
    asked: u64,
    proposed: u64,
    pub faults: Faults,
    disks: BTreeMap<HostId, Disk>,
    groups: BTreeMap<HostId, Option<Group>>,
    network: BTreeMap<(u64, u64), RaftMessage>,
    cut: BTreeSet<(HostId, HostId)>,
    /// States on their way into a member, by the index of their snapshot.
    pulled: BTreeMap<(HostId, u64), Machine>,
    pub oracle: Oracle,
    /// Whether every output goes into the oracle's digest.
    pub traced: bool,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let faults = Faults {
            lost_of_100: random.within(0..15),
            doubled_of_100: random.within(0..5),
            delay_millis: random.within(2..150),
            disasters: true,
        };
        let members = random.within(3..6);
        let mut world = Self {
            random,
            now_millis: 0,
            sent: 0,
            asked: 0,
            proposed: 0,
            faults,
            disks: BTreeMap::new(),
            groups: BTreeMap::new(),
            network: BTreeMap::new(),
            cut: BTreeSet::new(),
            pulled: BTreeMap::new(),
            oracle: Oracle::default(),
            traced: false,
        };
        for number in 1..=members {
            let stored = if number == 1 { Group::founding(member(1)) } else { Group::joining() };
            let mut disk = Disk::default();
            disk.write_all(stored.writes(GROUP));
            disk.last_index = stored.snapshot.index;
            world.disks.insert(HostId::of(number.into()), disk);
            world.restart(HostId::of(number.into()));
        }
        world.turn(HostId::of(1), Group::campaign);
        world
    }

    fn hosts(&self) -> Vec<HostId> {
        self.groups.keys().copied().collect()
    }

    fn any_host(&mut self) -> HostId {
        let hosts = self.hosts();
        hosts[self.random_index(hosts.len())]
    }

    fn random_index(&mut self, len: usize) -> usize {
        usize::try_from(self.random.within(0..len as u64)).unwrap()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.within(0..count) == 0
    }

    fn restart(&mut self, host: HostId) {
        let stored = self.disks[&host].load();
        assert!(stored.applied >= self.disks[&host].machine.index, "applied more than Raft remembers");
        let last_index = stored.entries.last().map_or(stored.snapshot.index, |entry| entry.index);
        assert_eq!(last_index, self.disks[&host].last_index, "rows of entries that the member has dropped");
        let (seed, now) = (self.random.fork(), Duration::from_millis(self.now_millis));
        let group = Group::start(GROUP, host, stored, seed, now, TICK).unwrap();
        self.groups.insert(host, Some(group));
    }

    fn crash(&mut self, host: HostId) {
        self.oracle.seen.crashes += 1;
        self.oracle.forget_reads_of(host);
        self.groups.insert(host, None);
    }

    fn turn(&mut self, host: HostId, call: impl FnOnce(&mut Group)) {
        let Some(Some(group)) = self.groups.get_mut(&host) else { return };
        group.advance_time(Duration::from_millis(self.now_millis));
        call(group);
        let output = group.take();
        if self.traced {
            self.oracle.trace(host, &output);
        }
        self.carry_out(host, output);
    }

    fn carry_out(&mut self, host: HostId, output: Output) {
        let Output {
            persist,
            send,
            committed,
            changed,
            snapshot,
            reads,
            role,
            lost_confirmed,
            configuration: _,
            gone: _,
            lost_leadership: _,
        } = output;
        assert!(!lost_confirmed, "no disk has lost anything");
        if self.faults.disasters && self.one_in(CRASH_ONE_IN) {
            return self.crash(host);
        }
        let disk = self.disks.get_mut(&host).unwrap();
        disk.write_all(persist.into_iter().flat_map(|write| write.into_writes(GROUP)).collect());
        if let Some(snapshot) = snapshot {
            disk.machine = self.pulled[&(host, snapshot.index)];
            self.oracle.seen.snapshots += 1;
        }
        for (index, term, command) in committed {
            disk.machine.apply(index, &command);
            self.oracle.applied(index, (term, command), disk.machine);
        }
        let group = self.groups[&host].as_ref().unwrap();
        disk.last_index = group.status().last_index;
        self.oracle.at_rest(group.applied_snapshot());
        if self.faults.disasters && self.one_in(CRASH_ONE_IN) {
            return self.crash(host);
        }
        self.oracle.seen.changes += changed.len();
        for (context, index) in reads {
            self.oracle.read(host, context, index);
        }
        if let Some(role) = role.filter(|role| role.is_leader) {
            self.oracle.leads(role.term, host);
        }
        for message in send {
            self.send(&message);
        }
    }

    fn send(&mut self, message: &RaftMessage) {
        let copies = 1 + u64::from(self.random.within(0..100) < self.faults.doubled_of_100);
        for _ in 0..copies {
            if self.random.within(0..100) >= self.faults.lost_of_100 {
                let arrives = self.now_millis + 1 + self.random.within(0..self.faults.delay_millis);
                self.sent += 1;
                self.network.insert((arrives, self.sent), message.clone());
            }
        }
    }

    /// Everything that has arrived, one turn a receiver.
    fn deliver(&mut self) {
        let later = self.network.split_off(&(self.now_millis + 1, 0));
        let arrived = std::mem::replace(&mut self.network, later);
        let mut inboxes: BTreeMap<HostId, Vec<RaftMessage>> = BTreeMap::new();
        for message in arrived.into_values().filter(|message| !self.cut.contains(&(message.from, message.to))) {
            inboxes.entry(message.to).or_default().push(message);
        }
        for (host, inbox) in inboxes {
            let inbox: Vec<_> = inbox.into_iter().filter_map(|message| self.pull(message)).collect();
            self.turn(host, |group| inbox.into_iter().for_each(|message| group.step(message)));
        }
    }

    /// What the node does about a snapshot message: it takes the sender's state of this moment, or fails to.
    fn pull(&mut self, mut message: RaftMessage) -> Option<RaftMessage> {
        if message.snapshot.is_none() {
            return Some(message);
        }
        let source = self.groups[&message.from].as_ref().and_then(Group::applied_snapshot);
        let source = if self.one_in(5) { None } else { source };
        let (sender, receiver, ok) = (message.from, message.to, source.is_some());
        self.turn(sender, |group| group.report_snapshot(receiver, ok));
        let source = source?;
        self.pulled.insert((receiver, source.index), self.oracle.machine_at(source.index));
        message.snapshot = Some(source);
        Some(message)
    }

    /// Twenty milliseconds.
    pub fn step(&mut self) {
        self.now_millis += 20;
        self.deliver();
        for host in self.hosts() {
            let due =
                self.groups[&host].as_ref().is_some_and(|group| group.next_tick() <= Duration::from_millis(self.now_millis));
            if due {
                self.turn(host, |_| ());
            }
        }
        self.work();
        let host = self.any_host();
        if self.groups[&host].is_none() && (!self.faults.disasters || self.one_in(20)) {
            self.restart(host);
        }
        if self.faults.disasters {
            self.disaster();
        }
    }

    fn work(&mut self) {
        let host = self.any_host();
        if self.one_in(3) {
            let (first, count) = (self.proposed, self.random.within(1..4));
            self.proposed += count;
            self.turn(host, |group| {
                for number in first..first + count {
                    let _ = group.propose(Bytes::copy_from_slice(&number.to_be_bytes()));
                }
            });
        }
        if self.one_in(3) {
            self.asked += 1;
            let context = self.asked;
            self.oracle.asks(host, context);
            self.turn(host, |group| _ = group.read_index(context));
        }
        if self.one_in(40) {
            let keep = self.random.within(0..30);
            self.turn(host, |group| group.compact(group.status().applied.saturating_sub(keep)));
        }
        if self.faults.disasters && self.one_in(10) {
            self.change(host);
        }
    }

    fn change(&mut self, host: HostId) {
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for _ in 0..self.random.within(1..4) {
            let other = self.any_host();
            match self.random.within(0..6) {
                0 => remove.push(other),
                1 => add.push((self.member(other), false)),
                _ => add.push((self.member(other), true)),
            }
        }
        self.turn(host, |group| _ = group.change(&add, &remove));
    }

    fn member(&mut self, host: HostId) -> Member {
        Member { host, ..member(u128::from(self.random.within(1..6))) }
    }

    fn disaster(&mut self) {
        let (host, other) = (self.any_host(), self.any_host());
        if self.one_in(400) {
            self.crash(host);
        }
        if self.one_in(200) {
            self.turn(host, |group| _ = group.transfer_leadership(&[other].into()));
        }
        if self.one_in(300) {
            self.turn(host, |group| group.report_unreachable(other));
        }
        if self.one_in(200) {
            self.turn(host, Group::campaign);
        }
        if self.one_in(60) {
            self.cut_or_mend(host, other);
        }
    }

    fn cut_or_mend(&mut self, host: HostId, other: HostId) {
        if self.cut.len() > 3 {
            self.cut.clear();
        } else {
            self.cut.insert((host, other));
            if self.one_in(2) {
                self.cut.insert((other, host));
            }
        }
    }

    /// One line a member, for whoever debugs a seed.
    fn describe(&self) -> String {
        let line = |(host, group): (&HostId, &Option<Group>)| match group {
            Some(group) => format!("{host}: {:?}\n", group.status()),
            None => format!("{host} is down\n"),
        };
        self.groups.iter().map(line).collect()
    }

    /// The world is good again: within 6 seconds there is a leader, within 4 more all of its members have what was decided by then.
    pub fn heal(&mut self) {
        self.faults = Faults { lost_of_100: 0, doubled_of_100: 0, delay_millis: 20, disasters: false };
        self.cut.clear();
        (0..300).for_each(|_| self.step());
        let goal = self.oracle.last_index();
        (0..200).for_each(|_| self.step());
        assert!(self.oracle.last_index() > goal, "nothing was decided after the world healed:\n{}", self.describe());
        let leader = self.groups.values().flatten().find(|group| group.is_leader());
        let leader = leader.unwrap_or_else(|| panic!("no leader after the world healed:\n{}", self.describe()));
        for host in leader.configuration().members() {
            let applied = self.groups[&host].as_ref().unwrap().status().applied;
            assert!(applied >= goal, "{host} applied {applied} of {goal}");
        }
    }
}
