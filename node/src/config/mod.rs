//! The configuration of a node, checked: what the core needs and what the shell needs.
//!
//! Two layers, the later one wins: the YAML file, then `GROUP0_<KEY>` of the environment. [`layers`] puts them together,
//! [`keys`] reads one key as its type and remembers the effective value. Host names are resolved later, by [`crate::seeds`].

mod encryption;
mod keys;
mod layers;
mod snitch;
mod value;

pub use encryption::{ADMIN, INTERNODE, Internode};
pub use keys::ConfigError;
pub use layers::{Layers, default_path};

use group0_api::tls;
use group0_core::{ids::HostId, io::Replacement};
use keys::Keys;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Where gRPC between nodes listens unless configured.
const STORAGE_PORT: u16 = 7000;
/// The Admin service.
const ADMIN_PORT: u16 = 7001;
/// CQL.
const NATIVE_TRANSPORT_PORT: u16 = 9042;
/// REST.
const API_PORT: u16 = 10_000;
/// Metrics.
const PROMETHEUS_PORT: u16 = 9180;
/// Enough to spread a few dozen nodes, few enough to gossip.
const NUM_TOKENS: u16 = 16;
/// As in ScyllaDB.
const FAILURE_DETECTOR_TIMEOUT_MS: u64 = 20_000;
/// As in ScyllaDB.
const RAFT_OPERATION_TIMEOUT_MS: u64 = 60_000;
/// An election takes 10 to 20 of them: half a second to a second, well over the worst transactions seen on a busy disk.
const RAFT_TICK_MS: u64 = 50;

/// What a node is configured with; it cannot be wrong by itself any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `cluster_name`
    pub cluster_name: String,
    /// Where all of the node's data is.
    pub workdir: PathBuf,
    /// Where peers connect: `listen_address`, `storage_port`.
    pub listen: SocketAddr,
    /// What peers are told to connect to: `broadcast_address`.
    pub broadcast: IpAddr,
    /// Where CQL clients connect: `rpc_address`, `native_transport_port`.
    pub cql: SocketAddr,
    /// What CQL clients are told to connect to.
    pub broadcast_rpc: IpAddr,
    /// The Admin service.
    pub admin: SocketAddr,
    /// `server_encryption_options`: TLS between nodes, if any.
    pub internode: Option<Internode>,
    /// `admin_encryption_options`: TLS of the Admin service, if any.
    pub admin_files: Option<tls::Files>,
    /// REST.
    pub api: SocketAddr,
    /// Metrics.
    pub prometheus: SocketAddr,
    /// As configured: addresses or names, each with or without a port. Empty: this node alone.
    pub seeds: Vec<String>,
    /// `replace_node_first_boot`, `ignore_dead_nodes_for_replace`
    pub replaces: Option<Replacement>,
    /// `recovery_leader`: who leads the new group when the old one was forgotten.
    pub recovery_leader: Option<HostId>,
    /// `consistent_cluster_management`
    pub flag: Option<bool>,
    /// `consistent_cluster_management_hold`
    pub hold: bool,
    /// `force_schema_commit_log`
    pub force_schema_commit_log: Option<bool>,
    /// `data_center` of the snitch.
    pub data_center: String,
    /// `rack` of the snitch.
    pub rack: String,
    /// `num_tokens`
    pub num_tokens: u16,
    /// `failure_detector_timeout_in_ms`
    pub failure_detector_timeout: Duration,
    /// `group0_raft_op_timeout_in_ms`
    pub raft_operation_timeout: Duration,
    /// `raft_tick_in_ms`
    pub raft_tick: Duration,
    /// `error_injections_at_startup`
    pub injections: BTreeSet<String>,
    /// `enable_error_injections`: whether others may be enabled while the node runs.
    pub enable_injections: bool,
    /// Name to value of every known key, for `system.config`.
    pub effective: BTreeMap<String, String>,
    /// Keys of the file that mean nothing here.
    pub unknown: Vec<String>,
}

impl Config {
    /// Checks what the layers say.
    pub fn read(layers: Layers) -> Result<Self, ConfigError> {
        let directory = layers.directory.clone();
        let mut keys = Keys::new(layers.merged);
        encryption::refuse_clients(&mut keys)?;
        let listen: IpAddr = keys.host("listen_address", IpAddr::from([127, 0, 0, 1]))?;
        let broadcast = broadcast(&mut keys, "broadcast_address", listen)?;
        let rpc = keys.host("rpc_address", listen)?;
        let (data_center, rack) = snitch::place(&mut keys, &directory)?;
        let injections = keys.injections()?;
        let config = Self {
            cluster_name: keys.take("cluster_name", "Test Cluster".to_owned())?,
            workdir: PathBuf::from(keys.take("workdir", "/var/lib/group0".to_owned())?),
            listen: SocketAddr::new(listen, keys.take("storage_port", STORAGE_PORT)?),
            broadcast,
            cql: SocketAddr::new(rpc, keys.take("native_transport_port", NATIVE_TRANSPORT_PORT)?),
            broadcast_rpc: self::broadcast(
                &mut keys,
                "broadcast_rpc_address",
                if rpc.is_unspecified() { broadcast } else { rpc },
            )?,
            admin: keys.listener("admin_address", "admin_port", listen, ADMIN_PORT)?,
            internode: encryption::internode(&mut keys)?,
            admin_files: encryption::admin(&mut keys)?,
            api: keys.listener("api_address", "api_port", listen, API_PORT)?,
            prometheus: keys.listener("prometheus_address", "prometheus_port", listen, PROMETHEUS_PORT)?,
            seeds: keys.seeds()?,
            replaces: keys.replaces()?,
            recovery_leader: keys.optional("recovery_leader")?,
            flag: keys.optional("consistent_cluster_management")?,
            hold: keys.take("consistent_cluster_management_hold", false)?,
            force_schema_commit_log: keys.optional("force_schema_commit_log")?,
            data_center,
            rack,
            num_tokens: at_least_one("num_tokens", keys.take("num_tokens", NUM_TOKENS)?)?,
            failure_detector_timeout: keys.millis("failure_detector_timeout_in_ms", FAILURE_DETECTOR_TIMEOUT_MS)?,
            raft_operation_timeout: keys.millis("group0_raft_op_timeout_in_ms", RAFT_OPERATION_TIMEOUT_MS)?,
            raft_tick: keys.millis("raft_tick_in_ms", RAFT_TICK_MS)?,
            enable_injections: keys.take("enable_error_injections", !injections.is_empty())?,
            injections,
            effective: BTreeMap::new(),
            unknown: Vec::new(),
        };
        let (effective, unknown) = keys.finish();
        Ok(Self { effective, unknown, ..config })
    }

    /// Warns once of everything that was ignored.
    pub fn warn_of_unknown(&self) {
        if !self.unknown.is_empty() {
            tracing::warn!(target: "config", keys = self.unknown.join(", "), "unknown keys of the configuration are ignored");
        }
    }

    /// The keys whose values differ, for telling after reading it again.
    pub fn changed_keys(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.effective.keys().chain(other.effective.keys()).collect();
        keys.into_iter().filter(|key| self.effective.get(*key) != other.effective.get(*key)).cloned().collect()
    }
}

fn broadcast(keys: &mut Keys, key: &'static str, default: IpAddr) -> Result<IpAddr, ConfigError> {
    let address = keys.host(key, default)?;
    if address.is_unspecified() {
        return Err(ConfigError::bad(format!(
            "{key} is {address}, which nobody can connect to: set it to an address of this node"
        )));
    }
    Ok(address)
}

fn at_least_one(key: &'static str, number: u16) -> Result<u16, ConfigError> {
    if number == 0 { Err(ConfigError::bad(format!("{key} is 0; at least 1 is needed"))) } else { Ok(number) }
}
