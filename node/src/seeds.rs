//! Resolves the configured seeds. Names can be resolved anew at any time, as addresses change.

use group0_core::io::Image;
use std::net::SocketAddr;
use tokio::net::lookup_host;

use crate::config::ConfigError;

/// What the configured seeds are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    /// All addresses, in the configured order, without duplicates.
    pub addresses: Vec<SocketAddr>,
    /// Whether the first configured seed is exactly this node. A name of many nodes is none of them.
    pub is_first: bool,
    /// Those that have no address now.
    pub unresolved: Vec<String>,
}

/// Resolves all of them; no seeds at all mean this node alone.
pub async fn resolve(names: &[String], own: SocketAddr) -> Seeds {
    if names.is_empty() {
        return Seeds { addresses: vec![own], is_first: true, unresolved: Vec::new() };
    }
    let mut seeds = Seeds::default();
    for (position, name) in names.iter().enumerate() {
        let found = addresses(name, own.port()).await;
        seeds.is_first |= position == 0 && found == [own];
        if found.is_empty() {
            seeds.unresolved.push(name.clone());
        }
        for address in found {
            if !seeds.addresses.contains(&address) {
                seeds.addresses.push(address);
            }
        }
    }
    seeds
}

/// A first boot needs every seed, lest two nodes found two clusters. Later the node knows its peers by itself.
pub fn check(seeds: &Seeds, image: &Image) -> Result<(), ConfigError> {
    if seeds.unresolved.is_empty() {
        return Ok(());
    }
    let unresolved = seeds.unresolved.join(", ");
    if image.is_empty() {
        return Err(ConfigError::bad(format!("invalid value in 'seeds': cannot resolve {unresolved}")));
    }
    tracing::warn!(target: "config", unresolved, "some seeds cannot be resolved; going on with the peers known from before");
    Ok(())
}

async fn addresses(name: &str, port: u16) -> Vec<SocketAddr> {
    if let Ok(address) = name.parse::<SocketAddr>() {
        return vec![address];
    }
    let host = name.trim_start_matches('[').trim_end_matches(']');
    let found = if host.parse::<std::net::Ipv6Addr>().is_err() && host.contains(':') {
        lookup_host(host).await.map(Iterator::collect)
    } else {
        lookup_host((host, port)).await.map(Iterator::collect)
    };
    let mut found: Vec<SocketAddr> = found.unwrap_or_default();
    found.sort();
    found.dedup();
    found
}
