//! Replies.

use super::{
    WireError, from_versioned, group, group_bytes, header, id, path_from, path_to, raft, request, state_from, state_to, uuid,
    versioned,
};
use bytes::Bytes;
use group0_api::v1;
use group0_core::{
    ids::Incarnation,
    io::{ExchangeReply, JoinReply, Migration, Path, PeerReply, StateReply},
};
use uuid::Uuid;

type Answered = Result<(PeerReply, Path), WireError>;

/// To the wire.
pub fn exchange_to(reply: ExchangeReply, incarnation: Incarnation, path: Path) -> v1::Group0PeerExchangeResponse {
    use v1::group0_peer_exchange_response::{Answer, Nothing, Upgrading};
    let answer = match reply {
        ExchangeReply::Nothing => Answer::Nothing(Nothing {}),
        ExchangeReply::Upgrading => Answer::Upgrading(Upgrading {}),
        ExchangeReply::Group { group, incarnation, member, is_final } => Answer::Found(v1::FoundGroup {
            group: group_bytes(group),
            incarnation: incarnation.0,
            member: Some(raft::member_to(member)),
            is_final,
        }),
        ExchangeReply::Peers(peers) => Answer::Known(v1::DiscoveryPeers { peers: peers.iter().map(request::peer_to).collect() }),
    };
    v1::Group0PeerExchangeResponse { path: Some(path_to(path)), answer: Some(answer), incarnation: incarnation.0 }
}

/// From the wire.
pub fn exchange_from(response: v1::Group0PeerExchangeResponse) -> Answered {
    use v1::group0_peer_exchange_response::Answer;
    let reply = match response.answer.ok_or(WireError::Missing("the answer"))? {
        Answer::Nothing(_) => ExchangeReply::Nothing,
        Answer::Upgrading(_) => ExchangeReply::Upgrading,
        Answer::Found(found) => ExchangeReply::Group {
            group: group(&found.group)?,
            incarnation: Incarnation(found.incarnation),
            member: raft::member_from(&found.member.ok_or(WireError::Missing("the member"))?)?,
            is_final: found.is_final,
        },
        Answer::Known(known) => ExchangeReply::Peers(request::peers_from(&known.peers)?),
    };
    Ok((PeerReply::Exchange { reply, incarnation: Incarnation(response.incarnation) }, path_from(response.path)))
}

/// To the wire.
pub fn schema_to(version: Uuid, state: StateReply, path: Path) -> v1::SchemaCheckResponse {
    v1::SchemaCheckResponse { state: Some(state_to(state, path)), version: id(version) }
}

/// From the wire.
pub fn schema_from(response: &v1::SchemaCheckResponse) -> Answered {
    let (state, path) = state_from(response.state.as_ref().ok_or(WireError::Missing("the state"))?)?;
    Ok((PeerReply::Schema { version: uuid(&response.version, "the schema version")?, state }, path))
}

/// To the wire.
pub fn merged_to(version: Uuid, path: Path) -> v1::DefinitionsUpdateResponse {
    v1::DefinitionsUpdateResponse { path: Some(path_to(path)), version: id(version) }
}

/// From the wire.
pub fn merged_from(response: &v1::DefinitionsUpdateResponse) -> Answered {
    Ok((PeerReply::Merged { version: uuid(&response.version, "the schema version")? }, path_from(response.path)))
}

/// To the wire.
pub fn join_to(reply: JoinReply, path: Path) -> v1::JoinRingResponse {
    use v1::join_ring_response::{Answer, Final, NotInRing, Refused, Upgrading, Welcome};
    let answer = match reply {
        JoinReply::Welcome => Answer::Welcome(Welcome {}),
        JoinReply::Upgrading => Answer::Upgrading(Upgrading {}),
        JoinReply::Final { group, incarnation } => Answer::Final(Final { group: group_bytes(group), incarnation: incarnation.0 }),
        JoinReply::NotInRing => Answer::NotInRing(NotInRing {}),
        JoinReply::Refused(reason) => Answer::Refused(Refused { reason }),
    };
    v1::JoinRingResponse { path: Some(path_to(path)), answer: Some(answer) }
}

/// From the wire.
pub fn join_from(response: v1::JoinRingResponse) -> Answered {
    use v1::join_ring_response::Answer;
    let reply = match response.answer.ok_or(WireError::Missing("the answer"))? {
        Answer::Welcome(_) => JoinReply::Welcome,
        Answer::Upgrading(_) => JoinReply::Upgrading,
        Answer::Final(last) => JoinReply::Final { group: group(&last.group)?, incarnation: Incarnation(last.incarnation) },
        Answer::NotInRing(_) => JoinReply::NotInRing,
        Answer::Refused(refused) => JoinReply::Refused(refused.reason),
    };
    Ok((PeerReply::JoinRing(reply), path_from(response.path)))
}

/// The head of a schema, and the bytes to send in pieces.
pub fn migration_head(migration: &Migration, path: Path) -> (v1::MigrationHead, Bytes) {
    let bytes = versioned(&(&migration.rows, &migration.history));
    let head = v1::MigrationHead {
        state: Some(header::state_to(migration.state, path)),
        version: id(migration.version),
        snapshot: migration.snapshot.as_ref().map(raft::snapshot_to),
        length: bytes.len() as u64,
    };
    (head, bytes)
}

/// The other way, once all pieces are there.
pub fn migration_from(head: v1::MigrationHead, bytes: &[u8]) -> Answered {
    if head.length != bytes.len() as u64 {
        return Err(WireError::Bad("the length of the schema"));
    }
    let (state, path) = state_from(head.state.as_ref().ok_or(WireError::Missing("the state"))?)?;
    let (rows, history) = from_versioned(bytes, "a schema")?;
    let migration = Migration {
        rows,
        state,
        version: uuid(&head.version, "the schema version")?,
        snapshot: head.snapshot.map(raft::snapshot_from).transpose()?,
        history,
    };
    Ok((PeerReply::Migration(Box::new(migration)), path))
}
