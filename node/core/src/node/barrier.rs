//! Read barriers: what waits for one goes on once all that was committed when it began to wait is applied here.
//!
//! All that wait in one turn share one read index. Raft may drop one silently, so that it is asked for again; an answer to any of a
//! waiter's questions will do, however late: with another one on its way each time, a distant leader would never be heard.

use super::{Node, Timer};
use crate::{
    io::{AdminReply, RequestId},
    upgrade::machine,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A read index is asked for again after this.
const RETRY: Duration = Duration::from_millis(200);

/// Who waits for a read barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiter {
    /// The procedure.
    Procedure,
    /// The first boot.
    Boot,
    /// A host that is to leave.
    Departure,
    /// Schema changes.
    Operations,
    /// Somebody who asked for it.
    Asked(RequestId),
}

/// Who waits, and what was asked for them.
#[derive(Debug, Default)]
pub struct Barriers {
    /// The last question.
    last: u64,
    waiting: BTreeMap<Waiter, Waiting>,
}

#[cfg(test)]
impl Barriers {
    /// Whether somebody who asked waits still.
    pub fn is_awaited_by(&self, id: RequestId) -> bool {
        self.waiting.contains_key(&Waiter::Asked(id))
    }
}

#[derive(Debug)]
struct Waiting {
    since: Duration,
    limit: Duration,
    is_to_ask: bool,
    /// Questions since then.
    asked: BTreeSet<u64>,
    /// To be applied up to this index.
    reached: Option<u64>,
}

impl Node {
    /// From here on the waiter waits, whatever it waited for before.
    pub(super) fn barrier(&mut self, waiter: Waiter) {
        self.barrier_within(waiter, self.settings.raft_operation_timeout);
    }

    /// The same, for so long at most.
    pub(super) fn barrier_within(&mut self, waiter: Waiter, limit: Duration) {
        let waiting = Waiting { since: self.now.elapsed, limit, is_to_ask: true, asked: BTreeSet::new(), reached: None };
        self.barriers.waiting.insert(waiter, waiting);
        if !self.timers.is_set(Timer::BarrierRetry) {
            self.timers.set(Timer::BarrierRetry, self.now.elapsed + RETRY);
        }
    }

    pub(super) fn forget_barrier(&mut self, waiter: Waiter) {
        self.barriers.waiting.remove(&waiter);
    }

    pub(super) fn ask_read_index(&mut self) {
        let barriers = &mut self.barriers;
        let mut to_ask = barriers.waiting.values_mut().filter(|waiting| waiting.is_to_ask).peekable();
        let Some((_, group)) = self.group.as_mut().filter(|_| to_ask.peek().is_some()) else { return };
        let question = barriers.last + 1;
        if group.read_index(question).is_ok() {
            barriers.last = question;
            for waiting in to_ask {
                waiting.is_to_ask = false;
                waiting.asked.insert(question);
            }
        }
    }

    /// What is not answered is asked for again; what waited too long fails.
    pub(super) fn barrier_retry(&mut self) {
        let now = self.now.elapsed;
        let mut expired = Vec::new();
        for (waiter, waiting) in &mut self.barriers.waiting {
            waiting.is_to_ask = waiting.reached.is_none();
            if now.saturating_sub(waiting.since) >= waiting.limit {
                expired.push((*waiter, waiting.limit, waiting.reached));
            }
        }
        for (waiter, limit, reached) in expired {
            let cause = reached.map_or_else(|| self.silence_of(limit), |index| self.lag_behind(index, limit));
            self.end_barrier(waiter, Err(cause));
        }
        if !self.barriers.waiting.is_empty() {
            self.timers.set(Timer::BarrierRetry, now + RETRY);
        }
    }

    fn lag_behind(&self, index: u64, limit: Duration) -> String {
        let applied = self.group.as_ref().map_or(0, |(_, group)| group.status().applied);
        format!("after {limit:?} this node has applied the log up to {applied} of {index}: see its log for what it waits for")
    }

    pub(super) fn read_index_known(&mut self, question: u64, index: u64) {
        for waiting in self.barriers.waiting.values_mut().filter(|waiting| waiting.asked.contains(&question)) {
            waiting.reached.get_or_insert(index);
        }
    }

    pub(super) fn release_barriers(&mut self) {
        let applied = self.group.as_ref().map_or(0, |(_, group)| group.status().applied);
        let is_done = |waiting: &Waiting| waiting.reached.is_some_and(|index| index <= applied);
        let done: Vec<_> =
            self.barriers.waiting.iter().filter(|(_, waiting)| is_done(waiting)).map(|(waiter, _)| *waiter).collect();
        for waiter in done {
            self.end_barrier(waiter, Ok(()));
        }
    }

    /// Nobody waits any more, and whoever asked is told why.
    pub(super) fn end_barriers(&mut self, why: &str) {
        for waiter in std::mem::take(&mut self.barriers.waiting).into_keys() {
            if let Waiter::Asked(id) = waiter {
                self.reply_admin(id, AdminReply::Refused(why.into()));
            }
        }
    }

    fn end_barrier(&mut self, waiter: Waiter, outcome: Result<(), String>) {
        self.forget_barrier(waiter);
        match waiter {
            Waiter::Procedure => {
                self.progressed();
                self.upgrade_event(machine::Event::Barrier(outcome));
            }
            Waiter::Boot => self.boot_barrier(&outcome),
            Waiter::Departure => self.departure_barrier(&outcome),
            Waiter::Operations => self.operations_barrier(outcome),
            Waiter::Asked(id) => self.reply_admin(id, outcome.map_or_else(AdminReply::Refused, |()| AdminReply::Done)),
        }
    }
}
