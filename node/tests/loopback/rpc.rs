//! Two nodes with scripts for machines on 127.x: what one calls, the other is asked; how calls end.

use crate::toy::{Replies, Toy, header, silent};
use bytes::Bytes;
use group0_core::{
    gossip::{Endpoint, RingStatus},
    ids::{Generation, GroupId, HostId, Incarnation, Micros},
    io::{
        CallError, CallId, Destination, Input, JoinReply, Message, Migration, Path, PeerReply, PeerRequest, Refusal, Replacement,
        Reply, Send, StateReply,
    },
    raft::{MessageKind, RaftMessage},
    schema::{RowKey, Rows, SchemaTable},
    upgrade::Stage,
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const PATH: Path = Path { hops: 5, fsyncs: 6 };
const SECOND: Duration = Duration::from_secs(1);

struct Pair {
    one: Toy,
    two: Toy,
    workdir: tempfile::TempDir,
}

async fn pair(replies: Replies) -> Pair {
    let workdir = tempfile::tempdir().expect("a directory");
    let one = Toy::start("127.21.0.1", &workdir.path().join("1"), silent).await;
    let two = Toy::start("127.21.0.2", &workdir.path().join("2"), replies).await;
    Pair { one, two, workdir }
}

fn call(to: Destination, number: u64, request: PeerRequest, within: Duration) -> Send {
    Send::Call { call: CallId(number), to, header: header(), request, within }
}

fn state(stage: Stage) -> StateReply {
    StateReply { stage, host: HostId::of(2), group: Some(GroupId::of(9)), incarnation: Incarnation(1) }
}

/// Of a large schema: several pieces of it.
fn rows() -> Rows {
    rows_of(3000)
}

fn rows_of(count: i64) -> Rows {
    let key = |number| RowKey { table: SchemaTable::Tables, parts: vec!["k".repeat(1000), format!("t{number}")] };
    Rows { cells: [].into(), deletions: (0..count).map(|number| (key(number), Micros(number))).collect() }
}

fn endpoint() -> Endpoint {
    Endpoint {
        host: HostId::of(3),
        generation: Generation(1),
        version: 2,
        status: RingStatus::Joining,
        address: SocketAddr::from(([127, 0, 0, 3], 7000)),
        rpc_address: SocketAddr::from(([127, 0, 0, 3], 9042)),
        data_center: "dc".to_owned(),
        rack: "r".to_owned(),
        release: "1".to_owned(),
        tokens: [-5, 5].into(),
        features: ["F".to_owned()].into(),
        schema_version: uuid::Uuid::from_u128(4),
        group: None,
        incarnation: Incarnation(0),
        is_final: false,
    }
}

fn replaced() -> Replacement {
    Replacement { host: HostId::of(8), ignore: vec![HostId::of(9)] }
}

fn answer_all(input: &Input) -> Vec<Reply> {
    let Input::Request { id, header, request } = input else { return vec![] };
    assert_eq!(*header, self::header());
    let version = uuid::Uuid::from_u128(7);
    let outcome = match request {
        PeerRequest::SchemaCheck => Ok((PeerReply::Schema { version, state: state(Stage::UsePreRaft) }, PATH)),
        PeerRequest::GetGroup0UpgradeState => Ok((PeerReply::State(state(Stage::Recovery)), PATH)),
        PeerRequest::Group0ModifyConfig { .. } => Err(Refusal::OtherGroup { ours: Some(GroupId::of(9)), theirs: GroupId::of(8) }),
        PeerRequest::MigrationRequest { snapshot_of: None } => Ok((
            PeerReply::Migration(Box::new(Migration {
                rows: rows(),
                state: state(Stage::UsePreRaft),
                version,
                snapshot: None,
                history: vec![],
            })),
            PATH,
        )),
        PeerRequest::DefinitionsUpdate(update) if *update == rows() => Ok((PeerReply::Merged { version }, PATH)),
        PeerRequest::JoinRing { endpoint: joining, replaces } if *joining == endpoint() && *replaces == Some(replaced()) => {
            Ok((PeerReply::JoinRing(JoinReply::Welcome), PATH))
        }
        PeerRequest::RemoveHost { host, agreed: true } if *host == HostId::of(6) => Ok((PeerReply::Removed, PATH)),
        other => Err(Refusal::Never(format!("{other:?}"))),
    };
    vec![Reply::Peer { id: *id, outcome }]
}

async fn outcome(toy: &mut Toy, number: u64) -> Result<(PeerReply, Path), CallError> {
    match toy.next().await {
        Input::Answer { call, outcome } if call == CallId(number) => outcome,
        other => unreachable!("an answer to call {number}, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_reaches_the_other_node_and_its_reply_comes_back() {
    let Pair { mut one, two, workdir: _workdir } = pair(answer_all).await;
    let requests = [
        PeerRequest::SchemaCheck,
        PeerRequest::GetGroup0UpgradeState,
        PeerRequest::MigrationRequest { snapshot_of: None },
        PeerRequest::DefinitionsUpdate(rows()),
        PeerRequest::JoinRing { endpoint: endpoint(), replaces: Some(replaced()) },
        PeerRequest::RemoveHost { host: HostId::of(6), agreed: true },
    ];
    for (number, request) in (0..).zip(requests) {
        let verb = request.verb();
        one.send(vec![call(two.destination(), number, request, 5 * SECOND)]);
        let (reply, path) = outcome(&mut one, number).await.expect(verb);
        assert_eq!(path, PATH, "{verb}");
        match reply {
            PeerReply::Schema { state: reply, .. } => assert_eq!(reply, state(Stage::UsePreRaft)),
            PeerReply::State(reply) => assert_eq!(reply, state(Stage::Recovery)),
            PeerReply::Migration(reply) => assert_eq!(reply.rows, rows()),
            PeerReply::Merged { version } => assert_eq!(version, uuid::Uuid::from_u128(7)),
            PeerReply::JoinRing(reply) => assert_eq!(reply, JoinReply::Welcome),
            PeerReply::Removed => {}
            other => unreachable!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_arrives_as_what_it_is() {
    let Pair { mut one, two, workdir: _workdir } = pair(answer_all).await;
    let request = PeerRequest::Group0ModifyConfig { group: GroupId::of(8), add: vec![], remove: vec![HostId::of(4)] };
    one.send(vec![call(two.destination(), 1, request, SECOND)]);
    let refusal = Refusal::OtherGroup { ours: Some(GroupId::of(9)), theirs: GroupId::of(8) };
    assert_eq!(outcome(&mut one, 1).await.expect_err("refused"), CallError::Refused(refusal));
}

#[tokio::test] // one thread, blocked meanwhile: the call's task begins only after the abort
async fn a_call_that_is_aborted_before_it_is_sent_is_never_sent() {
    let Pair { mut one, mut two, workdir: _workdir } = pair(answer_all).await;
    let abandoned = call(two.destination(), 1, PeerRequest::SchemaCheck, SECOND);
    let last = call(two.destination(), 2, PeerRequest::GetGroup0UpgradeState, 5 * SECOND);
    one.send_and_block(vec![abandoned, Send::Abort(CallId(1)), last]);
    assert_eq!(outcome(&mut one, 1).await.expect_err("aborted"), CallError::Aborted { sent: false });
    assert!(outcome(&mut one, 2).await.is_ok());
    assert!(matches!(two.next().await, Input::Request { request: PeerRequest::GetGroup0UpgradeState, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_and_a_deadline_after_sending_are_told_apart() {
    let Pair { mut one, mut two, workdir: _workdir } = pair(silent).await;
    one.send(vec![call(two.destination(), 1, PeerRequest::SchemaCheck, 30 * SECOND)]);
    let Input::Request { id: first, .. } = two.next().await else { unreachable!("a request") };
    one.send(vec![Send::Abort(CallId(1))]);
    assert_eq!(outcome(&mut one, 1).await.expect_err("aborted"), CallError::Aborted { sent: true });
    assert!(matches!(two.next().await, Input::Gone(id) if id == first));
    one.send(vec![call(two.destination(), 2, PeerRequest::SchemaCheck, SECOND / 10)]);
    assert_eq!(outcome(&mut one, 2).await.expect_err("too late"), CallError::TimedOut { sent: true });
}

fn answer_with_much(input: &Input) -> Vec<Reply> {
    let Input::Request { id, .. } = input else { return vec![] };
    let (rows, version) = (rows_of(12_000), uuid::Uuid::from_u128(7));
    let migration = Migration { rows, state: state(Stage::UsePreRaft), version, snapshot: None, history: vec![] };
    vec![Reply::Peer { id: *id, outcome: Ok((PeerReply::Migration(Box::new(migration)), PATH)) }]
}

/// What comes from there is let through a little at a time.
async fn slow_way_to(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let way = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(address).await.expect("the node listens");
            let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
            tokio::spawn(async move {
                let mut piece = vec![0; 1 << 16];
                while let Ok(length @ 1..) = from_far.read(&mut piece).await {
                    tokio::time::sleep(SECOND / 50).await;
                    to_near.write_all(piece.get(..length).unwrap_or_default()).await.expect("it listens");
                }
            });
        }
    });
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_may_take_as_long_as_it_is_large_and_the_way_slow() {
    let Pair { mut one, two, workdir: _workdir } = pair(answer_with_much).await;
    let address = slow_way_to(two.destination().address).await;
    let begin = Instant::now();
    one.send(vec![call(Destination { address }, 1, PeerRequest::MigrationRequest { snapshot_of: None }, 2 * SECOND)]);
    let (reply, _) = outcome(&mut one, 1).await.expect("all of it");
    assert!(matches!(reply, PeerReply::Migration(_)) && begin.elapsed() > 2 * SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_until_somebody_leaves() {
    let Pair { mut one, mut two, workdir: _workdir } = pair(silent).await;
    one.send(vec![call(two.destination(), 1, PeerRequest::WatchGroup0UpgradeState, SECOND / 2)]);
    let Input::Request { id, .. } = two.next().await else { unreachable!("a request") };
    for stage in [Stage::UsePreRaft, Stage::Synchronize, Stage::UsePostRaft] {
        let reply = vec![Reply::Peer { id, outcome: Ok((PeerReply::State(state(stage)), PATH)) }];
        two.hand(group0_core::io::Effects { reply, ..Default::default() });
        let Input::Update { call: CallId(1), reply: (PeerReply::State(got), PATH) } = one.next().await else {
            unreachable!("an update")
        };
        assert_eq!(got.stage, stage);
        tokio::time::sleep(SECOND / 4).await; // past the deadline, which is for the first answer only
    }
    one.send(vec![Send::Abort(CallId(1))]);
    assert_eq!(outcome(&mut one, 1).await.expect_err("aborted"), CallError::Aborted { sent: true });
    assert!(matches!(two.next().await, Input::Gone(gone) if gone == id));
    one.send(vec![call(two.destination(), 2, PeerRequest::WatchGroup0UpgradeState, 5 * SECOND)]);
    let Input::Request { .. } = two.next().await else { unreachable!("a request") };
    two.running.stop().await;
    assert!(matches!(outcome(&mut one, 2).await, Err(CallError::Closed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_address_is_told_at_once() {
    let Pair { mut one, two, workdir: _workdir } = pair(silent).await;
    let destination = two.destination();
    two.running.stop().await;
    let begin = Instant::now();
    one.send(vec![call(destination, 1, PeerRequest::SchemaCheck, 5 * SECOND)]);
    let error = outcome(&mut one, 1).await.expect_err("nobody is there");
    assert!(matches!(&error, CallError::Closed(text) if text.contains("refused")), "{error}");
    assert!(begin.elapsed() < 2 * SECOND);
}

fn gossip(to: Destination, number: u8) -> Send {
    Send::Message { to, header: header(), message: Message::Gossip(Bytes::copy_from_slice(&[number; 3])) }
}

fn raft(to: Destination, index: u64) -> Send {
    let message = RaftMessage {
        kind: MessageKind(3),
        from: HostId::of(1),
        to: HostId::of(2),
        term: 1,
        log_term: 1,
        index,
        entries: vec![],
        commit: 0,
        commit_term: 0,
        snapshot: None,
        request_snapshot: 0,
        reject: false,
        reject_hint: 0,
        context: Bytes::new(),
        priority: 0,
    };
    Send::Message { to, header: header(), message: Message::Raft(GroupId::of(9), message) }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_keep_their_order_and_find_a_restarted_node() {
    let Pair { one, mut two, workdir } = pair(silent).await;
    let to = two.destination();
    one.send((0..200).map(|index| raft(to, index)).collect());
    for expected in 0..200 {
        let Input::Message { message: Message::Raft(_, message), .. } = two.next().await else { unreachable!("Raft") };
        assert_eq!(message.index, expected);
    }
    one.send(vec![gossip(to, 1)]);
    assert!(matches!(two.next().await, Input::Message { message: Message::Gossip(bytes), .. } if *bytes == [1, 1, 1]));
    two.running.stop().await;
    let mut two = Toy::start_at("127.21.0.2", to.address.port(), &workdir.path().join("2"), silent).await;
    let knocking = async {
        loop {
            one.send(vec![gossip(to, 2)]);
            tokio::time::sleep(SECOND / 20).await;
        }
    };
    tokio::select! {
        () = knocking => {}
        input = two.next() => assert!(matches!(input, Input::Message { message: Message::Gossip(_), .. })),
    }
}
