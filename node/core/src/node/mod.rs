//! The node: one step function over everything that it knows.
//!
//! [`Node::step`] dispatches an [`Input`] to the part that it is for and then settles: whatever one part's effects mean for
//! another is carried on until nothing moves. The parts:
//! - [`start`]: from what the store holds to a node; refusals;
//! - [`membership`]: gossip, `system.peers`, the feature; [`boot`]: the first boot;
//! - [`departure`]: leaving, and removing others; [`recovery`]: when hosts that the group needs are lost, by hand or by a plan;
//! - [`procedure`]: carries out the actions of the upgrade and joining machines;
//! - [`consensus`]: Raft, membership changes, snapshots, what committed commands do; [`barrier`]: read barriers;
//! - [`operations`]: schema changes of clients; [`sync`]: pushes and pulls of schema between nodes;
//! - [`serve`]: verbs of peers; [`calls`]: answers to ours; [`admin`]: the operator; [`tables`]: what `SELECT` sees;
//! - [`failed`]: what is left when the store has failed;
//! - [`local`], [`peers`]: small durable tables; [`timers`]: who wants to be woken; [`inspect`]: what checkers see.
//!
//! The lock between old-style schema changes and `synchronize` is the step itself: an old-style change reads the stage,
//! validates, merges and is handed over for persisting within one step, so none is ever in flight when a later step
//! persists `synchronize`.

mod admin;
mod barrier;
mod boot;
mod calls;
mod consensus;
mod departure;
mod failed;
mod inspect;
mod local;
mod membership;
mod operations;
mod peers;
mod procedure;
mod recovery;
mod serve;
mod start;
mod sync;
mod tables;
mod timers;

#[cfg(test)]
mod tests;

pub use start::StartError;

use crate::{
    cql::ast::Statement,
    gossip::Gossip,
    group0::{History, joining::Joining},
    ids::{Generation, GroupId, HostId, Now},
    io::{
        Apply, CallId, ClientReply, ClientRequest, Destination, Effects, Header, Input, Path, PeerRequest, Reply, RequestId,
        Send, Settings,
    },
    raft::{Group, Stored},
    random::Random,
    schema::Schema,
    status::{Cost, UpgradeFigures},
    upgrade::{Stage, machine::Upgrade},
};
use calls::{Calls, Purpose};
use std::{net::SocketAddr, time::Duration};
use timers::{Timer, Timers};
use uuid::Uuid;

/// How long a verb between nodes may take.
const RPC_LIMIT: Duration = Duration::from_secs(5);

/// One node of the cluster.
pub struct Node {
    settings: Settings,
    now: Now,
    random: Random,
    host: HostId,
    generation: Generation,
    local: local::Local,
    peers: peers::Peers,
    schema: Schema,
    history: History,
    gossip: Gossip,
    group: Option<(GroupId, Group)>,
    upgrade: Upgrade,
    joining: Joining,
    boot: boot::Boot,
    /// How many configured seeds have no address, as far as it is known.
    unresolved_seeds: Option<usize>,
    /// What the driver was told last of whether the node can be used.
    told_ready: Option<Result<(), String>>,
    departure: Option<departure::Departure>,
    /// The last one that failed with nobody to tell it to, and why.
    failed_departure: Option<(HostId, String)>,
    recovery: recovery::Mode,
    plans: recovery::Plans,
    life: recovery::Life,
    /// What is stored of the group while this node takes no part in it, in recovery.
    dormant: Option<(GroupId, Stored)>,
    procedure: procedure::Context,
    barriers: barrier::Barriers,
    consensus: consensus::Context,
    operations: operations::Operations,
    sync: sync::Sync,
    serve: serve::Context,
    watchers: admin::Watchers,
    calls: Calls,
    timers: Timers,
    effects: Effects,
    /// The longest chain of causes so far, and that of the present step.
    path: Path,
    step_path: Path,
    figures: UpgradeFigures,
    figures_are_complete: bool,
    cost: Cost,
    /// A person has drained this node: the shutdown is announced, and the process stays.
    drained: bool,
    /// What was applied when the process was told to end.
    stopping: Option<Apply>,
    /// The process has been told so.
    is_over: bool,
}

impl Node {
    /// Takes one input and says what is to be done.
    pub fn step(&mut self, now: Now, input: Input) -> Effects {
        self.now = now;
        self.step_path = self.path;
        match input {
            Input::Wake => {}
            Input::Message { header, message } => self.message(&header, message),
            Input::Request { id, header, request } => self.request(id, &header, request),
            Input::Gone(id) => self.gone(id),
            Input::Answer { call, outcome } => self.answer(call, outcome),
            Input::Update { call, reply } => self.update(call, reply),
            Input::Client { id, request } => self.client(id, &request),
            Input::Admin { id, request } => self.admin(id, &request),
            Input::Seeds { addresses, unresolved } => self.seeds_resolved(addresses, unresolved),
            Input::Measured { round_trip, fsync } => self.measured(round_trip, fsync),
            Input::Shutdown => self.shut_down(Apply::Drained),
        }
        self.settle();
        self.finish_step()
    }

    /// The effects so far, as of the start or a step.
    fn finish_step(&mut self) -> Effects {
        let mut effects = std::mem::take(&mut self.effects);
        if !effects.persist.writes.is_empty() {
            self.step_path.fsyncs += 1;
            if self.path_follows_step() {
                self.path = self.step_path;
            }
        }
        self.stamp(&mut effects);
        effects.wake_at = self.wake_at();
        effects
    }

    /// Everything that leaves in a step continues the chain of causes of that step.
    fn stamp(&self, effects: &mut Effects) {
        for send in &mut effects.send {
            if let Send::Message { header, .. } | Send::Call { header, .. } = send {
                header.path = self.step_path;
            }
        }
        for reply in &mut effects.reply {
            if let Reply::Peer { outcome: Ok((_, path)), .. } = reply {
                *path = self.step_path;
            }
        }
    }

    fn settle(&mut self) {
        self.fire_timers();
        self.settle_boot();
        while self.settle_group() || self.settle_view() || self.settle_operations() {}
        self.settle_readiness();
        self.settle_endpoint();
        self.settle_watchers();
        self.settle_end();
    }

    /// `None` once nothing wants to be woken: gossip has said good-bye and there is no group.
    fn wake_at(&self) -> Option<Duration> {
        let raft = self.group.as_ref().map(|(_, group)| group.next_tick()).filter(|_| self.takes_part());
        let next = self.timers.next().into_iter().chain(raft).min()?;
        (next != Duration::MAX).then(|| next.max(self.now.elapsed))
    }

    /// What was caused by a message continues its sender's chain.
    fn caused_by(&mut self, path: Path) {
        self.step_path = Path { hops: path.hops + 1, ..path };
    }

    /// The procedure got on in this step: its chain of causes is the node's from now on.
    fn progressed(&mut self) {
        self.procedure.progressed = true;
        self.path = self.step_path;
    }

    fn path_follows_step(&mut self) -> bool {
        std::mem::take(&mut self.procedure.progressed)
    }

    /// The last state id once final, else the digest of the rows.
    fn schema_version(&self) -> Uuid {
        match (self.stage(), self.history.last()) {
            (Stage::UsePostRaft, Some(state)) => state.0,
            _ => self.schema.version(),
        }
    }

    fn header(&self, to: Option<HostId>) -> Header {
        Header {
            cluster: self.settings.cluster_name.clone(),
            from: self.host,
            from_address: self.settings.broadcast_address,
            to,
            incarnation: self.local.incarnation(),
            path: self.step_path,
        }
    }

    /// Where a host is, as far as anyone has said.
    fn address_of(&self, host: HostId) -> Option<SocketAddr> {
        let gossiped = self.gossip.endpoints().get(&host).map(|endpoint| endpoint.address);
        let stored = || self.peers.rows().get(&host).map(|endpoint| endpoint.address);
        let hinted = || self.group.as_ref().and_then(|(_, group)| group.configuration().addresses.get(&host).copied());
        gossiped.or_else(stored).or_else(hinted)
    }

    /// Calls a host; if nobody knows its address, the answer is that.
    fn call(&mut self, host: HostId, request: PeerRequest, purpose: Purpose) {
        match self.address_of(host) {
            Some(address) => self.call_address(address, Some(host), request, purpose),
            None => self.failed(purpose, &crate::io::CallError::Closed(format!("the address of {host} is unknown"))),
        }
    }

    fn call_address(&mut self, address: SocketAddr, host: Option<HostId>, request: PeerRequest, purpose: Purpose) {
        let (call, header) = (self.calls.open(purpose), self.header(host));
        let to = Destination { address };
        self.effects.send.push(Send::Call { call, to, header, request, within: RPC_LIMIT });
    }

    fn forget_calls(&mut self, of: impl Fn(&Purpose) -> bool) {
        let calls: Vec<CallId> = self.calls.forget(of);
        self.effects.send.extend(calls.into_iter().map(Send::Abort));
    }

    fn fire_timers(&mut self) {
        let takes_part = self.takes_part();
        for timer in self.timers.due(self.now.elapsed) {
            match timer {
                Timer::Gossip => self.gossip_step(crate::gossip::GossipInput::Wake),
                Timer::LookForPeers => self.look_for_peers(),
                Timer::ProcedureRetry => self.upgrade_event(crate::upgrade::machine::Event::Retry),
                Timer::JoiningRetry => self.joining_event(crate::group0::joining::Event::Retry),
                Timer::WatchRetry(host) => self.watch_retry(host),
                Timer::SlowWarning => self.warn_slow(),
                Timer::BootRetry => self.boot_retry(),
                Timer::DepartureRetry => self.change_for_departure(),
                Timer::BarrierRetry => self.barrier_retry(),
                Timer::ModifyGathered => self.propose_modifications(),
                Timer::ModifyExpired(id) => self.modify_expired(id),
                Timer::SnapshotSent(host) => self.snapshot_report_overdue(host),
                Timer::OperationSilent(id) => self.operation_silent(id),
                Timer::OperationExpired(id) => self.operation_expired(id),
                Timer::AgreementExpired(id) => self.agreement_expired(id),
                Timer::SyncCheck(host) => self.sync_check(host),
            }
        }
        if let Some((_, group)) = self.group.as_mut().filter(|_| takes_part) {
            group.advance_time(self.now.elapsed);
        }
    }

    /// In the group: to the end, and if it leads and its heir lacks some of the log, until that has it.
    fn takes_part(&self) -> bool {
        !self.is_stopping() || self.group.as_ref().is_some_and(|(_, group)| group.is_handing_over())
    }

    const fn is_stopping(&self) -> bool {
        self.drained || self.stopping.is_some()
    }

    /// The process is to end; `then` says how. Whoever tells it first decides.
    fn shut_down(&mut self, then: Apply) {
        if self.stopping.is_none() {
            let is_announced = self.is_stopping();
            self.stopping = Some(then);
            if !is_announced {
                self.say_good_bye("the node is shutting down");
            }
        }
    }

    /// Whoever leads next may need its answer to what is on its way, or the others would have to find out that the leader is silent.
    fn settle_end(&mut self) {
        if let Some(then) = self.stopping.clone().filter(|_| !self.is_over && !self.takes_part()) {
            self.is_over = true;
            self.effects.apply.push(then);
        }
    }

    /// The process stays.
    fn drain(&mut self) {
        if !self.is_stopping() {
            self.drained = true;
            self.say_good_bye(boot::DRAINED);
        }
    }

    /// Announces the shutdown. Nothing that peers send is heard any more: whoever waits for that is told why.
    fn say_good_bye(&mut self, why: &str) {
        tracing::info!(target: "gossip", "draining: announcing the shutdown");
        self.hand_over_leadership(|_| true);
        self.end_departure(&Err(format!("{why}. Ask again after its restart: what has taken place already is found done")));
        self.end_barriers(why);
        self.end_rolls_forward(why);
        self.forget_calls(|_| true);
        self.end_operations(why);
        self.settle_endpoint();
        self.gossip_step(crate::gossip::GossipInput::Shutdown);
        self.timers = Timers::default();
    }

    fn measured(&mut self, round_trip: Option<Duration>, fsync: Option<Duration>) {
        self.cost.round_trip = round_trip.unwrap_or(self.cost.round_trip);
        self.cost.fsync = fsync.unwrap_or(self.cost.fsync);
    }

    /// A client's request: a schema change goes to the operations, all else is answered at once; what it writes is durable before.
    fn client(&mut self, id: RequestId, request: &ClientRequest) {
        if request.statement.is_schema_change() {
            self.schema_change(id, request);
        } else {
            let reply = match &request.statement {
                Statement::Modify(modify) => self.modify(modify, request.keyspace.as_deref()).unwrap_or_else(ClientReply::Error),
                _ => self.answer_client(request),
            };
            self.effects.reply.push(Reply::Client { id, reply });
        }
    }
}
