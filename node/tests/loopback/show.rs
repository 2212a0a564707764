//! What operators and tools see of a node: REST, metrics, the Admin service.

use crate::{rest::get, toy::Toy};
use group0_api::v1::{GetStatusRequest, WatchStatusRequest, admin_client::AdminClient};
use group0_core::{
    cql::frame::Event,
    ids::{Generation, GroupId, HostId, Incarnation, Micros},
    io::{AdminReply, AdminRequest, Apply, ClientReply, Effects, Input, Point, Reply, SchemaChange, SchemaEvent, SchemaTarget},
    status::{Boot, Cost, Evidence, GroupStatus, Procedure, Status},
    upgrade::{Stage, Step, WaitingOn},
};
use group0_node::{cql::client::CqlClient, metrics::Metrics};
use std::{net::SocketAddr, time::Duration};

fn status() -> Status {
    let waiting = vec![WaitingOn::Synchronize(HostId::of(5))];
    Status {
        sequence: 1,
        cluster_name: "c".to_owned(),
        host: HostId::of(2),
        generation: Generation(3),
        address: SocketAddr::from(([127, 22, 0, 1], 7000)),
        release: "0.1.0".to_owned(),
        clock: Micros(9_000_000),
        ready: Ok(()),
        boot: Boot::Completed,
        flag: Some(true),
        held: false,
        proceed: true,
        feature_enabled: true,
        stage: Stage::Synchronize,
        procedure: Procedure::Running { step: Step::AwaitMembers, waiting, since: Micros(2_000_000) },
        group: None,
        schema_version: uuid::Uuid::from_u128(4),
        peers: [].into(),
        upgrade_figures: None,
        cost: Cost::default(),
        operator_epoch: 7,
        recovery: None,
        evidence: Evidence::default(),
    }
}

fn operator(input: &Input) -> Vec<Reply> {
    let Input::Admin { id, request } = input else { return vec![] };
    let reply = match request {
        AdminRequest::GetStatus | AdminRequest::WatchStatus => AdminReply::Status(Box::new(status())),
        _ => AdminReply::Refused("not now".to_owned()),
    };
    vec![Reply::Admin { id: *id, reply }]
}

fn everyone(input: &Input) -> Vec<Reply> {
    match input {
        Input::Client { id, .. } => vec![Reply::Client { id: *id, reply: ClientReply::SetKeyspace("ks".to_owned()) }],
        input => operator(input),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_says_what_the_node_does_and_why_it_is_not_ready() {
    let workdir = tempfile::tempdir().expect("a directory");
    let node = Toy::start("127.22.0.1", workdir.path(), operator).await;
    let (api, prometheus) = (node.running.addresses.api, node.running.addresses.prometheus);
    assert!(get(api, "/healthz").await.starts_with("HTTP/1.1 200"));
    let answer = get(api, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("not ready: starting\n"), "{answer}");
    node.hand(Effects { apply: vec![Apply::Ready(Ok(()))], ..Effects::default() });
    while !get(prometheus, "/readyz").await.starts_with("HTTP/1.1 200") {}
    let answer = get(api, "/storage_service/raft_upgrade").await;
    assert!(answer.contains(r#""state":"synchronize""#) && answer.contains("to enter synchronize"), "{answer}");
    assert!(answer.contains(r#""operator_epoch":7"#), "{answer}");
    assert!(get(api, "/storage_service/hostid/local").await.ends_with(&format!("\"{}\"", HostId::of(2))));
    assert!(get(api, "/gossiper/endpoint/live").await.ends_with(r#"["127.22.0.1"]"#));
    assert!(get(api, "/gossiper/endpoint/down/").await.ends_with("[]"));
    let metrics = get(prometheus, "/metrics").await;
    for line in [
        "group0_upgrade_state{state=\"synchronize\"} 1",
        "group0_upgrade_state{state=\"recovery\"} 0",
        "group0_upgrade_step 6",
        "group0_upgrade_step_seconds 7",
        "group0_ready 1",
        "group0_fsync_seconds_count 0",
        "group0_cql_connections 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
}

#[test]
fn metrics_forget_a_group_that_the_node_has_no_more() {
    let group = GroupStatus {
        group: GroupId::of(1),
        incarnation: Incarnation(0),
        term: 11,
        leader: Some(HostId::of(2)),
        commit: 12,
        applied: 13,
        log_length: 14,
        voters: vec![HostId::of(2)],
        learners: vec![HostId::of(3)],
        joint: false,
        state_id: None,
    };
    let metrics = Metrics::default();
    let raft = |status: &Status| -> Vec<String> {
        let text = metrics.text(Some(status), true);
        text.lines().filter_map(|line| line.strip_prefix("group0_raft_")).map(str::to_owned).collect()
    };
    let expected = |values: [u64; 8]| -> Vec<String> {
        let names = ["term", "commit_index", "applied_index", "log_entries", "is_leader", "has_leader", "voters", "learners"];
        names.into_iter().zip(values).map(|(name, value)| format!("{name} {value}")).collect()
    };
    assert_eq!(raft(&Status { group: Some(group), ..status() }), expected([11, 12, 13, 14, 1, 1, 1, 1]));
    assert_eq!(raft(&status()), expected([0; 8]));
}

#[test]
fn metrics_count_what_was_made_durable_and_how_long_schema_changes_took() {
    let metrics = Metrics::default();
    metrics.steps(&[Point::Command, Point::Snapshot, Point::Command]);
    metrics.schema_change(true, Duration::from_millis(3));
    metrics.schema_change(false, Duration::from_mins(1));
    let text = metrics.text(None, true);
    for line in [
        "group0_steps_total{step=\"group0_command\"} 2",
        "group0_steps_total{step=\"group0_snapshot\"} 1",
        "group0_schema_change_seconds_bucket{le=\"0.004\",result=\"ok\"} 1",
        "group0_schema_change_seconds_sum{result=\"error\"} 60.0",
    ] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_service_shows() {
    let workdir = tempfile::tempdir().expect("a directory");
    let node = Toy::start("127.22.0.2", workdir.path(), operator).await;
    let mut client = AdminClient::connect(format!("http://{}", node.running.addresses.admin)).await.expect("it listens");
    let shown = client.get_status(GetStatusRequest {}).await.expect("a status").into_inner();
    assert_eq!((shown.upgrade_state.as_str(), shown.generation, shown.operator_epoch), ("synchronize", 3, 7));
    assert!(shown.disk_free_bytes > Some(0), "the test's own folder has space left");
    assert_eq!(shown.procedure.expect("it runs").step_name, "await_members");
    let mut watch = client.watch_status(WatchStatusRequest {}).await.expect("a watch").into_inner();
    assert!(watch.message().await.expect("no error").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn cql_is_open_while_the_node_is_ready() {
    let workdir = tempfile::tempdir().expect("a directory");
    let node = Toy::start("127.22.0.3", workdir.path(), everyone).await;
    let (address, api) = (SocketAddr::from(([127, 22, 0, 3], 9042)), node.running.addresses.api);
    assert!(CqlClient::connect(address).await.is_err());
    node.hand(Effects { apply: vec![Apply::Ready(Ok(()))], ..Effects::default() });
    while !get(api, "/readyz").await.starts_with("HTTP/1.1 200") {}
    let mut client = CqlClient::connect(address).await.expect("it is ready");
    client.register(&["SCHEMA_CHANGE"]).await.expect("registered");
    client.query("use ks").await.expect("an answer");
    let event = SchemaEvent {
        change: SchemaChange::Created,
        target: SchemaTarget::Table,
        keyspace: "ks".to_owned(),
        name: "t".to_owned(),
    };
    node.hand(Effects { apply: vec![Apply::SchemaChanged(event.clone())], ..Effects::default() });
    assert_eq!(client.event().await.expect("an event"), Event::Schema(event));
    assert!(get(api, "/metrics").await.contains("group0_cql_connections 1"));
    node.hand(Effects { apply: vec![Apply::Ready(Err("draining".to_owned()))], ..Effects::default() });
    while get(api, "/readyz").await.starts_with("HTTP/1.1 200") {}
    assert!(client.query("use ks").await.is_err());
}
