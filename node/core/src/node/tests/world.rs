//! A few nodes over a network that loses nothing, with a delay of a millisecond, and stores that keep what was persisted.

use crate::{
    cql,
    ids::{Micros, Now},
    io::{
        AdminReply, AdminRequest, Apply, CallError, CallId, ClientReply, ClientRequest, Effects, Image, Input, Persist, Reply,
        RequestId, Send, Settings, Table, Write,
    },
    node::{Node, StartError},
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

const DELAY: Duration = Duration::from_millis(1);
const EPOCH: i64 = 1_800_000_000_000_000;

/// Who waits for the answer to a request.
enum Asker {
    Peer { node: usize, call: CallId },
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
}

pub struct World {
    pub hosts: Vec<Host>,
    pub now: Duration,
    queue: BTreeMap<(Duration, u64), (usize, u32, Input)>,
    sequence: u64,
    askers: BTreeMap<RequestId, Asker>,
    pub replies: BTreeMap<RequestId, ClientReply>,
    pub admin_replies: BTreeMap<RequestId, AdminReply>,
    /// Whether the network loses changes of the schema that are pushed.
    pub loses_pushes: bool,
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
        flag: None,
        hold: false,
        config: BTreeMap::new(),
        failure_detector_timeout: Duration::from_secs(2),
        raft_operation_timeout: Duration::from_secs(10),
        random_seed: number.into(),
        raft_tick: Duration::from_millis(100),
    }
}

impl Host {
    fn new(number: u8) -> Self {
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
        }
    }
}

impl World {
    pub fn new(hosts: u8) -> Self {
        Self {
            hosts: (1..=hosts).map(Host::new).collect(),
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            askers: BTreeMap::new(),
            replies: BTreeMap::new(),
            admin_replies: BTreeMap::new(),
            loses_pushes: false,
        }
    }

    fn clock(&self) -> Now {
        Now { elapsed: self.now, wall: Micros(EPOCH + i64::try_from(self.now.as_micros()).unwrap()) }
    }

    pub fn start(&mut self, host: usize) {
        self.try_start(host).unwrap();
    }

    /// The same, unless the node refuses.
    pub fn try_start(&mut self, host: usize) -> Result<(), StartError> {
        let now = self.clock();
        let this = &mut self.hosts[host];
        this.life += 1;
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
            self.post(self.now + DELAY, caller, Input::Answer { call, outcome: closed() });
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
        let crash = self.hosts[host].crash_at.filter(|(point, _)| persist.points.contains(point));
        match crash {
            Some((_, false)) => return self.crash_once(host),
            Some((_, true)) => {
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
        let at = self.now + DELAY;
        match send {
            Send::Message { to, header, message } => {
                if let Some(host) = self.at(to.address) {
                    self.post(at, host, Input::Message { header, message });
                }
            }
            Send::Call { request: crate::io::PeerRequest::DefinitionsUpdate(_), .. } if self.loses_pushes => {}
            Send::Call { call, to, header, request, within } => {
                let closed = Err(CallError::Closed("no such host".into()));
                match self.at(to.address) {
                    Some(host) => {
                        self.sequence += 1;
                        let id = RequestId(self.sequence);
                        self.askers.insert(id, Asker::Peer { node: from, call });
                        self.hosts[host].asked_by.push((from, call));
                        let watch = matches!(request, crate::io::PeerRequest::WatchGroup0UpgradeState);
                        self.post(at, host, Input::Request { id, header, request });
                        if !watch {
                            self.post(
                                self.now + within,
                                from,
                                Input::Answer { call, outcome: Err(CallError::TimedOut { sent: true }) },
                            );
                        }
                    }
                    None => self.post(at, from, Input::Answer { call, outcome: closed }),
                }
            }
            Send::Resolve => {
                let first = self.hosts[0].settings.broadcast_address;
                self.post(at, from, Input::Seeds(vec![first]));
            }
            Send::Abort(_) => {}
        }
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Peer { id, outcome } => {
                if let Some(Asker::Peer { node, call }) = self.askers.get(&id) {
                    let (node, call) = (*node, *call);
                    let input = match outcome {
                        Ok((reply @ crate::io::PeerReply::State(_), path)) if self.is_watch(node, call) => {
                            Input::Update { call, reply: (reply, path) }
                        }
                        outcome => Input::Answer { call, outcome: outcome.map_err(CallError::Refused) },
                    };
                    self.post(self.now + DELAY, node, input);
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

    fn step(&mut self, host: usize, input: Input) {
        let now = self.clock();
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

    /// A statement that must succeed.
    pub fn execute(&mut self, host: usize, text: &str) {
        let id = self.client(host, text);
        assert!(self.run_until(Duration::from_secs(20), |world| world.replies.contains_key(&id)), "no reply to {text}");
        let reply = &self.replies[&id];
        assert!(!matches!(reply, ClientReply::Error(_)), "{text}: {reply:?}");
    }

    pub fn node(&self, host: usize) -> &Node {
        self.hosts[host].node.as_ref().unwrap()
    }

    pub fn all(&self, condition: impl Fn(&Node) -> bool) -> bool {
        self.hosts.iter().all(|host| host.node.as_ref().is_some_and(&condition))
    }
}
