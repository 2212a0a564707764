//! A story: in an else quiet world one thing happens after another.

use super::World;
use crate::{
    kubernetes::api::Deed,
    process::{Ask, Parcel, Pid},
    queue::Event,
    trouble::Action,
};
use group0_core::{cql::parse::parse, io::ClientRequest};
use std::{collections::BTreeSet, time::Duration};

/// How long an answer may take that nobody waits for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A step of a story: something that happens a while after something else, once.
#[derive(Clone, Debug)]
pub struct Step {
    /// After what.
    pub after: After,
    /// How long after.
    pub delay: Duration,
    /// What.
    pub deed: Told,
}

/// What a step comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Everything begins.
    Start,
    /// Operators have taken so many nodes.
    Taken(usize),
    /// This has been counted so often.
    Count(&'static str, u64),
}

/// What happens in it.
#[derive(Clone, Debug)]
pub enum Told {
    /// Something goes wrong.
    Trouble(Action),
    /// Somebody does something to Kubernetes.
    Person(Deed),
    /// Somebody asks a node by CQL.
    Cql(Pid, &'static str),
    /// A node is of a newer release for so long, which has states that the operator does not know.
    Newer(Pid, Duration),
}

/// The steps of a story, and how far it has come.
#[derive(Debug, Default)]
pub struct Story {
    steps: Vec<Step>,
    /// Those whose time is known.
    due: BTreeSet<usize>,
    told: usize,
}

impl Story {
    pub const fn new(steps: Vec<Step>) -> Self {
        Self { steps, due: BTreeSet::new(), told: 0 }
    }

    /// Whether there is one: then nothing goes wrong by itself.
    pub const fn is_told(&self) -> bool {
        !self.steps.is_empty()
    }

    /// What is to come.
    pub fn is_over(&self) -> Result<(), String> {
        let left = self.steps.len() - self.told;
        if left == 0 { Ok(()) } else { Err(format!("{left} steps of the story are to come")) }
    }
}

impl World {
    /// What a step comes after may have come.
    pub(super) fn go_on_with_story(&mut self) {
        for (number, step) in self.story.steps.iter().enumerate() {
            let has_come = match step.after {
                After::Start => true,
                After::Taken(count) => self.evictions.len() >= count,
                After::Count(event, count) => self.events.of(event) >= count,
            };
            if has_come && self.story.due.insert(number) {
                self.queue.put(self.now + step.delay, Event::Told(number));
            }
        }
    }

    pub(super) fn tell(&mut self, number: usize) {
        self.story.told += 1;
        match self.story.steps[number].deed.clone() {
            Told::Trouble(action) => self.go_wrong(action),
            Told::Person(deed) => {
                self.log.line(self.now, format_args!("a person: {deed:?}"));
                self.with(self.kubernetes, |process, moment, out| {
                    if let Some(kubernetes) = process.kubernetes() {
                        kubernetes.person(moment, deed, out);
                    }
                });
            }
            Told::Newer(pid, long) => {
                let until = self.now + long;
                if let Some(node) = self.slots[pid].process.node() {
                    node.newer_until = until;
                }
            }
            Told::Cql(node, text) => {
                let statement = parse(text).expect("it is CQL");
                let ask = Ask::Client(ClientRequest { statement, text: text.into(), keyspace: None });
                // Of Kubernetes nobody else asks by this token, and it hears no answer.
                self.post(self.kubernetes, Parcel::Ask { token: 0, to: self.addresses[node], ask, within: TIMEOUT });
            }
        }
    }
}
