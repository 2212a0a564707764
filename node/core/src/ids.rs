//! Identities and time, as types that cannot be mixed up.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr, time::Duration};
use uuid::Uuid;

/// The identity of a node's data, made at its first boot and kept for life. An address is only a hint to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostId(pub Uuid);

/// The identity of one Raft group, a timeuuid made by its founder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub Uuid);

/// A version 1 UUID, ordered by its time. State ids of group 0 are of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeUuid(pub Uuid);

/// Microseconds since the Unix epoch: the unit of every write timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Micros(pub i64);

/// How often this cluster was given a new group 0. Founders take 1 + the highest that any participant remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u32);

/// Grows with each start of a host's process; tells a restarted node from its former self.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u64);

/// The time that an input arrives with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, since the process started. Deadlines are kept in it.
    pub elapsed: Duration,
    /// The wall clock. Only ids and write timestamps are made of it.
    pub wall: Micros,
}

/// Between 1582-10-15, where UUID time begins, and 1970-01-01, in units of 100 ns.
const UUID_EPOCH_OFFSET: u64 = 0x01B2_1DD2_1381_4000;

impl TimeUuid {
    /// Of that microsecond; `random` fills the 62 bits that tell ids of one microsecond apart.
    pub fn new(at: Micros, random: u64) -> Self {
        let ticks = UUID_EPOCH_OFFSET.wrapping_add(at.0.unsigned_abs().wrapping_mul(10));
        let mut bytes = [0; 16];
        let time = ticks.to_be_bytes();
        bytes[..4].copy_from_slice(&time[4..]);
        bytes[4..6].copy_from_slice(&time[2..4]);
        bytes[6..8].copy_from_slice(&time[..2]);
        bytes[6] = bytes[6] & 0x0f | 0x10;
        bytes[8..].copy_from_slice(&random.to_be_bytes());
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(Uuid::from_bytes(bytes))
    }

    /// The microsecond it was made of.
    pub fn micros(self) -> Micros {
        let ticks = self.ticks().saturating_sub(UUID_EPOCH_OFFSET);
        Micros(i64::try_from(ticks / 10).unwrap_or(i64::MAX))
    }

    fn ticks(self) -> u64 {
        let b = self.0.as_bytes();
        u64::from_be_bytes([b[6] & 0x0f, b[7], b[4], b[5], b[0], b[1], b[2], b[3]])
    }
}

impl Ord for TimeUuid {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.ticks(), self.0).cmp(&(other.ticks(), other.0))
    }
}

impl PartialOrd for TimeUuid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

macro_rules! uuid_text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
        impl $name {
            /// A small id for tests and models.
            pub const fn of(number: u128) -> Self {
                Self(Uuid::from_u128(number))
            }
        }
    )*};
}
uuid_text!(HostId, GroupId, TimeUuid);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeuuids_carry_their_time_and_sort_by_it() {
        let (early, late) =
            (TimeUuid::new(Micros(1_700_000_000_000_000), u64::MAX), TimeUuid::new(Micros(1_700_000_000_000_001), 0));
        assert_eq!(early.micros(), Micros(1_700_000_000_000_000));
        assert_eq!(early.0.get_version_num(), 1);
        assert!(early < late);
    }
}
