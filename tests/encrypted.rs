//! Real processes that speak TLS alone: upgraded under a client that changes the schema, their certificates replaced in the middle.

mod harness;

use group0_operator::admin::Admin;
use harness::{Cluster, Start, workload::Workload};
use std::net::SocketAddr;

const NODES: usize = 3;
/// Acknowledged on each node between two steps, at least.
const CHANGES_MIN: usize = 5;

#[tokio::test]
async fn a_cluster_is_upgraded_over_tls_and_gets_new_certificates_meanwhile() {
    let mut cluster = Cluster::encrypted(NODES);
    for index in 0..NODES {
        cluster.node(index).start(&Start::default());
    }
    cluster.settled().await;
    let workload = Workload::start(cluster.nodes()).await;
    workload.each_acknowledged(CHANGES_MIN).await;
    for index in 0..NODES {
        cluster.roll(index, &Start { flag_and_hold: true, ..Start::default() }).await;
        if index == 0 {
            cluster.encryption().replace();
        }
    }
    for node in cluster.nodes() {
        node.proceed().await.expect("we have a certificate");
    }
    cluster.complete().await;
    workload.each_acknowledged(CHANGES_MIN).await;
    let acknowledged = workload.stop().await;
    cluster.same_schema().await;
    for node in cluster.nodes() {
        acknowledged.assert_on(node).await;
    }
}

#[tokio::test]
async fn an_operator_needs_a_certificate() {
    let mut cluster = Cluster::encrypted(1);
    cluster.node(0).start(&Start::default());
    cluster.settled().await;
    let address = SocketAddr::from((cluster.nodes()[0].address(), 7001));
    let admin = Admin::connect(address, harness::WAIT_MAX, Some(cluster.encryption().client())).await;
    admin.expect("it is trusted").claim_epoch(1).await.expect("and may order");
    if let Ok(admin) = Admin::connect(address, harness::WAIT_MAX, None).await {
        admin.status().await.expect_err("nothing without a certificate");
    }
}
