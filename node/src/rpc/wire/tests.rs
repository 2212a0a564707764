//! What goes to the wire comes back the same.

use super::*;
use group0_core::{
    ids::{Generation, Incarnation, Micros},
    io::{DiscoveryPeer, ExchangeReply, Header, JoinReply, Migration, Path, PeerReply, PeerRequest, Refusal, StateReply},
    raft::{Configuration, Entry, EntryKind, Member, MessageKind, RaftMessage, Snapshot},
    schema::Rows,
    upgrade::Stage,
};
use std::collections::{BTreeMap, BTreeSet};

const PATH: Path = Path { hops: 3, fsyncs: 2 };

fn here() -> SocketAddr {
    SocketAddr::from(([127, 3, 0, 1], 7000))
}

fn member() -> Member {
    Member { host: HostId::of(7), address: here() }
}

fn snapshot() -> Snapshot {
    let configuration = Configuration {
        voters: BTreeSet::from([HostId::of(1), HostId::of(2)]),
        learners: BTreeSet::from([HostId::of(3)]),
        outgoing: BTreeSet::from([HostId::of(1)]),
        learners_next: BTreeSet::from([HostId::of(4)]),
        auto_leave: true,
        addresses: BTreeMap::from([(HostId::of(1), here())]),
    };
    Snapshot { index: 5, term: 6, configuration }
}

fn state() -> StateReply {
    StateReply { stage: Stage::Synchronize, host: HostId::of(1), group: Some(GroupId::of(2)), incarnation: Incarnation(3) }
}

#[test]
fn headers_and_states() {
    let header = Header {
        cluster: "c".into(),
        from: HostId::of(1),
        from_address: here(),
        to: None,
        incarnation: Incarnation(4),
        path: PATH,
    };
    assert_eq!(header_from(Some(header_to(&header))), Ok(header.clone()));
    let meant = Header { to: Some(HostId::of(9)), ..header };
    assert_eq!(header_from(Some(header_to(&meant))), Ok(meant));
    assert_eq!(header_from(None), Err(WireError::Missing("its header")));
    for stage in Stage::ALL {
        let state = StateReply { stage, ..state() };
        assert_eq!(state_from(&state_to(state, PATH)), Ok((state, PATH)));
    }
    assert_eq!(state_from(&group0_api::v1::State::default()), Err(WireError::Missing("the stage")));
}

#[test]
fn raft_messages() {
    let entry = |kind| Entry { index: 1, term: 2, kind, data: Bytes::from_static(b"d"), context: Bytes::from_static(b"c") };
    let kinds = [EntryKind::Normal, EntryKind::ConfChange, EntryKind::ConfChangeV2];
    let message = RaftMessage {
        kind: MessageKind(3),
        from: HostId::of(1),
        to: HostId::of(2),
        term: 4,
        log_term: 5,
        index: 6,
        entries: kinds.map(entry).to_vec(),
        commit: 7,
        commit_term: 8,
        snapshot: Some(snapshot()),
        request_snapshot: 9,
        reject: true,
        reject_hint: 10,
        context: Bytes::from_static(b"x"),
        priority: -1,
    };
    assert_eq!(raft_from(raft_to(message.clone())), Ok(message));
}

#[test]
fn exchanges_and_joins() {
    let peers = vec![DiscoveryPeer { host: None, address: here(), generation: Generation(8) }];
    let found = ExchangeReply::Group { group: GroupId::of(2), incarnation: Incarnation(1), member: member(), is_final: true };
    for reply in [ExchangeReply::Nothing, ExchangeReply::Upgrading, found, ExchangeReply::Peers(peers)] {
        let back = exchange_from(exchange_to(reply.clone(), Incarnation(3), PATH)).expect("it makes sense");
        assert!(
            matches!(&back, (PeerReply::Exchange { reply: got, incarnation: Incarnation(3) }, PATH) if *got == reply),
            "{back:?}"
        );
    }
    let replies = [
        JoinReply::Welcome,
        JoinReply::Upgrading,
        JoinReply::Final { group: GroupId::of(3), incarnation: Incarnation(2) },
        JoinReply::NotInRing,
        JoinReply::Refused("no".into()),
    ];
    for reply in replies {
        let back = join_from(join_to(reply.clone(), PATH)).expect("it makes sense");
        assert!(matches!(&back, (PeerReply::JoinRing(got), PATH) if *got == reply), "{back:?}");
    }
}

#[test]
fn changes_of_members() {
    let wire = modify_to(group0_api::v1::Header::default(), GroupId::of(1), &[(member(), true)], &[HostId::of(5)]);
    let back = modify_from(&wire).expect("it makes sense");
    assert!(
        matches!(&back, PeerRequest::Group0ModifyConfig { group, add, remove }
            if *group == GroupId::of(1) && add == &[(member(), true)] && remove == &[HostId::of(5)]),
        "{back:?}"
    );
}

#[test]
fn schemas_of_any_size() {
    let mut rows = Rows::default();
    for number in 0..1000 {
        let key =
            group0_core::schema::RowKey { table: group0_core::schema::SchemaTable::Tables, parts: vec![format!("t{number}")] };
        rows.deletions.insert(key, Micros(number));
    }
    let migration = Migration { rows, state: state(), version: Uuid::from_u128(4), snapshot: Some(snapshot()), history: vec![] };
    let (head, bytes) = migration_head(&migration, PATH);
    let back = migration_from(head.clone(), &bytes).expect("it makes sense");
    assert!(
        matches!(&back, (PeerReply::Migration(got), PATH) if got.rows == migration.rows && got.snapshot == migration.snapshot),
        "{back:?}"
    );
    assert!(migration_from(head, &bytes[1..]).is_err());
}

#[test]
fn refusals_stay_typed() {
    let refusals = [
        Refusal::ForeignCluster { ours: "a".into(), theirs: "b".into() },
        Refusal::WrongDestination { ours: HostId::of(1), meant: HostId::of(2) },
        Refusal::RemovedHost(HostId::of(3)),
        Refusal::OtherGroup { ours: None, theirs: GroupId::of(4) },
        Refusal::NotNow("später".into()),
        Refusal::Never("nie".into()),
    ];
    for refusal in refusals {
        let error = call_error(group0_api::CallError::Status(refusal_to_status(&refusal)));
        assert_eq!(error, group0_core::io::CallError::Refused(refusal));
    }
}

#[test]
fn another_format_is_refused_by_name() {
    assert_eq!(from_versioned::<u8>(&[2, 1], "x"), Err(WireError::Format(2)));
    assert_eq!(from_versioned::<u8>(&[1, 1, 1], "x"), Err(WireError::Bad("x")));
    assert_eq!(from_versioned::<u8>(&[], "x"), Err(WireError::Missing("x")));
    assert_eq!(bytes_from_versioned(&versioned_bytes(b"abc")), Ok(Bytes::from_static(b"abc")));
}
