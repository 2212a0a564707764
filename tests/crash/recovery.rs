//! A person orders recovery, and takes it back: what was not made durable was not ordered, and what was is there after the crash.

use crate::{
    Side,
    harness::{Cluster, FINAL, Start, members::upgraded},
};
use group0_core::io::Point;
use group0_node::cql::client::CqlClient;

pub const TESTED: &[Point] = &[Point::Recovery];

const RECOVERY: &str = "recovery";
const ENTER: &str = "UPDATE system.scylla_local SET value='recovery' WHERE key='group0_upgrade_state'";
const LEAVE: &str = "DELETE value FROM system.scylla_local WHERE key='group0_upgrade_state'";

/// The victim, which is not under the clients that have to be acknowledged.
const VICTIM: usize = 2;

/// It serves in that state.
async fn is_in(cluster: &Cluster, state: &str) {
    cluster.nodes()[VICTIM].until("to serve in that state", |status| status.ready && status.upgrade_state == state).await;
}

async fn write(cluster: &Cluster, statement: &str) -> bool {
    let mut client = CqlClient::connect(cluster.nodes()[VICTIM].cql()).await.expect("it takes clients");
    client.query(statement).await.is_ok()
}

async fn start(cluster: &mut Cluster, state: &str) {
    cluster.node(VICTIM).start(&Start { flag_and_hold: true, ..Start::default() });
    is_in(cluster, state).await;
}

/// The write that the process dies over, and if it was not made durable, once more; then the node is in this state.
async fn write_and_crash(cluster: &mut Cluster, side: Side, statement: &str, (before, after): (&str, &str)) {
    cluster.nodes()[VICTIM].inject(&side.of(Point::Recovery)).await;
    assert!(!write(cluster, statement).await, "it dies before it can answer");
    cluster.node(VICTIM).killed().await;
    if side == Side::Before {
        start(cluster, before).await;
        assert!(write(cluster, statement).await);
        cluster.node(VICTIM).stop().await;
    }
    start(cluster, after).await;
}

async fn recovery(side: Side) {
    let (mut cluster, workload) = upgraded(3).await;
    write_and_crash(&mut cluster, side, ENTER, (FINAL, RECOVERY)).await;
    write_and_crash(&mut cluster, side, LEAVE, (RECOVERY, FINAL)).await;
    cluster.complete().await;
    let acknowledged = workload.stop().await;
    for node in cluster.nodes() {
        acknowledged.assert_on(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_recovery() {
    recovery(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_recovery() {
    recovery(Side::After).await;
}
