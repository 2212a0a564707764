//! Messages of Raft.

use super::{WireError, address, host, id};
use bytes::Bytes;
use group0_api::v1;
use group0_core::{
    ids::HostId,
    raft::{Configuration, Entry, EntryKind, Member, MessageKind, RaftMessage, Snapshot},
};
use std::collections::BTreeSet;

/// To the wire.
pub fn raft_to(message: RaftMessage) -> v1::RaftMessage {
    v1::RaftMessage {
        kind: message.kind.0.into(),
        from: id(message.from.0),
        to: id(message.to.0),
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.into_iter().map(entry_to).collect(),
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot: message.snapshot.as_ref().map(snapshot_to),
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
    }
}

/// From the wire.
pub fn raft_from(message: v1::RaftMessage) -> Result<RaftMessage, WireError> {
    Ok(RaftMessage {
        kind: MessageKind(u8::try_from(message.kind).map_err(|_| WireError::Bad("the kind"))?),
        from: host(&message.from)?,
        to: host(&message.to)?,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        entries: message.entries.into_iter().map(entry_from).collect::<Result<_, _>>()?,
        commit: message.commit,
        commit_term: message.commit_term,
        snapshot: message.snapshot.map(snapshot_from).transpose()?,
        request_snapshot: message.request_snapshot,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context,
        priority: message.priority,
    })
}

fn entry_to(entry: Entry) -> v1::Entry {
    use v1::entry::Kind;
    let kind = match entry.kind {
        EntryKind::Normal => Kind::Normal,
        EntryKind::ConfChange => Kind::ConfChange,
        EntryKind::ConfChangeV2 => Kind::ConfChangeV2,
    };
    v1::Entry { index: entry.index, term: entry.term, kind: kind.into(), data: entry.data, context: entry.context }
}

fn entry_from(entry: v1::Entry) -> Result<Entry, WireError> {
    use v1::entry::Kind;
    let kind = match Kind::try_from(entry.kind).map_err(|_| WireError::Bad("the kind of an entry"))? {
        Kind::Normal => EntryKind::Normal,
        Kind::ConfChange => EntryKind::ConfChange,
        Kind::ConfChangeV2 => EntryKind::ConfChangeV2,
    };
    Ok(Entry { index: entry.index, term: entry.term, kind, data: entry.data, context: entry.context })
}

/// To the wire.
pub fn snapshot_to(snapshot: &Snapshot) -> v1::Snapshot {
    v1::Snapshot { index: snapshot.index, term: snapshot.term, configuration: Some(configuration_to(&snapshot.configuration)) }
}

/// From the wire.
pub fn snapshot_from(snapshot: v1::Snapshot) -> Result<Snapshot, WireError> {
    let configuration = snapshot.configuration.ok_or(WireError::Missing("the configuration of a snapshot"))?;
    Ok(Snapshot { index: snapshot.index, term: snapshot.term, configuration: configuration_from(&configuration)? })
}

fn configuration_to(configuration: &Configuration) -> v1::Configuration {
    let members = configuration.addresses.iter();
    v1::Configuration {
        voters: ids(&configuration.voters),
        learners: ids(&configuration.learners),
        outgoing: ids(&configuration.outgoing),
        learners_next: ids(&configuration.learners_next),
        auto_leave: configuration.auto_leave,
        addresses: members.map(|(&host, &address)| member_to(Member { host, address })).collect(),
    }
}

fn configuration_from(configuration: &v1::Configuration) -> Result<Configuration, WireError> {
    let members = configuration.addresses.iter().map(|member| member_from(member).map(|member| (member.host, member.address)));
    Ok(Configuration {
        voters: hosts(&configuration.voters)?,
        learners: hosts(&configuration.learners)?,
        outgoing: hosts(&configuration.outgoing)?,
        learners_next: hosts(&configuration.learners_next)?,
        auto_leave: configuration.auto_leave,
        addresses: members.collect::<Result<_, _>>()?,
    })
}

/// To the wire.
pub fn member_to(member: Member) -> v1::Member {
    v1::Member { host: id(member.host.0), address: member.address.to_string() }
}

/// From the wire.
pub fn member_from(member: &v1::Member) -> Result<Member, WireError> {
    Ok(Member { host: host(&member.host)?, address: address(&member.address)? })
}

fn ids(hosts: &BTreeSet<HostId>) -> Vec<Bytes> {
    hosts.iter().map(|host| id(host.0)).collect()
}

fn hosts(ids: &[Bytes]) -> Result<BTreeSet<HostId>, WireError> {
    ids.iter().map(|id| host(id)).collect()
}
