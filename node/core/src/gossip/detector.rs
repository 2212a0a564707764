//! Who is alive: SWIM by `foca`, with our timers and our renewal.
//!
//! A member once declared down stays down in that identity. If it is alive after all it learns of the verdict (by a rumour or by foca's
//! TurnUndead) and comes back with one more renewal, which wins over the former identity everywhere.

use super::{Timing, identity::Identity};
use crate::{
    ids::{Generation, HostId},
    random::Random,
};
use bytes::Bytes;
use foca::{
    AccumulatingRuntime, Config, Foca, Member, NoCustomBroadcast, OwnedNotification, PeriodicParams, PostcardCodec, State, Timer,
};
use std::{
    collections::{BTreeMap, btree_map::OccupiedEntry},
    net::SocketAddr,
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

/// Of a foca datagram: a full list of 200 members fits. The transport is a stream, there is no MTU to mind.
const FOCA_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add((16 << 10) - 1);

/// How many are asked to probe on our behalf, and how many a rumour is told to at once.
const HELPERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// How often a rumour is passed on by each node; foca's advice for small clusters is 5 to 10.
const TRANSMISSIONS_MAX: NonZeroU8 = NonZeroU8::MIN.saturating_add(9);

/// At most one renewal in this time: two processes that claim one host would otherwise answer each other without end.
const RENEWAL_PAUSE: Duration = Duration::from_millis(200);

/// Exchanges between two requests to a random member for its list of members.
const EXCHANGES_PER_ANNOUNCE: u32 = 5;

pub(super) struct Detector {
    foca: Foca<Identity, PostcardCodec, Random, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<Identity>,
    /// By due time, then in order of scheduling.
    timers: BTreeMap<(Duration, u64), Timer<Identity>>,
    scheduled: u64,
    /// Others say that we are down, and we have not contradicted yet.
    is_defunct: bool,
    renew_after: Duration,
    has_left: bool,
    refused: u64,
    met: Vec<Identity>,
}

impl Detector {
    pub fn new(identity: Identity, timing: &Timing, random: Random) -> Self {
        Self {
            foca: Foca::new(identity, config(timing), random, PostcardCodec),
            runtime: AccumulatingRuntime::new(),
            timers: BTreeMap::new(),
            scheduled: 0,
            is_defunct: false,
            renew_after: Duration::ZERO,
            has_left: false,
            refused: 0,
            met: Vec::new(),
        }
    }

    /// Members that count as alive, suspects included, ourselves and the buried not.
    pub fn active(&self) -> impl Iterator<Item = &Identity> {
        self.foca.iter_members().map(Member::id)
    }

    pub fn is_active(&self, host: HostId) -> bool {
        self.active().any(|identity| identity.host == host)
    }

    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        let outcome = self.foca.handle_data(bytes, &mut self.runtime);
        self.settle(now, &outcome);
    }

    /// Do what is due.
    pub fn tick(&mut self, now: Duration) {
        while let Some(timer) = self.timers.first_entry().filter(|entry| entry.key().0 <= now).map(OccupiedEntry::remove) {
            // Timers that have lost their sense are dropped by foca; what is left of a failed one is scheduled by foca again.
            let _ = self.foca.handle_timer(timer, &mut self.runtime);
            self.settle(now, &Ok(()));
        }
        self.renew_if_due(now);
    }

    /// When there is something to do next.
    pub fn wake_at(&self) -> Duration {
        let timer = self.timers.first_key_value().map_or(Duration::MAX, |((due, _), _)| *due);
        if self.is_defunct { timer.min(self.renew_after) } else { timer }
    }

    /// Tell the host that we are here; only its id and address need be right. Its answer makes it active.
    pub fn announce(&mut self, now: Duration, to: Identity) {
        let outcome = self.foca.announce(to, &mut self.runtime);
        self.settle(now, &outcome);
    }

    /// The host has said that this generation of it has ended.
    pub fn end(&mut self, now: Duration, host: HostId, generation: Generation) {
        let ended = self.active().find(|it| it.host == host && it.generation <= generation).copied();
        if let Some(identity) = ended {
            self.declare_down(now, identity, true);
        }
    }

    /// The host is down for ever. Told to nobody: each node removes by its own decision.
    pub fn bury(&mut self, host: HostId, now: Duration) {
        self.declare_down(now, Identity::tombstone(host, self.foca.identity().address), false);
    }

    fn declare_down(&mut self, now: Duration, identity: Identity, tell: bool) {
        let down = Member::new(identity, foca::Incarnation::MAX, State::Down);
        let outcome = self.foca.apply_many(std::iter::once(down), tell, &mut self.runtime);
        self.settle(now, &outcome);
    }

    /// Go on with this generation and address.
    pub fn reincarnate(&mut self, now: Duration, generation: Generation, address: SocketAddr) {
        let renewals = self.foca.identity().renewals.saturating_add(1);
        let identity = Identity { generation, renewals, address, ..*self.foca.identity() };
        self.is_defunct = false;
        self.renew_after = now + RENEWAL_PAUSE;
        let outcome = self.foca.change_identity(identity, &mut self.runtime);
        self.settle(now, &outcome);
        // Connects again at once if members are left, instead of at their next word.
        let outcome = self.foca.apply_many(std::iter::empty(), false, &mut self.runtime);
        self.settle(now, &outcome);
    }

    /// Tell some that we go. Others are not judged any more from now on.
    pub fn leave(&mut self, now: Duration) {
        self.has_left = true;
        let outcome = self.foca.leave_cluster(&mut self.runtime);
        self.settle(now, &outcome);
    }

    pub fn take_send(&mut self) -> Vec<(Identity, Bytes)> {
        std::iter::from_fn(|| self.runtime.to_send()).collect()
    }

    /// Members that came up or changed their identity since the last call.
    pub fn take_met(&mut self) -> Vec<Identity> {
        std::mem::take(&mut self.met)
    }

    /// Inputs that foca did not accept.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn renew_if_due(&mut self, now: Duration) {
        if self.is_defunct && self.renew_after <= now {
            let Identity { generation, address, .. } = *self.foca.identity();
            self.reincarnate(now, generation, address);
        }
    }

    fn settle(&mut self, now: Duration, outcome: &Result<(), foca::Error>) {
        self.refused += u64::from(outcome.is_err());
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.scheduled += 1;
            self.timers.insert((now + after, self.scheduled), timer);
        }
        while let Some(notification) = self.runtime.to_notify() {
            self.notice(&notification);
        }
    }

    fn notice(&mut self, notification: &OwnedNotification<Identity>) {
        match *notification {
            OwnedNotification::MemberUp(identity) | OwnedNotification::Rename(_, identity) => {
                self.met.retain(|it| it.host != identity.host);
                self.met.push(identity);
            }
            OwnedNotification::MemberDown(identity) => self.met.retain(|it| it.host != identity.host),
            OwnedNotification::Defunct => self.is_defunct = !self.has_left,
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Rejoin(_) => {}
        }
    }
}

fn config(timing: &Timing) -> Config {
    let periodic = |frequency, num_members| Some(PeriodicParams { frequency, num_members });
    Config {
        probe_period: timing.probe_period,
        probe_rtt: timing.probe_round_trip,
        num_indirect_probes: HELPERS,
        max_transmissions: TRANSMISSIONS_MAX,
        suspect_to_down_after: timing.suspicion,
        // Never: there is one entry a host, and a verdict that was forgotten could be revived by an old rumour.
        remove_down_after: None,
        max_packet_size: FOCA_BYTES_MAX,
        notify_down_members: true,
        periodic_announce: periodic(timing.exchange_period * EXCHANGES_PER_ANNOUNCE, NonZeroUsize::MIN),
        // Lost members are tried by the exchange of endpoints, which goes on without any live member, too.
        periodic_announce_to_down_members: None,
        periodic_gossip: periodic(timing.rumour_period, HELPERS),
    }
}
