//! How often a process that has ended by itself is started again, as a kubelet would.

use k8s_openapi::jiff::SignedDuration;

/// One after the other, with no calm between them.
const MAX_RESTARTS: u32 = 5;
/// A process that has run for so long has nothing to do with what ended the one before it.
const CALM: SignedDuration = SignedDuration::from_mins(5);

/// Those since the last calm.
#[derive(Debug, Default)]
pub struct Restarts(u32);

impl Restarts {
    /// Whether a process that has ended after so long may be started again; counts it.
    pub fn is_one_more_allowed(&mut self, ran: SignedDuration) -> bool {
        if ran >= CALM {
            self.0 = 0;
        }
        self.0 += 1;
        self.0 <= MAX_RESTARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(restarts: &mut Restarts, ran: SignedDuration) -> usize {
        (0..100).take_while(|_| restarts.is_one_more_allowed(ran)).count()
    }

    #[test]
    fn one_that_ends_soon_each_time_is_given_up_and_one_that_had_run_for_long_is_not() {
        let mut restarts = Restarts::default();
        assert_eq!(allowed(&mut restarts, SignedDuration::from_secs(20)), 5);
        assert!(restarts.is_one_more_allowed(CALM));
        assert_eq!(allowed(&mut restarts, SignedDuration::from_secs(20)), 4);
        assert_eq!(allowed(&mut Restarts::default(), CALM), 100);
    }
}
