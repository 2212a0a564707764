//! The operator: status and its watches, and the verbs that change something, which mind its epoch.

use super::{Node, barrier::Waiter, local::key};
use crate::{
    gossip::Endpoint,
    ids::{Generation, GroupId},
    io::{AdminReply, AdminRequest, Apply, Order, Point, RequestId, StateReply, Strikes},
    status::{Boot, GroupStatus, PeerStatus, Procedure, Status},
    upgrade::{
        Stage, Step,
        machine::{Event, Phase},
    },
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU64,
    time::Duration,
};

/// The release of this program.
pub const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Who watches the status, and whether it has changed.
#[derive(Debug, Default)]
pub struct Watchers {
    watching: BTreeSet<RequestId>,
    counter: u64,
    touched: bool,
}

impl Watchers {
    /// Something of the status has changed.
    pub const fn touch(&mut self) {
        self.touched = true;
    }

    /// The watcher has gone.
    pub fn remove(&mut self, id: RequestId) {
        self.watching.remove(&id);
    }
}

/// What peers are told of our stage.
pub fn state_reply(node: &Node) -> StateReply {
    let recovery = node.stage() == Stage::Recovery;
    StateReply {
        stage: node.stage(),
        host: node.host,
        group: node.joining.group().filter(|_| !recovery),
        incarnation: node.local.incarnation(),
    }
}

impl Node {
    pub(super) fn admin(&mut self, id: RequestId, request: &AdminRequest) {
        let reply = match request {
            AdminRequest::GetStatus => Some(AdminReply::Status(Box::new(self.status()))),
            AdminRequest::WatchStatus => {
                self.watchers.watching.insert(id);
                Some(AdminReply::Status(Box::new(self.status())))
            }
            AdminRequest::ClaimEpoch(epoch) => Some(self.claim_epoch(*epoch)),
            AdminRequest::Proceed(order) => self.ordered("Proceed", Some(order), |node| Some(node.proceed())),
            AdminRequest::RetryUpgrade(order) => self.ordered("RetryUpgrade", Some(order), |node| Some(node.retry_upgrade())),
            AdminRequest::Restart { order, generation } => {
                self.ordered("Restart", Some(order), |node| Some(node.restart(*generation)))
            }
            AdminRequest::RemoveNode { order, host, ignore } => {
                self.ordered("RemoveNode", order.as_ref(), |node| node.remove_node(id, *host, ignore))
            }
            AdminRequest::Decommission { order } => self.ordered("Decommission", order.as_ref(), |node| node.decommission(id)),
            AdminRequest::ReadBarrier { within } => self.read_barrier(id, *within),
            AdminRequest::GetTokens => Some(AdminReply::Tokens(self.tokens())),
            AdminRequest::Drain => Some(self.drain_by_hand()),
            AdminRequest::StepDown => Some(self.step_down()),
            AdminRequest::FailBeforeSynchronize(strikes) => Some(self.inject(*strikes)),
            AdminRequest::TriggerSnapshot(group) => Some(self.trigger_snapshot(*group)),
            AdminRequest::GetEvidence => Some(AdminReply::Evidence(Box::new(self.evidence()))),
            AdminRequest::Recover { order, plan, step } => {
                self.ordered(step.name(), Some(order), |node| node.recover(id, *plan, step))
            }
            AdminRequest::GetSchema => Some(AdminReply::Schema(self.schema.rows().clone())),
        };
        if let Some(reply) = reply {
            self.reply_admin(id, reply);
        }
    }

    /// The start has refused a damaged one; were there one all the same, no epoch would do.
    fn operator_epoch(&self) -> u64 {
        self.local.operator_epoch().unwrap_or(u64::MAX)
    }

    fn claim_epoch(&mut self, epoch: NonZeroU64) -> AdminReply {
        if let Err(refused) = self.check_epoch(epoch.get()) {
            return refused;
        }
        if epoch.get() != self.operator_epoch() {
            tracing::info!(target: "raft_group0_upgrade", epoch, before = self.operator_epoch(), "ClaimEpoch: an operator has come");
            self.local.set(&mut self.effects.persist, key::OPERATOR_EPOCH, epoch.to_string());
            self.watchers.touch();
        }
        AdminReply::Done
    }

    /// An order that was sent before another operator came must not take place after it.
    fn check_epoch(&self, epoch: u64) -> Result<(), AdminReply> {
        let claimed = self.operator_epoch();
        if epoch >= claimed {
            return Ok(());
        }
        Err(AdminReply::Refused(format!(
            "epoch {epoch} is older than {claimed}, which another operator has claimed; nothing was changed. If that operator is \
             gone for good, claim an epoch above {claimed} first"
        )))
    }

    /// What is ordered is carried out unless another operator has come; without a reply it is answered later. A person orders without
    /// an epoch.
    fn ordered(
        &mut self,
        verb: &str,
        order: Option<&Order>,
        carry_out: impl FnOnce(&mut Self) -> Option<AdminReply>,
    ) -> Option<AdminReply> {
        let (run_id, epoch) = order.map(|order| (order.run_id.as_str(), order.epoch)).unzip();
        let reply = match epoch.map_or(Ok(()), |epoch| self.check_epoch(epoch)) {
            Ok(()) => carry_out(self),
            Err(refused) => Some(refused),
        };
        let refused = if let Some(AdminReply::Refused(why)) = &reply { Some(why) } else { None };
        tracing::info!(target: "raft_group0_upgrade", verb, run_id, epoch, refused, "an order");
        reply
    }

    fn read_barrier(&mut self, id: RequestId, within: Option<Duration>) -> Option<AdminReply> {
        if self.group.is_none() {
            return Some(AdminReply::Refused("this node has no group 0: there is nothing to wait for".into()));
        }
        self.barrier_within(Waiter::Asked(id), within.unwrap_or(self.settings.raft_operation_timeout));
        None
    }

    fn tokens(&self) -> BTreeMap<i64, SocketAddr> {
        let own = (self.local.tokens(), self.settings.broadcast_address);
        let peers = self.peers.rows().values().map(|row| (row.tokens.clone(), row.address));
        peers.chain([own]).flat_map(|(tokens, address)| tokens.into_iter().map(move |token| (token, address))).collect()
    }

    fn drain_by_hand(&mut self) -> AdminReply {
        self.drain();
        self.watchers.touch();
        AdminReply::Done
    }

    fn inject(&mut self, strikes: Option<Strikes>) -> AdminReply {
        self.procedure.fault = strikes;
        AdminReply::Done
    }

    fn step_down(&mut self) -> AdminReply {
        let leads = self.group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
        if leads && !self.hand_over_leadership(|_| true) {
            return AdminReply::Refused("no other voter of group 0 is up and takes part in it: nobody could lead it".into());
        }
        AdminReply::Done
    }

    fn trigger_snapshot(&mut self, id: GroupId) -> AdminReply {
        match &mut self.group {
            Some((ours, group)) if *ours == id => {
                let applied = group.status().applied;
                group.compact(applied);
                AdminReply::Done
            }
            _ => AdminReply::Refused(format!(
                "this node is in no group {id}: /storage_service/raft_upgrade tells which one it is in"
            )),
        }
    }

    fn retry_upgrade(&mut self) -> AdminReply {
        self.upgrade_event(Event::Begin);
        AdminReply::Done
    }

    /// Idempotent, since the order names the start that it ends: repeated after the restart it finds another one.
    fn restart(&mut self, generation: Generation) -> AdminReply {
        let present = self.generation;
        match generation.cmp(&present) {
            Ordering::Less => return AdminReply::Done,
            Ordering::Equal => self.shut_down(Apply::Restart),
            Ordering::Greater => {
                return AdminReply::Refused(format!(
                    "generation {generation} is to end, but this node is in {present} still; nothing was changed. Name the \
                     generation that its status shows"
                ));
            }
        }
        if self.stopping == Some(Apply::Restart) {
            return AdminReply::Done;
        }
        AdminReply::Refused("the node was told to shut down already; whoever told it decides whether it starts again".into())
    }

    fn proceed(&mut self) -> AdminReply {
        if !self.flag().is_on() {
            return AdminReply::Refused(
                "consistent_cluster_management is not on: start the node with the flag (GROUP0_CONSISTENT_CLUSTER_MANAGEMENT=true) first".into(),
            );
        }
        if self.local.get(key::PROCEED).is_none() {
            tracing::info!(target: "raft_group0_upgrade", "Proceed: the hold is lifted");
            self.local.set(&mut self.effects.persist, key::PROCEED, "true");
            self.effects.persist.points.push(Point::Proceed);
            self.watchers.touch();
            self.try_enable_feature();
        }
        AdminReply::Done
    }

    /// Tells the watchers if anything has changed in this step.
    pub(super) fn settle_watchers(&mut self) {
        if !std::mem::take(&mut self.watchers.touched) {
            return;
        }
        self.watchers.counter += 1;
        if self.watchers.watching.is_empty() {
            return;
        }
        let status = self.status();
        for id in self.watchers.watching.clone() {
            self.reply_admin(id, AdminReply::Status(Box::new(status.clone())));
        }
    }

    /// Everything that an operator asks about.
    pub fn status(&self) -> Status {
        Status {
            sequence: (self.generation.0 << 32) + self.watchers.counter,
            cluster_name: self.settings.cluster_name.clone(),
            host: self.host,
            generation: self.generation,
            address: self.settings.broadcast_address,
            release: RELEASE.into(),
            clock: self.now.wall,
            ready: self.readiness(),
            boot: self.boot.waiting().map_or(Boot::Completed, Boot::Joining),
            flag: self.settings.flag,
            held: self.flag().is_held(),
            proceed: self.flag().proceed,
            feature_enabled: self.flag().enabled,
            stage: self.stage(),
            procedure: self.procedure_status(),
            group: self.group_status(),
            schema_version: self.schema_version(),
            peers: self.peers.rows().values().map(|row| (row.host, self.peer_status(row))).collect(),
            upgrade_figures: self.figures_are_complete.then_some(self.figures),
            cost: self.cost,
            operator_epoch: self.operator_epoch(),
            recovery: self.recovery_advice(),
            evidence: self.evidence(),
        }
    }

    fn procedure_status(&self) -> Procedure {
        match (&self.upgrade.phase, self.upgrade.step()) {
            (Phase::Done, _) => Procedure::Done,
            (Phase::Failed(step, cause), _) => Procedure::Failed { step: *step, cause: cause.clone() },
            (_, Some(step)) => Procedure::Running { step, waiting: self.procedure_waits_on(), since: self.procedure.since },
            _ => Procedure::Idle,
        }
    }

    fn group_status(&self) -> Option<GroupStatus> {
        let (id, group) = self.group.as_ref()?;
        let (status, configuration) = (group.status(), group.configuration());
        Some(GroupStatus {
            group: *id,
            incarnation: self.local.incarnation(),
            term: status.term,
            leader: status.leader,
            commit: status.commit,
            applied: status.applied,
            log_length: status.log_length,
            voters: configuration.voters.iter().copied().collect(),
            learners: configuration.learners.iter().copied().collect(),
            joint: configuration.is_joint(),
            state_id: self.history.last(),
        })
    }

    fn peer_status(&self, row: &Endpoint) -> PeerStatus {
        let known = self.gossip.endpoints().get(&row.host);
        let newest = known.unwrap_or(row);
        PeerStatus {
            address: newest.address,
            up: self.gossip.is_up(row.host),
            status: newest.status.to_string(),
            generation: newest.generation,
            schema_version: known.map(|endpoint| endpoint.schema_version),
            pulled_from_generation: self.sync.pulled_from.get(&row.host).copied(),
        }
    }

    /// The step that the procedure is in, if it is under way: the simulator tells by it in which way a node became final.
    pub fn procedure_step(&self) -> Option<Step> {
        self.upgrade.step()
    }
}
