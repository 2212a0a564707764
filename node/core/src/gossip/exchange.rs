//! What hosts say: how endpoints spread, and how a node finds others.

use super::{
    CONTACTS_MAX, Endpoint, Gossip, HOSTS_MAX, RingStatus,
    packet::{Delta, Digest, Entry, Packet},
};
use crate::ids::{Generation, HostId};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

/// How often a process takes a higher generation because a later one of its host is remembered (a store restored from a backup). Two
/// processes with one host id would outdo each other without end; so the later to react wins.
const JUMPS_MAX: u32 = 3;

/// A host that waits for its way in and has been silent for so long is forgotten: whoever tries to come in and starts anew without its data is
/// another host each time. Long enough for a machine to come back, and for people to look at what it was.
const WAITING_KEPT: Duration = Duration::from_hours(1);

impl Gossip {
    /// Compare endpoints with a random live peer, and try every seed and one host that are not alive; everyone while nobody is.
    pub(super) fn exchange_if_due(&mut self, now: Duration) {
        if now < self.exchange_at {
            return;
        }
        let period = u64::try_from(self.timing.exchange_period.as_micros()).unwrap_or(u64::MAX);
        self.exchange_at = now + Duration::from_micros(self.random.within(period - period / 8..period));
        self.forget_silent_newcomers(now);
        let peers: Vec<_> = self.detector.active().map(|identity| identity.address).collect();
        let strangers = if peers.is_empty() { CONTACTS_MAX } else { 1 };
        // A seed that has lost its data founds a ring of its own unless it hears of this one soon.
        let (seeds, hosts) = self.lost_addresses().into_iter().partition(|address| self.seeds.contains(address));
        let (peer, seeds, hosts) = (self.some_of(peers, 1), self.some_of(seeds, CONTACTS_MAX), self.some_of(hosts, strangers));
        for address in peer.into_iter().chain(seeds).chain(hosts) {
            self.send_digest(address);
        }
    }

    /// For as long again it is not taken over from others, who may forget it a while later.
    fn forget_silent_newcomers(&mut self, now: Duration) {
        self.forgotten.retain(|_, (_, at)| now.saturating_sub(*at) < WAITING_KEPT);
        let waiting = self.endpoints.values().filter(|it| it.status == RingStatus::Waiting && it.host != self.me.host);
        let silent: BTreeSet<_> = waiting.map(|it| it.host).filter(|host| !self.live.contains(host)).collect();
        self.silent_since.retain(|host, _| silent.contains(host));
        for host in silent {
            let since = *self.silent_since.entry(host).or_insert(now);
            if now.saturating_sub(since) >= WAITING_KEPT
                && let Some(endpoint) = self.endpoints.remove(&host)
            {
                self.forgotten.insert(host, (endpoint.entry(), now));
            }
        }
    }

    /// Which version of a host's endpoint we have, or had when we forgot it.
    fn entry_of(&self, host: HostId) -> Option<Entry> {
        let forgotten = || self.forgotten.get(&host).map(|(entry, _)| *entry);
        self.endpoints.get(&host).map(Endpoint::entry).or_else(forgotten)
    }

    /// Seeds and known hosts at which nobody is alive.
    fn lost_addresses(&self) -> Vec<SocketAddr> {
        let alive: BTreeSet<_> = self.detector.active().map(|identity| (identity.host, identity.address)).collect();
        let is_alive = |host: &HostId| *host == self.me.host || alive.iter().any(|(it, _)| it == host);
        let known = self.known.iter().filter(|(host, _)| !self.endpoints.contains_key(host) && !self.removed.contains(host));
        let gone = self.endpoints.values().filter(|endpoint| endpoint.status != RingStatus::Left);
        let hosts = known.map(|(host, address)| (*host, *address)).chain(gone.map(|it| (it.host, it.address)));
        let mut addresses: BTreeSet<_> = hosts.filter(|(host, _)| !is_alive(host)).map(|(_, address)| address).collect();
        addresses.extend(self.seeds.iter().filter(|seed| !alive.iter().any(|(_, address)| address == *seed)));
        addresses.remove(&self.me.address);
        addresses.into_iter().collect()
    }

    fn some_of(&mut self, mut addresses: Vec<SocketAddr>, count: usize) -> Vec<SocketAddr> {
        let mut chosen = Vec::new();
        while chosen.len() < count && !addresses.is_empty() {
            let index = usize::try_from(self.random.within(0..addresses.len() as u64)).unwrap_or(0);
            chosen.push(addresses.swap_remove(index));
        }
        chosen
    }

    /// Not to ourselves, e.g. when a dead host is remembered at the address that is ours now.
    pub(super) fn send(&mut self, to: SocketAddr, packet: &Packet) {
        if to == self.me.address {
            return;
        }
        match packet.encode() {
            Some(bytes) => self.send.push((to, bytes)),
            None => self.ignored.oversized += 1,
        }
    }

    pub(super) fn send_digest(&mut self, to: SocketAddr) {
        let sees_you = self.detector.active().any(|identity| identity.address == to);
        // Who is known from the disk only may have been removed meanwhile: somebody will say so.
        let known = self.known.keys().filter(|host| !self.endpoints.contains_key(host));
        let unheard = known.map(|host| Entry { host: *host, generation: Generation::default(), version: 0 });
        let entries = self.endpoints.values().map(Endpoint::entry).chain(unheard).take(HOSTS_MAX).collect();
        self.send(to, &Packet::Digest(Digest { endpoint: self.me.clone(), sees_you, entries }));
    }

    fn send_delta(&mut self, to: SocketAddr, delta: Delta) {
        for part in delta.split() {
            self.send(to, &Packet::Delta(part));
        }
    }

    /// Tell every live peer of our endpoint, now.
    pub(super) fn push_me(&mut self) {
        let packet = Packet::Delta(Delta { endpoints: vec![self.me.clone()], ..Delta::default() });
        let peers: Vec<_> = self.detector.active().map(|identity| identity.address).collect();
        for address in peers {
            self.send(address, &packet);
        }
    }

    pub(super) fn receive_digest(&mut self, now: Duration, from: HostId, address: SocketAddr, digest: Digest) {
        let Digest { endpoint, sees_you, entries } = digest;
        if endpoint.host != from {
            self.ignored.malformed += 1;
            return;
        }
        self.forgotten.remove(&from); // it says so itself
        self.adopt(now, endpoint);
        self.seen_by.remove(&from);
        if sees_you && self.endpoints.contains_key(&from) {
            self.seen_by.insert(from);
        }
        if let Some(mine) = entries.iter().find(|it| it.host == self.me.host && it.is_newer_than(&self.me.entry())) {
            self.outdo(now, *mine);
        }
        self.send_delta(address, self.answer_to(from, &entries));
        self.meet(now, from, address);
    }

    pub(super) fn receive_delta(&mut self, now: Duration, from: HostId, address: SocketAddr, delta: Delta) {
        let Delta { endpoints, wants, removed } = delta;
        self.heard_removed.extend(removed.into_iter().filter(|host| !self.removed.contains(host)));
        for endpoint in endpoints {
            self.adopt(now, endpoint);
        }
        let endpoints = wants.iter().filter_map(|host| self.endpoints.get(host).cloned()).collect();
        self.send_delta(address, Delta { endpoints, ..Delta::default() });
        self.meet(now, from, address);
    }

    /// What a host with these entries lacks, and what we lack of it.
    fn answer_to(&self, asker: HostId, entries: &[Entry]) -> Delta {
        let theirs = |host: HostId| entries.iter().find(|entry| entry.host == host);
        let is_lacked = |mine: &Endpoint| theirs(mine.host).is_none_or(|entry| mine.entry().is_newer_than(entry));
        let is_wanted = |entry: &&Entry| {
            !self.removed.contains(&entry.host) && self.entry_of(entry.host).is_none_or(|mine| entry.is_newer_than(&mine))
        };
        let endpoints = self.endpoints.values().filter(|mine| is_lacked(mine)).cloned().collect();
        let wants = entries.iter().filter(is_wanted).map(|entry| entry.host).filter(|host| *host != asker).collect();
        let removed = entries.iter().map(|entry| entry.host).filter(|host| self.removed.contains(host)).collect();
        Delta { endpoints, wants, removed }
    }

    /// Someone talks to us: if they are not alive to us, let the detectors meet.
    fn meet(&mut self, now: Duration, host: HostId, address: SocketAddr) {
        if !self.detector.is_active(host) {
            self.detector.announce(now, self.identity_of(host, address));
        }
    }

    fn adopt(&mut self, now: Duration, endpoint: Endpoint) {
        let host = endpoint.host;
        if host == self.me.host {
            if endpoint != self.me {
                self.outdo(now, endpoint.entry());
            }
        } else if !self.removed.contains(&host) && self.is_news(&endpoint) {
            self.detect(now, &endpoint);
            self.forgotten.remove(&host);
            self.endpoints.insert(host, endpoint);
            self.changed.insert(host);
        }
    }

    fn is_news(&mut self, endpoint: &Endpoint) -> bool {
        match self.entry_of(endpoint.host) {
            Some(known) => endpoint.entry().is_newer_than(&known),
            None if self.endpoints.len() >= HOSTS_MAX => {
                self.ignored.surplus += 1;
                false
            }
            None => true,
        }
    }

    /// What an endpoint says of its host's life: that it has ended, or that a later one has begun.
    fn detect(&mut self, now: Duration, endpoint: &Endpoint) {
        let Endpoint { host, generation, address, status, .. } = *endpoint;
        if status == RingStatus::Shutdown {
            self.detector.end(now, host, generation);
        } else if self.detector.active().any(|identity| identity.host == host && identity.generation < generation) {
            self.detector.announce(now, super::Identity { host, generation, renewals: 0, address });
        }
    }

    /// Someone remembers this of us, and it is not what we say now. If it would not lose against that, go beyond it.
    fn outdo(&mut self, now: Duration, remembered: Entry) {
        if self.me.entry().is_newer_than(&remembered) {
            return;
        }
        let mut me = self.me.clone();
        me.version = me.version.max(remembered.version).saturating_add(1);
        if remembered.generation > me.generation {
            if self.jumps == JUMPS_MAX {
                return;
            }
            self.jumps += 1;
            me.generation.0 = remembered.generation.0.saturating_add(1);
        }
        let is_later = me.generation > self.me.generation;
        self.set_me(me);
        self.changed.insert(self.me.host);
        if is_later {
            self.detector.reincarnate(now, self.me.generation, self.me.address);
        }
        self.push_me();
    }
}
