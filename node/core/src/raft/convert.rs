//! The border to `raft-rs`: field by field, nothing is parsed.

use super::{
    names::{Names, raft_id},
    types::{Configuration, Entry, EntryKind, MessageKind, RaftMessage, Snapshot},
};
use crate::ids::HostId;
use protobuf::ProtobufEnum;
use raft::eraftpb;
use serde::Serialize;
use std::collections::BTreeSet;

/// Postcard fails only for lengths that are not known beforehand, and ours are.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

pub fn message_in(names: &Names, message: RaftMessage) -> Option<eraftpb::Message> {
    let mut inner = eraftpb::Message::default();
    inner.set_msg_type(eraftpb::MessageType::from_i32(message.kind.0.into())?);
    inner.from = names.id(message.from);
    inner.to = names.id(message.to);
    inner.term = message.term;
    inner.log_term = message.log_term;
    inner.index = message.index;
    inner.entries = message.entries.into_iter().map(entry_in).collect::<Vec<_>>().into();
    inner.commit = message.commit;
    inner.commit_term = message.commit_term;
    inner.snapshot = message.snapshot.as_ref().map(snapshot_in).into();
    inner.request_snapshot = message.request_snapshot;
    inner.reject = message.reject;
    inner.reject_hint = message.reject_hint;
    inner.context = message.context;
    inner.priority = message.priority;
    Some(inner)
}

/// None if it is for somebody whom we do not know any more.
pub fn message_out(names: &Names, mut inner: eraftpb::Message) -> Option<RaftMessage> {
    Some(RaftMessage {
        kind: MessageKind(u8::try_from(inner.get_msg_type().value()).ok()?),
        from: names.host(inner.from)?,
        to: names.host(inner.to)?,
        term: inner.term,
        log_term: inner.log_term,
        index: inner.index,
        entries: inner.take_entries().into_iter().map(entry_out).collect(),
        commit: inner.commit,
        commit_term: inner.commit_term,
        snapshot: inner.snapshot.as_ref().and_then(snapshot_out),
        request_snapshot: inner.request_snapshot,
        reject: inner.reject,
        reject_hint: inner.reject_hint,
        context: inner.context,
        priority: inner.priority,
    })
}

pub fn entry_in(entry: Entry) -> eraftpb::Entry {
    let entry_type = match entry.kind {
        EntryKind::Normal => eraftpb::EntryType::EntryNormal,
        EntryKind::ConfChange => eraftpb::EntryType::EntryConfChange,
        EntryKind::ConfChangeV2 => eraftpb::EntryType::EntryConfChangeV2,
    };
    let (index, term, data, context) = (entry.index, entry.term, entry.data, entry.context);
    eraftpb::Entry { entry_type, index, term, data, context, ..eraftpb::Entry::default() }
}

pub fn entry_out(inner: eraftpb::Entry) -> Entry {
    let kind = match inner.get_entry_type() {
        eraftpb::EntryType::EntryNormal => EntryKind::Normal,
        eraftpb::EntryType::EntryConfChange => EntryKind::ConfChange,
        eraftpb::EntryType::EntryConfChangeV2 => EntryKind::ConfChangeV2,
    };
    Entry { index: inner.index, term: inner.term, kind, data: inner.data, context: inner.context }
}

/// Its data is the configuration with the addresses, which `raft-rs` has no place for and never looks into.
pub fn snapshot_in(snapshot: &Snapshot) -> eraftpb::Snapshot {
    let mut inner = eraftpb::Snapshot::default();
    let metadata = inner.mut_metadata();
    metadata.index = snapshot.index;
    metadata.term = snapshot.term;
    metadata.set_conf_state(conf_state(&snapshot.configuration));
    inner.data = encode(&snapshot.configuration).into();
    inner
}

/// The reverse of [`snapshot_in`]; None if it is not made by it.
pub fn snapshot_out(inner: &eraftpb::Snapshot) -> Option<Snapshot> {
    let configuration = postcard::from_bytes(&inner.data).ok()?;
    Some(Snapshot { index: inner.get_metadata().index, term: inner.get_metadata().term, configuration })
}

pub fn conf_state(configuration: &Configuration) -> eraftpb::ConfState {
    let ids = |hosts: &BTreeSet<HostId>| hosts.iter().copied().map(raft_id).collect::<Vec<_>>();
    eraftpb::ConfState {
        voters: ids(&configuration.voters),
        learners: ids(&configuration.learners),
        voters_outgoing: ids(&configuration.outgoing),
        learners_next: ids(&configuration.learners_next),
        auto_leave: configuration.auto_leave,
        ..eraftpb::ConfState::default()
    }
}
