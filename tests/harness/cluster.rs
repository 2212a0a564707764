//! Some nodes that form one cluster, and what is done to all of them.

use super::{Node, Start, encryption::Encryption, subnet::Subnet};
use group0_api::v1::Status;
use tempfile::TempDir;

/// The final upgrade state.
pub const FINAL: &str = "use_post_raft_procedures";

/// Nodes on a subnet of their own. Dropping it ends the processes and removes the folder.
pub struct Cluster {
    // Dropped in this order: processes end before their folder goes and before their subnet is free.
    nodes: Vec<Node>,
    encryption: Option<Encryption>,
    _folder: TempDir,
    _subnet: Subnet,
}

impl Cluster {
    /// Nothing runs yet.
    pub fn new(size: usize) -> Self {
        Self::of(size, false)
    }

    /// The same, with TLS between nodes and to their Admin services.
    pub fn encrypted(size: usize) -> Self {
        Self::of(size, true)
    }

    fn of(size: usize, encrypted: bool) -> Self {
        let (subnet, folder) = (Subnet::take(), tempfile::tempdir().expect("a temporary folder"));
        let encryption = encrypted.then(|| Encryption::new(folder.path().join("tls")));
        let seed = subnet.host(0);
        let node = |index| {
            let address = subnet.host(index);
            Node::new(address, seed, folder.path().join(address.to_string()), encryption.clone())
        };
        Self { nodes: (0..size).map(node).collect(), encryption, _folder: folder, _subnet: subnet }
    }

    /// What an encrypted cluster proves itself with.
    pub fn encryption(&self) -> &Encryption {
        self.encryption.as_ref().expect("the cluster is encrypted")
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One of them.
    pub fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    /// Waits until every node serves and every pair of nodes has seen each other up, in their present lives, and compared schemas. This
    /// is the gate between two restarts.
    pub async fn settled(&self) -> Vec<Status> {
        let mut seen = Vec::new();
        for node in &self.nodes {
            seen.push(node.until("to serve", |status| status.ready && status.bootstrapped).await);
        }
        let lives: Vec<(String, u64)> = seen.iter().map(|status| (status.host_id.clone(), status.generation)).collect();
        for node in &self.nodes {
            node.until("to see all others up", |status| sees(status, &lives)).await;
        }
        seen
    }

    /// Restarts one node and waits for the gate.
    pub async fn roll(&mut self, index: usize, start: &Start) {
        self.nodes[index].stop().await;
        self.nodes[index].start(start);
        self.settled().await;
    }

    /// Waits until one of them has killed itself, and gives its index.
    pub async fn first_killed(&mut self) -> usize {
        let ends = self.nodes.iter_mut().map(|node| Box::pin(node.killed()));
        futures::future::select_all(ends).await.1
    }

    /// Waits until all are final, in one group. Gives the id of the group. Who was away may still be catching up.
    pub async fn complete(&self) -> String {
        let mut groups = Vec::new();
        for node in &self.nodes {
            let status = node.until("to be final", |status| status.upgrade_state == FINAL).await;
            groups.push(status.group.unwrap_or_default().id);
        }
        assert!(groups.iter().all(|id| *id == groups[0] && !id.is_empty()), "more than one group: {groups:?}");
        groups.remove(0)
    }

    /// The rows of the schema, which must be the same on every node. Nobody may be changing the schema.
    pub async fn same_schema(&self) -> Vec<String> {
        let version = self.nodes[0].status().await.expect("a complete cluster answers").schema_version;
        for node in &self.nodes {
            node.until("to have the schema version of the first", |status| status.schema_version == version).await;
        }
        let mut rows = Vec::new();
        for node in &self.nodes {
            rows.push(node.schema().await.expect("a complete cluster answers"));
        }
        for (node, other) in self.nodes.iter().zip(&rows) {
            assert!(*other == rows[0], "{} differs from the first node: {}", node.address(), difference(&rows[0], other));
        }
        rows.remove(0)
    }
}

/// Whether each of the others is up, with the generation of its present life, and its schema was compared in it.
fn sees(status: &Status, lives: &[(String, u64)]) -> bool {
    lives.iter().filter(|(host, _)| *host != status.host_id).all(|(host, generation)| {
        let same = |peer: &&group0_api::v1::PeerStatus| peer.host_id == *host && peer.up && peer.generation == *generation;
        status.peers.iter().find(same).is_some_and(|peer| peer.pulled_from_generation == *generation)
    })
}

fn difference(one: &[String], other: &[String]) -> String {
    let only = |a: &[String], b: &[String]| a.iter().filter(|row| !b.contains(row)).take(5).cloned().collect::<Vec<_>>();
    format!("only here {:?}, only there {:?}", only(one, other), only(other, one))
}
