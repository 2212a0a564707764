//! Which messages of peers are let in.
//!
//! `raft-rs` panics over messages that no healthy member sends, for instance after a member lost its data and came back under
//! its old id. A panic is an outage of ours for a fault of theirs, so such messages are dropped here.

use super::{
    limits::{MAX_COMMAND_BYTES, READ_CONTEXT_BYTES},
    names::collide,
    types::{EntryKind, RaftMessage, Snapshot},
};
use protobuf::ProtobufEnum;
use raft::eraftpb::MessageType;

/// Terms and indexes beyond it are no honest ones: a count of one a nanosecond takes 292 years. Adding to those below is safe.
const MAX_COUNT: u64 = u64::MAX / 2;

/// The kind, if it is one that crosses the network and the message is one that `raft-rs` can bear.
pub fn admitted(message: &RaftMessage, last_index: u64) -> Option<MessageType> {
    let kind = MessageType::from_i32(message.kind.0.into())?;
    let has_term = (1..MAX_COUNT).contains(&message.term);
    let fine = match kind {
        MessageType::MsgPropose => message.term == 0 && is_proposal(message),
        MessageType::MsgReadIndex => message.term == 0 && is_read(message),
        MessageType::MsgReadIndexResp => has_term && is_read(message),
        MessageType::MsgAppend => has_term && is_contiguous(message),
        MessageType::MsgAppendResponse => has_term && is_within(message, last_index),
        MessageType::MsgHeartbeat => has_term && message.commit <= last_index,
        MessageType::MsgSnapshot => {
            has_term && message.snapshot.as_ref().is_some_and(|snapshot| is_sound(snapshot, message.term))
        }
        MessageType::MsgHeartbeatResponse
        | MessageType::MsgRequestVote
        | MessageType::MsgRequestVoteResponse
        | MessageType::MsgRequestPreVote
        | MessageType::MsgRequestPreVoteResponse
        | MessageType::MsgTimeoutNow => has_term,
        MessageType::MsgHup
        | MessageType::MsgBeat
        | MessageType::MsgUnreachable
        | MessageType::MsgSnapStatus
        | MessageType::MsgCheckQuorum
        | MessageType::MsgTransferLeader => false,
    };
    fine.then_some(kind)
}

/// Whether the leader knows that this member had confirmed more than its log has. A heartbeat tells nobody of more than it has confirmed to this
/// leader and than is decided; such entries never leave a log again, and no snapshot ends before them. So its data is of an earlier time.
pub fn shows_loss(message: &RaftMessage, term: u64, last_index: u64) -> bool {
    let is_heartbeat = MessageType::from_i32(message.kind.0.into()) == Some(MessageType::MsgHeartbeat);
    is_heartbeat && (term..MAX_COUNT).contains(&message.term) && (last_index + 1..MAX_COUNT).contains(&message.commit)
}

/// Commands only: a leader's `raft-rs` would parse a membership change, and only the leader proposes those.
fn is_proposal(message: &RaftMessage) -> bool {
    let fits = |data: &[u8]| data.len() <= MAX_COMMAND_BYTES;
    !message.entries.is_empty() && message.entries.iter().all(|entry| entry.kind == EntryKind::Normal && fits(&entry.data))
}

fn is_read(message: &RaftMessage) -> bool {
    matches!(message.entries.as_slice(), [entry] if entry.data.len() == READ_CONTEXT_BYTES)
}

/// Term 0 belongs to index 0 only: `raft-rs` takes it for the term of any index that it does not have.
fn is_contiguous(message: &RaftMessage) -> bool {
    let indexes = message.index.saturating_add(1)..MAX_COUNT;
    let mut follow = message.entries.iter().zip(indexes);
    let placed = message.index < MAX_COUNT && (message.index == 0) == (message.log_term == 0);
    placed && follow.all(|(entry, index)| entry.index == index && (1..=message.term).contains(&entry.term))
}

/// Nobody can have more of the leader's log than the leader.
fn is_within(message: &RaftMessage, last_index: u64) -> bool {
    let ours = message.index <= last_index || message.reject;
    ours && message.reject_hint <= last_index && message.request_snapshot == 0
}

fn is_sound(snapshot: &Snapshot, term: u64) -> bool {
    let placed = snapshot.index > 0 && snapshot.index < MAX_COUNT && snapshot.term > 0 && snapshot.term <= term;
    placed && snapshot.configuration.is_valid() && !collide(&snapshot.configuration.members())
}
