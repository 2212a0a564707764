//! A host leaves, or is removed, and a process dies over it: asked again, it is out, and stays out.

use crate::{
    Side,
    harness::{
        Cluster, Start,
        members::{CHANGES_MIN, host, is_down, ring_is, upgraded},
        workload::Workload,
    },
};
use group0_api::v1::Status;
use group0_core::io::Point;

pub const TESTED: &[Point] = &[Point::HostRemoved, Point::Left];

const LEFT: &str = "has left the cluster for good";

async fn nothing_is_lost(cluster: &Cluster, workload: Workload) {
    workload.each_acknowledged(CHANGES_MIN).await;
    let acknowledged = workload.stop().await;
    for node in &cluster.nodes()[..2] {
        acknowledged.assert_on(node).await;
    }
}

/// Who removes it dies, starts again, and is asked once more.
async fn host_removed(side: Side) {
    let (mut cluster, workload) = upgraded(3).await;
    let dead = host(&cluster, 2).await;
    cluster.node(2).kill().await;
    // Both: what the other one still takes for alive, this one is told of when it starts again.
    for node in &cluster.nodes()[..2] {
        node.until("to notice that a node is dead", |status| is_down(status, &dead)).await;
    }
    cluster.nodes()[0].inject(&side.of(Point::HostRemoved)).await;
    let path = format!("/storage_service/remove_node?host_id={dead}");
    let answer = cluster.nodes()[0].try_post(&path).await;
    assert!(answer.is_err(), "it dies before it can tell: {answer:?}");
    cluster.node(0).killed().await;
    cluster.node(0).start(&Start { flag_and_hold: true, ..Start::default() });
    cluster.nodes()[0].until("to serve again", |status| status.ready).await;
    assert_eq!(cluster.nodes()[0].post(&path).await, (200, String::new()));
    ring_is(&cluster, &[]).await;
    nothing_is_lost(&cluster, workload).await;
}

/// Who leaves dies over it: the others know already, and from them, or from its disk, it knows, too.
async fn left(side: Side) {
    let (mut cluster, workload) = upgraded(3).await;
    cluster.nodes()[2].inject(&side.of(Point::Left)).await;
    let answer = cluster.nodes()[2].try_post("/storage_service/decommission").await;
    assert!(answer.is_err(), "it dies before it can tell: {answer:?}");
    cluster.node(2).killed().await;
    cluster.node(2).start(&Start { flag_and_hold: true, ..Start::default() });
    if side == Side::After {
        assert_eq!(cluster.node(2).exited().await, Some(1), "{}", cluster.nodes()[2].log_tail());
        assert!(cluster.nodes()[2].log_tail().contains(LEFT), "{}", cluster.nodes()[2].log_tail());
    } else {
        let is_out = |status: &Status| !status.ready && status.not_ready_reason.contains(LEFT);
        cluster.nodes()[2].until("to hear that it is out", is_out).await;
    }
    ring_is(&cluster, &[]).await;
    nothing_is_lost(&cluster, workload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_host_removed() {
    host_removed(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_host_removed() {
    host_removed(Side::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_left() {
    left(Side::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_left() {
    left(Side::After).await;
}
