//! A story: in an else quiet world one thing happens after another.

use super::World;
use crate::{
    kubernetes::api::Deed,
    process::{Ask, Parcel, Pid},
    queue::Event,
    trouble::Action,
};
use group0_core::{cql::parse::parse, io::ClientRequest};
use std::time::Duration;

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
    /// This is counted for the first time.
    First(&'static str),
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
}

impl World {
    /// This has come: the times of what follows it are known.
    pub(super) fn go_on_after(&mut self, after: After) {
        for (number, step) in self.script.iter().enumerate().filter(|(_, step)| step.after == after) {
            self.queue.put(self.now + step.delay, Event::Told(number));
        }
    }

    pub(super) fn count(&mut self, name: &str) {
        self.events.count(name);
        let is_first = self.events.of(name) == 1;
        let awaits = |step: &&Step| matches!(step.after, After::First(first) if first == name);
        if let Some(after) = self.script.iter().find(awaits).map(|step| step.after).filter(|_| is_first) {
            self.go_on_after(after);
        }
    }

    pub(super) fn tell(&mut self, number: usize) {
        self.untold -= 1;
        match self.script[number].deed.clone() {
            Told::Trouble(action) => self.go_wrong(action),
            Told::Person(deed) => {
                self.log.line(self.now, format_args!("a person: {deed:?}"));
                self.with(self.kubernetes, |process, moment, out| {
                    if let Some(kubernetes) = process.kubernetes() {
                        kubernetes.person(moment, deed, out);
                    }
                });
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
