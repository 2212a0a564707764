//! The network: what is sent arrives later, twice, out of order or not at all; who asks gets exactly one last answer.
//!
//! The contract is that of the core's `io`. Connections are not modelled as such; what is seen of them is: answers of one watch keep
//! their order, and whoever dies, stands still or is cut off for [`KEEP_ALIVE`] breaks what is asked of it and by it.

use crate::{
    dice::{CERTAIN, Dice},
    events::Events,
    log::Log,
    process::{Answer, Arrival, Ask, Moment, Parcel, Pid, Question},
    queue::{Event, Queue},
    swarm::{Fault, Swarm},
};
use group0_core::io::{CallError, Header, Message, PeerRequest, Refusal};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// The event of an answer to somebody who was removed.
pub const REFUSED: &str = "removed host refused";
/// After this long without a sign of life a connection counts as broken.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// From one place to another, one way.
const DISTANCE: Duration = Duration::from_millis(75);
/// How long a name takes to be resolved.
const RESOLVING: Duration = Duration::from_millis(5);

/// All links and all questions under way.
pub struct Network {
    dice: Dice,
    rates: Rates,
    links: BTreeMap<(Pid, Pid), Link>,
    /// Where each process listens; those that listen nowhere have none.
    hosts: Vec<Host>,
    questions: BTreeMap<Question, Exchange>,
    /// Given up before they were sent.
    withdrawn: BTreeSet<Question>,
    /// Until then no schema gets to another node.
    no_schema_until: Duration,
    last: Question,
}

/// How likely it is that a message meets each fate.
#[derive(Clone, Copy, Debug)]
struct Rates {
    drop: u64,
    duplicate: u64,
    reorder: u64,
    silence: u64,
    slowest: Duration,
    /// Between two places.
    distance: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Host {
    address: Option<SocketAddr>,
    life: Option<u32>,
}

/// What one process sends to another, in that direction only.
#[derive(Clone, Copy, Debug)]
struct Link {
    delay: Duration,
    /// The next messages of gossip and of Raft come after these.
    last: [Duration; 2],
    cut_until: Duration,
}

/// A question under way.
#[derive(Clone, Debug)]
struct Exchange {
    caller: (Pid, u32),
    token: u64,
    watch: bool,
    /// Who had the address when it was sent.
    meant: Option<Pid>,
    /// Who has got it.
    callee: Option<(Pid, u32)>,
    is_answered: bool,
    /// The next answer of a watch comes after this.
    last: Duration,
}

/// What the network needs of the world.
pub struct Around<'a> {
    /// This moment.
    pub moment: Moment<'a>,
    /// Where to put what happens later.
    pub queue: &'a mut Queue,
    /// Where to count.
    pub events: &'a mut Events,
    /// Where to write.
    pub log: &'a mut Log,
}

impl Network {
    /// Of so many processes, of which the first have addresses.
    pub fn new(swarm: &Swarm, addresses: &[SocketAddr], processes: usize) -> Self {
        let rates = Rates {
            drop: swarm.up_to(Fault::Drop, CERTAIN / 4),
            duplicate: swarm.up_to(Fault::Duplicate, CERTAIN / 4),
            reorder: swarm.up_to(Fault::Reorder, CERTAIN / 2),
            silence: swarm.up_to(Fault::Silence, CERTAIN / 5),
            slowest: Duration::from_millis(swarm.up_to(Fault::Delay, 250)),
            distance: if swarm.has(Fault::Sites) { DISTANCE } else { Duration::ZERO },
        };
        let host = |pid| Host { address: addresses.get(pid).copied(), life: None };
        Self {
            dice: Dice::of(swarm.seed, 2),
            rates,
            links: BTreeMap::new(),
            hosts: (0..processes).map(host).collect(),
            questions: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            no_schema_until: Duration::ZERO,
            last: 0,
        }
    }

    /// The process listens there from its next start on.
    pub fn move_to(&mut self, pid: Pid, address: SocketAddr) {
        self.hosts[pid].address = Some(address);
    }

    /// The process has started.
    pub fn started(&mut self, pid: Pid, life: u32) {
        self.hosts[pid].life = Some(life);
    }

    /// The process has ended: what it asked is withdrawn, what it was asked breaks.
    pub fn ended(&mut self, pid: Pid, around: &mut Around<'_>) {
        self.hosts[pid].life = None;
        self.break_where(around, "the connection was reset", |exchange| exchange.touches(pid));
    }

    /// Nothing goes from the one to the other for a while.
    pub fn cut(&mut self, from: Pid, to: Pid, until: Duration, around: &mut Around<'_>) {
        let link = self.link(from, to);
        link.cut_until = link.cut_until.max(until);
        around.queue.put(around.moment.now + KEEP_ALIVE, Event::KeepAlive(from, to));
    }

    /// No schema gets to another node for a while.
    pub const fn lose_schemas(&mut self, until: Duration) {
        self.no_schema_until = until;
    }

    /// What was cut is whole again.
    pub fn heal(&mut self) {
        self.links.values_mut().for_each(|link| link.cut_until = Duration::ZERO);
    }

    /// A cut may have lasted for too long.
    pub fn keep_alive(&mut self, from: Pid, to: Pid, around: &mut Around<'_>) {
        if self.link(from, to).cut_until > around.moment.now {
            self.reset(from, to, around);
        }
    }

    /// Connections between the two break.
    pub fn reset(&mut self, one: Pid, other: Pid, around: &mut Around<'_>) {
        self.break_where(around, "the connection is broken", |exchange| exchange.touches(one) && exchange.touches(other));
    }

    /// All connections of the process break, though it lives.
    pub fn forsake(&mut self, pid: Pid, around: &mut Around<'_>) {
        self.break_where(around, "the connection does not answer", |exchange| exchange.touches(pid));
    }

    /// Takes what a process sends.
    pub fn post(&mut self, from: Pid, parcel: Parcel, around: &mut Around<'_>) {
        match parcel {
            Parcel::Message(to, header, message) => self.message(from, to, header, message, around),
            Parcel::Ask { token, to, ask, within } => self.ask(from, token, to, ask, within, around),
            Parcel::Abort(token) => self.abort(from, token, around),
            Parcel::Answer(question, answer) => self.answer(question, answer, around),
            Parcel::Close(question) => self.close(question, "connection refused", around),
            Parcel::Break(question) => self.close(question, "connection reset", around),
            Parcel::Resolve => {
                let seeds = Arrival::Seeds(around.moment.addresses.to_vec());
                self.arrive(from, RESOLVING, seeds, around);
            }
        }
    }

    fn message(&mut self, from: Pid, to: SocketAddr, header: Header, message: Message, around: &mut Around<'_>) {
        let Some(pid) = self.at(to) else { return };
        let (now, trouble) = (around.moment.now, around.moment.trouble);
        let rates = self.rates;
        if self.link(from, pid).cut_until > now {
            return around.events.count("message cut");
        }
        if trouble && self.dice.chance(rates.drop) {
            return around.events.count("message dropped");
        }
        let mut at = now + self.delay(from, pid, trouble);
        let overtakes = trouble && self.dice.chance(rates.reorder);
        let again = (trouble && self.dice.chance(rates.duplicate)).then(|| self.dice.short_time(Duration::from_secs(5)));
        let lane = usize::from(matches!(message, Message::Raft(..)));
        let last = &mut self.link(from, pid).last[lane];
        if overtakes {
            if at < *last {
                around.events.count("message overtaken");
            }
        } else {
            at = at.max(*last);
        }
        *last = at.max(*last);
        if let Some(later) = again {
            around.events.count("message duplicated");
            around.queue.put(at + later, Event::Message { to, header: header.clone(), message: message.clone() });
        }
        around.queue.put(at, Event::Message { to, header, message });
    }

    /// A message has got to an address: to whoever listens there now.
    pub fn message_arrives(&self, to: SocketAddr, header: Header, message: Message) -> Option<(Pid, Arrival)> {
        let pid = self.at(to)?;
        self.hosts[pid].life.map(|_| (pid, Arrival::Message(header, message)))
    }

    fn ask(&mut self, from: Pid, token: u64, to: SocketAddr, ask: Ask, within: Duration, around: &mut Around<'_>) {
        let Some(life) = self.hosts[from].life else { return };
        self.last += 1;
        let (question, watch) = (self.last, ask.is_watch());
        let (caller, meant) = ((from, life), self.at(to));
        let exchange = Exchange { caller, token, watch, meant, callee: None, is_answered: false, last: Duration::ZERO };
        self.questions.insert(question, exchange);
        around.queue.put(around.moment.now + within, Event::Deadline(question));
        let Some(pid) = meant else {
            return around.queue.put(around.moment.now + self.delay(from, from, false), Event::Refused(question));
        };
        if carries_schema(&ask) && around.moment.now < self.no_schema_until {
            return around.events.count("schema lost on its way");
        }
        if let Some(at) = self.leg(from, pid, question, around) {
            around.queue.put(at, Event::Question { question, to, ask });
        }
    }

    /// When a question or an answer gets to the other side, unless it is lost; then nothing comes, or the connection breaks.
    fn leg(&mut self, from: Pid, to: Pid, question: Question, around: &mut Around<'_>) -> Option<Duration> {
        let (now, trouble) = (around.moment.now, around.moment.trouble);
        if self.link(from, to).cut_until > now {
            return None;
        }
        let silence = self.rates.silence;
        if trouble && self.dice.chance(silence) {
            if self.dice.coin() {
                around.queue.put(now + self.dice.short_time(KEEP_ALIVE), Event::Refused(question));
            }
            return None;
        }
        Some(now + self.delay(from, to, trouble))
    }

    /// A question has got to an address. One that nobody waits for any more is answered in vain. A client has a connection, with whoever
    /// had the address then: another one that has it now knows nothing of that, and the change comes to no node that the client does not
    /// mean. Nodes and operators are to notice by themselves whom they have got.
    pub fn question_arrives(
        &mut self,
        question: Question,
        to: SocketAddr,
        ask: Ask,
        around: &mut Around<'_>,
    ) -> Option<(Pid, Arrival)> {
        if self.withdrawn.remove(&question) {
            return None;
        }
        let callee = self.at(to).and_then(|pid| Some((pid, self.hosts[pid].life?)));
        let Some((pid, life)) = callee else {
            self.fail(question, Duration::ZERO, CallError::Closed("connection refused".into()), around);
            return None;
        };
        let is_meant = |exchange: &Exchange| exchange.meant == Some(pid);
        if matches!(ask, Ask::Client(_)) && !self.questions.get(&question).is_none_or(is_meant) {
            around.events.count("client of whoever had the address before");
            self.fail(question, Duration::ZERO, CallError::Closed("connection reset".into()), around);
            return None;
        }
        match self.questions.get_mut(&question) {
            Some(exchange) => exchange.callee = Some((pid, life)),
            None => self.arrive(pid, Duration::from_millis(1), Arrival::Gone(question), around),
        }
        Some((pid, Arrival::Asked(question, ask)))
    }

    fn answer(&mut self, question: Question, answer: Answer, around: &mut Around<'_>) {
        let Some(exchange) = self.questions.get(&question) else { return };
        let Some((from, _)) = exchange.callee else { return };
        if matches!(answer, Answer::Peer(Err(Refusal::RemovedHost(_)))) {
            around.events.count(REFUSED);
        }
        let (to, earliest) = (exchange.caller.0, exchange.last);
        let is_last = !exchange.watch || answer.is_refusal();
        let at = self.leg(from, to, question, around);
        let Some(exchange) = self.questions.get_mut(&question) else { return };
        exchange.is_answered |= is_last;
        if let Some(at) = at {
            exchange.last = at.max(earliest);
            around.queue.put(exchange.last, Event::Answer { question, answer, is_last });
        } else if !is_last {
            // A stream that has lost something is broken; both sides notice, sooner or later.
            around.queue.put(around.moment.now + KEEP_ALIVE, Event::Refused(question));
        }
    }

    /// An answer has got to who asked.
    pub fn answer_arrives(&mut self, question: Question, answer: Answer, is_last: bool) -> Option<(Pid, Arrival)> {
        let exchange = self.questions.get_mut(&question)?;
        let (caller, token) = (exchange.caller.0, exchange.token);
        exchange.is_answered = true;
        if is_last {
            self.questions.remove(&question);
        }
        Some((caller, Arrival::Answered { token, answer, is_last }))
    }

    fn close(&mut self, question: Question, why: &str, around: &mut Around<'_>) {
        if let Some(exchange) = self.questions.get_mut(&question) {
            exchange.callee = None;
        }
        self.fail(question, Duration::from_millis(1), CallError::Closed(why.into()), around);
    }

    /// There is no connection, or none any more.
    pub fn refused(&mut self, question: Question, around: &mut Around<'_>) {
        if self.questions.contains_key(&question) {
            around.events.count("call reset");
            self.fail(question, Duration::ZERO, CallError::Closed("connection reset".into()), around);
        }
    }

    /// Its time has passed.
    pub fn deadline(&mut self, question: Question, around: &mut Around<'_>) {
        let Some(exchange) = self.questions.get(&question) else { return };
        if !(exchange.watch && exchange.is_answered) {
            around.events.count("call timed out");
            let sent = exchange.callee.is_some();
            let sent = self.was_sent(question, sent);
            self.fail(question, Duration::ZERO, CallError::TimedOut { sent }, around);
        }
    }

    fn abort(&mut self, from: Pid, token: u64, around: &mut Around<'_>) {
        let mut own = self.questions.iter().filter(|(_, exchange)| exchange.caller.0 == from && exchange.token == token);
        let Some((question, sent)) = own.next().map(|(question, exchange)| (*question, exchange.callee.is_some())) else {
            return;
        };
        let sent = self.was_sent(question, sent);
        around.events.count("call aborted");
        self.fail(question, Duration::ZERO, CallError::Aborted { sent }, around);
    }

    /// Who gives up does not know whether what has not arrived is on its way or waits at home; there it stays.
    fn was_sent(&mut self, question: Question, has_arrived: bool) -> bool {
        let sent = has_arrived || self.dice.coin();
        if !sent {
            self.withdrawn.insert(question);
        }
        sent
    }

    /// Tells who asked that no answer comes, and who was asked that none is wanted.
    fn fail(&mut self, question: Question, after: Duration, error: CallError, around: &mut Around<'_>) {
        let Some(exchange) = self.questions.remove(&question) else { return };
        let (caller, life) = exchange.caller;
        if exchange.watch && exchange.is_answered {
            around.events.count("watch broken");
        }
        if self.hosts[caller].life == Some(life) {
            around.log.number(question);
            self.arrive(caller, after, Arrival::Failed(exchange.token, error), around);
        }
        if let Some((callee, life)) = exchange.callee.filter(|_| exchange.watch || !exchange.is_answered)
            && self.hosts[callee].life == Some(life)
        {
            let delay = self.delay(caller, callee, around.moment.trouble);
            self.arrive(callee, delay, Arrival::Gone(question), around);
        }
    }

    fn break_where(&mut self, around: &mut Around<'_>, why: &str, broken: impl Fn(&Exchange) -> bool) {
        let broken: Vec<_> = self.questions.iter().filter(|(_, exchange)| broken(exchange)).map(|(id, _)| *id).collect();
        for question in broken {
            let after = self.dice.short_time(Duration::from_millis(20));
            self.fail(question, after, CallError::Closed(why.into()), around);
        }
    }

    fn arrive(&self, to: Pid, after: Duration, arrival: Arrival, around: &mut Around<'_>) {
        if let Some(life) = self.hosts[to].life {
            around.queue.put(around.moment.now + after, Event::Arrive { to, life, arrival });
        }
    }

    fn at(&self, address: SocketAddr) -> Option<Pid> {
        self.hosts.iter().position(|host| host.address == Some(address))
    }

    fn delay(&mut self, from: Pid, to: Pid, trouble: bool) -> Duration {
        let delay = self.link(from, to).delay;
        let slow = if trouble { delay } else { delay.min(Duration::from_millis(5)) };
        // Every other process is in the other place.
        let far = if from % 2 == to % 2 { Duration::ZERO } else { self.rates.distance };
        far + slow + self.dice.time(Duration::ZERO..slow / 2 + Duration::from_micros(100))
    }

    fn link(&mut self, from: Pid, to: Pid) -> &mut Link {
        let (dice, slowest) = (&mut self.dice, self.rates.slowest);
        self.links.entry((from, to)).or_insert_with(|| Link {
            delay: dice.time(Duration::from_micros(100)..Duration::from_millis(1)) + dice.short_time(slowest),
            last: [Duration::ZERO; 2],
            cut_until: Duration::ZERO,
        })
    }
}

/// Whether a schema goes with it, or with its answer.
const fn carries_schema(ask: &Ask) -> bool {
    matches!(ask, Ask::Peer(_, PeerRequest::MigrationRequest { .. } | PeerRequest::DefinitionsUpdate(_)))
}

impl Exchange {
    fn touches(&self, pid: Pid) -> bool {
        self.caller.0 == pid || self.callee.is_some_and(|(callee, _)| callee == pid)
    }
}
