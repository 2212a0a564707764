//! Membership and failure detection: which hosts there are, what each says of itself, and which of them are alive.
//!
//! Two protocols share one stream of datagrams ([`packet`]):
//! - *Who is alive* is SWIM, by `foca` ([`detector`]). A member is a host id; its address, generation and number of renewals only
//!   tell its newer self from its former ones ([`identity`]).
//! - *What hosts say* is a map of whole [`Endpoint`]s ([`exchange`]): a change is pushed to every live peer at once, and repaired by an
//!   exchange of digests with one random peer a period, with every host that comes up, and with seeds and dead hosts.
//!
//! Sans-IO: [`Gossip::step`] takes the time and an input and returns datagrams, events and the time of the next step. Datagrams may be
//! lost, duplicated, delayed and reordered. Knowing an endpoint does not mean that its host is up.

mod detector;
mod endpoint;
mod exchange;
mod identity;
mod packet;
#[cfg(test)]
mod tests;
mod timing;

pub use endpoint::{Endpoint, RingStatus};
pub use timing::Timing;

use crate::{
    ids::{Generation, GroupId, HostId},
    random::Random,
};
use bytes::Bytes;
use detector::Detector;
use identity::Identity;
use packet::{Entry, Packet};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// Hosts whose endpoints are kept; ten times the members that we support, so that a bad peer cannot fill the memory.
pub const HOSTS_MAX: usize = 1024;

/// Addresses that a node without any live peer tries in one round.
const CONTACTS_MAX: usize = 32;

/// One node's view of the cluster.
pub struct Gossip {
    me: Endpoint,
    /// Ours included, always equal to `me`. Never a removed host.
    endpoints: BTreeMap<HostId, Endpoint>,
    seeds: Vec<SocketAddr>,
    /// From the disk: where hosts were before we stopped.
    known: BTreeMap<HostId, SocketAddr>,
    removed: BTreeSet<HostId>,
    live: BTreeSet<HostId>,
    seen_by: BTreeSet<HostId>,
    detector: Detector,
    timing: Timing,
    random: Random,
    exchange_at: Duration,
    /// Generations that we skipped because someone knew a later one of ours.
    jumps: u32,
    ended: bool,
    ignored: Ignored,
    send: Vec<(SocketAddr, Bytes)>,
    changed: BTreeSet<HostId>,
    /// Hosts that wait for their way in and are not alive.
    silent_since: BTreeMap<HostId, Duration>,
    /// What was known of those that were silent for too long, and when they were forgotten.
    forgotten: BTreeMap<HostId, (Entry, Duration)>,
    /// Others say that these were removed.
    heard_removed: BTreeSet<HostId>,
}

/// What gossip is told.
#[derive(Clone, Debug)]
pub enum GossipInput {
    /// The time of `wake_at` has come.
    Wake,
    /// A peer's datagram.
    Datagram {
        /// From whom, by the header.
        from: HostId,
        /// Where the sender listens, by the header.
        from_address: SocketAddr,
        /// As the peer's effects had it.
        bytes: Bytes,
    },
    /// Our endpoint is to say this from now on. Host, generation and version of it are not used: gossip has its own.
    Update(Endpoint),
    /// The seeds, resolved anew.
    Seeds(Vec<SocketAddr>),
    /// This host is ignored for ever.
    Remove(HostId),
    /// Say good-bye. Nothing is sent and nothing changes afterwards.
    Shutdown,
}

/// What gossip wants done.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct GossipEffects {
    /// Datagrams.
    pub send: Vec<(SocketAddr, Bytes)>,
    /// What changed, changes of endpoints first.
    pub events: Vec<GossipEvent>,
    /// When to step next; [`Duration::MAX`] after a shutdown.
    pub wake_at: Duration,
}

/// What changed in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GossipEvent {
    /// The host is alive; its endpoint is known.
    Up(HostId),
    /// The host is not alive any more, or was removed.
    Down(HostId),
    /// Its endpoint is new or newer. Ours only if we had to outdo what others remember of us: its generation may have grown.
    Changed(HostId),
    /// Another one says that the host was removed for good. Whether it is so for us, too, [`GossipInput::Remove`] says.
    Removed(HostId),
}

/// Datagrams and parts of them that were not used, by reason. Each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Too large, not parsable, or not consistent with its sender.
    pub malformed: u64,
    /// From a removed host.
    pub removed: u64,
    /// Of hosts beyond [`HOSTS_MAX`].
    pub surplus: u64,
    /// Ours, not sent because larger than a datagram may be.
    pub oversized: u64,
}

impl Gossip {
    /// A view that knows nobody yet. `known` are the addresses of peers as persisted: they are contacted like seeds.
    /// The first step, which is due at `now`, contacts them all.
    pub fn new(
        me: Endpoint,
        seeds: Vec<SocketAddr>,
        known: Vec<(HostId, SocketAddr)>,
        removed: BTreeSet<HostId>,
        timing: Timing,
        mut random: Random,
        now: Duration,
    ) -> Self {
        let identity = Identity { host: me.host, generation: me.generation, renewals: 0, address: me.address };
        let mut detector = Detector::new(identity, &timing, random.fork());
        for &host in &removed {
            detector.bury(host, now);
        }
        Self {
            endpoints: BTreeMap::from([(me.host, me.clone())]),
            me,
            seeds,
            known: known.into_iter().take(HOSTS_MAX).collect(),
            removed,
            live: BTreeSet::new(),
            seen_by: BTreeSet::new(),
            detector,
            timing,
            random,
            exchange_at: now,
            jumps: 0,
            ended: false,
            ignored: Ignored::default(),
            send: Vec::new(),
            changed: BTreeSet::new(),
            silent_since: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            heard_removed: BTreeSet::new(),
        }
    }

    /// Take one input, and do what is due at `now`.
    pub fn step(&mut self, now: Duration, input: GossipInput) -> GossipEffects {
        if self.ended {
            return GossipEffects { wake_at: Duration::MAX, ..GossipEffects::default() };
        }
        match input {
            GossipInput::Wake => {}
            GossipInput::Datagram { from, from_address, bytes } => self.receive(now, from, from_address, &bytes),
            GossipInput::Update(endpoint) => self.update(now, endpoint),
            GossipInput::Seeds(seeds) => self.seeds = seeds,
            GossipInput::Remove(host) => self.remove(now, host),
            GossipInput::Shutdown => self.shutdown(now),
        }
        if !self.ended {
            self.detector.tick(now);
            self.exchange_if_due(now);
        }
        self.effects()
    }

    /// The endpoints of all hosts that we know, alive or not, ours included.
    pub const fn endpoints(&self) -> &BTreeMap<HostId, Endpoint> {
        &self.endpoints
    }

    /// Our own endpoint, as others are told.
    pub const fn me(&self) -> &Endpoint {
        &self.me
    }

    /// Whether the host is alive, in whichever generation answers; false for ourselves.
    pub fn is_up(&self, host: HostId) -> bool {
        self.live.contains(&host)
    }

    /// Whether the host says that it takes part in that group; in recovery it says of none.
    pub fn is_in_group(&self, host: HostId, group: GroupId) -> bool {
        self.endpoints().get(&host).is_some_and(|endpoint| endpoint.group == Some(group))
    }

    /// The peers that are alive, without ourselves. Their endpoints are known.
    pub fn live(&self) -> impl Iterator<Item = HostId> {
        self.live.iter().copied()
    }

    /// The live peers that have told us that we are alive to them.
    pub fn seen_by(&self) -> impl Iterator<Item = HostId> {
        self.seen_by.intersection(&self.live).copied()
    }

    /// The live host at that address. Nobody if none is known to be alive there: then whoever has that address now may answer.
    pub fn host_at(&self, address: SocketAddr) -> Option<HostId> {
        self.live().find(|host| self.endpoints.get(host).is_some_and(|endpoint| endpoint.address == address))
    }

    /// What was received and not used.
    pub const fn ignored(&self) -> Ignored {
        let mut ignored = self.ignored;
        ignored.malformed += self.detector.refused();
        ignored
    }

    fn receive(&mut self, now: Duration, from: HostId, from_address: SocketAddr, bytes: &[u8]) {
        if self.removed.contains(&from) {
            self.ignored.removed += 1;
        } else if from != self.me.host {
            match Packet::decode(bytes) {
                Some(Packet::Foca(bytes)) => self.detector.receive(now, &bytes),
                Some(Packet::Digest(digest)) => self.receive_digest(now, from, from_address, digest),
                Some(Packet::Delta(delta)) => self.receive_delta(now, from, from_address, delta),
                None => self.ignored.malformed += 1,
            }
        }
    }

    fn update(&mut self, now: Duration, endpoint: Endpoint) {
        let Endpoint { host, generation, version, address, .. } = self.me;
        let mut next = Endpoint { host, generation, version, ..endpoint };
        if next == self.me {
            return;
        }
        next.version = version.saturating_add(1);
        self.set_me(next);
        if self.me.address != address {
            self.detector.reincarnate(now, self.me.generation, self.me.address);
        }
        self.push_me();
    }

    fn remove(&mut self, now: Duration, host: HostId) {
        if host != self.me.host && self.removed.insert(host) {
            self.endpoints.remove(&host);
            self.known.remove(&host);
            self.detector.bury(host, now);
        }
    }

    fn shutdown(&mut self, now: Duration) {
        let version = self.me.version.saturating_add(1);
        self.set_me(Endpoint { status: self.me.status.at_shutdown(), version, ..self.me.clone() });
        self.push_me();
        self.detector.leave(now);
        self.ended = true;
    }

    fn set_me(&mut self, me: Endpoint) {
        self.endpoints.insert(me.host, me.clone());
        self.me = me;
    }

    fn effects(&mut self) -> GossipEffects {
        for identity in self.detector.take_met() {
            self.send_digest(identity.address);
        }
        for (to, bytes) in self.detector.take_send() {
            if !self.removed.contains(&to.host) {
                self.send(to.address, &Packet::Foca(bytes));
            }
        }
        let changed = std::mem::take(&mut self.changed).into_iter().map(GossipEvent::Changed);
        let removed = std::mem::take(&mut self.heard_removed).into_iter().map(GossipEvent::Removed);
        let events = removed.chain(changed).chain(self.refresh_live()).collect();
        let wake_at = if self.ended { Duration::MAX } else { self.detector.wake_at().min(self.exchange_at) };
        GossipEffects { send: std::mem::take(&mut self.send), events, wake_at }
    }

    /// Invariant: a live host is active to the detector, not removed, and its known endpoint does not say that it has shut down.
    fn refresh_live(&mut self) -> Vec<GossipEvent> {
        let is_known = |host: &HostId| self.endpoints.get(host).is_some_and(|it| it.status != RingStatus::Shutdown);
        let live: BTreeSet<_> = self.detector.active().map(|identity| identity.host).filter(is_known).collect();
        let down = self.live.difference(&live).copied().map(GossipEvent::Down);
        let events = down.chain(live.difference(&self.live).copied().map(GossipEvent::Up)).collect();
        let before = std::mem::replace(&mut self.live, live);
        self.seen_by.retain(|host| self.live.contains(host) || !before.contains(host));
        events
    }

    fn identity_of(&self, host: HostId, address: SocketAddr) -> Identity {
        let generation = self.endpoints.get(&host).map_or(Generation(0), |endpoint| endpoint.generation);
        Identity { host, generation, renewals: 0, address }
    }
}
