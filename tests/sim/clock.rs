//! The two clocks of a host, which know virtual time only roughly.

use crate::dice::Dice;
use group0_core::ids::{Micros, Now};
use std::time::Duration;

/// The wall clock of a good host at the beginning of a run.
const EPOCH: Micros = Micros(1_800_000_000_000_000);
/// A clock gains or loses at most this much: crystals are good to a hundred, hosts that are slewed to five hundred.
const DRIFT_PPM_MAX: u64 = 500;

/// The clocks of one host. Its process measures time from its own start.
#[derive(Clone, Debug)]
pub struct Clock {
    offset_micros: i64,
    drift_ppm: i64,
}

impl Clock {
    /// A clock that is right.
    pub const fn exact() -> Self {
        Self { offset_micros: 0, drift_ppm: 0 }
    }

    /// A clock that is a little wrong, and becomes so more and more.
    pub fn drifting(dice: &mut Dice) -> Self {
        let ppm = dice.within(0..2 * DRIFT_PPM_MAX + 1).cast_signed() - DRIFT_PPM_MAX.cast_signed();
        Self { offset_micros: dice.within(0..2_000_000).cast_signed() - 1_000_000, drift_ppm: ppm }
    }

    /// The wall clock is set, forwards or back.
    pub const fn jump(&mut self, micros: i64) {
        self.offset_micros += micros;
    }

    /// The wall clock is right again.
    pub const fn set_right(&mut self) {
        self.offset_micros = 0;
    }

    /// Both clocks, of a process that started at `start`, when it truly is `now`.
    pub fn now(&self, start: Duration, now: Duration) -> Now {
        let wall = EPOCH.0 + self.offset_micros + micros(self.scaled(now));
        Now { elapsed: self.scaled(now.saturating_sub(start)), wall: Micros(wall) }
    }

    /// When it truly is that a process that started at `start` has counted up to `elapsed`.
    pub fn when(&self, start: Duration, elapsed: Duration) -> Duration {
        let mut truly = start + Self { drift_ppm: -self.drift_ppm, ..*self }.scaled(elapsed);
        while self.now(start, truly).elapsed < elapsed {
            truly += Duration::from_micros(1);
        }
        truly
    }

    fn scaled(&self, time: Duration) -> Duration {
        let nanos = i128::try_from(time.as_nanos()).unwrap_or_default();
        let scaled = nanos + nanos * i128::from(self.drift_ppm) / 1_000_000;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or_default())
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
