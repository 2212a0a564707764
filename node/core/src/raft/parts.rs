//! An append in parts that the network takes. `raft-rs` gathers all that a follower lacks into one message, up to
//! [`super::limits`]' appends in flight, each of which may be full.

use super::{limits::MAX_PART_BYTES, types::RaftMessage};
use std::mem;

/// The same entries in order, as many messages as it takes. Each part begins where the one before it ends, and one that is lost makes
/// those after it refused: the leader goes back to what the follower has.
pub fn in_parts(mut message: RaftMessage) -> Vec<RaftMessage> {
    let mut parts = Vec::new();
    while let Some(count) = first_part(&message) {
        let rest = message.entries.split_off(count);
        let Some(last) = message.entries.last() else { break };
        let next = RaftMessage { index: last.index, log_term: last.term, entries: rest, ..message.clone() };
        parts.push(mem::replace(&mut message, next));
    }
    parts.push(message);
    parts
}

/// How many of its entries fit, if that is not all. The first always does.
fn first_part(message: &RaftMessage) -> Option<usize> {
    let sizes = message.entries.iter().map(|entry| entry.data.len() + entry.context.len());
    let through = sizes.scan(0, |bytes, size| {
        *bytes += size;
        Some(*bytes)
    });
    through.skip(1).position(|bytes| bytes > MAX_PART_BYTES).map(|before| before + 1)
}
