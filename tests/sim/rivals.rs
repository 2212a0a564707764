//! Clients that change the same few tables through group 0, now at this node and now at that, and look at them in between.
//!
//! They believe nothing: what each was told is held against the order of the log and against what the others were told.

use crate::{
    clients::{outcome, unanswered},
    dice::Dice,
    history::{self, Deed, Operation, Reply, Statement},
    process::{Answer, Arrival, Ask, Moment, Note, Outbox, Parcel, Pid, Process},
    swarm::Swarm,
};
use group0_core::{
    cql,
    io::{AdminReply, AdminRequest, CallError, ClientReply, ClientRequest},
    random::Random,
    upgrade::Stage,
};
use std::{ops::Range, time::Duration};

/// As drivers have it: longer than a node takes for a change.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);
/// Of the question where a node stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two questions whether a node is final.
const WAIT: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(3);
/// Numbers of what one client makes.
const NUMBERS: u64 = 1_000;

/// One of them.
pub struct Rival {
    number: u64,
    name: String,
    node: Pid,
    nodes: usize,
    dice: Dice,
    random: Random,
    left: u32,
    /// Changes so far.
    made: u64,
    doing: Doing,
    token: u64,
}

#[derive(Clone, Debug)]
enum Doing {
    Thinking(Duration),
    /// Whether the node is final.
    Asking,
    Changing(Statement, Duration),
    Looking(Duration),
}

impl Rival {
    /// The one of that number.
    pub fn new(number: u64, swarm: &Swarm) -> Self {
        let mut dice = Dice::of(swarm.seed, 6_000 + number);
        Self {
            number,
            name: format!("r{}", number + 1),
            node: 0,
            nodes: swarm.nodes,
            random: Random::seeded(dice.next()),
            dice,
            left: swarm.changes.div_ceil(2),
            made: 0,
            doing: Doing::Thinking(Duration::MAX),
            token: 0,
        }
    }

    fn think(&mut self, moment: Moment<'_>) {
        let longest = Duration::from_millis(if moment.trouble { 2_000 } else { 100 });
        self.doing = Doing::Thinking(moment.now + Duration::from_millis(1) + self.dice.short_time(longest));
    }

    /// Until nodes are final.
    fn wait(&mut self, moment: Moment<'_>) {
        self.doing = Doing::Thinking(moment.now + self.dice.time(WAIT));
    }

    fn go_on(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        if self.left == 0 {
            self.doing = Doing::Thinking(Duration::MAX);
        } else {
            self.node = self.dice.index(self.nodes);
            self.doing = Doing::Asking;
            self.ask(moment, Ask::Admin(AdminRequest::GetStatus), STATUS_TIMEOUT, out);
        }
    }

    fn ask(&mut self, moment: Moment<'_>, ask: Ask, within: Duration, out: &mut Outbox) {
        self.token += 1;
        out.send.push(Parcel::Ask { token: self.token, to: moment.addresses[self.node], ask, within });
    }

    fn act(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let mut text = history::query();
        self.doing = Doing::Looking(moment.now);
        if self.dice.chance(700_000) {
            let fresh = self.number * NUMBERS + self.made;
            let statement = if self.made == 0 { Statement::first() } else { Statement::draw(&mut self.random, fresh) };
            self.made += 1;
            text = statement.text(&self.tag());
            self.doing = Doing::Changing(statement, moment.now);
        }
        match cql::parse::parse(&text) {
            Ok(statement) => {
                let request = ClientRequest { statement, text, keyspace: None };
                self.ask(moment, Ask::Client(request), REQUEST_TIMEOUT, out);
            }
            Err(error) => out.notes.push(Note::Violation("syntax", format!("{text}: {error}"))),
        }
    }

    /// Of what was asked last, until something else is asked.
    fn tag(&self) -> String {
        format!("{} {}", self.name, self.left)
    }

    fn told(&mut self, moment: Moment<'_>, asked: Duration, deed: Deed, text: &str, out: &mut Outbox) {
        out.line(format!("{} at n{}: {deed:?} → {text}", self.name, self.node + 1));
        let operation = Operation { tag: self.tag(), node: self.node, asked, told: moment.now, deed, was_final: false };
        out.notes.push(Note::Told(Box::new(operation)));
        self.left -= 1;
        self.think(moment);
    }

    fn answered(&mut self, moment: Moment<'_>, answer: Answer, out: &mut Outbox) {
        match (self.doing.clone(), answer) {
            (Doing::Asking, Answer::Admin(AdminReply::Status(status))) if status.stage == Stage::UsePostRaft => {
                self.act(moment, out);
            }
            (Doing::Changing(statement, since), Answer::Client(reply)) => {
                let (reply, text) = outcome(&reply, out);
                self.told(moment, since, Deed::Change(statement, reply), &text, out);
            }
            (Doing::Looking(since), Answer::Client(ClientReply::Rows(set))) => {
                self.told(moment, since, Deed::Columns(history::columns(&set)), "", out);
            }
            (Doing::Asking, _) => self.wait(moment),
            _ => self.think(moment),
        }
    }

    fn failed(&mut self, moment: Moment<'_>, error: &CallError, out: &mut Outbox) {
        match (self.doing.clone(), unanswered(error)) {
            (Doing::Changing(statement, since), Reply::Unknown) => {
                self.told(moment, since, Deed::Change(statement, Reply::Unknown), &error.to_string(), out);
            }
            _ => self.think(moment),
        }
    }
}

impl Process for Rival {
    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, moment: Moment<'_>, _: &mut Outbox) {
        self.think(moment);
    }

    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox) {
        for arrival in arrivals {
            match arrival {
                Arrival::Wake => self.go_on(moment, out),
                Arrival::Answered { token, answer, .. } if token == self.token => self.answered(moment, answer, out),
                Arrival::Failed(token, error) if token == self.token => self.failed(moment, &error, out),
                _ => {}
            }
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        match self.doing {
            Doing::Thinking(at) if at < Duration::MAX => Some(at),
            _ => None,
        }
    }

    fn crash(&mut self, _: Moment<'_>, _: &mut Outbox) {}

    fn is_done(&self) -> Result<(), String> {
        if self.left == 0 { Ok(()) } else { Err(format!("{} has {} things to do: {:?}", self.name, self.left, self.doing)) }
    }
}
