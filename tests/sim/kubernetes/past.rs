//! What something was at each moment of the last while: caches have some past version of it, each of its own age.

use crate::dice::Dice;
use std::time::Duration;

/// The present and the past of one object.
#[derive(Clone, Debug)]
pub struct Past<T> {
    versions: Vec<(Duration, T)>,
}

impl<T: Clone> Past<T> {
    /// It is this from the beginning on.
    pub fn new(value: T) -> Self {
        Self { versions: vec![(Duration::ZERO, value)] }
    }

    /// What it is now.
    pub fn now(&self) -> &T {
        &self.versions[self.versions.len() - 1].1
    }

    /// From now on it is this. What was before `forgotten` nobody can see any more.
    pub fn put(&mut self, now: Duration, value: T, forgotten: Duration) {
        self.versions.push((now, value));
        let first = self.versions.iter().rposition(|(at, _)| *at <= forgotten).unwrap_or_default();
        self.versions.drain(..first);
    }

    /// What it was at some moment of the last `lag`.
    pub fn seen(&self, now: Duration, lag: Duration, dice: &mut Dice) -> &T {
        let moment = now.saturating_sub(dice.short_time(lag));
        let at_that_moment = self.versions.iter().rev().find(|(at, _)| *at <= moment);
        at_that_moment.map_or(&self.versions[0].1, |(_, value)| value)
    }
}
