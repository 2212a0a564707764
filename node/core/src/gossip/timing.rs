//! How often gossip acts.

use std::time::Duration;

/// The periods of gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// One member is probed each period; it, or others that were asked to ask it, must answer within it.
    pub probe_period: Duration,
    /// After this, others are asked to probe the member, too. Smaller than `probe_period`.
    pub probe_round_trip: Duration,
    /// How long a member that failed a probe may still prove that it is alive.
    pub suspicion: Duration,
    /// How often news about members are passed on.
    pub rumour_period: Duration,
    /// How often endpoints are compared with a random peer, and lost hosts and seeds are tried.
    pub exchange_period: Duration,
}

impl Timing {
    /// The period of exchanges, whatever the failure timeout.
    pub const EXCHANGE_PERIOD: Duration = Duration::from_secs(1);
    /// The failure timeout if none is configured: a wait for the next probe, a failed probe, and the suspicion fit into it.
    pub const FAILURE_TIMEOUT: Duration = Duration::from_secs(2);
    /// Below this, timers would fire at once again and again.
    const FAILURE_TIMEOUT_MIN: Duration = Duration::from_millis(100);

    /// Periods with which a dead peer of a small cluster is down after about this time.
    pub fn of_failure_timeout(timeout: Duration) -> Self {
        let timeout = timeout.max(Self::FAILURE_TIMEOUT_MIN);
        Self {
            probe_period: timeout / 5,
            probe_round_trip: timeout / 10,
            suspicion: timeout / 4,
            rumour_period: timeout / 20,
            exchange_period: Self::EXCHANGE_PERIOD,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::of_failure_timeout(Self::FAILURE_TIMEOUT)
    }
}
