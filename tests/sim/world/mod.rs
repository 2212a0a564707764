//! One world of one seed: processes ([`lives`]), the network between them, what goes wrong ([`mishaps`]), what is left where machines are
//! lost ([`estates`]), and those who judge.

mod estates;
mod lives;
mod mishaps;
mod story;

use crate::{
    administrator::Administrator,
    clients::{Client, KEPT, Plan},
    dice::Dice,
    events::Events,
    invariants::{self, Act, Invariants, Scene},
    kubernetes::{self, Kubernetes, api},
    log::Log,
    network::{Around, Network},
    node::NodeProcess,
    operator::{ACT, OperatorProcess},
    people::People,
    process::{Arrival, End, Kubelet, Moment, Note, Outbox, Parcel, Pid, Process},
    queue::{Event, Queue},
    rivals::Rival,
    swarm::Swarm,
    trouble::Trouble,
};
pub use estates::HIDDEN;
use estates::Kept;
use group0_core::{
    ids::HostId,
    io::{Point, Settings},
    schema::Rows,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    time::Duration,
};
use story::Story;
pub use story::{After, Step, Told};

/// Once nothing goes wrong any more, everything that was begun is finished after so long at most: the longest back-offs of the
/// procedure, one after another.
const PATIENCE: Duration = Duration::from_secs(150);
/// The same where an operator has to restart every node first, maybe for the second time.
const PATIENCE_WITH_OPERATOR: Duration = Duration::from_secs(400);
/// So long nothing more is done before schemas are compared.
const QUIET: Duration = Duration::from_secs(3);
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(500);
/// Clients that get in each other's way.
const RIVALS: u64 = 3;
/// What is violated where a node takes others for members of group 0 than for hosts of the ring, once all is quiet.
const MEMBERSHIP: &str = "group 0 and the ring agree";
/// The port of peers.
const PORT: u16 = 7000;

/// Why a run ended early, or what was wrong at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, or what else it is.
    pub what: String,
    /// In detail.
    pub detail: String,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was wrong.
    pub violation: Option<Violation>,
    /// Of the log.
    pub digest: u64,
    /// The last lines of the log.
    pub last: Vec<String>,
    /// Virtual time.
    pub time: Duration,
    /// What happened.
    pub events: Events,
    /// Transactions of nodes.
    pub turns: u64,
    /// Things that came to processes.
    pub steps: u64,
    /// Those of them that came over the network: messages, questions and answers.
    pub delivered: u64,
    /// Which nodes operators took, and when.
    pub evictions: Vec<(Duration, Pid)>,
    /// Which nodes were restarted in place, in order.
    pub restarts: Vec<Pid>,
    /// How many acts of operators there were before the first that froze the plan of a recovery.
    pub acts_before_plan: u64,
}

struct Slot {
    process: Box<dyn Process>,
    life: u32,
    is_alive: bool,
    paused: Option<Duration>,
    /// What has come while it stands still.
    waiting: Vec<Arrival>,
    /// What a kubelet was told last of its readiness.
    is_ready: bool,
}

/// The world.
pub struct World {
    swarm: Swarm,
    now: Duration,
    trouble: bool,
    queue: Queue,
    slots: Vec<Slot>,
    operators: Range<Pid>,
    kubernetes: Pid,
    addresses: Vec<SocketAddr>,
    network: Network,
    mishaps: Trouble,
    dice: Dice,
    invariants: Invariants,
    events: Events,
    log: Log,
    violation: Option<Violation>,
    story: Story,
    evictions: Vec<(Duration, Pid)>,
    restarts: Vec<Pid>,
    acts_before_plan: Option<u64>,
    turns: u64,
    steps: u64,
    delivered: u64,
    moves: u16,
    /// What the survivors of all disasters had.
    kept: Kept,
    /// Whether there was one.
    had_disaster: bool,
    /// Whether a recovery has come to its point of no return.
    has_recovered: bool,
    /// Whether somebody who was lost came back. Whom a recovery has given up may go on as the former cluster, and whoever asks there is told
    /// of that one.
    has_returned: bool,
    /// Whose machine is lost.
    lost: BTreeSet<Pid>,
    /// Who was ever lost with a machine.
    gone: BTreeSet<HostId>,
}

fn address(index: usize, generation: u16) -> SocketAddr {
    let [high, low] = generation.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, high, low, u8::try_from(index + 1).unwrap_or(u8::MAX)), PORT))
}

fn template(pid: Pid, address: SocketAddr) -> Settings {
    Settings {
        cluster_name: "sim".into(),
        broadcast_address: address,
        rpc_address: address,
        data_center: "datacenter1".into(),
        rack: format!("rack{}", pid % 3 + 1),
        num_tokens: 1,
        seeds: Vec::new(),
        is_first_seed: pid == 0,
        replaces: None,
        recovery_leader: None,
        flag: None,
        hold: false,
        config: BTreeMap::new(),
        failure_detector_timeout: Duration::from_secs(2),
        raft_operation_timeout: Duration::from_secs(10),
        random_seed: 0,
        fails_before_synchronize: None,
        raft_tick: Duration::from_millis(100),
    }
}

/// Nodes, clients, whoever upgrades them, rivals, and Kubernetes at the end; which of them are operators.
fn cast(swarm: &Swarm, addresses: &[SocketAddr]) -> (Vec<Box<dyn Process>>, Range<Pid>) {
    let mut processes: Vec<Box<dyn Process>> = Vec::new();
    for (pid, address) in addresses.iter().enumerate() {
        processes.push(Box::new(NodeProcess::new(pid, template(pid, *address), swarm)));
    }
    for home in 0..swarm.nodes {
        processes.push(Box::new(Client::new(home, Plan::AtHome, swarm)));
    }
    processes.push(Box::new(Client::new(swarm.nodes, Plan::Roaming, swarm)));
    let first = processes.len();
    let operators = first..first + swarm.operators;
    for (number, pid) in operators.clone().enumerate() {
        let names = kubernetes::names(swarm.nodes, swarm.racks);
        processes.push(Box::new(OperatorProcess::new(number, pid, names, swarm)));
    }
    if operators.is_empty() {
        processes.push(Box::new(Administrator::new(swarm)));
    } else {
        processes.push(Box::new(People::new(swarm)));
    }
    for number in 0..RIVALS {
        processes.push(Box::new(Rival::new(number, swarm)));
    }
    processes.push(Box::new(Kubernetes::new(swarm)));
    (processes, operators)
}

impl World {
    /// The world of a swarm.
    pub fn new(swarm: Swarm, prints: bool) -> Self {
        let addresses: Vec<_> = (0..swarm.nodes).map(|pid| address(pid, 0)).collect();
        let (processes, operators) = cast(&swarm, &addresses);
        let kubernetes = processes.len() - 1;
        let mut network = Network::new(&swarm, &addresses, processes.len());
        network.move_to(kubernetes, api::ADDRESS);
        let slot = |process| Slot { process, life: 0, is_alive: false, paused: None, waiting: Vec::new(), is_ready: false };
        Self {
            now: Duration::ZERO,
            trouble: true,
            queue: Queue::default(),
            slots: processes.into_iter().map(slot).collect(),
            mishaps: Trouble::new(&swarm, operators.clone()),
            operators,
            kubernetes,
            addresses,
            network,
            dice: Dice::of(swarm.seed, 4),
            invariants: invariants::all(),
            events: Events::default(),
            log: Log::new(prints),
            violation: None,
            story: Story::default(),
            evictions: Vec::new(),
            restarts: Vec::new(),
            acts_before_plan: None,
            turns: 0,
            steps: 0,
            delivered: 0,
            moves: 0,
            kept: Kept::default(),
            had_disaster: false,
            has_recovered: false,
            has_returned: false,
            lost: BTreeSet::new(),
            gone: BTreeSet::new(),
            swarm,
        }
    }

    /// The world of a swarm, in which this happens besides.
    pub fn scripted(swarm: Swarm, script: Vec<Step>, prints: bool) -> Self {
        Self { story: Story::new(script), ..Self::new(swarm, prints) }
    }

    /// Runs to the end.
    pub fn run(mut self) -> Outcome {
        let text = self.swarm.to_string();
        self.log.line(self.now, format_args!("seed {}: {text}", self.swarm.seed));
        self.begin();
        self.run_until_done();
        if self.violation.is_none() {
            self.events.count("upgrade completed");
            self.calm();
            let end = self.now + QUIET;
            while self.violation.is_none() && self.now < end {
                self.next(end);
            }
        }
        if self.violation.is_none() {
            self.judge();
        }
        Outcome {
            violation: self.violation,
            digest: self.log.digest(),
            last: self.log.last().to_vec(),
            time: self.now,
            events: self.events,
            turns: self.turns,
            steps: self.steps,
            delivered: self.delivered,
            evictions: self.evictions,
            restarts: self.restarts,
            acts_before_plan: self.acts_before_plan.unwrap_or_default(),
        }
    }

    fn run_until_done(&mut self) {
        let patience = if self.operators.is_empty() { PATIENCE } else { PATIENCE_WITH_OPERATOR };
        let limit = self.swarm.trouble + patience;
        let mut look_at = LOOK;
        while self.violation.is_none() {
            self.next(look_at);
            if self.now >= look_at {
                look_at = self.now + LOOK;
                match self.is_done() {
                    Ok(()) => return,
                    Err(why) if self.now > limit => self.violated("liveness", why),
                    Err(_) => {}
                }
            }
        }
    }

    fn begin(&mut self) {
        self.queue.put(Duration::ZERO, Event::Start(self.kubernetes));
        for pid in self.swarm.nodes..self.kubernetes {
            let at = self.dice.short_time(Duration::from_secs(2));
            self.queue.put(at, Event::Start(pid));
        }
        for (at, action) in self.mishaps.schedule(&self.swarm) {
            self.queue.put(at, Event::Trouble(action));
        }
        self.queue.put(self.swarm.trouble, Event::Calm);
        self.go_on_with_story();
    }

    fn is_done(&mut self) -> Result<(), String> {
        let ring = self.membership();
        let stands_still = |slot: &&Slot| slot.paused.is_some().then(|| format!("{} stands still", slot.process.name()));
        let unfinished = self.slots.iter().filter_map(|slot| slot.process.is_done().err());
        let standing = self.slots.iter().filter_map(|slot| stands_still(&slot));
        let waits: Vec<String> = unfinished.chain(standing).chain(ring).chain(self.story.is_over().err()).collect();
        if waits.is_empty() { Ok(()) } else { Err(waits.join("\n  ")) }
    }

    /// A node that knows a host in group 0 only, or in the ring only.
    fn membership(&mut self) -> Option<String> {
        self.slots.iter_mut().find_map(|slot| slot.process.node()?.membership().err())
    }

    fn violated(&mut self, what: &str, detail: String) {
        self.log.line(self.now, format_args!("VIOLATION {what}: {detail}"));
        self.violation.get_or_insert(Violation { what: what.to_owned(), detail });
    }

    /// What was acknowledged and only the lost had is lost with them. And beside a recovered cluster the former one may go on, and tell of
    /// itself to whoever asks.
    const fn clients_count(&self) -> bool {
        !(self.kept.lacks_something || self.has_recovered && self.has_returned)
    }

    /// At the end, when all are quiet.
    fn judge(&mut self) {
        let mut schemas: Vec<(String, Rows)> = Vec::new();
        let (mut wrong, mut is_held) = (Vec::new(), false);
        if let Some(why) = self.membership() {
            self.violated(MEMBERSHIP, why);
        }
        for at in 0..self.slots.len() {
            let name = self.slots[at].process.name().to_owned();
            let whole = self.slots[at].process.node().filter(|node| !node.has_left());
            let Some(core) = whole.and_then(|node| node.core().map(|core| core.schema().clone())) else {
                continue;
            };
            for slot in self.slots.iter().filter(|_| self.clients_count()) {
                if let Err(why) = slot.process.judge(&core) {
                    wrong.push(format!("at {name}: {why}"));
                }
            }
            let lost = self.kept.missing_in(core.rows());
            is_held |= lost.is_some();
            if let Some(lost) = lost.filter(|lost| !lost.is_empty()) {
                wrong.push(format!("at {name}: what a survivor had is gone: {:?}", lost.keys().take(3).collect::<Vec<_>>()));
            }
            schemas.push((name, core.rows().clone()));
        }
        if is_held {
            self.events.count("survivors held against the end");
        }
        if self.had_disaster && self.clients_count() {
            self.events.count("clients judged after a disaster");
        }
        if let Some(why) = wrong.first() {
            self.violated(KEPT, why.clone());
        }
        if let Err((what, why)) = self.invariants.at_end(&schemas, &mut self.events) {
            self.violated(what, why);
        }
    }

    /// The next thing that happens, or time passes up to the limit.
    fn next(&mut self, limit: Duration) {
        let wakes = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_alive && slot.paused.is_none());
        let wake = wakes.filter_map(|(pid, slot)| slot.process.wake_at().map(|at| (at, pid))).min();
        let event = self.queue.next_at().unwrap_or(Duration::MAX);
        let wake_at = wake.map_or(Duration::MAX, |(at, _)| at);
        if event.min(wake_at) > limit {
            self.now = limit;
        } else if event <= wake_at {
            if let Some((at, event)) = self.queue.take() {
                self.now = self.now.max(at);
                self.happen(event);
            }
        } else if let Some((at, pid)) = wake {
            self.now = self.now.max(at);
            self.arrive(pid, Arrival::Wake);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { to, life, arrival } if self.slots[to].life == life => self.arrive(to, arrival),
            Event::Message { to, header, message } => {
                let arrival = self.network.message_arrives(to, header, message);
                self.arrive_if(arrival);
            }
            Event::Question { question, to, ask } => {
                let arrival = self.on_network(|network, around| network.question_arrives(question, to, ask, around));
                self.arrive_if(arrival);
            }
            Event::Answer { question, answer, is_last } => {
                let arrival = self.network.answer_arrives(question, answer, is_last);
                self.arrive_if(arrival);
            }
            Event::Refused(question) => self.on_network(|network, around| network.refused(question, around)),
            Event::Deadline(question) => self.on_network(|network, around| network.deadline(question, around)),
            Event::KeepAlive(from, to) => self.on_network(|network, around| network.keep_alive(from, to, around)),
            Event::StillPaused(pid, since) if self.slots[pid].paused == Some(since) => {
                self.on_network(|network, around| network.forsake(pid, around));
            }
            Event::Resume(pid) => self.resume(pid),
            Event::Start(pid) => self.start(pid),
            Event::Kill(pid, life) if self.slots[pid].life == life => self.end(pid, &End::Crash("it does not end".into())),
            Event::Arrive { .. } | Event::Kill(..) | Event::StillPaused(..) => {}
            Event::Trouble(action) => self.go_wrong(action),
            Event::Told(number) => self.tell(number),
            Event::Calm => self.calm(),
        }
    }

    fn on_network<T>(&mut self, use_it: impl FnOnce(&mut Network, &mut Around<'_>) -> T) -> T {
        let moment = Moment { now: self.now, trouble: self.trouble, addresses: &self.addresses };
        let mut around = Around { moment, queue: &mut self.queue, events: &mut self.events, log: &mut self.log };
        use_it(&mut self.network, &mut around)
    }

    fn arrive_if(&mut self, arrival: Option<(Pid, Arrival)>) {
        if let Some((pid, arrival)) = arrival {
            self.delivered += 1;
            self.arrive(pid, arrival);
        }
    }

    fn arrive(&mut self, pid: Pid, arrival: Arrival) {
        let slot = &mut self.slots[pid];
        if !slot.is_alive {
            return;
        }
        if slot.paused.is_some() {
            return slot.waiting.push(arrival);
        }
        self.with(pid, |process, moment, out| process.take(moment, vec![arrival], out));
    }

    /// Lets a process do something, and deals with what it leaves behind.
    fn with(&mut self, pid: Pid, act: impl FnOnce(&mut dyn Process, Moment<'_>, &mut Outbox)) {
        let moment = Moment { now: self.now, trouble: self.trouble, addresses: &self.addresses };
        let mut out = Outbox::default();
        self.steps += 1;
        act(self.slots[pid].process.as_mut(), moment, &mut out);
        let Outbox { notes, send, orders, end } = out;
        for note in notes {
            self.note(pid, note);
        }
        for parcel in send {
            self.post(pid, parcel);
        }
        for order in orders {
            self.obey(&order);
        }
        if let Some(end) = end {
            self.end(pid, &end);
        }
        self.probe(pid);
        self.go_on_with_story();
    }

    /// A kubelet sees whether the process of a pod is ready.
    fn probe(&mut self, pid: Pid) {
        let Some(is_ready) = self.slots[pid].process.node().map(|node| node.is_ready()) else { return };
        if self.slots[pid].is_ready != is_ready {
            self.slots[pid].is_ready = is_ready;
            self.tell_kubelet(pid, Kubelet::Ready(is_ready));
        }
    }

    fn tell_kubelet(&mut self, pid: Pid, news: Kubelet) {
        self.arrive(self.kubernetes, Arrival::Kubelet(pid, news));
    }

    fn kubernetes(&mut self) -> Option<&mut Kubernetes> {
        self.slots[self.kubernetes].process.kubernetes()
    }

    fn post(&mut self, pid: Pid, parcel: Parcel) {
        self.on_network(|network, around| network.post(pid, parcel, around));
    }

    fn note(&mut self, pid: Pid, note: Note) {
        match note {
            Note::Turn(turn) => self.durable(pid, &turn),
            Note::Line(text) => self.log.line(self.now, format_args!("{text}")),
            Note::Event(name) => self.events.count(&name),
            Note::Act(act) => self.acted(&act),
            Note::Told(operation) => self.invariants.on_told(&operation, &mut self.events),
            Note::Violation(KEPT, _) if self.has_recovered && (self.has_returned || self.is_loss_accepted()) => {}
            Note::Violation(what, why) => self.violated(what, why),
        }
    }

    /// Whether people have said that what only the dead had is lost with them (seed 8785).
    fn is_loss_accepted(&mut self) -> bool {
        let object = self.kubernetes().and_then(|kubernetes| kubernetes.object());
        let mut overrides = object.into_iter().flat_map(|object| &object.spec.overrides);
        overrides.any(|accepted| accepted.guard == "DonorBehindKnownCommit")
    }

    /// What an operator did has taken place.
    fn acted(&mut self, act: &Act) {
        let now = self.now;
        let Some(kubernetes) = self.kubernetes() else { return };
        let (object, made, serving) = (kubernetes.object().cloned(), kubernetes.made(), kubernetes.serving());
        let scene = Scene { now, object: object.as_ref(), made, serving: &serving, lost: &self.lost, gone: &self.gone };
        self.log.line(now, format_args!("{act}"));
        let recovery = object.as_ref().and_then(|object| object.status.as_ref()?.recovery.as_ref());
        if recovery.is_some_and(|recovery| recovery.frozen.is_some()) {
            self.acts_before_plan.get_or_insert(self.events.of(ACT).saturating_sub(1));
        }
        if let Err((what, why)) = self.invariants.on_act(act, &scene, &mut self.events) {
            self.violated(what, why);
        }
        match act {
            Act::Evicted { node, .. } => self.evictions.push((now, *node)),
            Act::Restarted { node, .. } => self.restarts.push(*node),
            Act::Replaced { .. } | Act::Templated { .. } | Act::Wrote { .. } | Act::Proceeded { .. } => {}
        }
        self.maybe_aim(0);
    }

    /// Something may go wrong just after something has become durable.
    fn maybe_aim(&mut self, at: Pid) {
        let aimed = match (self.trouble, self.had_disaster) {
            (true, _) => self.mishaps.aim(at),
            (false, true) => self.mishaps.aftershock(at),
            (false, false) => None,
        };
        if let Some((delay, action)) = aimed {
            self.queue.put(self.now + delay, Event::Trouble(action));
        }
    }

    fn durable(&mut self, pid: Pid, turn: &invariants::Turn) {
        self.turns += 1;
        turn.digest(&mut self.log);
        if !turn.persist.points.is_empty() {
            let names: Vec<_> = turn.persist.points.iter().map(|point| point.name()).collect();
            self.log.line(self.now, format_args!("{} durable: {} ({})", turn.name, names.join(", "), turn.stage));
        }
        if let Err((what, why)) = self.invariants.on_turn(turn, &mut self.events) {
            self.violated(what, why);
        }
        self.has_recovered |= turn.resets();
        if turn.passes(Point::Proceed) {
            self.acted(&Act::Proceeded { node: pid });
        }
        if !turn.persist.points.is_empty() {
            self.maybe_aim(pid);
        }
    }
}
