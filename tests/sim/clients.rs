//! Clients that change the schema, each in a keyspace of its own, one change after another, and remember what they were told.
//!
//! Before the upgrade changes made on two nodes have no order, so a client keeps to its node; the one that roams waits until nodes
//! are final. What they were told is judged against [`Beliefs`] at every answer and at the end.

use crate::{
    beliefs::{Beliefs, Change},
    dice::Dice,
    history::{self, Deed, Operation, Reply},
    process::{Answer, Arrival, Ask, Moment, Note, Outbox, Parcel, Pid, Process},
    swarm::{Fault, Swarm},
};
use group0_core::{
    cql,
    io::{AdminReply, AdminRequest, CallError, ClientReply, ClientRequest},
    schema::{Schema, SchemaTable},
    upgrade::Stage,
};
use std::{collections::BTreeMap, time::Duration};

/// What is violated where a client finds another schema than it must.
pub const KEPT: &str = "S5 acknowledged changes are kept";
/// As drivers have it: longer than a node takes for a change.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);
/// Of the question where a node stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);
/// Tables of a client.
const TABLES: u64 = 3;
/// Changes of unknown outcome at one time: each doubles what may be true.
const UNKNOWN_MAX: usize = 5;

/// Where a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Always to the same node.
    AtHome,
    /// To any node that is final.
    Roaming,
}

/// A client.
pub struct Client {
    name: String,
    keyspace: String,
    plan: Plan,
    node: Pid,
    nodes: usize,
    dice: Dice,
    left: u32,
    beliefs: Beliefs,
    doing: Doing,
    token: u64,
    columns: u32,
    /// Its node leaves: it need not come to an end.
    is_left_alone: bool,
}

#[derive(Clone, Debug)]
enum Doing {
    Thinking(Duration),
    Asking,
    Changing(Change, Duration),
}

impl Client {
    /// The client of that number, whose home is the node of that number.
    pub fn new(number: usize, plan: Plan, swarm: &Swarm) -> Self {
        Self {
            name: format!("c{}", number + 1),
            keyspace: format!("c{}", number + 1),
            plan,
            node: number % swarm.nodes,
            nodes: swarm.nodes,
            dice: Dice::of(swarm.seed, 2_000 + number as u64),
            left: swarm.changes,
            beliefs: Beliefs::new(swarm.has(Fault::Marker) || swarm.has(Fault::Disaster)),
            doing: Doing::Thinking(Duration::MAX),
            token: 0,
            columns: 0,
            is_left_alone: plan == Plan::AtHome && swarm.leaver() == Some(number % swarm.nodes),
        }
    }

    fn think(&mut self, moment: Moment<'_>) {
        let longest = Duration::from_millis(if moment.trouble { 4_000 } else { 400 });
        self.doing = Doing::Thinking(moment.now + Duration::from_millis(10) + self.dice.short_time(longest));
    }

    fn go_on(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        if self.left == 0 {
            self.doing = Doing::Thinking(Duration::MAX);
        } else if self.beliefs.unknown(moment.now) >= UNKNOWN_MAX {
            self.doing = Doing::Thinking(moment.now + Duration::from_secs(1));
        } else if self.plan == Plan::Roaming {
            self.node = self.dice.index(self.nodes);
            self.doing = Doing::Asking;
            self.ask(moment, Ask::Admin(AdminRequest::GetStatus), STATUS_TIMEOUT, out);
        } else {
            self.change(moment, out);
        }
    }

    fn ask(&mut self, moment: Moment<'_>, ask: Ask, within: Duration, out: &mut Outbox) {
        self.token += 1;
        out.send.push(Parcel::Ask { token: self.token, to: moment.addresses[self.node], ask, within });
    }

    fn change(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        let change = self.choose();
        let text = history::tagged(&change.text(&self.keyspace), &self.tag());
        match cql::parse::parse(&text) {
            Ok(statement) => {
                let request = ClientRequest { statement, text, keyspace: None };
                self.doing = Doing::Changing(change, moment.now);
                self.ask(moment, Ask::Client(request), REQUEST_TIMEOUT, out);
            }
            Err(error) => out.notes.push(Note::Violation("syntax", format!("{text}: {error}"))),
        }
    }

    /// Of the change that was chosen last.
    fn tag(&self) -> String {
        format!("{} {}", self.name, self.columns)
    }

    /// Mostly something that makes sense as far as it knows.
    fn choose(&mut self) -> Change {
        self.columns += 1;
        let (column, table) = (self.columns, u8::try_from(self.dice.within(0..TABLES)).unwrap_or_default());
        let careful = self.dice.chance(300_000);
        let Some(tables) = self.beliefs.one() else { return Change::Keyspace };
        match (tables.get(&table), self.dice.within(0..10)) {
            (_, 0) | (Some(_), 4 | 5) => Change::Drop { table, careful },
            (None, _) | (Some(_), 1) => Change::Create { table, column, careful },
            (Some(columns), 2 | 3) if columns.len() > 1 => {
                let columns: Vec<u32> = columns.iter().copied().collect();
                Change::Remove { table, column: self.dice.pick(&columns) }
            }
            (Some(_), _) => Change::Add { table, column },
        }
    }

    fn changed(&mut self, moment: Moment<'_>, change: Change, since: Duration, outcome: Outcome, out: &mut Outbox) {
        let (reply, text) = outcome;
        out.line(format!("{} at n{}: {} → {text}", self.name, self.node + 1, change.text(&self.keyspace)));
        let (asked, told, deed) = (since, moment.now, Deed::Some(reply));
        let operation = Operation { tag: self.tag(), node: self.node, asked, told, deed, was_final: false };
        out.notes.push(Note::Told(Box::new(operation)));
        match reply {
            Reply::NotDone => {}
            Reply::Unknown => out.event("schema change with unknown outcome"),
            _ => self.left -= 1,
        }
        if !self.beliefs.told(change, since, moment.now, reply) {
            let why =
                format!("{} was told '{text}' to {}, and believed {}", self.name, change.text(&self.keyspace), self.beliefs);
            out.notes.push(Note::Violation(KEPT, why));
        }
        self.think(moment);
    }

    fn answered(&mut self, moment: Moment<'_>, answer: Answer, out: &mut Outbox) {
        match (self.doing.clone(), answer) {
            (Doing::Changing(change, since), Answer::Client(reply)) => {
                let outcome = outcome(&reply, out);
                self.changed(moment, change, since, outcome, out);
            }
            (Doing::Asking, Answer::Admin(AdminReply::Status(status))) if status.stage == Stage::UsePostRaft => {
                self.change(moment, out);
            }
            (Doing::Asking, _) => self.think(moment),
            _ => {}
        }
    }

    fn failed(&mut self, moment: Moment<'_>, error: &CallError, out: &mut Outbox) {
        match self.doing.clone() {
            Doing::Changing(change, since) => {
                self.changed(moment, change, since, (unanswered(error), error.to_string()), out);
            }
            Doing::Asking => self.think(moment),
            Doing::Thinking(_) => {}
        }
    }
}

/// In a word, and in words.
type Outcome = (Reply, String);

/// What a reply says of the change.
pub fn outcome(reply: &ClientReply, out: &mut Outbox) -> Outcome {
    match reply {
        ClientReply::SchemaChange(event) => (Reply::Changed, format!("{:?}", event.change)),
        ClientReply::Void => (Reply::Nothing, "nothing to do".into()),
        ClientReply::Error(error) => {
            if error.to_string().starts_with("Cannot perform schema") {
                out.event("schema change refused in synchronize");
            }
            (Reply::of(error), error.to_string())
        }
        other => (Reply::Unknown, format!("{other:?}")),
    }
}

/// What it says of the change that there is no reply.
pub fn unanswered(error: &CallError) -> Reply {
    let is_unsent = match error {
        CallError::Closed(why) => why == "connection refused",
        CallError::TimedOut { sent } | CallError::Aborted { sent } => !sent,
        CallError::Refused(_) => false,
    };
    if is_unsent { Reply::NotDone } else { Reply::Unknown }
}

impl Process for Client {
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
        // Of a change under way nobody knows yet what has come of it.
        let rests = self.is_left_alone && matches!(self.doing, Doing::Thinking(_));
        if self.left == 0 || rests {
            Ok(())
        } else {
            Err(format!("{} has {} changes to make: {:?}", self.name, self.left, self.doing))
        }
    }

    fn judge(&self, schema: &Schema) -> Result<(), String> {
        let mut found = None;
        if schema.has_keyspace(&self.keyspace) {
            let mut tables = BTreeMap::new();
            for name in schema.names(SchemaTable::Tables, &self.keyspace) {
                let columns = schema.table(&self.keyspace, &name).map(|table| table.columns).unwrap_or_default();
                let numbers = columns.iter().filter_map(|column| column.name.strip_prefix('v')?.parse().ok());
                tables.insert(name.trim_start_matches('t').parse().unwrap_or(u8::MAX), numbers.collect());
            }
            found = Some(tables);
        }
        if self.beliefs.allows(&found) {
            return Ok(());
        }
        Err(format!("keyspace {} is {found:?}; its client believes {}", self.keyspace, self.beliefs))
    }
}
