//! What will happen, in the order of time.

use crate::{
    process::{Answer, Arrival, Ask, Pid, Question},
    trouble::Action,
};
use group0_core::io::{Header, Message};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Something that will happen.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something comes to a process, if that life of it lasts.
    Arrive {
        /// To which.
        to: Pid,
        /// In which life.
        life: u32,
        /// What.
        arrival: Arrival,
    },
    /// A message gets to an address.
    Message {
        /// Which.
        to: SocketAddr,
        /// Of whom.
        header: Header,
        /// What.
        message: Message,
    },
    /// A question gets to its address.
    Question {
        /// Which.
        question: Question,
        /// Which.
        to: SocketAddr,
        /// What.
        ask: Ask,
    },
    /// An answer gets to who asked.
    Answer {
        /// To what.
        question: Question,
        /// It.
        answer: Answer,
        /// Whether none will follow.
        is_last: bool,
    },
    /// There is no connection for a question.
    Refused(Question),
    /// The time of a question has passed.
    Deadline(Question),
    /// Whether the link from the one to the other is still cut.
    KeepAlive(Pid, Pid),
    /// Whether the process still stands still, since then.
    StillPaused(Pid, Duration),
    /// A process that stands still goes on.
    Resume(Pid),
    /// The step of the story with this number is taken.
    Told(usize),
    /// A process starts, if it does not run.
    Start(Pid),
    /// A process that was asked to end and lives on is killed.
    Kill(Pid, u32),
    /// Something goes wrong.
    Trouble(Action),
    /// From here on nothing goes wrong any more.
    Calm,
}

/// The events to come. Those of one moment happen in the order in which they were put in.
#[derive(Debug, Default)]
pub struct Queue {
    /// Boxed, since they are large and the map moves them.
    events: BTreeMap<(Duration, u64), Box<Event>>,
    last: u64,
}

impl Queue {
    /// It will happen then.
    pub fn put(&mut self, at: Duration, event: Event) {
        self.last += 1;
        self.events.insert((at, self.last), Box::new(event));
    }

    /// When the next one happens.
    pub fn next_at(&self) -> Option<Duration> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next one.
    pub fn take(&mut self) -> Option<(Duration, Event)> {
        self.events.pop_first().map(|((at, _), event)| (at, *event))
    }
}
