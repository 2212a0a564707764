//! One loop: gather inputs → step the machine with each → carry its effects out, in the order persist → send → apply → reply.
//!
//! It runs on a thread of its own, so that a transaction keeps nobody else waiting. If a transaction fails nothing of its turn
//! leaves the process and no step follows; the process stays, to say why and to answer reads.

use crate::{
    cost::{RoundTrips, Window},
    disk::{Disk, DiskError},
    health::Health,
    injection::Injections,
    metrics::Metrics,
    port::{Answers, Asker, Delivery, Inbox},
};
use group0_core::{
    ids::{Micros, Now},
    io::{Apply, ClientReply, Effects, Input, Persist, Reply, RequestId, Send},
};
use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Inputs of one turn, hence of one transaction: enough to share its cost, few enough to answer the first one soon.
const TURN: usize = 256;
/// Rows of the answers of one turn: what is asked after these waits for the next one, when they have left. A table of ten thousand times ten
/// columns has a hundred thousand, and each of a turn's inputs may ask for all of them.
const ROWS_MAX: usize = 10_000;
/// How often the machine is told what things cost, at most.
const MEASURED_EVERY: Duration = Duration::from_millis(200);

/// What the driver drives.
pub trait Machine: std::marker::Send + 'static {
    /// The effects of an input at that time.
    fn step(&mut self, now: Now, input: Input) -> Effects;

    /// What is answered when the store has failed in that way. No step follows.
    fn read(&self, _input: &Input, _failure: &str) -> Option<Reply> {
        None
    }
}

/// Where the driver's sends go.
pub trait Outgoing: std::marker::Send + 'static {
    /// Starts it and does not wait.
    fn carry_out(&mut self, send: Send);
}

/// Where the driver's transactions go.
pub trait Store: std::marker::Send + 'static {
    /// Returns when it is durable.
    fn commit(&mut self, persist: &Persist) -> Result<(), DiskError>;
}

impl Store for Disk {
    fn commit(&mut self, persist: &Persist) -> Result<(), DiskError> {
        Self::commit(self, persist)
    }
}

/// The time since the process started, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// As the machine is told.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { elapsed: self.started.elapsed(), wall: Micros(i64::try_from(wall.as_micros()).unwrap_or(i64::MAX)) }
    }

    /// `None`: later than the clock goes.
    fn at(&self, elapsed: Duration) -> Option<Instant> {
        self.started.checked_add(elapsed)
    }
}

/// What the driver works with.
pub struct Surroundings<S, O> {
    /// The clock that the first effects were made by.
    pub clock: Clock,
    /// The store.
    pub store: S,
    /// The network.
    pub outgoing: O,
    /// The inputs.
    pub inbox: Inbox,
    /// Who is told what the machine applies.
    pub applied: mpsc::UnboundedSender<Apply>,
    /// Told when the store fails.
    pub health: Health,
    /// Where durations of transactions are counted.
    pub metrics: Metrics,
    /// Round trips as measured by the network.
    pub round_trips: RoundTrips,
    /// Where to die.
    pub injections: Injections,
    /// Ends the loop.
    pub stop: CancellationToken,
}

/// The loop.
pub struct Driver<M, S, O> {
    machine: M,
    around: Surroundings<S, O>,
    askers: BTreeMap<RequestId, Asker>,
    /// What the last turn had no room for.
    left: Vec<Delivery>,
    wake_at: Option<Duration>,
    fsyncs: Window,
    measured: Duration,
}

impl<M: Machine, S: Store, O: Outgoing> Driver<M, S, O> {
    /// A driver that has done nothing yet.
    pub fn new(machine: M, around: Surroundings<S, O>) -> Self {
        let (askers, left, fsyncs) = (BTreeMap::new(), Vec::new(), Window::default());
        Self { machine, around, askers, left, wake_at: None, fsyncs, measured: Duration::ZERO }
    }

    /// Carries the first effects out and then goes on until it is stopped.
    pub async fn run(mut self, first: Effects) {
        let mut effects = first;
        loop {
            if let Err(error) = self.carry_out(effects) {
                tracing::error!(target: "storage", %error, "a transaction failed; from now on this node only answers reads");
                self.around.health.set_broken(error.to_string());
                return self.answer_reads(&error.to_string()).await;
            }
            let Some(inputs) = self.gather().await else { return };
            effects = self.turn(inputs);
        }
    }

    /// The store has failed. Whoever waits for an answer to a change gets none.
    async fn answer_reads(mut self, failure: &str) {
        self.askers.clear();
        self.wake_at = None;
        while let Some(inputs) = self.gather().await {
            for Delivery { input, asker } in inputs {
                if self.is_wanted(&input, asker) {
                    self.machine.read(&input, failure).into_iter().for_each(|reply| self.reply(reply));
                }
            }
            self.askers.clear();
        }
    }

    async fn gather(&mut self) -> Option<Vec<Delivery>> {
        let wake = self.wake_at.and_then(|at| self.around.clock.at(at));
        let woken = async {
            match wake {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut inputs = mem::take(&mut self.left);
        tokio::select! {
            biased;
            () = self.around.stop.cancelled() => return None,
            () = std::future::ready(()), if !inputs.is_empty() => {}
            first = self.around.inbox.next() => inputs.push(first?),
            () = woken => {}
        }
        while inputs.len() < TURN
            && let Some(next) = self.around.inbox.ready()
        {
            inputs.push(next);
        }
        Some(inputs)
    }

    /// All inputs, and before them what the time has brought.
    fn turn(&mut self, inputs: Vec<Delivery>) -> Effects {
        let now = self.around.clock.now();
        let wake = self.wake_at.is_some_and(|at| at <= now.elapsed) || inputs.is_empty();
        let own = [self.measured(now), wake.then_some(Input::Wake)];
        let mut turn: Option<Effects> = None;
        for input in own.into_iter().flatten() {
            turn = Some(after(turn, self.machine.step(now, input)));
        }
        let (mut inputs, mut answered) = (inputs.into_iter(), 0);
        while answered < ROWS_MAX
            && let Some(Delivery { input, asker }) = inputs.next()
        {
            if self.is_wanted(&input, asker) {
                let effects = self.machine.step(self.around.clock.now(), input);
                answered += rows(&effects);
                turn = Some(after(turn, effects));
            }
        }
        self.left.extend(inputs);
        turn.unwrap_or_else(|| Effects { wake_at: self.wake_at, ..Effects::default() })
    }

    /// Remembers who asks. Nobody is told of the going of someone who was answered.
    fn is_wanted(&mut self, input: &Input, asker: Option<Asker>) -> bool {
        if let Some(asker) = asker {
            self.askers.insert(asker.id, asker);
        }
        match input {
            Input::Gone(id) => self.askers.remove(id).is_some(),
            _ => true,
        }
    }

    fn measured(&mut self, now: Now) -> Option<Input> {
        if now.elapsed < self.measured + MEASURED_EVERY {
            return None;
        }
        self.measured = now.elapsed;
        let (round_trip, fsync) = (self.around.round_trips.median(), self.fsyncs.median());
        (round_trip.is_some() || fsync.is_some()).then_some(Input::Measured { round_trip, fsync })
    }

    fn carry_out(&mut self, effects: Effects) -> Result<(), DiskError> {
        let Effects { persist, send, apply, reply, wake_at } = effects;
        self.persist(&persist)?;
        for send in send {
            self.around.outgoing.carry_out(send);
        }
        for apply in apply {
            drop(self.around.applied.send(apply));
        }
        for reply in reply {
            self.reply(reply);
        }
        self.wake_at = wake_at;
        Ok(())
    }

    fn persist(&mut self, persist: &Persist) -> Result<(), DiskError> {
        self.around.injections.strike("before", &persist.points);
        if !persist.writes.is_empty() {
            let begin = Instant::now();
            self.around.health.set_committing(true);
            let committed = self.around.store.commit(persist);
            self.around.health.set_committing(false);
            committed?;
            let took = begin.elapsed();
            self.fsyncs.record(took);
            self.around.metrics.fsync(took);
            self.around.metrics.steps(&persist.points);
        }
        self.around.injections.strike("after", &persist.points);
        Ok(())
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Peer { id, outcome } => {
                let is_last = outcome.is_err();
                if let Err(refusal) = &outcome {
                    self.around.metrics.refusal(refusal);
                }
                self.answer(id, is_last, |answers| match answers {
                    Answers::Peer(peer) => peer.try_send(outcome).is_ok(),
                    _ => false,
                });
            }
            Reply::Client { id, reply } => self.answer(id, true, |answers| match answers {
                Answers::Client(client) => client.try_send(reply).is_ok(),
                _ => false,
            }),
            Reply::Admin { id, reply } => {
                let is_last = matches!(reply, group0_core::io::AdminReply::Refused(_));
                self.answer(id, is_last, |answers| match answers {
                    Answers::Admin(admin) => admin.try_send(reply).is_ok(),
                    _ => false,
                });
            }
        }
    }

    /// A watcher that is gone or too far behind is cut off: dropping its channel makes it say that it is gone.
    fn answer(&mut self, id: RequestId, is_last: bool, deliver: impl FnOnce(&Answers) -> bool) {
        let Some(asker) = self.askers.get_mut(&id) else { return };
        let was_delivered = deliver(&asker.answers);
        if is_last || !asker.watches {
            self.askers.remove(&id);
        } else if !was_delivered {
            asker.answers = closed();
        }
    }
}

fn closed() -> Answers {
    Answers::Client(mpsc::channel(1).0)
}

fn after(before: Option<Effects>, effects: Effects) -> Effects {
    match before {
        Some(before) => before.then(effects),
        None => effects,
    }
}

/// In the answers to clients.
fn rows(effects: &Effects) -> usize {
    let of_reply = |reply: &Reply| match reply {
        Reply::Client { reply: ClientReply::Rows(set), .. } => set.rows.len(),
        _ => 0,
    };
    effects.reply.iter().map(of_reply).sum()
}
