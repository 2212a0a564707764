//! Who wants to be woken, and when.

use crate::{ids::HostId, io::RequestId};
use std::{collections::BTreeMap, time::Duration};

/// What a timer is for. There is one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Gossip's next step.
    Gossip,
    /// To resolve the seeds again while a peer is down.
    LookForPeers,
    /// The back-off of the procedure.
    ProcedureRetry,
    /// The back-off of joining.
    JoiningRetry,
    /// To watch a host's stage again after the watch broke.
    WatchRetry(HostId),
    /// To warn that the procedure takes long.
    SlowWarning,
    /// The next try of the first boot.
    BootRetry,
    /// To ask again for the change by which a host leaves.
    DepartureRetry,
    /// To ask for a read index again.
    BarrierRetry,
    /// A founder has gathered requests for long enough.
    ModifyGathered,
    /// A membership change took too long.
    ModifyExpired(RequestId),
    /// A snapshot was sent, and no word of it came.
    SnapshotSent(HostId),
    /// A command was submitted, and not seen since.
    OperationSilent(RequestId),
    /// A schema change took too long.
    OperationExpired(RequestId),
    /// The other nodes have not followed a schema change in time.
    AgreementExpired(RequestId),
    /// To look whether a host's schema version still differs.
    SyncCheck(HostId),
}

/// The timers that are set.
#[derive(Debug, Default)]
pub struct Timers {
    at: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Sets, or sets anew.
    pub fn set(&mut self, timer: Timer, at: Duration) {
        self.at.insert(timer, at);
    }

    /// Unsets.
    pub fn unset(&mut self, timer: Timer) {
        self.at.remove(&timer);
    }

    /// Whether it is set.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.at.contains_key(&timer)
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Duration> {
        self.at.values().min().copied()
    }

    /// Takes those that are due.
    pub fn due(&mut self, now: Duration) -> Vec<Timer> {
        let due: Vec<_> = self.at.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        for timer in &due {
            self.at.remove(timer);
        }
        due
    }
}
