//! A node as a process: the real core, and around it what the driver does — inputs gather while a transaction is under way, the
//! steps of a turn share one transaction, and what leaves the node leaves after it.

use crate::{
    clock::Clock,
    dice::{CERTAIN, Dice},
    disk::Store,
    events,
    invariants::{Act, Change, Turn},
    kubernetes,
    process::{Answer, Arrival, Ask, End, Moment, Note, Outbox, Parcel, Pid, Process, Question},
    swarm::{Fault, Swarm},
};
use group0_core::{
    ids::HostId,
    io::{
        AdminReply, Apply, CallError, CallId, Effects, Image, Input, Persist, Point, Replacement, Reply, RequestId, Send,
        Settings, Table, Write,
    },
    node::{Node, StartError},
    status::{Procedure, Status},
    upgrade::{Stage, Step},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// Inputs of one turn, as in the driver.
const TURN: usize = 256;
/// A node that takes so many turns at one moment would never end.
const TURNS_AT_ONCE: u32 = 10_000;
/// A usual transaction.
const COMMIT: std::ops::Range<Duration> = Duration::from_micros(200)..Duration::from_millis(3);

/// How long a node whose store has failed goes on before it is restarted.
const FAILED: std::ops::Range<Duration> = Duration::ZERO..Duration::from_secs(20);

/// How its surroundings treat it.
#[derive(Clone, Copy, Debug)]
struct Treatment {
    crash_at_point: u64,
    failed_commit: u64,
    slow_commit: u64,
}

/// A release that has states of which ours knows nothing.
pub const NEWER: &str = "newer";

/// At which of its writes a node dies that takes part in a recovery: counted from the first that stores a plan, of those that are steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Which node.
    pub node: Pid,
    /// The first is 0.
    pub number: u32,
    /// Once it is durable, instead of just before.
    pub after: bool,
}

/// The event of such a write, in the world of a story.
pub fn recovery_write(node: Pid) -> String {
    format!("write of a recovery at n{}", node + 1)
}

/// A node with its disk and its clock.
pub struct NodeProcess {
    pid: Pid,
    name: String,
    /// The name of its pod.
    pod: String,
    /// What it is started with next time.
    pub template: Settings,
    /// Its host's.
    pub clock: Clock,
    store: Store,
    dice: Dice,
    treatment: Treatment,
    lives: u32,
    life: Option<Life>,
    /// Whether it has left the cluster and does not start any more.
    is_gone: bool,
    /// Who was here before its machine was lost for good.
    former: Option<HostId>,
    /// Who was here last.
    last: Option<HostId>,
    /// Points at which it has crashed: a second time proves little.
    struck: BTreeSet<(Point, bool)>,
    /// Until then it says that it is of a newer release, [`NEWER`].
    pub newer_until: Duration,
    /// In the world of a story: at which write it dies, and how many there were from the first of a recovery on.
    story: Option<(Option<Strike>, Option<u32>)>,
}

struct Life {
    node: Node,
    started: Duration,
    inbox: VecDeque<Input>,
    /// Whom it owes an answer, and whether many.
    asked: BTreeMap<Question, bool>,
    under_way: Option<UnderWay>,
    wake_at: Option<Duration>,
    is_ready: bool,
    turns: (Duration, u32),
    /// Its store has failed: how, and until when it goes on like this. It takes no step any more.
    failed: Option<(&'static str, Duration)>,
}

/// A turn whose transaction is not durable yet.
struct UnderWay {
    effects: Effects,
    changes: Vec<Change>,
    due: Duration,
}

impl NodeProcess {
    /// A node that was never started.
    pub fn new(pid: Pid, template: Settings, swarm: &Swarm) -> Self {
        let mut dice = Dice::of(swarm.seed, 1_000 + pid as u64);
        let clock = if swarm.has(Fault::Drift) { Clock::drifting(&mut dice) } else { Clock::exact() };
        let slow = swarm.has(Fault::SlowDisk) && dice.coin();
        let treatment = Treatment {
            crash_at_point: swarm.up_to(Fault::CrashAtPoint, CERTAIN / 5),
            failed_commit: swarm.up_to(Fault::FailedCommit, CERTAIN / 200),
            slow_commit: if slow { swarm.up_to(Fault::SlowDisk, CERTAIN) } else { 0 },
        };
        // A database takes ten times as long as a map: some nodes with one are enough.
        let has_database = dice.chance(CERTAIN / 3);
        let store = if swarm.has(Fault::Torn) && has_database { Store::redb() } else { Store::default() };
        let name = format!("n{}", pid + 1);
        let pod = kubernetes::names(swarm.nodes, swarm.racks)[pid].to_string();
        Self {
            pid,
            name,
            pod,
            template,
            clock,
            store,
            dice,
            treatment,
            lives: 0,
            life: None,
            is_gone: false,
            former: None,
            last: None,
            struck: BTreeSet::new(),
            newer_until: Duration::ZERO,
            story: swarm.story.as_ref().map(|_| (swarm.strike.filter(|strike| strike.node == pid), None)),
        }
    }

    /// The core, while the process lives. Of one whose store has failed nothing counts any more.
    pub fn core(&self) -> Option<&Node> {
        self.life.as_ref().filter(|life| life.failed.is_none()).map(|life| &life.node)
    }

    /// Who was here last, as far as is durable.
    pub const fn host(&self) -> Option<HostId> {
        self.last
    }

    /// What is on its disk.
    pub fn image(&self) -> Image {
        self.store.image()
    }

    /// The machine is another one, whose first process takes this host's place.
    pub fn lose(&mut self, host: HostId) {
        self.store = if self.store.is_torn() { Store::redb() } else { Store::default() };
        self.template.replaces = Some(Replacement { host, ignore: Vec::new() });
    }

    /// The machine is another one, and whoever starts here another host that takes nobody's place.
    pub fn renew(&mut self) {
        self.store = if self.store.is_torn() { Store::redb() } else { Store::default() };
        self.former = self.last;
    }

    /// Whether it has left the cluster.
    pub fn has_left(&self) -> bool {
        self.is_gone || self.core().is_some_and(Node::has_left)
    }

    /// Whether group 0 and the ring are of the same hosts here, once it is final; if not, what differs.
    pub fn membership(&self) -> Result<(), String> {
        let Some(node) = self.core().filter(|node| node.stage() == Stage::UsePostRaft && !node.has_left()) else { return Ok(()) };
        let members = node.consensus().map(|(_, status)| status.configuration.members()).unwrap_or_default();
        let ring = node.ring();
        if members == ring {
            return Ok(());
        }
        let (only_members, only_ring): (Vec<_>, Vec<_>) =
            (members.difference(&ring).collect(), ring.difference(&members).collect());
        Err(format!("{}: only in group 0 are {only_members:?}, only in the ring {only_ring:?}", self.name))
    }

    /// Whether its clients are served as they should be.
    pub fn is_ready(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.is_ready && life.failed.is_none())
    }

    /// Takes what has come, turn by turn, until there is nothing or a transaction is under way.
    fn go_on(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        loop {
            let Some(life) = &mut self.life else { return };
            if let Some((why, until)) = life.failed {
                if until <= moment.now {
                    out.end = Some(End::Crash(format!("somebody sees that its store has failed: {why}")));
                }
                return self.answer_reads(why, out);
            }
            if let Some(under_way) = &life.under_way {
                if under_way.due > moment.now {
                    return;
                }
                self.complete(moment, out);
            } else if life.inbox.is_empty() && life.wake_at.is_none_or(|at| at > moment.now) {
                return;
            } else if life.spins(moment.now) {
                out.notes.push(Note::Violation("spin", format!("{} takes turn after turn and time stands still", self.name)));
                out.end = Some(End::Crash("it spins".into()));
            } else {
                self.turn(moment, out);
            }
            if out.end.is_some() {
                return;
            }
        }
    }

    fn turn(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        let now = self.clock.now(life.started, moment.now);
        let mut changes = Vec::new();
        let is_woken = life.wake_at.is_some_and(|at| at <= moment.now);
        let gathered: Vec<_> =
            is_woken.then_some(Input::Wake).into_iter().chain(life.inbox.drain(..life.inbox.len().min(TURN))).collect();
        if gathered.len() > 1 {
            out.event("several steps in one turn");
        }
        let mut turn: Option<Effects> = None;
        for input in gathered {
            let step = life.node.procedure_step();
            let is_change = matches!(&input, Input::Client { request, .. } if request.statement.is_schema_change());
            let stage = life.node.stage();
            let effects = life.node.step(now, input);
            if effects.persist.points.contains(&Point::Final) {
                out.event(match step {
                    Some(Step::EarlyFinish) => "early finish",
                    Some(_) => "final by comparison",
                    None => "final by first boot",
                });
            }
            if is_change {
                changes.push(Change { stage, wrote: writes_schema_itself(&effects.persist) });
            }
            turn = Some(match turn {
                Some(before) => before.then(effects),
                None => effects,
            });
        }
        if let Some(effects) = turn {
            self.carry_out(moment, effects, changes, out);
        }
    }

    fn carry_out(&mut self, moment: Moment<'_>, effects: Effects, changes: Vec<Change>, out: &mut Outbox) {
        let due = if effects.persist.writes.is_empty() { moment.now } else { moment.now + self.latency(moment) };
        let Some(life) = &mut self.life else { return };
        life.under_way = Some(UnderWay { effects, changes, due });
        if due == moment.now {
            self.complete(moment, out);
        }
    }

    fn latency(&mut self, moment: Moment<'_>) -> Duration {
        if moment.trouble && self.dice.chance(self.treatment.slow_commit) {
            return self.dice.short_time(Duration::from_secs(2));
        }
        self.dice.time(COMMIT)
    }

    /// The transaction ends, one way or another; if well, its turn leaves the node.
    fn complete(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let Some(under_way) = self.life.as_mut().and_then(|life| life.under_way.take()) else { return };
        let UnderWay { mut effects, changes, .. } = under_way;
        let persist = std::mem::take(&mut effects.persist);
        let strike = self.planned_strike(&persist, out).or_else(|| self.strike(moment, &persist));
        let fails = !persist.writes.is_empty() && moment.trouble && self.dice.chance(self.treatment.failed_commit);
        if let Some((point, false)) = strike {
            out.event(events::crash_at(point, false));
            out.end = Some(End::Crash(format!("before {} is durable", point.name())));
        } else if fails {
            out.event("commit failed");
            self.half_commit(moment, persist, changes, out);
            self.fail(moment, out);
        } else {
            let result = self.store.commit(&persist);
            self.is_durable(moment, persist, changes, out);
            if let Err(why) = result {
                out.notes.push(Note::Violation("disk", why));
            }
            if let Some((point, true)) = strike {
                out.event(events::crash_at(point, true));
                out.end = Some(End::Crash(format!("after {} is durable", point.name())));
            } else {
                self.leave(effects, moment, out);
            }
        }
    }

    /// A transaction has failed. Whoever waits for an answer to a change gets none.
    fn fail(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let (why, until) = (if self.dice.coin() { "input/output error" } else { "no space left" }, self.dice.time(FAILED));
        let Some(life) = &mut self.life else { return };
        life.failed = Some((why, moment.now + until));
        life.wake_at = Some(moment.now + until);
        out.send.extend(std::mem::take(&mut life.asked).into_keys().map(Parcel::Break));
    }

    /// As the driver does when the store has failed.
    fn answer_reads(&mut self, why: &str, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        for input in std::mem::take(&mut life.inbox) {
            if let Some(reply) = life.node.read(&input, why) {
                out.event("answered without a store");
                life.reply(reply, out);
            }
        }
        out.send.extend(std::mem::take(&mut life.asked).into_keys().map(Parcel::Break));
    }

    /// At which of these points the process dies now, and on which side.
    fn strike(&mut self, moment: Moment<'_>, persist: &Persist) -> Option<(Point, bool)> {
        // Disasters come when the rest is over, and so would their recoveries.
        let is_of_recovery = |point: &Point| matches!(point, Point::Plan | Point::Recovery | Point::GroupForgotten);
        let of_recovery = persist.points.iter().any(is_of_recovery);
        let point = *persist.points.first().filter(|_| moment.trouble || of_recovery)?;
        let strike = (point, self.dice.coin());
        (self.dice.chance(self.treatment.crash_at_point) && self.struck.insert(strike)).then_some(strike)
    }

    /// The same, of a death that was planned.
    fn planned_strike(&mut self, persist: &Persist, out: &mut Outbox) -> Option<(Point, bool)> {
        let (strike, writes) = self.story.as_mut()?;
        let point = *persist.points.first()?;
        let number = writes.or_else(|| persist.points.contains(&Point::Plan).then_some(0))?;
        *writes = Some(number + 1);
        out.event(recovery_write(self.pid));
        strike.filter(|strike| strike.number == number).map(|strike| (point, strike.after))
    }

    /// Nobody knows whether it is durable.
    fn half_commit(&mut self, moment: Moment<'_>, persist: Persist, changes: Vec<Change>, out: &mut Outbox) {
        if self.store.is_torn() {
            out.event("writes lost and torn");
        }
        match self.store.crash(Some(&persist), &mut self.dice) {
            Ok(true) => self.is_durable(moment, persist, changes, out),
            Ok(false) => {}
            Err(why) => out.notes.push(Note::Violation("disk", format!("{}: {why}", self.name))),
        }
    }

    fn is_durable(&mut self, moment: Moment<'_>, persist: Persist, changes: Vec<Change>, out: &mut Outbox) {
        if persist.writes.is_empty() && changes.is_empty() {
            return;
        }
        let Some(life) = &self.life else { return };
        self.last = Some(life.node.host());
        let replaces = self.template.replaces.as_ref().map(|replaced| replaced.host).or(self.former);
        let turn = Turn { replaces, ..Turn::of(self.pid, &self.name, moment.now, &life.node, persist, changes) };
        out.notes.push(Note::Turn(Box::new(turn)));
    }

    fn leave(&mut self, effects: Effects, moment: Moment<'_>, out: &mut Outbox) {
        let Effects { persist: _, send, apply, reply, wake_at } = effects;
        let Some(life) = &mut self.life else { return };
        out.send.extend(send.into_iter().map(parcel));
        for apply in apply {
            match apply {
                Apply::Ready(ready) => life.is_ready = ready.is_ok(),
                Apply::Drained => out.end = Some(End::Exit),
                Apply::Restart => {
                    let generation = life.node.status().generation.0;
                    out.notes.push(Note::Act(Act::Restarted { node: self.pid, name: self.pod.clone(), generation }));
                    out.end = Some(End::Exit);
                }
                Apply::Fatal(text) => out.notes.push(Note::Violation("fatal", format!("{}: {text}", self.name))),
                Apply::SchemaChanged(_) | Apply::HostChanged { .. } | Apply::RingChanged { .. } | Apply::Struck => {}
            }
        }
        for mut reply in reply {
            if let Reply::Admin { reply: AdminReply::Status(status), .. } = &mut reply
                && moment.now < self.newer_until
            {
                status.release = NEWER.into();
            }
            life.reply(reply, out);
        }
        let wake_at = wake_at.filter(|at| *at < Duration::from_secs(1_000_000_000));
        life.wake_at = wake_at.map(|at| self.clock.when(life.started, at).max(moment.now));
    }

    fn input(&mut self, arrival: Arrival, out: &mut Outbox) -> Option<Input> {
        let life = self.life.as_mut()?;
        Some(match arrival {
            Arrival::Message(header, message) => Input::Message { header, message },
            Arrival::Asked(question, Ask::Client(_)) if !life.is_ready => {
                out.send.push(Parcel::Close(question));
                return None;
            }
            Arrival::Asked(question, ask) => {
                life.asked.insert(question, ask.is_watch());
                let id = RequestId(question);
                match ask {
                    Ask::Peer(header, request) => Input::Request { id, header, request },
                    Ask::Client(request) => Input::Client { id, request },
                    Ask::Admin(request) => Input::Admin { id, request },
                    Ask::Api(_) => return None,
                }
            }
            Arrival::Gone(question) => {
                life.asked.remove(&question)?;
                Input::Gone(RequestId(question))
            }
            Arrival::Answered { token, answer: Answer::Peer(outcome), is_last } => match (outcome, is_last) {
                (Ok(reply), false) => Input::Update { call: CallId(token), reply },
                (outcome, _) => Input::Answer { call: CallId(token), outcome: outcome.map_err(CallError::Refused) },
            },
            Arrival::Wake | Arrival::Answered { .. } | Arrival::Kubelet(..) => return None,
            Arrival::Failed(token, error) => Input::Answer { call: CallId(token), outcome: Err(error) },
            Arrival::Seeds(addresses) => Input::Seeds { addresses, unresolved: 0 },
            Arrival::Shutdown => Input::Shutdown,
        })
    }
}

impl Process for NodeProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let image = match self.store.open() {
            Ok(image) => image,
            Err(why) => return out.notes.push(Note::Violation("disk", format!("{}: {why}", self.name))),
        };
        self.lives += 1;
        self.template.random_seed = self.dice.next();
        self.template.broadcast_address = moment.addresses[self.pid];
        self.template.rpc_address = SocketAddr::new(moment.addresses[self.pid].ip(), 9042);
        self.template.seeds = moment.addresses.to_vec();
        let (flag, hold) = (self.template.flag, self.template.hold);
        out.line(format!("{} starts at {} flag {flag:?} hold {hold}", self.name, self.template.broadcast_address.ip()));
        match Node::new(self.template.clone(), &image, self.clock.now(moment.now, moment.now)) {
            Ok((node, effects)) => {
                self.life = Some(Life::new(node, moment.now));
                self.carry_out(moment, effects, Vec::new(), out);
            }
            Err(StartError::Left) => {
                self.is_gone = true;
                out.end = Some(End::Exit);
            }
            Err(error) => out.notes.push(Note::Violation("start", format!("{} does not start: {error}", self.name))),
        }
    }

    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox) {
        for arrival in arrivals {
            if let Some(input) = self.input(arrival, out)
                && let Some(life) = &mut self.life
            {
                life.inbox.push_back(input);
            }
        }
        self.go_on(moment, out);
    }

    fn wake_at(&self) -> Option<Duration> {
        let life = self.life.as_ref()?;
        life.under_way.as_ref().map_or(life.wake_at, |under_way| Some(under_way.due))
    }

    fn crash(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        if let Some(UnderWay { effects, changes, .. }) = self.life.as_mut().and_then(|life| life.under_way.take())
            && !effects.persist.writes.is_empty()
        {
            let before = out.notes.len();
            self.half_commit(moment, effects.persist, changes, out);
            let durable = out.notes[before..].iter().any(|note| matches!(note, Note::Turn(_)));
            out.event(if durable { "crash during a commit, durable" } else { "crash during a commit, lost" });
        } else if let Err(why) = self.store.crash(None, &mut self.dice) {
            out.notes.push(Note::Violation("disk", format!("{}: {why}", self.name)));
        }
        self.life = None;
    }

    fn is_done(&self) -> Result<(), String> {
        if self.has_left() {
            return Ok(());
        }
        let Some(node) = self.core() else { return Err(format!("{} is not there", self.name)) };
        if node.stage() == Stage::UsePostRaft && node.is_bootstrapped() {
            return Ok(());
        }
        Err(format!("{} ({})", self.name, standing(&node.status())))
    }

    fn node(&mut self) -> Option<&mut NodeProcess> {
        Some(self)
    }

    fn clock(&mut self) -> Option<&mut Clock> {
        Some(&mut self.clock)
    }
}

impl Life {
    fn new(node: Node, started: Duration) -> Self {
        Self {
            node,
            started,
            inbox: VecDeque::new(),
            asked: BTreeMap::new(),
            under_way: None,
            wake_at: None,
            is_ready: false,
            turns: (started, 0),
            failed: None,
        }
    }

    fn reply(&mut self, reply: Reply, out: &mut Outbox) {
        let (question, answer) = match reply {
            Reply::Peer { id, outcome } => (id.0, Answer::Peer(outcome)),
            Reply::Client { id, reply } => (id.0, Answer::Client(reply)),
            Reply::Admin { id, reply } => (id.0, Answer::Admin(reply)),
        };
        if let Some(watches) = self.asked.get(&question).copied() {
            if !watches || answer.is_refusal() {
                self.asked.remove(&question);
            }
            out.send.push(Parcel::Answer(question, answer));
        }
    }

    /// Whether it takes too many turns at this moment.
    fn spins(&mut self, now: Duration) -> bool {
        let (at, count) = self.turns;
        self.turns = if at == now { (now, count + 1) } else { (now, 0) };
        self.turns.1 > TURNS_AT_ONCE
    }
}

fn parcel(send: Send) -> Parcel {
    match send {
        Send::Message { to, header, message } => Parcel::Message(to.address, header, message),
        Send::Call { call, to, header, request, within } => {
            Parcel::Ask { token: call.0, to: to.address, ask: Ask::Peer(header, request), within }
        }
        Send::Abort(call) => Parcel::Abort(call.0),
        Send::Resolve => Parcel::Resolve,
    }
}

/// Not as a command of its group: a single voter has its own entries at once.
fn writes_schema_itself(persist: &Persist) -> bool {
    let of_schema = |write: &Write| {
        let (Write::Put(table, ..) | Write::Delete(table, _) | Write::DeleteRange(table, ..)) = write;
        *table == Table::Schema
    };
    persist.writes.iter().any(of_schema) && !persist.points.contains(&Point::Command)
}

/// Where a node stands and what it waits for. Hosts go by the beginning of their ids.
fn standing(status: &Status) -> String {
    let short = |host: &HostId| host.to_string().split('-').next().unwrap_or_default().to_owned();
    let waits = match &status.procedure {
        Procedure::Running { step, waiting, .. } => {
            let waiting: Vec<_> = waiting.iter().map(ToString::to_string).collect();
            format!("{} waits for {}", step.name(), waiting.join(", "))
        }
        other => format!("{other:?}"),
    };
    let peers: Vec<_> = status
        .peers
        .iter()
        .map(|(host, peer)| format!("{} {} {}", short(host), peer.status, if peer.up { "up" } else { "down" }))
        .collect();
    let group = status.group.as_ref().map(|group| {
        let voters: Vec<_> = group.voters.iter().map(short).collect();
        let leader = group.leader.as_ref().map(short);
        format!("{} of voters {} led by {leader:?} in {}", group.group, voters.join(" "), group.term)
    });
    format!(
        "{}, {}, flag {:?} held {} enabled {}, boot {:?}: {waits}; group {group:?}; peers {}",
        short(&status.host),
        status.stage,
        status.flag,
        status.held,
        status.feature_enabled,
        status.boot,
        peers.join(", ")
    )
}
