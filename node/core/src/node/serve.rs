//! What peers ask of us, and what their answers to our questions mean.

use super::{Node, Purpose, admin::state_reply, barrier::Waiter};
use crate::{
    gossip::{Endpoint, GossipInput, RingStatus},
    group0::joining,
    ids::{HostId, Incarnation},
    io::{
        AdminReply, CallError, CallId, DiscoveryPeer, ExchangeReply, Header, JoinReply, Message, Migration, Path, PeerReply,
        PeerRequest, Refusal, Replacement, Reply, RequestId,
    },
    upgrade::{
        Stage,
        feature::{self, Leave},
        machine::{Comparison, Event},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Requests that are answered later, or more than once.
#[derive(Debug, Default)]
pub struct Context {
    watching: BTreeSet<RequestId>,
    held: BTreeMap<RequestId, HostId>,
}

impl Node {
    /// A wrong destination, a foreign cluster or a removed host is refused, whatever it wants.
    fn admit(&self, header: &Header) -> Result<(), Refusal> {
        let ours = &self.settings.cluster_name;
        if header.cluster != *ours {
            return Err(Refusal::ForeignCluster { ours: ours.clone(), theirs: header.cluster.clone() });
        }
        if let Some(meant) = header.to.filter(|host| *host != self.host) {
            return Err(Refusal::WrongDestination { ours: self.host, meant });
        }
        if self.local.removed().contains(&header.from) {
            return Err(Refusal::RemovedHost(header.from));
        }
        if let Some(plan) = self.plans.fences(header.from) {
            return Err(Refusal::NotNow(format!("host {} is fenced by recovery plan {plan}", header.from)));
        }
        Ok(())
    }

    /// Whether what comes from there is heard.
    fn hear(&mut self, header: &Header) -> Result<(), Refusal> {
        self.recognize(header)?;
        if self.is_stopping() { Err(Refusal::NotNow("the node is shutting down".into())) } else { Ok(()) }
    }

    /// That something came is a sign of life, whatever becomes of it.
    fn recognize(&mut self, header: &Header) -> Result<(), Refusal> {
        if header.cluster == self.settings.cluster_name {
            self.life.heard(header.from, self.now.elapsed);
        }
        self.admit(header)?;
        self.life.told_of(header.incarnation);
        Ok(())
    }

    /// What would change something counts for nothing if it comes from a group that a recovery has left behind: neither rows nor a removal.
    /// Whoever was in no group yet is on its way into the first one, and is heard.
    fn admit_change(&self, header: &Header) -> Result<(), Refusal> {
        let (ours, theirs) = (self.local.incarnation(), header.incarnation);
        let is_former = self.group.is_some() && theirs < ours && theirs != Incarnation::default();
        let why = || format!("host {} is of incarnation {theirs} of group 0, and this node of incarnation {ours}", header.from);
        if is_former { Err(Refusal::NotNow(why())) } else { Ok(()) }
    }

    pub(super) fn message(&mut self, header: &Header, message: Message) {
        let counts = if matches!(message, Message::Raft(..)) { self.takes_part() } else { !self.is_stopping() };
        if self.recognize(header).is_err() || !counts {
            return;
        }
        match message {
            Message::Gossip(bytes) => {
                let input = GossipInput::Datagram { from: header.from, from_address: header.from_address, bytes };
                self.gossip_step(input);
            }
            Message::Raft(group, message) => {
                self.caused_by(header.path);
                self.raft_message(group, header.from, message);
            }
        }
    }

    pub(super) fn request(&mut self, id: RequestId, header: &Header, request: PeerRequest) {
        self.caused_by(header.path);
        let changes = matches!(request, PeerRequest::DefinitionsUpdate(_) | PeerRequest::RemoveHost { .. });
        let admitted = self.hear(header).and_then(|()| if changes { self.admit_change(header) } else { Ok(()) });
        if let Err(refusal) = admitted {
            return self.effects.reply.push(Reply::Peer { id, outcome: Err(refusal) });
        }
        match request {
            PeerRequest::GetGroup0UpgradeState => self.reply(id, PeerReply::State(state_reply(self))),
            PeerRequest::WatchGroup0UpgradeState => {
                self.serve.watching.insert(id);
                self.reply(id, PeerReply::State(state_reply(self)));
            }
            PeerRequest::Group0PeerExchange { peers, bootstrapped } => self.exchange(id, header.from, peers, bootstrapped),
            PeerRequest::Group0ModifyConfig { group, add, remove } => self.modify_config(id, group, add, remove),
            PeerRequest::SchemaCheck => {
                let reply = PeerReply::Schema { version: self.schema_version(), state: state_reply(self) };
                self.reply(id, reply);
            }
            PeerRequest::MigrationRequest { snapshot_of } => self.migrate(id, snapshot_of),
            PeerRequest::DefinitionsUpdate(rows) => {
                self.take_foreign_rows(&rows);
                self.reply(id, PeerReply::Merged { version: self.schema_version() });
            }
            PeerRequest::JoinRing { endpoint, replaces } => self.join_ring(id, header.from, endpoint, replaces.as_ref()),
            PeerRequest::RemoveHost { host, agreed } => match self.remove_as_asked(host, agreed, header.from) {
                Ok(()) => self.reply(id, PeerReply::Removed),
                Err(why) => self.effects.reply.push(Reply::Peer { id, outcome: Err(Refusal::Never(why)) }),
            },
        }
    }

    fn reply(&mut self, id: RequestId, reply: PeerReply) {
        self.effects.reply.push(Reply::Peer { id, outcome: Ok((reply, self.step_path)) });
    }

    pub(super) fn gone(&mut self, id: RequestId) {
        self.serve.watching.remove(&id);
        self.serve.held.remove(&id);
        self.watchers.remove(id);
        self.forget_barrier(Waiter::Asked(id));
    }

    /// Every peer that watches our stage is told.
    pub(super) fn tell_watching_peers(&mut self) {
        for id in self.serve.watching.clone() {
            self.reply(id, PeerReply::State(state_reply(self)));
        }
    }

    // Discovery.

    /// With a group id and before we may answer with it, and while we may come to lead, the answer waits: it is neither
    /// list nor group, and a caller that gives up has had no response.
    fn exchange(&mut self, id: RequestId, from: HostId, peers: Vec<DiscoveryPeer>, bootstrapped: bool) {
        if self.stage() == Stage::Recovery {
            return self.reply(id, self.exchange_answer(ExchangeReply::Nothing));
        }
        if !bootstrapped || !self.boot.is_completed() {
            return self.reply(id, self.exchange_answer(ExchangeReply::Upgrading));
        }
        self.joining_event(joining::Event::Discovery(crate::discovery::Event::Asked(peers)));
        match self.exchange_reply() {
            Some(reply) => self.reply(id, self.exchange_answer(reply)),
            None => {
                self.serve.held.insert(id, from);
            }
        }
    }

    fn exchange_answer(&self, reply: ExchangeReply) -> PeerReply {
        PeerReply::Exchange { reply, incarnation: self.local.incarnation() }
    }

    fn exchange_reply(&self) -> Option<ExchangeReply> {
        let in_group = self.group.as_ref().filter(|(_, group)| group.configuration().contains(&self.host));
        match (in_group, self.joining.group()) {
            (Some((group, _)), _) => Some(ExchangeReply::Group {
                group: *group,
                incarnation: self.local.incarnation(),
                member: self.member(),
                is_final: self.stage() == Stage::UsePostRaft,
            }),
            (None, Some(_)) => None,
            (None, None) if self.joining.discovery().may_lead() => None,
            (None, None) => Some(ExchangeReply::Peers(self.joining.discovery().known())),
        }
    }

    pub(super) fn answer_held_exchanges(&mut self) {
        let Some(reply) = self.exchange_reply() else { return };
        for id in std::mem::take(&mut self.serve.held).into_keys() {
            self.reply(id, self.exchange_answer(reply.clone()));
        }
    }

    // Schema and ring.

    fn migrate(&mut self, id: RequestId, snapshot_of: Option<crate::ids::GroupId>) {
        let snapshot = snapshot_of.and_then(|group| self.make_snapshot(group));
        if let (Some(theirs), None) = (snapshot_of, &snapshot) {
            let refusal = Refusal::OtherGroup { ours: self.joining.group(), theirs };
            return self.effects.reply.push(Reply::Peer { id, outcome: Err(refusal) });
        }
        let migration = Migration {
            rows: self.schema.rows().clone(),
            state: state_reply(self),
            version: self.schema_version(),
            history: if snapshot.is_some() { self.history.rows().cloned().collect() } else { vec![] },
            snapshot,
        };
        self.reply(id, PeerReply::Migration(Box::new(migration)));
    }

    /// A new host asks for leave. Before the feature is enabled here it is recorded durably, which makes it a known member. One that takes
    /// another's place comes in like any other once that one is gone.
    fn join_ring(&mut self, id: RequestId, from: HostId, endpoint: Endpoint, replaces: Option<&Replacement>) {
        if endpoint.host != from {
            let why = format!("host {from} asks for leave to join in the name of {}: each host asks for itself", endpoint.host);
            return self.reply(id, PeerReply::JoinRing(JoinReply::Refused(why)));
        }
        if let Some(why) = replaces.filter(|_| self.boot.is_completed()).and_then(|replaced| self.make_room(replaced).err()) {
            return self.reply(id, PeerReply::JoinRing(JoinReply::Refused(why)));
        }
        let reply = match self.boot.is_completed() {
            false if self.local.knows_of_ring() => JoinReply::Refused("it waits for leave to join the ring itself".into()),
            false => JoinReply::NotInRing,
            true => self.give_leave(endpoint),
        };
        self.reply(id, PeerReply::JoinRing(reply));
    }

    fn give_leave(&mut self, endpoint: Endpoint) -> JoinReply {
        let (is_recorded, advertises) = (self.peers.hosts().contains(&endpoint.host), feature::has(&endpoint.features));
        match feature::leave(self.flag().enabled, self.stage(), is_recorded, advertises) {
            Leave::OldWay => self.welcome(endpoint),
            Leave::LacksFeature => JoinReply::Refused(lacks_feature(endpoint.host)),
            Leave::Wait => JoinReply::Upgrading,
            Leave::Group => match self.joining.group() {
                Some(group) => JoinReply::Final { group, incarnation: self.local.incarnation() },
                None => JoinReply::Upgrading,
            },
        }
    }

    fn welcome(&mut self, endpoint: Endpoint) -> JoinReply {
        // Of others who ask for leave the address is a hint: two that came back with each other's would refuse each other for ever.
        let is_member = |row: &&Endpoint| row.host != endpoint.host && row.status != RingStatus::Joining;
        let others = self.peers.rows().values().filter(is_member);
        if let Some(taken) = others.map(|row| (row.host, row.address)).find(|(_, address)| *address == endpoint.address) {
            return JoinReply::Refused(format!(
                "address {} belongs to host {}. If that one is lost, start this one with replace_node_first_boot: {}",
                taken.1, taken.0, taken.0
            ));
        }
        let joining = Endpoint { status: RingStatus::Joining, ..endpoint };
        self.peers.update(&mut self.effects.persist, &joining);
        self.procedure.view_changed = true;
        JoinReply::Welcome
    }

    // Answers to our own questions.

    pub(super) fn answer(&mut self, call: CallId, outcome: Result<(PeerReply, Path), CallError>) {
        let Some(purpose) = self.calls.close(call) else { return };
        match outcome {
            Ok((reply, path)) => {
                self.caused_by(path);
                self.answered(purpose, reply);
            }
            Err(error) => self.failed(purpose, &error),
        }
    }

    pub(super) fn update(&mut self, call: CallId, (reply, path): (PeerReply, Path)) {
        if let (Some(Purpose::WatchStage(host)), PeerReply::State(state)) = (self.calls.purpose(call), reply) {
            let host = *host;
            self.caused_by(path);
            self.told_stage(host, state);
        }
    }

    fn answered(&mut self, purpose: Purpose, reply: PeerReply) {
        match (purpose, reply) {
            (Purpose::AskStage(host), PeerReply::State(state)) => self.told_stage(host, state),
            (Purpose::Compare(host), PeerReply::Schema { version, state }) => self.compare(host, version, state),
            (Purpose::ComparePull(host), PeerReply::Migration(migration)) => {
                let changed = self.merge_rows(&migration.rows);
                let comparison = if changed { Comparison::Pulled } else { Comparison::Behind(migration.state.stage) };
                self.upgrade_event(Event::Compared(host, comparison));
            }
            (Purpose::Reconcile(host), PeerReply::Migration(migration)) => {
                self.reconcile(host, &migration.rows, migration.state);
            }
            (Purpose::Exchange(address), PeerReply::Exchange { reply, incarnation }) => {
                self.life.told_of(incarnation);
                match replier(address, &reply).or_else(|| self.gossip.host_at(address)) {
                    Some(from) => self.exchanged(address, from, reply),
                    None => self.exchange_unanswered("the answer names nobody at the address"),
                }
            }
            (Purpose::JoinGroup, reply) => self.group_join_answered(Ok(reply)),
            (Purpose::BootIntoGroup, reply) => self.boot_into_group_answered(&Ok(reply)),
            (Purpose::RollForward { id, plan }, PeerReply::Migration(migration)) => {
                self.rolled_forward(id, plan, Ok(&migration));
            }
            (Purpose::RemoveHost(host), PeerReply::Removed | PeerReply::Merged { .. }) => self.removal_recorded(host, &Ok(())),
            (Purpose::Departure(host), reply) => self.departure_answered(host, &Ok(reply)),
            (Purpose::ForwardModify(id), reply) => self.forwarded_modify_answered(id, Ok(reply)),
            (Purpose::Exchanged(host, start), PeerReply::Schema { version, .. }) => self.exchange_compared(host, start, version),
            (Purpose::BackgroundPull(host, start), PeerReply::Migration(migration)) => {
                self.take_foreign_rows(&migration.rows);
                self.exchange_completed(host, start);
            }
            (Purpose::BootPull, PeerReply::Migration(migration)) => self.boot_pulled(&migration),
            (Purpose::JoinRing(address), PeerReply::JoinRing(reply)) => self.join_ring_answered(address, Ok(reply)),
            (Purpose::Snapshot(group, message), PeerReply::Migration(migration)) => {
                self.snapshot_pulled(group, *message, *migration);
            }
            (Purpose::Push(host, Some(operation)), PeerReply::Merged { .. }) => self.push_answered(operation, host),
            (Purpose::Push(_, None), PeerReply::Merged { .. }) | (Purpose::WhetherRemoved, PeerReply::State(_)) => {}
            (purpose, reply) => {
                tracing::warn!(target: "rpc", ?purpose, ?reply, "an answer to another question");
                self.failed(purpose, &CallError::Closed("it answered another question".into()));
            }
        }
    }

    /// Equal versions, or a pull of what differs.
    fn compare(&mut self, host: HostId, version: uuid::Uuid, state: crate::io::StateReply) {
        if let Some(cause) = self.is_foreign(&state) {
            return self.upgrade_event(Event::Silent(host, cause));
        }
        if state.stage == Stage::UsePostRaft {
            self.upgrade_event(Event::Told(host, state.stage));
        }
        if version == self.schema_version() {
            self.upgrade_event(Event::Compared(host, Comparison::Equal(state.stage)));
        } else {
            self.call(host, PeerRequest::MigrationRequest { snapshot_of: None }, Purpose::ComparePull(host));
        }
    }

    /// A call has no answer.
    pub(super) fn failed(&mut self, purpose: Purpose, error: &CallError) {
        if error.is_removal_of(self.host) {
            self.told_to_be_removed();
        }
        match purpose {
            Purpose::RemoveHost(peer) => {
                let outcome = if error.is_removal_of(self.host) { Ok(()) } else { Err(error.to_string()) };
                self.removal_recorded(peer, &outcome);
            }
            Purpose::RollForward { id, plan } => {
                self.rolled_forward(id, plan, Err(format!("the donor has not answered: {error}")));
            }
            Purpose::Departure(host) => self.departure_answered(host, &Err(error.clone())),
            Purpose::AskStage(host) | Purpose::Compare(host) | Purpose::ComparePull(host) | Purpose::Reconcile(host) => {
                self.upgrade_event(Event::Silent(host, error.to_string()));
            }
            Purpose::WatchStage(host) => self.watch_broken(host),
            Purpose::Exchange(_) => self.exchange_unanswered(&error.to_string()),
            Purpose::JoinGroup => self.group_join_answered(Err(error.clone())),
            Purpose::BootIntoGroup => self.boot_into_group_answered(&Err(error.clone())),
            Purpose::ForwardModify(id) => self.forwarded_modify_answered(id, Err(error.clone())),
            Purpose::Exchanged(host, _) | Purpose::BackgroundPull(host, _) => self.exchange_failed(host),
            Purpose::Push(host, Some(operation)) => self.push_answered(operation, host),
            Purpose::Push(_, None) | Purpose::WhetherRemoved => {}
            Purpose::BootPull => self.boot_pull_failed(error),
            Purpose::JoinRing(address) => self.join_ring_answered(address, Err(error.clone())),
            Purpose::Snapshot(_, message) => self.snapshot_not_pulled(message.from, error),
        }
    }

    /// The operator's watch and its kin answer by this, too.
    pub(super) fn reply_admin(&mut self, id: RequestId, reply: AdminReply) {
        self.effects.reply.push(Reply::Admin { id, reply });
    }
}

/// Nobody comes into the ring without it once it is enabled, and whoever was recorded before is waited for.
fn lacks_feature(host: HostId) -> String {
    format!(
        "the feature {} is enabled in this cluster, and host {host} does not advertise it: set consistent_cluster_management: true on it \
         and start it again, or order Proceed if it is held",
        feature::SUPPORTS_RAFT_CLUSTER_MANAGEMENT
    )
}

/// Who answered: a list contains its sender.
fn replier(address: std::net::SocketAddr, reply: &ExchangeReply) -> Option<HostId> {
    match reply {
        ExchangeReply::Group { member, .. } => Some(member.host),
        ExchangeReply::Peers(peers) => peers.iter().find(|peer| peer.address == address).and_then(|peer| peer.host),
        ExchangeReply::Nothing | ExchangeReply::Upgrading => None,
    }
}
