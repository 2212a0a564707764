//! What a node is told when it starts.

use super::{Replacement, Strikes};
use crate::ids::HostId;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// What a node is configured with; the border has checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Nodes of another cluster are refused.
    pub cluster_name: String,
    /// Where peers reach us.
    pub broadcast_address: SocketAddr,
    /// Where CQL clients reach us.
    pub rpc_address: SocketAddr,
    /// `data_center`
    pub data_center: String,
    /// `rack`
    pub rack: String,
    /// How many tokens to take at the first boot.
    pub num_tokens: u16,
    /// The seeds, resolved. The first configured one is ourselves in a node that founds a cluster.
    pub seeds: Vec<SocketAddr>,
    /// Whether the first configured seed is this node.
    pub is_first_seed: bool,
    /// `replace_node_first_boot`, with `ignore_dead_nodes_for_replace`: whose place the first boot takes.
    pub replaces: Option<Replacement>,
    /// `recovery_leader`: the host that leads the new group, when the old one was forgotten.
    pub recovery_leader: Option<HostId>,
    /// `consistent_cluster_management`: absent is off until the feature is enabled.
    pub flag: Option<bool>,
    /// `consistent_cluster_management_hold`
    pub hold: bool,
    /// Effective configuration for `system.config`, name to value.
    pub config: BTreeMap<String, String>,
    /// A peer that does not answer for so long is down.
    pub failure_detector_timeout: Duration,
    /// `group0_raft_op_timeout_in_ms`
    pub raft_operation_timeout: Duration,
    /// Seed of the node's random generator.
    pub random_seed: u64,
    /// For tests: the procedure fails right before `synchronize`, though the node lives on.
    pub fails_before_synchronize: Option<Strikes>,
    /// How often Raft counts: an election takes 10 to 20 of them without a leader.
    pub raft_tick: Duration,
}
