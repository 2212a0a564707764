//! The bounds of a group, each with its reason.

use crate::random::Random;
use raft::{Config, ReadOnlyOption};

/// A command, so that one append of it stays well below the largest message of the network.
pub const MAX_COMMAND_BYTES: usize = 1 << 20;

/// Without a leader for 10 to 20 ticks, a voter asks for an election.
const ELECTION_TICKS: usize = 10;

/// A leader is heard of every tick: a lost message is made good after one.
const HEARTBEAT_TICKS: usize = 1;

/// Ticks made up for at once after a pause: fewer than an election, so that the waiting messages are read before one is called.
pub const MAX_TICKS_AT_ONCE: u32 = 5;

/// Entries read from the log for one message.
const MAX_APPEND_BYTES: u64 = 1 << 20;

/// Of the commands in one message: an append of more leaves in parts. A message of the network takes twice as much.
pub const MAX_PART_BYTES: usize = 8 << 20;

/// Unanswered appends to one member: enough to fill a fast and distant link with full messages.
const MAX_APPENDS_IN_FLIGHT: usize = 64;

/// Undecided commands of a leader.
const MAX_UNDECIDED_BYTES: u64 = 8 << 20;

/// Changes that wait for the pending one: one of each member.
pub const MAX_WAITING_CHANGES: usize = super::MAX_MEMBERS;

/// Reads that wait for a new leader's first entry; more are dropped, and asked again by their deadline.
pub const MAX_EARLY_READS: usize = 1_000;

/// A leader that hears nothing of a snapshot for so long offers it again: the offer, or the report of it, was lost. Twice the
/// longest election, in which a schema of ten thousand tables is pulled many times over.
pub const SNAPSHOT_TICKS: u32 = 40;

/// Who reads, in which life of the process, and for what.
pub const READ_CONTEXT_BYTES: usize = 24;

/// What `raft-rs` is told.
pub fn config(id: u64, applied: u64) -> Config {
    Config {
        id,
        applied,
        election_tick: ELECTION_TICKS,
        heartbeat_tick: HEARTBEAT_TICKS,
        min_election_tick: ELECTION_TICKS,
        // A draw of `raft-rs` never survives a call, see `keep_timeout`; the bound is that of our own draws.
        max_election_tick: 2 * ELECTION_TICKS,
        max_size_per_msg: MAX_APPEND_BYTES,
        max_inflight_msgs: MAX_APPENDS_IN_FLIGHT,
        max_uncommitted_size: MAX_UNDECIDED_BYTES,
        check_quorum: true,
        pre_vote: true,
        read_only_option: ReadOnlyOption::Safe,
        batch_append: true,
        ..Config::default()
    }
}

/// Ticks without a leader until we call an election.
pub fn election_timeout(random: &mut Random) -> usize {
    let range = ELECTION_TICKS as u64..2 * ELECTION_TICKS as u64;
    usize::try_from(random.within(range)).unwrap_or(ELECTION_TICKS)
}
