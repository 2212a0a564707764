//! A few gossips, a network with delay, loss, duplicates and cuts, and one virtual clock.

use crate::{
    gossip::{Endpoint, Gossip, GossipEvent, GossipInput, RingStatus, Timing},
    ids::{Generation, HostId, Incarnation},
    random::Random,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};
use uuid::Uuid;

pub const LIMIT: Duration = Duration::from_mins(1);

/// How often [`World::run_until`] looks.
const GRAIN: Duration = Duration::from_millis(10);

pub struct Node {
    pub gossip: Gossip,
    pub wake_at: Duration,
    pub events: Vec<GossipEvent>,
    pub sent: usize,
}

struct Flight {
    from: HostId,
    from_address: SocketAddr,
    to: SocketAddr,
    bytes: Bytes,
}

pub struct World {
    pub now: Duration,
    pub nodes: BTreeMap<HostId, Node>,
    flights: BTreeMap<(Duration, u64), Flight>,
    flown: u64,
    random: Random,
    /// In percent, of every datagram.
    pub loss: u64,
    pub duplicates: u64,
    /// In milliseconds, one way.
    pub delay: std::ops::Range<u64>,
    /// Datagrams from the first to the second are lost.
    pub cuts: BTreeSet<(HostId, HostId)>,
}

pub const fn host(number: u128) -> HostId {
    HostId::of(number)
}

pub fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, number], 7000))
}

pub fn endpoint(number: u8, generation: u64) -> Endpoint {
    Endpoint {
        host: host(u128::from(number)),
        generation: Generation(generation),
        version: 0,
        status: RingStatus::Normal,
        address: address(number),
        rpc_address: address(number),
        data_center: "dc".into(),
        rack: "rack".into(),
        release: "1.0".into(),
        tokens: (0..8).map(|token| i64::from(number) << 32 | token).collect(),
        features: BTreeSet::new(),
        schema_version: Uuid::nil(),
        group: None,
        incarnation: Incarnation(0),
        is_final: false,
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            nodes: BTreeMap::new(),
            flights: BTreeMap::new(),
            flown: 0,
            random: Random::seeded(seed),
            loss: 0,
            duplicates: 0,
            delay: 1..20,
            cuts: BTreeSet::new(),
        }
    }

    /// `count` nodes that have found each other through node 1.
    pub fn of(seed: u64, count: u8) -> Self {
        let mut world = Self::new(seed);
        (1..=count).for_each(|number| world.start(endpoint(number, 1), &[1]));
        world.run_until(LIMIT, Self::all_meet);
        world
    }

    pub fn start(&mut self, me: Endpoint, seeds: &[u8]) {
        self.start_with(me, seeds, &[], BTreeSet::new());
    }

    pub fn start_with(&mut self, me: Endpoint, seeds: &[u8], known: &[u8], removed: BTreeSet<HostId>) {
        let known = known.iter().map(|&number| (host(u128::from(number)), address(number))).collect();
        let seeds = seeds.iter().map(|&seed| address(seed)).collect();
        let (id, random) = (me.host, self.random.fork());
        let gossip = Gossip::new(me, seeds, known, removed, Timing::default(), random, self.now);
        self.nodes.insert(id, Node { gossip, wake_at: self.now, events: Vec::new(), sent: 0 });
    }

    /// End its process without a word.
    pub fn kill(&mut self, number: u128) {
        self.nodes.remove(&host(number)).unwrap();
    }

    pub fn node(&self, number: u128) -> &Gossip {
        &self.nodes[&host(number)].gossip
    }

    pub fn events(&mut self, number: u128) -> Vec<GossipEvent> {
        std::mem::take(&mut self.nodes.get_mut(&host(number)).unwrap().events)
    }

    pub fn cut(&mut self, one: u128, others: &[u128]) {
        for &other in others {
            self.cuts.extend([(host(one), host(other)), (host(other), host(one))]);
        }
    }

    /// Give a node an input now.
    pub fn give(&mut self, number: u128, input: GossipInput) {
        self.step(host(number), input);
    }

    fn step(&mut self, id: HostId, input: GossipInput) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let effects = node.gossip.step(self.now, input);
        assert!(effects.wake_at > self.now, "a wake that is due already would spin");
        node.wake_at = effects.wake_at;
        node.events.extend(effects.events);
        node.sent += effects.send.len();
        let from_address = node.gossip.me().address;
        for (to, bytes) in effects.send {
            assert_ne!(to, from_address, "to ourselves");
            let copies = 1 + u64::from(self.random.within(0..100) < self.duplicates);
            for _ in 0..copies {
                if self.random.within(0..100) >= self.loss {
                    let due = self.now + Duration::from_millis(self.random.within(self.delay.clone()));
                    self.flown += 1;
                    self.flights.insert((due, self.flown), Flight { from: id, from_address, to, bytes: bytes.clone() });
                }
            }
        }
    }

    /// The next thing happens.
    fn turn(&mut self) {
        let flight = self.flights.first_key_value().map(|(key, _)| key.0);
        let (wake, id) = self.nodes.iter().map(|(id, node)| (node.wake_at, *id)).min().unwrap();
        if flight.is_some_and(|due| due <= wake) {
            let ((due, _), flight) = self.flights.pop_first().unwrap();
            self.now = self.now.max(due);
            self.land(flight);
        } else {
            self.now = self.now.max(wake);
            self.step(id, GossipInput::Wake);
        }
    }

    fn land(&mut self, flight: Flight) {
        let Flight { from, from_address, to, bytes } = flight;
        let at = self.nodes.iter().find(|(_, node)| node.gossip.me().address == to).map(|(id, _)| *id);
        if let Some(at) = at.filter(|at| !self.cuts.contains(&(from, *at))) {
            self.step(at, GossipInput::Datagram { from, from_address, bytes });
        }
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.turn();
        }
    }

    /// How long it takes until `done`; fails if longer than `limit`.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !done(self) {
            assert!(self.now < start + limit, "not within {limit:?}: {}", self.describe());
            self.run(GRAIN);
        }
        self.now.saturating_sub(start)
    }

    fn describe(&self) -> String {
        let line = |(id, node): (&HostId, &Node)| {
            format!("{:x}: live {:?}", id.0.as_u128(), node.gossip.live().map(|it| it.0.as_u128()).collect::<Vec<_>>())
        };
        self.nodes.iter().map(line).collect::<Vec<_>>().join("; ")
    }

    /// Every node has every other one alive, with its present endpoint, and knows that it is seen.
    pub fn all_meet(&self) -> bool {
        self.nodes.values().all(|one| {
            self.nodes.values().all(|other| {
                let other = other.gossip.me();
                let is_self = other.host == one.gossip.me().host;
                (is_self || one.gossip.is_up(other.host)) && one.gossip.endpoints().get(&other.host) == Some(other)
            })
        })
    }

    pub fn nobody_else_sees(&self, number: u128) -> bool {
        self.nodes.iter().all(|(id, node)| *id == host(number) || !node.gossip.is_up(host(number)))
    }
}
