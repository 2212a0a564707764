//! Gossip, what it means for `system.peers`, and the feature.

use super::{Node, Purpose, Timer, local::key};
use crate::{
    gossip::{Endpoint, GossipEvent, GossipInput, RingStatus},
    ids::HostId,
    io::{Apply, Destination, Message, Path, PeerRequest, Point, Send},
    upgrade::{Stage, feature, machine},
};
use bytes::Bytes;
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

/// While a peer is down, names of seeds are resolved again so often: it may have come back elsewhere, and so may we have.
const RESOLVE_EVERY: Duration = Duration::from_secs(2);

impl Node {
    pub(super) fn gossip_step(&mut self, input: GossipInput) {
        let effects = self.gossip.step(self.now.elapsed, input);
        self.timers.set(Timer::Gossip, effects.wake_at);
        for (address, bytes) in effects.send {
            self.send_gossip(address, bytes);
        }
        for event in effects.events {
            match event {
                GossipEvent::Changed(host) => self.endpoint_changed(host),
                GossipEvent::Removed(host) => self.heard_of_removal(host),
                GossipEvent::Up(host) => self.host_up(host),
                GossipEvent::Down(host) => self.host_down(host),
            }
        }
    }

    fn send_gossip(&mut self, address: SocketAddr, bytes: Bytes) {
        let header = self.header(self.gossip.host_at(address));
        self.effects.send.push(Send::Message { to: Destination { address }, header, message: Message::Gossip(bytes) });
    }

    /// Whoever has moved while all the others did is found by nobody, and finds nobody but those whose names are configured.
    pub(super) fn look_for_peers(&mut self) {
        let is_up = |host: &HostId| self.gossip.is_up(*host);
        if !self.peers.hosts().is_empty() && !self.peers.hosts().iter().any(is_up) && self.boot.is_completed() {
            self.ask_why_nobody_is_up();
        }
        if self.peers.rows().keys().any(|host| !self.gossip.is_up(*host)) {
            self.effects.send.push(Send::Resolve);
            self.timers.set(Timer::LookForPeers, self.now.elapsed + RESOLVE_EVERY);
        }
    }

    /// Gossip of a host that was removed is not heard: only the answer to a question says so.
    fn ask_why_nobody_is_up(&mut self) {
        self.forget_calls(|purpose| matches!(purpose, Purpose::WhetherRemoved));
        for host in self.peers.hosts().clone() {
            self.call(host, PeerRequest::GetGroup0UpgradeState, Purpose::WhetherRemoved);
        }
    }

    /// Names that have no address now are as good as those that had one.
    pub(super) fn seeds_resolved(&mut self, seeds: Vec<SocketAddr>, unresolved: usize) {
        self.unresolved_seeds = Some(unresolved);
        if seeds.is_empty() {
            return;
        }
        self.settings.seeds.clone_from(&seeds);
        self.gossip_step(GossipInput::Seeds(seeds));
    }

    fn endpoint_changed(&mut self, host: HostId) {
        self.procedure.view_changed = true;
        self.watchers.touch();
        let Some(endpoint) = self.gossip.endpoints().get(&host).cloned() else { return };
        if host == self.host {
            return self.outdone(&endpoint);
        }
        match endpoint.status {
            RingStatus::Left => self.heard_of_removal(host),
            status if status.is_member() => self.member_changed(&endpoint),
            _ => {}
        }
        self.try_enable_feature();
        self.schema_version_seen(&endpoint);
        self.group_seen(&endpoint);
        self.watch_members();
        self.boot_notices(&endpoint);
        self.lead_nobody_in_recovery();
    }

    /// Others remember a later self of ours: gossip has jumped over it, and so do we.
    fn outdone(&mut self, endpoint: &Endpoint) {
        if endpoint.generation > self.generation {
            self.generation = endpoint.generation;
            self.local.set(&mut self.effects.persist, key::GENERATION, self.generation.0.to_string());
        }
    }

    fn member_changed(&mut self, endpoint: &Endpoint) {
        let former = self.peers.rows().get(&endpoint.host).map(|row| row.status);
        self.peers.update(&mut self.effects.persist, endpoint);
        // Once: who comes back from a shutdown, or stays after all, has been in the ring before.
        if endpoint.status == RingStatus::Normal && former.is_none_or(|status| status == RingStatus::Joining) {
            self.effects.apply.push(Apply::RingChanged { joined: true, address: endpoint.rpc_address });
        }
    }

    fn host_up(&mut self, host: HostId) {
        tracing::info!(target: "gossip", %host, "is now UP");
        self.watchers.touch();
        self.exchange_schema(host);
        self.announce_liveness(host, true);
        self.lead_nobody_in_recovery();
        if self.timers.is_set(Timer::ProcedureRetry) {
            self.timers.set(Timer::ProcedureRetry, self.now.elapsed);
        }
    }

    fn host_down(&mut self, host: HostId) {
        tracing::info!(target: "gossip", %host, "is now DOWN");
        self.watchers.touch();
        self.announce_liveness(host, false);
        self.timers.set(Timer::LookForPeers, self.now.elapsed + RESOLVE_EVERY);
        if let Some((_, group)) = &mut self.group {
            group.report_unreachable(host);
        }
        self.agreement_changed();
    }

    fn announce_liveness(&mut self, host: HostId, up: bool) {
        if let Some(row) = self.peers.rows().get(&host) {
            self.effects.apply.push(Apply::HostChanged { up, address: row.rpc_address });
        }
    }

    /// Hosts that gossip knows as members, ourselves excluded.
    pub(super) fn gossip_members(&self) -> BTreeSet<HostId> {
        let members = self.gossip.endpoints().values().filter(|endpoint| endpoint.status.is_member());
        members.map(|endpoint| endpoint.host).filter(|host| *host != self.host).collect()
    }

    /// Enables the feature once every known member advertises it, and begins the procedure.
    pub(super) fn try_enable_feature(&mut self) {
        let flag = self.flag();
        if flag.enabled || !self.boot.is_completed() || self.stage() == Stage::Recovery {
            return;
        }
        let hosts: BTreeSet<HostId> = self.peers.hosts().union(&self.gossip_members()).copied().collect();
        let endpoints = self.gossip.endpoints();
        if !feature::can_enable(flag, hosts.iter().map(|host| endpoints.get(host).or_else(|| self.peers.rows().get(host)))) {
            return;
        }
        tracing::info!(target: "raft_group0_upgrade", "feature {} is enabled", feature::SUPPORTS_RAFT_CLUSTER_MANAGEMENT);
        self.enable_feature();
        self.step_path = Path::default();
        self.progressed();
        self.figures.started = self.now.wall;
        self.procedure_begin();
    }

    pub(super) fn enable_feature(&mut self) {
        let mut features = self.local.enabled_features();
        features.insert(feature::SUPPORTS_RAFT_CLUSTER_MANAGEMENT.into());
        let text: Vec<_> = features.into_iter().collect();
        self.local.set(&mut self.effects.persist, key::ENABLED_FEATURES, text.join(","));
        self.effects.persist.points.push(Point::FeatureEnabled);
        self.watchers.touch();
    }

    /// Says of ourselves what is true now; gossip pushes it at once if it is news.
    /// After every step: nothing is made where nothing has changed.
    pub(super) fn settle_endpoint(&mut self) {
        let said = self.gossip.me();
        let in_group = self.group.as_ref().filter(|(_, group)| group.configuration().contains(&self.host));
        let (status, group, schema_version) = (self.ring_status(), in_group.map(|(id, _)| *id), self.schema_version());
        let (incarnation, is_final) = (self.local.incarnation(), self.stage() == Stage::UsePostRaft);
        let advertises = self.flag().advertises();
        let is_said = (said.status, said.group, said.schema_version) == (status, group, schema_version)
            && (said.incarnation, said.is_final, !said.features.is_empty()) == (incarnation, is_final, advertises)
            && !said.tokens.is_empty();
        if !is_said {
            let (features, tokens) = (self.advertised(), self.local.tokens());
            let news = Endpoint { status, tokens, features, schema_version, group, incarnation, is_final, ..said.clone() };
            self.watchers.touch();
            self.gossip_step(GossipInput::Update(news));
        }
    }

    /// The features that it advertises.
    pub(super) fn advertised(&self) -> BTreeSet<String> {
        self.flag().advertises().then(|| feature::SUPPORTS_RAFT_CLUSTER_MANAGEMENT.into()).into_iter().collect()
    }

    fn ring_status(&self) -> RingStatus {
        match self.boot.ring_status() {
            RingStatus::Left => RingStatus::Left,
            status if self.is_stopping() => status.at_shutdown(),
            _ if self.is_leaving() => RingStatus::Leaving,
            status => status,
        }
    }

    /// A peer is in a group: who looks for one need not wait for its next try.
    fn group_seen(&mut self, endpoint: &Endpoint) {
        if endpoint.group.is_some() && self.timers.is_set(Timer::JoiningRetry) && self.joining.is_active() {
            self.timers.set(Timer::JoiningRetry, self.now.elapsed);
        }
    }

    /// The procedure's view may have changed.
    pub(super) fn settle_view(&mut self) -> bool {
        let changed = std::mem::take(&mut self.procedure.view_changed);
        if changed {
            self.upgrade_event(machine::Event::Changed);
        }
        changed
    }
}
