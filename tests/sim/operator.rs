//! An operator as a process: the real controller, whose every question and act goes over the network and may end in the middle.
//!
//! A look is one future of the real `reconcile`, polled when an answer has come. A process that dies drops it at that very place.
//! Between looks it watches the status of every node, asks for it besides, and asks for the lease.

use crate::{
    clock::Clock,
    dice::Dice,
    kubernetes::api::{self, Reply, Request},
    mailbox::{Asked, Mailbox, SimWorld},
    node::NEWER,
    process::{Answer, Arrival, Ask, End, Moment, Note, Outbox, Parcel, Pid, Process},
    swarm::{Fault, Swarm},
};
use group0_core::io::{AdminReply, AdminRequest, CallError};
use group0_operator::{
    act::Failure,
    controller::{Look, Operator},
    crd::Phase,
    observe::{PodName, admin::node_seen},
    plan::{Plan, WaitingFor},
};
use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How often it asks for statuses and for the lease, and begins watches that have ended.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// What comes together is looked at together.
const TOGETHER: Duration = Duration::from_millis(5);
/// After a look that failed.
const AGAIN: Duration = Duration::from_millis(500);
/// Tokens of what it asks between looks; those of a look are smaller.
const BETWEEN: u64 = 1 << 40;

/// The event of a write or a verb.
pub const ACT: &str = "act of an operator";

type Looking = Pin<Box<dyn Future<Output = (Operator, Result<Look, Failure>)> + Send>>;

/// At which write or verb of a run a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The first is 0.
    pub number: u32,
    /// Once the answer has come, instead of once it is on its way.
    pub answered: bool,
}

/// An operator.
pub struct OperatorProcess {
    name: String,
    pid: Pid,
    names: Vec<PodName>,
    clock: Clock,
    dice: Dice,
    life: Option<Life>,
    kill: Option<Kill>,
    /// Writes and verbs so far.
    acts: u32,
    /// In the world of a story: what is done again and again, of which nothing is to be learned.
    repeated: Option<Repeated>,
    complete: bool,
}

/// What follows what, of late: writes of the status and the verbs between them.
#[derive(Default)]
struct Repeated {
    last: String,
    steps: VecDeque<(String, String)>,
}

/// So many steps are remembered: some writes, a verb or two, and again.
const STEPS: usize = 4;

impl Repeated {
    fn is_new(&mut self, of: Option<Pid>, ask: &Ask) -> bool {
        let is_write = matches!(ask, Ask::Api(request) if matches!(**request, Request::Write { .. }));
        let kind = if is_write { "write".to_owned() } else { format!("{of:?} {ask:?}") };
        let step = (std::mem::replace(&mut self.last, kind.clone()), kind);
        if self.steps.contains(&step) {
            return false;
        }
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
        true
    }
}

struct Life {
    mailbox: Arc<Mutex<Mailbox>>,
    operator: Operator,
    looking: Option<Looking>,
    look_at: Duration,
    /// Whether the last look did anything.
    has_acted: bool,
    ask_at: Duration,
    leads: bool,
    /// Between looks: which node was asked, or the API server for the lease.
    asked: BTreeMap<u64, Option<Pid>>,
    watched: BTreeMap<u64, Pid>,
    token: u64,
    /// The act at whose answer it dies.
    fatal: Option<u64>,
}

impl OperatorProcess {
    /// The operator of that number.
    pub fn new(number: usize, pid: Pid, names: Vec<PodName>, swarm: &Swarm) -> Self {
        let mut dice = Dice::of(swarm.seed, 3_000 + number as u64);
        let clock = if swarm.has(Fault::Drift) { Clock::drifting(&mut dice) } else { Clock::exact() };
        let repeated = swarm.story.as_ref().map(|_| Repeated::default());
        let (name, kill) = (format!("operator{}", number + 1), swarm.kill.filter(|_| number == 0));
        Self { name, pid, names, clock, dice, life: None, kill, acts: 0, repeated, complete: false }
    }

    fn ask(life: &mut Life, of: Option<Pid>, moment: Moment<'_>, ask: Ask, out: &mut Outbox) {
        life.token += 1;
        life.asked.insert(life.token, of);
        let to = of.map_or(api::ADDRESS, |pid| moment.addresses[pid]);
        out.send.push(Parcel::Ask { token: life.token, to, ask, within: TIMEOUT });
    }

    /// What is to be done by now.
    fn go_on(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        if life.ask_at <= moment.now {
            life.ask_at = moment.now + ASK_EVERY;
            Self::ask(life, None, moment, Ask::Api(Box::new(Request::Lease(self.pid))), out);
            for node in 0..self.names.len() {
                Self::ask(life, Some(node), moment, Ask::Admin(AdminRequest::GetStatus), out);
                if !life.watched.values().any(|watched| *watched == node) {
                    Self::ask(life, Some(node), moment, Ask::Admin(AdminRequest::WatchStatus), out);
                    life.watched.insert(life.token, node);
                }
            }
        }
        if life.leads && life.looking.is_none() && life.look_at <= moment.now {
            life.look_at = Duration::MAX;
            let run_id = format!("run-{:x}", self.dice.next());
            let mut world = SimWorld::new(life.mailbox.clone());
            let mut operator = std::mem::take(&mut life.operator);
            life.looking = Some(Box::pin(async move {
                let look = operator.reconcile(&mut world, &run_id).await;
                (operator, look)
            }));
        }
        self.poll(moment, out);
    }

    fn poll(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        lock(&life.mailbox).tick(&self.clock, moment.now);
        let polled = life.looking.as_mut().map(|looking| looking.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        if let Some(Poll::Ready((operator, look))) = polled {
            life.looking = None;
            life.operator = operator;
            self.looked(moment, look, out);
        }
        self.post(moment, out);
    }

    /// What a look has asked leaves the process.
    fn post(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        let asked = std::mem::take(&mut lock(&life.mailbox).asked);
        for Asked { token, of, ask, is_act } in asked {
            let is_act = is_act && self.repeated.as_mut().is_none_or(|repeated| repeated.is_new(of, &ask));
            let to = of.map_or(api::ADDRESS, |pid| moment.addresses[pid]);
            out.send.push(Parcel::Ask { token, to, ask, within: TIMEOUT });
            if is_act {
                self.acts += 1;
                out.event(ACT);
                match self.kill.filter(|kill| kill.number + 1 == self.acts) {
                    Some(Kill { answered: true, .. }) => life.fatal = Some(token),
                    Some(_) => out.end = Some(End::Crash("killed once its act was on its way".into())),
                    None => {}
                }
            }
        }
    }

    fn looked(&mut self, moment: Moment<'_>, look: Result<Look, Failure>, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        match look {
            Ok(Look::Planned(plan, _)) => {
                tell(&self.name, &plan, out);
                life.has_acted = !plan.actions.is_empty();
                let until = lock(&life.mailbox).until(plan.next_look);
                let is_begun_anew = plan.new_run || plan.new_term;
                let then = moment.now + if is_begun_anew { Duration::ZERO } else { until.clamp(TOGETHER, AGAIN * 10) };
                // After an act news do not count: what was done must be seen first.
                life.look_at = if plan.actions.is_empty() { life.look_at.min(then) } else { then };
                self.complete = plan.report.phase == Phase::Complete && plan.report.waiting.is_empty();
            }
            Ok(Look::Deposed) => {
                out.event("operator deposed");
                out.line(format!("{} is deposed", self.name));
                life.leads = false;
                life.look_at = moment.now;
            }
            Ok(Look::Deleted) => life.look_at = moment.now + AGAIN,
            Err(failure) => {
                out.event("look failed");
                out.line(format!("{}: {failure}", self.name));
                life.look_at = moment.now + AGAIN;
            }
        }
    }

    fn arrived(&mut self, moment: Moment<'_>, token: u64, answer: Result<Answer, CallError>, out: &mut Outbox) {
        let Some(life) = &mut self.life else { return };
        if token < BETWEEN {
            if life.fatal == Some(token) {
                out.end = Some(End::Crash("killed once its act was answered".into()));
            } else {
                lock(&life.mailbox).answers.insert(token, answer);
            }
            return;
        }
        let of = if life.watched.contains_key(&token) && answer.is_ok() {
            life.asked.get(&token).copied()
        } else {
            life.watched.remove(&token);
            life.asked.remove(&token)
        };
        match (of, answer) {
            (Some(Some(node)), Ok(Answer::Admin(AdminReply::Status(status)))) => {
                let wall = lock(&life.mailbox).now;
                let mut said = group0_node::report::status(&status, None);
                if said.release == NEWER {
                    said.upgrade_state = "dancing".into();
                }
                let news = node_seen(&said, wall).map(|seen| lock(&life.mailbox).said(node, seen, moment.now));
                match news {
                    Ok(true) if !life.has_acted => life.look_at = life.look_at.min(moment.now + TOGETHER),
                    Ok(_) => {}
                    Err(why) => out.notes.push(Note::Violation("border", why)),
                }
            }
            (Some(None), Ok(Answer::Api(reply))) => {
                let Reply::Leader(leader) = *reply else { return };
                let leads = leader == self.pid;
                if leads != life.leads {
                    out.line(format!("{} {}", self.name, if leads { "leads" } else { "leads no more" }));
                    life.looking = life.looking.take().filter(|_| leads);
                    life.operator = Operator::default();
                    life.leads = leads;
                    life.look_at = moment.now;
                }
            }
            _ => {}
        }
    }
}

fn lock(mailbox: &Mutex<Mailbox>) -> std::sync::MutexGuard<'_, Mailbox> {
    mailbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a look came to, for the log, to be counted, and to be judged.
fn tell(name: &str, plan: &Plan, out: &mut Outbox) {
    let report = &plan.report;
    let done: Vec<_> = plan.actions.iter().map(ToString::to_string).collect();
    let why = report.waiting.first().map(ToString::to_string).unwrap_or_default();
    out.line(format!("{name} {}: [{}] {why}", report.phase, done.join("; ")));
    out.event(format!("phase {}", report.phase));
    for action in &plan.actions {
        out.event(format!("planned {}", action.verb()));
    }
    if let Some(stall) = &report.stall {
        out.event(format!("stall {}", stall.class));
    }
    for waiting in &report.waiting {
        out.event(format!("waits for {}", waiting.reason()));
        if matches!(waiting, WaitingFor::NodeUnknown { why, .. } if why.contains("older")) {
            out.event("older than what was decided from");
        }
        if let WaitingFor::AuditFailed { violation } = waiting {
            out.notes.push(Note::Violation("the plan passes its audit", violation.clone()));
        }
    }
}

impl Process for OperatorProcess {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        self.life = Some(Life {
            mailbox: Arc::new(Mutex::new(Mailbox::new(self.names.clone(), &self.clock, moment.now))),
            operator: Operator::default(),
            looking: None,
            look_at: moment.now,
            has_acted: false,
            ask_at: moment.now,
            leads: false,
            asked: BTreeMap::new(),
            watched: BTreeMap::new(),
            token: BETWEEN,
            fatal: None,
        });
        self.go_on(moment, out);
    }

    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox) {
        for arrival in arrivals {
            match arrival {
                Arrival::Answered { token, answer, .. } => self.arrived(moment, token, Ok(answer), out),
                Arrival::Failed(token, error) => self.arrived(moment, token, Err(error), out),
                _ => {}
            }
            if out.end.is_none() {
                self.poll(moment, out);
            }
        }
        if out.end.is_none() {
            self.go_on(moment, out);
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        let life = self.life.as_ref()?;
        let looks = life.leads && life.looking.is_none();
        Some(if looks { life.look_at.min(life.ask_at) } else { life.ask_at })
    }

    fn crash(&mut self, _: Moment<'_>, out: &mut Outbox) {
        if self.life.take().is_some_and(|life| life.looking.is_some()) {
            out.event("operator dies in the middle of a look");
        }
    }

    /// That the run is complete is asked of the object, not of whoever worked on it.
    fn is_done(&self) -> Result<(), String> {
        Ok(())
    }

    fn clock(&mut self) -> Option<&mut Clock> {
        Some(&mut self.clock)
    }
}
