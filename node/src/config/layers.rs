//! Puts the file and the environment on top of each other.

use super::ConfigError;
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What precedes a key in the environment.
const PREFIX: &str = "GROUP0_";
/// The second of the default paths.
const SYSTEM_PATH: &str = "/etc/group0/node.yaml";

/// The configuration as written, not checked yet.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Key to value; the environment has won.
    pub merged: Map<String, Value>,
    /// Where the file is; other files of the configuration are beside it.
    pub directory: PathBuf,
}

/// `conf/scylla.yaml` under the work directory or, failing that, the one of the system, if it is there. One that may not be seen is not taken
/// for none: without it the node would found a cluster of its own.
pub fn default_path(workdir: &Path) -> Option<PathBuf> {
    [workdir.join("conf/scylla.yaml"), PathBuf::from(SYSTEM_PATH)]
        .into_iter()
        .find(|path| !matches!(path.try_exists(), Ok(false)))
}

impl Layers {
    /// A file, if there is one, and then these variables.
    pub fn read(path: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let text = match path {
            Some(path) => fs::read_to_string(path).map_err(|error| unreadable(path, &error))?,
            None => String::new(),
        };
        let path = path.unwrap_or_else(|| Path::new("."));
        let mut layers = Self::parse(&text).map_err(|error| unreadable(path, &error))?;
        layers.directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(layers.with_environment(environment))
    }

    /// The text of a file. An empty one is fine.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let merged = match serde_saphyr::from_str::<Option<Value>>(text).map_err(|error| ConfigError::bad(error.to_string()))? {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map,
            Some(_) => return Err(ConfigError::bad("expected `key: value` lines")),
        };
        Ok(Self { merged, directory: PathBuf::new() })
    }

    /// These variables win.
    pub fn with_environment(mut self, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut above = Map::new();
        for (name, text) in environment {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let key = key.to_ascii_lowercase();
            // A template that was not filled in must not make a node found a cluster of its own.
            let says_nothing = SEEDS.contains(&key.as_str()) && text.trim().is_empty();
            let is_ours = KEYS.contains(&key.as_str()) || !is_of_others(&key, &text);
            if is_ours && !says_nothing {
                above.insert(key, structured(text));
            }
        }
        if SEEDS.iter().any(|key| above.contains_key(*key)) {
            self.merged.retain(|key, _| !SEEDS.contains(&key.as_str()));
        }
        self.merged.extend(above);
        self
    }
}

/// Kubernetes puts variables here for each service whose name begins like this; others are of the log and of the command line. What is left
/// is a key that there is not, and is warned of.
fn is_of_others(key: &str, text: &str) -> bool {
    let is_of_service = key.starts_with("service_") || key.contains("_service_") || key.contains("port_") || text.contains("://");
    is_of_service || key == "log" || key.starts_with("log_")
}

/// Lists and maps are written as YAML, all else is text.
fn structured(text: String) -> Value {
    if text.starts_with(['[', '{']) { serde_saphyr::from_str(&text).unwrap_or(Value::String(text)) } else { Value::String(text) }
}

fn unreadable(path: &Path, cause: &impl ToString) -> ConfigError {
    ConfigError::Unreadable { path: path.to_owned(), cause: cause.to_string() }
}

/// Keys that say the same: the later layer wins, whichever of them it has.
const SEEDS: [&str; 2] = ["seeds", "seed_provider"];

/// Keys that the environment can set.
const KEYS: [&str; 34] = [
    "admin_address",
    "admin_encryption_options",
    "admin_port",
    "api_address",
    "api_port",
    "broadcast_address",
    "broadcast_rpc_address",
    "client_encryption_options",
    "cluster_name",
    "consistent_cluster_management",
    "consistent_cluster_management_hold",
    "enable_error_injections",
    "endpoint_snitch",
    "error_injections_at_startup",
    "failure_detector_timeout_in_ms",
    "force_schema_commit_log",
    "group0_raft_op_timeout_in_ms",
    "ignore_dead_nodes_for_replace",
    "listen_address",
    "native_transport_port",
    "num_tokens",
    "prometheus_address",
    "prometheus_port",
    "raft_tick_in_ms",
    "recovery_leader",
    "replace_node_first_boot",
    "rpc_address",
    "seed_provider",
    "seeds",
    "server_encryption_options",
    "storage_port",
    "workdir",
    "data_center",
    "rack",
];
