//! Who restarts the nodes with the flag, one after another, and then lets them proceed: a script that stands in for the operator.

use crate::{
    dice::Dice,
    errands::{self, Errand, Seen},
    kubernetes::api::{self, Deed, Request},
    process::{Answer, Arrival, Ask, Moment, Order, Outbox, Parcel, Pid, Process},
    swarm::{Fault, Swarm},
};
use group0_core::{
    io::{self, AdminReply, AdminRequest},
    status::{Procedure, Status},
    upgrade::Stage,
};
use std::{collections::BTreeMap, time::Duration};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(400);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// What was said longer ago is not known any more.
const FRESH: Duration = Duration::from_millis(1_500);

/// The administrator.
pub struct Administrator {
    nodes: usize,
    hold: bool,
    hasty: bool,
    dice: Dice,
    begin: Duration,
    scale_up: Option<Duration>,
    errands: Vec<Errand>,
    left: Option<Pid>,
    look_at: Duration,
    seen: Seen,
    /// Which node is being restarted, and since when.
    restarting: Option<(Pid, Duration)>,
    /// How long all must have been well for; grows impatient.
    waiting_since: Option<Duration>,
    asked: BTreeMap<u64, Pid>,
    token: u64,
}

impl Administrator {
    /// Of that world.
    pub fn new(swarm: &Swarm) -> Self {
        let mut dice = Dice::of(swarm.seed, 5);
        Self {
            nodes: swarm.nodes,
            hold: !swarm.has(Fault::Unheld),
            hasty: swarm.has(Fault::Haste),
            begin: Duration::from_secs(2) + dice.short_time(Duration::from_secs(6)),
            scale_up: swarm.has(Fault::Latecomer).then(|| dice.time(swarm.trouble / 8..swarm.trouble)),
            errands: errands::draw(swarm, &mut dice),
            left: None,
            dice,
            look_at: Duration::ZERO,
            seen: BTreeMap::new(),
            restarting: None,
            waiting_since: None,
            asked: BTreeMap::new(),
            token: 0,
        }
    }

    fn look(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        self.look_at = moment.now + LOOK;
        for node in self.staying() {
            self.ask(node, AdminRequest::GetStatus, moment, out);
        }
        for at in (0..self.errands.len()).rev() {
            if let Some(deed) = self.errands[at].next(moment.now, &self.seen) {
                self.run_errand(at, deed, moment, out);
            }
        }
        if self.scale_up.is_some_and(|at| at <= moment.now || !moment.trouble) {
            self.scale_up = moment.trouble.then_some(moment.now + LOOK * 10);
            self.person(Deed::ScaleUp, out);
        }
        if moment.now >= self.begin {
            self.decide(moment, out);
        }
    }

    fn run_errand(&mut self, at: usize, deed: errands::Deed, moment: Moment<'_>, out: &mut Outbox) {
        self.errands[at].asks(self.token + 1);
        match deed {
            errands::Deed::Order(node, request) => self.ask(node, request, moment, out),
            errands::Deed::Cql(node, request) => self.put(node, Ask::Client(request), moment, out),
            errands::Deed::Restart(node) => self.person(Deed::DeletePod(node), out),
            errands::Deed::Lose(node, host) => out.orders.push(Order::Lose { node, host }),
            errands::Deed::Isolate(node, long) => out.orders.push(Order::Isolate { node, long }),
            errands::Deed::Done(what) => {
                out.event(what);
                let errand = self.errands.remove(at);
                self.left = self.left.or_else(|| errand.takes_out().then_some(errand.node()));
            }
        }
    }

    fn answered(&mut self, token: u64, answer: &Answer, moment: Moment<'_>, out: &mut Outbox) {
        for at in (0..self.errands.len()).rev() {
            if let Some(deed) = self.errands[at].answered(token, answer, &self.seen) {
                self.run_errand(at, deed, moment, out);
            }
        }
    }

    fn staying(&self) -> Vec<Pid> {
        (0..self.nodes).filter(|node| self.left != Some(*node)).collect()
    }

    fn ask(&mut self, node: Pid, request: AdminRequest, moment: Moment<'_>, out: &mut Outbox) {
        self.put(node, Ask::Admin(request), moment, out);
    }

    fn put(&mut self, node: Pid, ask: Ask, moment: Moment<'_>, out: &mut Outbox) {
        self.token += 1;
        self.asked.insert(self.token, node);
        out.send.push(Parcel::Ask { token: self.token, to: moment.addresses[node], ask, within: TIMEOUT });
    }

    fn person(&mut self, deed: Deed, out: &mut Outbox) {
        self.token += 1;
        let ask = Ask::Api(Box::new(Request::Person(deed)));
        out.send.push(Parcel::Ask { token: self.token, to: api::ADDRESS, ask, within: TIMEOUT });
    }

    fn fresh(&self, node: Pid, now: Duration) -> Option<&Status> {
        self.seen.get(&node).filter(|(at, _)| now < *at + FRESH).map(|(_, status)| status.as_ref())
    }

    fn decide(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let has_flag = |node: &Pid| self.seen.get(node).is_some_and(|(_, status)| status.flag == Some(true));
        if let Some((node, since)) = self.restarting {
            let back = has_flag(&node) && self.fresh(node, moment.now).is_some();
            let patience = Duration::from_secs(if self.hasty { 1 } else { 8 });
            if !back && moment.now < since + patience {
                return;
            }
            self.restarting = None;
        }
        let next = self.staying().into_iter().find(|node| !has_flag(node));
        match next {
            Some(node) if self.may_restart(node, moment) => {
                self.restarting = Some((node, moment.now));
                self.waiting_since = None;
                self.person(Deed::Flag { hold: self.hold }, out);
                self.person(Deed::DeletePod(node), out);
            }
            Some(_) => {}
            None => self.proceed(moment, out),
        }
    }

    /// All see all up, or it has waited for long enough.
    fn may_restart(&mut self, node: Pid, moment: Moment<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert(moment.now);
        let patience = if self.hasty { self.dice.short_time(Duration::from_secs(2)) } else { Duration::from_secs(10) };
        let statuses: Vec<_> =
            self.staying().into_iter().filter(|other| *other != node).map(|other| self.fresh(other, moment.now)).collect();
        let well = |status: &&Status| status.ready.is_ok() && status.peers.values().all(|peer| peer.up);
        let all_well = statuses.iter().all(|status| status.as_ref().is_some_and(well));
        all_well || moment.now >= since + patience
    }

    fn proceed(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        for node in self.staying() {
            let Some(status) = self.fresh(node, moment.now) else { continue };
            let (held, failed) = (status.held, matches!(status.procedure, Procedure::Failed { .. }));
            if held {
                out.line(format!("admin: n{} proceed", node + 1));
                self.ask(node, AdminRequest::Proceed(io::Order::default()), moment, out);
            }
            if failed {
                out.event("upgrade retried");
                self.ask(node, AdminRequest::RetryUpgrade(io::Order::default()), moment, out);
            }
        }
    }

    fn is_final(&self) -> bool {
        self.staying().into_iter().all(|node| self.seen.get(&node).is_some_and(|(_, status)| status.stage == Stage::UsePostRaft))
    }
}

impl Process for Administrator {
    fn name(&self) -> &'static str {
        "admin"
    }

    fn start(&mut self, moment: Moment<'_>, _: &mut Outbox) {
        self.look_at = moment.now;
    }

    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox) {
        for arrival in arrivals {
            match arrival {
                Arrival::Wake => self.look(moment, out),
                Arrival::Answered { token, answer, .. } => {
                    let node = self.asked.remove(&token);
                    self.answered(token, &answer, moment, out);
                    if let (Some(node), Answer::Admin(AdminReply::Status(status))) = (node, answer) {
                        self.seen.insert(node, (moment.now, status));
                    }
                }
                Arrival::Failed(token, _) => drop(self.asked.remove(&token)),
                _ => {}
            }
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        Some(self.look_at)
    }

    fn crash(&mut self, _: Moment<'_>, _: &mut Outbox) {}

    fn is_done(&self) -> Result<(), String> {
        let known = || self.seen.iter().map(|(node, (_, status))| format!("n{} {}", node + 1, status.stage)).collect::<Vec<_>>();
        if self.is_final() && self.errands.is_empty() {
            Ok(())
        } else {
            let errands = self.errands.len();
            Err(format!("the administrator has {errands} errands left and has seen {}", known().join(", ")))
        }
    }
}
