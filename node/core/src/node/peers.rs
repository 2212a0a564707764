//! `system.peers`: the hosts of the ring, durable. It is the upgrade's definition of the cluster.

use crate::{
    gossip::Endpoint,
    ids::HostId,
    io::{Persist, Table, Write},
};
use std::collections::{BTreeMap, BTreeSet};

/// The table, by host id.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    rows: BTreeMap<HostId, Endpoint>,
    hosts: BTreeSet<HostId>,
}

impl Peers {
    /// From its stored rows; damaged ones are named and left out, since gossip brings them again.
    pub fn load<'a>(rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut peers = Self::default();
        for (key, value) in rows {
            match postcard::from_bytes::<Endpoint>(value) {
                Ok(endpoint) => peers.insert(endpoint),
                Err(error) => tracing::error!(target: "storage", ?key, %error, "a row of system.peers is damaged and left out"),
            }
        }
        peers
    }

    fn insert(&mut self, endpoint: Endpoint) {
        self.hosts.insert(endpoint.host);
        self.rows.insert(endpoint.host, endpoint);
    }

    /// Takes over what a host says of itself; durable if more than its schema version and counters changed.
    pub fn update(&mut self, persist: &mut Persist, endpoint: &Endpoint) {
        let lasting = |e: &Endpoint| Endpoint { version: 0, schema_version: uuid::Uuid::nil(), ..e.clone() };
        if self.rows.get(&endpoint.host).map(lasting) != Some(lasting(endpoint)) {
            let value = postcard::to_allocvec(endpoint).unwrap_or_default();
            persist.writes.push(Write::Put(Table::Peers, endpoint.host.0.as_bytes().to_vec(), value));
        }
        self.insert(endpoint.clone());
    }

    /// Removes a host's row.
    pub fn remove(&mut self, persist: &mut Persist, host: HostId) -> Option<Endpoint> {
        self.hosts.remove(&host);
        let row = self.rows.remove(&host);
        if row.is_some() {
            persist.writes.push(Write::Delete(Table::Peers, host.0.as_bytes().to_vec()));
        }
        row
    }

    /// Host ids.
    pub const fn hosts(&self) -> &BTreeSet<HostId> {
        &self.hosts
    }

    /// Rows, by host id.
    pub const fn rows(&self) -> &BTreeMap<HostId, Endpoint> {
        &self.rows
    }
}
