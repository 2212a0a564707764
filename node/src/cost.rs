//! What things cost lately: the median of the last few.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How many measurements count.
const KEPT: usize = 64;

/// The last measurements of one kind.
#[derive(Clone, Debug, Default)]
pub struct Window {
    samples: VecDeque<Duration>,
}

impl Window {
    /// One more; the oldest is forgotten.
    pub fn record(&mut self, sample: Duration) {
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The median, once there is any.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.samples.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// Round trips of small calls, measured by many tasks.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips(Arc<Mutex<Window>>);

impl RoundTrips {
    /// One more.
    pub fn record(&self, sample: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(sample);
    }

    /// The median, once there is any.
    pub fn median(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).median()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_follows_the_last_measurements() {
        let mut window = Window::default();
        assert_eq!(window.median(), None);
        (1..=100).for_each(|millis| window.record(Duration::from_millis(millis)));
        assert_eq!(window.median(), Some(Duration::from_millis(69)));
    }
}
