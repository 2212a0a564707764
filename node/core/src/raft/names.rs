//! Host ids as the numbers by which `raft-rs` knows members.

use crate::ids::HostId;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Strangers are kept only to answer them; beyond so many they are forgotten. Ten times the members that a group may have.
const MAX_NAMES: usize = 1_000;

/// The number of a host: the first eight bytes of its digest, and never 0, which is nobody in `raft-rs`.
pub fn raft_id(host: HostId) -> u64 {
    let digest = Sha256::digest(host.0.as_bytes());
    digest.iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte)).max(1)
}

/// Whether two of the hosts have one number.
pub fn collide(hosts: &BTreeSet<HostId>) -> bool {
    hosts.iter().copied().map(raft_id).collect::<BTreeSet<_>>().len() < hosts.len()
}

/// Who has which number, both ways.
#[derive(Debug, Default)]
pub struct Names {
    hosts: BTreeMap<u64, HostId>,
    ids: BTreeMap<HostId, u64>,
}

impl Names {
    /// Of a member or of ourselves; a stranger of the same number gives way.
    pub fn insert(&mut self, host: HostId) {
        let id = self.id(host);
        if let Some(stranger) = self.hosts.insert(id, host) {
            self.ids.remove(&stranger);
        }
        self.ids.insert(host, id);
    }

    /// Of whoever sent a message. False if its number is another's: it cannot take part.
    pub fn learn(&mut self, host: HostId) -> bool {
        let id = self.id(host);
        let free = *self.hosts.entry(id).or_insert(host) == host;
        if free {
            self.ids.insert(host, id);
        }
        free
    }

    /// Its number, which takes a digest for a stranger.
    pub fn id(&self, host: HostId) -> u64 {
        self.ids.get(&host).copied().unwrap_or_else(|| raft_id(host))
    }

    /// Who that is.
    pub fn host(&self, id: u64) -> Option<HostId> {
        self.hosts.get(&id).copied()
    }

    /// Whether it is time to forget strangers.
    pub fn is_full(&self) -> bool {
        self.hosts.len() > MAX_NAMES
    }

    /// Forget all others.
    pub fn retain(&mut self, keep: impl Fn(HostId) -> bool) {
        self.hosts.retain(|_, host| keep(*host));
        self.ids.retain(|host, _| keep(*host));
    }
}
