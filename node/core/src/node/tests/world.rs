//! A few nodes over a network that loses what it is told to, with a delay of a millisecond, and stores that keep what was persisted.

use crate::{
    cql,
    ids::{HostId, Micros, Now},
    io::{
        AdminReply, AdminRequest, Apply, CallError, CallId, ClientReply, ClientRequest, CqlError, Effects, Header, Image, Input,
        Message, PeerReply, PeerRequest, Persist, Refusal, Reply, RequestId, Send, Settings, Table, Write,
    },
    node::{Node, StartError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// Between two neighbours, one way.
const DELAY: Duration = Duration::from_millis(1);
const EPOCH: i64 = 1_800_000_000_000_000;

/// Who waits for the answer to a request.
enum Asker {
    Peer { node: usize, of: usize, call: CallId },
    Outside,
}

pub struct Host {
    pub settings: Settings,
    pub node: Option<Node>,
    pub store: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    life: u32,
    /// Calls that it has not answered: they break when it crashes.
    asked_by: Vec<(usize, CallId)>,
    wake_at: Duration,
    pub ready: Result<(), String>,
    /// Persisted points so far.
    pub points: Vec<crate::io::Point>,
    /// Crash at this point: before its transaction is durable or after.
    pub crash_at: Option<(crate::io::Point, bool)>,
    /// The same, in the transaction of that number, counted from now on.
    pub crash_in: Option<(usize, bool)>,
    /// By how much its wall clock is fast.
    pub fast: Duration,
    /// How often it was stepped.
    pub steps: u64,
    /// Transactions so far.
    pub transactions: usize,
    /// Whether it was ever started.
    pub started: bool,
    /// Of whom it told its clients that they have come into the ring.
    pub joined: Vec<SocketAddr>,
}

pub struct World {
    pub hosts: Vec<Host>,
    /// When the next one crashes as planned, this host is to crash in that transaction, counted from then on.
    pub crash_next: Option<(usize, (usize, bool))>,
    pub now: Duration,
    queue: BTreeMap<(Duration, u64), (usize, u32, Input)>,
    sequence: u64,
    askers: BTreeMap<RequestId, Asker>,
    pub replies: BTreeMap<RequestId, ClientReply>,
    pub admin_replies: BTreeMap<RequestId, AdminReply>,
    /// How long everything takes, one way.
    pub delay: Duration,
    /// Whether the network loses changes of the schema that are pushed.
    pub loses_pushes: bool,
    /// The verbs of calls that it loses.
    pub loses: BTreeSet<&'static str>,
    /// Whether it loses gossip.
    pub loses_gossip: bool,
    /// Whether the name of the first host has an address; else whoever asks finds only its own.
    pub has_names: bool,
    /// Pairs that cannot reach each other, the smaller first.
    pub cuts: BTreeSet<(usize, usize)>,
    /// Who called when, with which verb.
    pub calls: Vec<(Duration, usize, &'static str)>,
    /// Messages as they are sent, while somebody listens.
    overheard: Option<Vec<(usize, usize, Message)>>,
    /// What was answered to [`World::ask`].
    pub peer_replies: BTreeMap<RequestId, Result<PeerReply, Refusal>>,
}

pub fn settings(number: u8) -> Settings {
    let address = |port| SocketAddr::from(([127, 0, 0, number], port));
    Settings {
        cluster_name: "test".into(),
        broadcast_address: address(7000),
        rpc_address: address(9042),
        data_center: "datacenter1".into(),
        rack: "rack1".into(),
        num_tokens: 2,
        seeds: vec![([127, 0, 0, 1], 7000).into()],
        is_first_seed: number == 1,
        replaces: None,
        recovery_leader: None,
        flag: None,
        hold: false,
        config: BTreeMap::new(),
        failure_detector_timeout: Duration::from_secs(2),
        raft_operation_timeout: Duration::from_secs(10),
        random_seed: number.into(),
        fails_before_synchronize: None,
        raft_tick: Duration::from_millis(100),
    }
}

impl Host {
    pub fn new(number: u8) -> Self {
        Self {
            settings: settings(number),
            node: None,
            store: BTreeMap::new(),
            life: 0,
            asked_by: vec![],
            wake_at: Duration::MAX,
            ready: Err("not started".into()),
            points: vec![],
            crash_at: None,
            crash_in: None,
            fast: Duration::ZERO,
            steps: 0,
            transactions: 0,
            started: false,
            joined: vec![],
        }
    }

    /// Whether it is to crash in this transaction, and whether after that is durable.
    fn crashes(&mut self, persist: &Persist) -> Option<bool> {
        let at = self.crash_at.filter(|(point, _)| persist.points.contains(point)).map(|(_, after)| after);
        let is_transaction = !persist.writes.is_empty();
        self.transactions += usize::from(is_transaction);
        if let Some((left, _)) = self.crash_in.as_mut().filter(|_| is_transaction) {
            *left -= 1;
        }
        at.or(self.crash_in.filter(|(left, _)| *left == 0).map(|(_, after)| after))
    }

    /// What its store says, whoever reads it.
    pub fn stored(&self, key: &str) -> Option<String> {
        self.store.get(&(Table::Local, key.into())).map(|value| String::from_utf8(value.clone()).unwrap())
    }
}

impl World {
    pub fn new(hosts: u8) -> Self {
        Self {
            hosts: (1..=hosts).map(Host::new).collect(),
            crash_next: None,
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            askers: BTreeMap::new(),
            replies: BTreeMap::new(),
            admin_replies: BTreeMap::new(),
            loses_pushes: false,
            loses: BTreeSet::new(),
            loses_gossip: false,
            has_names: true,
            delay: DELAY,
            cuts: BTreeSet::new(),
            calls: vec![],
            overheard: None,
            peer_replies: BTreeMap::new(),
        }
    }

    /// The same hosts as in another world, none of which runs; their stores are as they were there, and it is as late.
    pub fn after(other: &Self) -> Self {
        let mut world =
            Self { now: other.now, loses_pushes: other.loses_pushes, ..Self::new(u8::try_from(other.hosts.len()).unwrap()) };
        for (host, before) in world.hosts.iter_mut().zip(&other.hosts) {
            (host.settings, host.store, host.life) = (before.settings.clone(), before.store.clone(), before.life);
        }
        world
    }

    fn clock(&self, host: usize) -> Now {
        let wall = self.now + self.hosts[host].fast;
        Now { elapsed: self.now, wall: Micros(EPOCH + i64::try_from(wall.as_micros()).unwrap()) }
    }

    /// From now on, or from now on not any more, these cannot reach each other.
    pub fn cut(&mut self, one: usize, others: &[usize]) {
        self.cuts.extend(others.iter().map(|other| (one.min(*other), one.max(*other))));
    }

    fn reaches(&self, one: usize, other: usize) -> bool {
        !self.cuts.contains(&(one.min(other), one.max(other)))
    }

    pub fn start(&mut self, host: usize) {
        self.try_start(host).unwrap();
    }

    /// The same, unless the node refuses.
    pub fn try_start(&mut self, host: usize) -> Result<(), StartError> {
        let now = self.clock(host);
        let this = &mut self.hosts[host];
        this.life += 1;
        this.started = true;
        this.settings.random_seed = u64::from(this.life) * 100 + host as u64;
        let image: Image = this.store.iter().map(|((table, key), value)| (*table, key.clone(), value.clone())).collect();
        let (node, effects) = Node::new(this.settings.clone(), &image, now)?;
        this.node = Some(node);
        self.carry_out(host, effects);
        Ok(())
    }

    pub fn crash(&mut self, host: usize) {
        let closed = || Err(CallError::Closed("connection reset".into()));
        for (caller, call) in std::mem::take(&mut self.hosts[host].asked_by) {
            self.post(self.now + self.delay, caller, Input::Answer { call, outcome: closed() });
        }
        self.hosts[host].node = None;
        self.hosts[host].life += 1;
        self.hosts[host].wake_at = Duration::MAX;
    }

    fn persist(&mut self, host: usize, persist: &Persist) {
        let store = &mut self.hosts[host].store;
        for write in &persist.writes {
            match write.clone() {
                Write::Put(table, key, value) => drop(store.insert((table, key), value)),
                Write::Delete(table, key) => drop(store.remove(&(table, key))),
                Write::DeleteRange(table, from, to) => store.retain(|(t, key), _| *t != table || *key < from || *key >= to),
            }
        }
        self.hosts[host].points.extend(&persist.points);
    }

    fn carry_out(&mut self, host: usize, effects: Effects) {
        let Effects { persist, send, apply, reply, wake_at } = effects;
        match self.hosts[host].crashes(&persist) {
            Some(false) => return self.crash_once(host),
            Some(true) => {
                self.persist(host, &persist);
                return self.crash_once(host);
            }
            None => self.persist(host, &persist),
        }
        for send in send {
            self.send(host, send);
        }
        for apply in apply {
            match apply {
                Apply::Ready(ready) => self.hosts[host].ready = ready,
                Apply::RingChanged { joined: true, address } => self.hosts[host].joined.push(address),
                Apply::Fatal(text) => panic!("{host}: {text}"),
                _ => {}
            }
        }
        for reply in reply {
            self.reply(reply);
        }
        self.hosts[host].wake_at = wake_at.unwrap_or(Duration::MAX);
    }

    fn crash_once(&mut self, host: usize) {
        self.hosts[host].crash_at = None;
        self.hosts[host].crash_in = None;
        if let Some((next, crash)) = self.crash_next.take() {
            self.hosts[next].crash_in = Some(crash);
        }
        self.crash(host);
    }

    fn post(&mut self, at: Duration, host: usize, input: Input) {
        self.sequence += 1;
        let life = self.hosts[host].life;
        self.queue.insert((at, self.sequence), (host, life, input));
    }

    fn at(&self, address: SocketAddr) -> Option<usize> {
        self.hosts.iter().position(|host| host.settings.broadcast_address == address && host.node.is_some())
    }

    fn send(&mut self, from: usize, send: Send) {
        let at = self.now + self.delay;
        if let Send::Call { request, .. } = &send {
            self.calls.push((self.now, from, request.verb()));
        }
        match send {
            Send::Message { message: Message::Gossip(_), .. } if self.loses_gossip => {}
            Send::Message { to, header, message } => {
                if let Some(host) = self.at(to.address).filter(|host| self.reaches(from, *host)) {
                    self.overheard.iter_mut().for_each(|heard| heard.push((from, host, message.clone())));
                    self.post(at, host, Input::Message { header, message });
                }
            }
            Send::Call { request: PeerRequest::DefinitionsUpdate(_), .. } if self.loses_pushes => {}
            Send::Call { call, request, within, .. } if self.loses.contains(request.verb()) => {
                let late = Input::Answer { call, outcome: Err(CallError::TimedOut { sent: true }) };
                self.post(self.now + within, from, late);
            }
            Send::Call { call, to, header, request, within } => {
                let closed = Err(CallError::Closed("no such host".into()));
                let late = Input::Answer { call, outcome: Err(CallError::TimedOut { sent: true }) };
                match self.at(to.address) {
                    Some(host) if !self.reaches(from, host) => self.post(self.now + within, from, late),
                    Some(host) => {
                        self.sequence += 1;
                        let id = RequestId(self.sequence);
                        self.askers.insert(id, Asker::Peer { node: from, of: host, call });
                        self.hosts[host].asked_by.push((from, call));
                        if !matches!(request, PeerRequest::WatchGroup0UpgradeState) {
                            self.post(self.now + within, from, late);
                        }
                        self.post(at, host, Input::Request { id, header, request });
                    }
                    None => self.post(at, from, Input::Answer { call, outcome: closed }),
                }
            }
            Send::Resolve => {
                let named = if self.has_names { 0 } else { from };
                let seeds = &self.hosts[from].settings.seeds;
                let addresses = if seeds.len() > 1 { seeds.clone() } else { vec![self.hosts[named].settings.broadcast_address] };
                self.post(at, from, Input::Seeds { addresses, unresolved: usize::from(!self.has_names) });
            }
            Send::Abort(_) => {}
        }
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Peer { id, outcome } => {
                let Some(Asker::Peer { node, of, call }) = self.askers.get(&id) else {
                    return drop(self.peer_replies.insert(id, outcome.map(|(reply, _)| reply)));
                };
                let (node, of, call) = (*node, *of, *call);
                let input = match outcome {
                    Ok((reply @ PeerReply::State(_), path)) if self.is_watch(node, call) => {
                        Input::Update { call, reply: (reply, path) }
                    }
                    outcome => Input::Answer { call, outcome: outcome.map_err(CallError::Refused) },
                };
                if self.reaches(node, of) {
                    self.post(self.now + self.delay, node, input);
                }
            }
            Reply::Client { id, reply } => drop(self.replies.insert(id, reply)),
            Reply::Admin { id, reply } => drop(self.admin_replies.insert(id, reply)),
        }
    }

    fn is_watch(&self, node: usize, call: CallId) -> bool {
        let node = self.hosts[node].node.as_ref();
        node.is_some_and(|node| matches!(node.calls.purpose(call), Some(super::super::calls::Purpose::WatchStage(_))))
    }

    /// The next thing that happens; false if it is after `until`.
    fn next(&mut self, until: Duration) -> bool {
        let wake = self.hosts.iter().enumerate().map(|(host, this)| (this.wake_at, host)).min().unwrap();
        let message = self.queue.first_key_value().map_or(Duration::MAX, |((at, _), _)| *at);
        if wake.0.min(message) > until {
            self.now = until;
            return false;
        }
        if message <= wake.0 {
            let ((at, _), (host, life, input)) = self.queue.pop_first().unwrap();
            self.now = self.now.max(at);
            if life == self.hosts[host].life {
                self.step(host, input);
            }
        } else {
            self.now = self.now.max(wake.0);
            self.step(wake.1, Input::Wake);
        }
        true
    }

    pub fn step(&mut self, host: usize, input: Input) {
        let now = self.clock(host);
        self.hosts[host].steps += 1;
        if let Some(node) = &mut self.hosts[host].node {
            let effects = node.step(now, input);
            self.carry_out(host, effects);
        }
    }

    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.next(until) {}
    }

    /// Runs until the condition holds, for at most that long.
    pub fn run_until(&mut self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while !condition(self) {
            if !self.next(until) {
                return condition(self);
            }
        }
        true
    }

    pub fn client(&mut self, host: usize, text: &str) -> RequestId {
        self.sequence += 1;
        let id = RequestId(self.sequence);
        self.askers.insert(id, Asker::Outside);
        let statement = cql::parse::parse(text).unwrap();
        self.step(host, Input::Client { id, request: ClientRequest { statement, text: text.into(), keyspace: None } });
        id
    }

    pub fn admin(&mut self, host: usize, request: AdminRequest) -> RequestId {
        self.sequence += 1;
        let id = RequestId(self.sequence);
        self.step(host, Input::Admin { id, request });
        id
    }

    /// A peer's request that reaches the host now.
    pub fn ask(&mut self, host: usize, header: Header, request: PeerRequest) -> RequestId {
        self.sequence += 1;
        let id = RequestId(self.sequence);
        self.askers.insert(id, Asker::Outside);
        self.step(host, Input::Request { id, header, request });
        id
    }

    /// A peer's message that reaches the host now.
    pub fn tell(&mut self, host: usize, header: Header, message: Message) {
        self.step(host, Input::Message { header, message });
    }

    /// What one sends to the other in that time.
    pub fn overhear(&mut self, one: usize, other: usize, time: Duration) -> Vec<Message> {
        self.overheard = Some(vec![]);
        self.run(time);
        let heard = self.overheard.take().unwrap_or_default().into_iter();
        heard.filter(|(from, to, _)| (*from, *to) == (one, other)).map(|(.., message)| message).collect()
    }

    /// As that host would write it, to that other one.
    pub fn header(&self, from: usize, to: HostId) -> Header {
        self.node(from).header(Some(to))
    }

    /// Ends it in order; whether it says at once that it may end, and wants no more waking.
    pub fn shut_down(&mut self, host: usize) -> bool {
        let now = self.clock(host);
        let effects = self.hosts[host].node.as_mut().unwrap().step(now, Input::Shutdown);
        let ends = effects.apply.contains(&Apply::Drained) && effects.wake_at.is_none();
        self.carry_out(host, effects);
        self.crash(host);
        ends
    }

    /// Whether somebody outside still waits for an answer.
    pub fn has_waiting_clients(&self) -> bool {
        let is_answered = |id: &RequestId| self.replies.contains_key(id) || self.peer_replies.contains_key(id);
        self.askers.iter().any(|(id, asker)| matches!(asker, Asker::Outside) && !is_answered(id))
    }

    /// Whether a statement has succeeded.
    pub fn acknowledges(&self, id: RequestId) -> bool {
        self.replies.get(&id).is_some_and(|reply| !matches!(reply, ClientReply::Error(_)))
    }

    /// What is answered to a statement, within that time.
    pub fn outcome(&mut self, id: RequestId, limit: Duration) -> Result<(), CqlError> {
        assert!(self.run_until(limit, |world| world.replies.contains_key(&id)), "no reply");
        match &self.replies[&id] {
            ClientReply::Error(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// A statement that must succeed.
    pub fn execute(&mut self, host: usize, text: &str) {
        let id = self.client(host, text);
        let outcome = self.outcome(id, Duration::from_secs(20));
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
    }

    pub fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().unwrap()
    }

    pub fn all(&self, condition: impl Fn(&Node) -> bool) -> bool {
        self.hosts.iter().all(|host| host.node.as_ref().is_some_and(&condition))
    }
}
