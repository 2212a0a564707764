//! What the core is told of the configuration.

use crate::{
    config::{Config, ConfigError},
    injection::BEFORE_SYNCHRONIZE,
    seeds::Seeds,
};
use group0_core::io::{Image, Settings, Strikes, Table};
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    net::SocketAddr,
};

/// Where a node keeps the names of the features that were enabled, with commas.
const ENABLED_FEATURES: &[u8] = b"enabled_features";
/// Once this feature is enabled the commit log of the schema cannot be turned off any more.
const SCHEMA_COMMITLOG: &str = "SCHEMA_COMMITLOG";

/// The settings of a node that peers reach at `own`.
pub fn of(config: &Config, own: SocketAddr, seeds: Seeds) -> Settings {
    Settings {
        cluster_name: config.cluster_name.clone(),
        broadcast_address: own,
        rpc_address: SocketAddr::new(config.broadcast_rpc, config.cql.port()),
        data_center: config.data_center.clone(),
        rack: config.rack.clone(),
        num_tokens: config.num_tokens,
        seeds: seeds.addresses,
        is_first_seed: seeds.is_first,
        replaces: config.replaces.clone(),
        recovery_leader: config.recovery_leader,
        flag: config.flag,
        hold: config.hold,
        config: config.effective.clone(),
        failure_detector_timeout: config.failure_detector_timeout,
        raft_operation_timeout: config.raft_operation_timeout,
        random_seed: random_seed(),
        fails_before_synchronize: config.injections.contains(BEFORE_SYNCHRONIZE).then_some(Strikes::Always),
        raft_tick: config.raft_tick,
    }
}

/// The flag needs the commit log of the schema, unless the cluster has turned that on for good.
pub fn check_schema_commit_log(config: &Config, image: &Image) -> Result<(), ConfigError> {
    let is_off = config.force_schema_commit_log == Some(false) && !has_feature(image, SCHEMA_COMMITLOG);
    if config.flag == Some(true) && is_off {
        let text = "consistent_cluster_management requires schema commit log to be enabled";
        return Err(ConfigError::Bad(text.to_owned()));
    }
    Ok(())
}

fn has_feature(image: &Image, name: &str) -> bool {
    let mut rows = image.iter().filter(|(table, key, _)| *table == Table::Local && key == ENABLED_FEATURES);
    rows.any(|(_, _, names)| String::from_utf8_lossy(names).split(',').any(|enabled| enabled.trim() == name))
}

/// Of the operating system, by way of the keys of a hash.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;

    #[test]
    fn the_flag_needs_the_commit_log_until_the_feature_is_enabled() {
        let text = "consistent_cluster_management: True\nforce_schema_commit_log: False";
        let config = Layers::parse(text).and_then(Config::read).expect("each of them is fine");
        let error = check_schema_commit_log(&config, &Image::new()).expect_err("together they are not");
        let expected = "Bad configuration: consistent_cluster_management requires schema commit log to be enabled";
        assert_eq!(error.to_string(), expected);
        let enabled = vec![(Table::Local, ENABLED_FEATURES.to_vec(), b"A,SCHEMA_COMMITLOG".to_vec())];
        assert_eq!(check_schema_commit_log(&config, &enabled), Ok(()));
    }
}
