//! Resolves the configured seeds. Names can be resolved anew at any time, as addresses change.

use futures::future;
use group0_core::io::Image;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::lookup_host,
    time::{Instant, sleep, timeout},
};

use crate::config::ConfigError;

/// How long a first boot waits for seeds that have no address. In Kubernetes the name of a pod has one only a while after the pod has
/// begun, and a resolver may remember for half a minute that it had none.
const PATIENCE: Duration = Duration::from_secs(40);
/// A name that has no answer by then has no address: a resolver that is asked in vain may take a minute.
const LOOK_UP_MAX: Duration = Duration::from_secs(3);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);

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
    let found = future::join_all(names.iter().map(|name| addresses(name, own))).await;
    for (position, (name, found)) in names.iter().zip(found).enumerate() {
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

/// For a first boot, which needs every seed: what `resolve` says once all have an address, or what it said last.
pub async fn await_all(resolve: impl AsyncFn() -> Seeds) -> Seeds {
    let (begun, mut told) = (Instant::now(), Vec::new());
    loop {
        let seeds = resolve().await;
        if seeds.unresolved.is_empty() || begun.elapsed() >= PATIENCE {
            return seeds;
        }
        if told != seeds.unresolved {
            tracing::info!(target: "config", unresolved = seeds.unresolved.join(", "), "first boot: waiting for addresses of seeds");
            told.clone_from(&seeds.unresolved);
        }
        sleep(AGAIN).await;
    }
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

async fn addresses(name: &str, own: SocketAddr) -> Vec<SocketAddr> {
    of_our_family(timeout(LOOK_UP_MAX, look_up(name, own.port())).await.unwrap_or_default(), own)
}

/// Of a name that has addresses of both families only those of our own count: by the others we are not known.
fn of_our_family(mut found: Vec<SocketAddr>, own: SocketAddr) -> Vec<SocketAddr> {
    if found.iter().any(|address| address.is_ipv4() == own.is_ipv4()) {
        found.retain(|address| address.is_ipv4() == own.is_ipv4());
    }
    found
}

async fn look_up(name: &str, port: u16) -> Vec<SocketAddr> {
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

#[cfg(test)]
mod tests {
    use super::{Seeds, await_all, check, of_our_family};
    use group0_core::io::Image;
    use std::{
        cell::Cell,
        net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    };

    fn missing() -> Seeds {
        Seeds { unresolved: vec!["db-0.db".to_owned()], ..Seeds::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_appears_is_waited_for() {
        let tries = Cell::new(0);
        let seeds = await_all(async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { missing() } else { Seeds::default() }
        });
        assert_eq!((seeds.await, tries.get()), (Seeds::default(), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_never_appears_refuses_a_first_boot() {
        let seeds = await_all(async || missing()).await;
        let refused = check(&seeds, &Image::default()).expect_err("two nodes might found two clusters");
        assert_eq!(refused.to_string(), "Bad configuration: invalid value in 'seeds': cannot resolve db-0.db");
    }

    #[test]
    fn of_a_name_of_both_families_our_own_counts() {
        let [four, six]: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, 7000).into(), (Ipv6Addr::LOCALHOST, 7000).into()];
        assert_eq!(of_our_family(vec![four, six], four), [four]);
        assert_eq!(of_our_family(vec![four, six], six), [six]);
        assert_eq!(of_our_family(vec![six], four), [six], "there is no other");
    }
}
