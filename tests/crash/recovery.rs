//! Recovery is ordered, by a person or by a plan, and taken back: what was not made durable was not ordered, and what was is there after
//! the crash.

use crate::{
    Side,
    harness::{
        Cluster, FINAL, Start,
        members::{host, is_down, upgraded},
        workload::Workload,
    },
};
use group0_api::v1::{PrepareFenceRequest, RecoveryOrder, RecoveryPlan, admin_client::AdminClient};
use group0_core::io::Point;
use group0_node::cql::client::CqlClient;

pub const TESTED: &[Point] = &[Point::Recovery, Point::Plan, Point::GroupForgotten];

const RECOVERY: &str = "recovery";
const ENTER: &str = "UPDATE system.scylla_local SET value='recovery' WHERE key='group0_upgrade_state'";
const LEAVE: &str = "DELETE value FROM system.scylla_local WHERE key='group0_upgrade_state'";
const FORGET_DISCOVERY: &str = "TRUNCATE system.discovery";
const FORGET_HISTORY: &str = "TRUNCATE system.group0_history";
const FORGET_GROUP: &str = "DELETE value FROM system.scylla_local WHERE key='raft_group0_id'";

/// The victim, which is not under the clients that have to be acknowledged.
const VICTIM: usize = 2;

/// A node serves in that state.
async fn is_in(cluster: &Cluster, index: usize, state: &str) {
    cluster.nodes()[index].until("to serve in that state", |status| status.ready && status.upgrade_state == state).await;
}

async fn write(cluster: &Cluster, index: usize, statement: &str) -> bool {
    let mut client = CqlClient::connect(cluster.nodes()[index].cql()).await.expect("it takes clients");
    client.query(statement).await.is_ok()
}

fn start(cluster: &mut Cluster, index: usize) {
    cluster.node(index).start(&Start { flag_and_hold: true, ..Start::default() });
}

async fn restart(cluster: &mut Cluster, index: usize) {
    cluster.node(index).stop().await;
    start(cluster, index);
}

/// The write that the process dies over. If it was not made durable the node is as `before`, and the write is made once more.
async fn write_and_crash(cluster: &mut Cluster, side: Side, point: Point, statement: &str, before: &str) {
    cluster.nodes()[VICTIM].inject(&side.of(point)).await;
    assert!(!write(cluster, VICTIM, statement).await, "it dies before it can answer");
    cluster.node(VICTIM).killed().await;
    start(cluster, VICTIM);
    if side == Side::Before {
        is_in(cluster, VICTIM, before).await;
        assert!(write(cluster, VICTIM, statement).await);
    }
}

async fn nothing_is_lost(cluster: &Cluster, workload: Workload) {
    let acknowledged = workload.stop().await;
    for node in cluster.nodes() {
        acknowledged.assert_on(node).await;
    }
}

async fn recovery(side: Side) {
    let (mut cluster, workload) = upgraded(3).await;
    for (statement, before, after) in [(ENTER, FINAL, RECOVERY), (LEAVE, RECOVERY, FINAL)] {
        write_and_crash(&mut cluster, side, Point::Recovery, statement, before).await;
        if side == Side::Before {
            restart(&mut cluster, VICTIM).await;
        }
        is_in(&cluster, VICTIM, after).await;
    }
    cluster.complete().await;
    nothing_is_lost(&cluster, workload).await;
}

/// All three forget their group by hand, and form another one.
async fn group_forgotten(side: Side) {
    let (mut cluster, workload) = upgraded(3).await;
    let former = cluster.complete().await;
    for index in 0..3 {
        assert!(write(&cluster, index, ENTER).await);
        restart(&mut cluster, index).await;
        is_in(&cluster, index, RECOVERY).await;
    }
    write_and_crash(&mut cluster, side, Point::GroupForgotten, FORGET_GROUP, RECOVERY).await;
    for index in 0..3 {
        is_in(&cluster, index, RECOVERY).await;
        for statement in [FORGET_DISCOVERY, FORGET_HISTORY, FORGET_GROUP, LEAVE] {
            assert!(write(&cluster, index, statement).await, "{statement}");
        }
    }
    for index in 0..3 {
        restart(&mut cluster, index).await;
    }
    assert_ne!(cluster.complete().await, former);
    nothing_is_lost(&cluster, workload).await;
}

/// A plan is prepared, whose withdrawal shows whether it was stored.
async fn plan(side: Side) {
    let (mut cluster, workload) = upgraded(3).await;
    let (planner, dead) = (0, 2);
    let mut hosts = Vec::new();
    for index in 0..3 {
        hosts.push(host(&cluster, index).await);
    }
    cluster.node(dead).kill().await;
    cluster.nodes()[planner].until("to notice that a node is dead", |status| is_down(status, &hosts[dead])).await;
    cluster.nodes()[planner].inject(&side.of(Point::Plan)).await;
    let plan =
        RecoveryPlan { number: 1, survivors: hosts[..2].to_vec(), excluded: hosts[2..].to_vec(), text: "a test".to_owned() };
    let request = PrepareFenceRequest { plan: Some(plan), ..PrepareFenceRequest::default() };
    let address = format!("http://{}:7001", cluster.nodes()[planner].address());
    let mut admin = AdminClient::connect(address.clone()).await.expect("it listens");
    admin.prepare_fence(request).await.expect_err("it dies before it can answer");
    cluster.node(planner).killed().await;
    start(&mut cluster, planner);
    is_in(&cluster, planner, FINAL).await;
    let mut admin = AdminClient::connect(address).await.expect("it listens");
    let lifted = admin.lift_fence(RecoveryOrder { plan: 1, ..RecoveryOrder::default() }).await;
    assert_eq!(lifted.is_ok(), side == Side::After, "{lifted:?}");
    start(&mut cluster, dead);
    cluster.complete().await;
    nothing_is_lost(&cluster, workload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_recovery() {
    recovery(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_recovery() {
    recovery(Side::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_group0_forgotten() {
    group_forgotten(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_group0_forgotten() {
    group_forgotten(Side::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_recovery_plan() {
    plan(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_recovery_plan() {
    plan(Side::After).await;
}
