//! Upgraded clusters whose members change.

use super::{Cluster, Start, workload::Workload};
use group0_api::v1::Status;

/// Acknowledged on each node that stays, between two events.
pub const CHANGES_MIN: usize = 5;

/// An upgraded cluster, and clients on its first two nodes, which stay.
pub async fn upgraded(size: usize) -> (Cluster, Workload) {
    let mut cluster = Cluster::new(size);
    for index in 0..size {
        cluster.node(index).start(&Start { flag_and_hold: true, ..Start::default() });
    }
    cluster.settled().await;
    let workload = Workload::start(&cluster.nodes()[..2]).await;
    for node in cluster.nodes() {
        node.proceed().await.expect("a settled node proceeds");
    }
    cluster.complete().await;
    workload.each_acknowledged(CHANGES_MIN).await;
    (cluster, workload)
}

/// The id of a host.
pub async fn host(cluster: &Cluster, index: usize) -> String {
    cluster.nodes()[index].status().await.expect("it runs").host_id
}

/// Waits until the first two nodes know each other and nobody else, but for these.
pub async fn ring_is(cluster: &Cluster, others: &[String]) {
    for (index, node) in cluster.nodes()[..2].iter().enumerate() {
        let other = host(cluster, 1 - index).await;
        let wanted = |id: &String| *id == other || others.contains(id);
        let is_so = |status: &Status| {
            let ring: Vec<_> = status.peers.iter().map(|peer| peer.host_id.clone()).collect();
            let voters = status.group.as_ref().map_or(0, |group| group.voters.len());
            ring.len() == 1 + others.len() && ring.iter().all(wanted) && voters == 2 + others.len()
        };
        node.until("to have the ring that is wanted", is_so).await;
    }
}

/// Whether this host seems dead.
pub fn is_down(status: &Status, host: &str) -> bool {
    status.peers.iter().any(|peer| peer.host_id == host && !peer.up)
}
