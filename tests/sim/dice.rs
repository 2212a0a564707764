//! The generator of a run: every choice of the simulated world is drawn from one, so that a seed is a run.

use group0_core::random::Random;
use std::{ops::Range, time::Duration};

/// Chances are counted in this many parts.
pub const CERTAIN: u64 = 1_000_000;

/// A generator with the draws that the world needs.
#[derive(Clone, Debug)]
pub struct Dice(Random);

impl Dice {
    /// One for each use of a seed: `stream` keeps them apart, so that a draw more in one leaves the others as they are.
    pub const fn of(seed: u64, stream: u64) -> Self {
        let mut mixed = Random::seeded(seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self(mixed.fork())
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0.next()
    }

    /// A number of the range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.0.within(range)
    }

    /// An index below `length`.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.within(0..length as u64)).unwrap_or_default()
    }

    /// True in `parts` of [`CERTAIN`] cases.
    pub fn chance(&mut self, parts: u64) -> bool {
        self.within(0..CERTAIN) < parts
    }

    /// True in half of the cases.
    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A time of the range, evenly.
    pub fn time(&mut self, range: Range<Duration>) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.within(micros(range.start)..micros(range.end)))
    }

    /// A time up to `longest`, short ones far more often than long ones: each order of magnitude is as likely as the next.
    pub fn short_time(&mut self, longest: Duration) -> Duration {
        let scale = self.within(0..12);
        self.time(Duration::ZERO..longest.max(Duration::from_micros(2))) / (1 << scale)
    }
}
