//! Carries out what the upgrade and joining machines decide, and tells them what came of it.

use super::{Node, Purpose, Timer, local::key};
use crate::{
    discovery,
    gossip::Endpoint,
    group0::joining,
    ids::{Generation, GroupId, HostId, Incarnation},
    io::{Apply, DiscoveryPeer, ExchangeReply, PeerRequest, Point, StateReply, Strikes, Table, Write},
    raft::{Configuration, Group, Member, Stored},
    schema::Rows,
    upgrade::{
        Stage, Step, View, WaitingOn,
        machine::{self, Action, Event, Phase},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// The first back-off, which doubles up to the last.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_secs(16);

/// Joining asks again after this, doubling to a second: a membership change whose outcome is unknown.
const JOIN_BACKOFF_FIRST: Duration = Duration::from_millis(10);
const JOIN_BACKOFF_LAST: Duration = Duration::from_secs(1);

/// A broken watch is set up again after this.
const WATCH_RETRY: Duration = Duration::from_millis(500);

/// A watch that says nothing is set up anew after this, in case it broke and nobody noticed.
const WATCH_RENEWAL: Duration = Duration::from_secs(16);

/// How often a procedure that takes long says what it waits for.
const WARNING_PERIOD: Duration = Duration::from_mins(1);

/// What carrying out the procedure needs to remember, besides the machines.
#[derive(Debug, Default)]
pub struct Context {
    /// Something of the view has changed since the machine last looked.
    pub view_changed: bool,
    /// The procedure got on in this step.
    pub progressed: bool,
    /// Since when it is in its present step, by the wall clock.
    pub since: crate::ids::Micros,
    /// Rows that arrived after the comparison began.
    pub aside: Rows,
    /// What we have and the final member lacked.
    pub surplus: Rows,
    /// Whether a test wants it to fail before `synchronize`.
    pub fault: Option<Strikes>,
    backoff: Option<Duration>,
    join_backoff: Option<Duration>,
    /// Why joining did not get on the last time that it was tried.
    join_setback: Option<String>,
    /// Watched hosts, with the generation that the watch reached.
    watched: BTreeMap<HostId, Generation>,
}

impl Context {
    /// Nothing has happened yet.
    pub fn new(fault: Option<Strikes>) -> Self {
        Self { fault, ..Self::default() }
    }
}

impl Node {
    /// Begins the procedure if it is time.
    pub(super) fn procedure_begin(&mut self) {
        if !self.flag().enabled || !self.boot.is_completed() || self.stage() == Stage::Recovery {
            return;
        }
        if self.stage() != Stage::UsePostRaft {
            tracing::info!(target: "raft_group0_upgrade", "Starting internal upgrade-to-raft procedure");
            self.timers.set(Timer::SlowWarning, self.now.elapsed + WARNING_PERIOD);
        }
        if self.stage() == Stage::UsePostRaft && self.joining.group().is_none() {
            self.go_without_group();
        } else {
            self.upgrade_event(Event::Begin);
        }
    }

    /// It was final in a group whose id was deleted: into the group of the leader that the configuration names, or nowhere.
    fn go_without_group(&mut self) {
        if self.settings.recovery_leader.is_some() {
            self.join_group();
        } else {
            tracing::error!(
                target: "raft_group0",
                "raft_group0_id is missing although this node has finished its upgrade: no schema change is possible here. Set \
                 recovery_leader to the host that leads the new group and restart, or order recovery"
            );
        }
    }

    /// Whoever is named as the leader of a recovery founds the group; the others look for it, and found none.
    fn join_group(&mut self) {
        let founds = self.settings.recovery_leader == Some(self.host) && self.joining.group().is_none();
        self.joining_event(joining::Event::Begin);
        if founds {
            self.found_group();
        }
    }

    /// A vote that this node has given in a former group is forgotten: it never comes back into one. It remembers the last of them, and the
    /// incarnation, which only grows, tells those before.
    fn is_of_former_group(&self, reply: &ExchangeReply) -> bool {
        let ExchangeReply::Group { group, incarnation, .. } = reply else { return false };
        let is_forgotten = self.local.reached_group() == Some(group.to_string().as_str());
        self.joining.group().is_none() && (is_forgotten || *incarnation < self.local.incarnation())
    }

    /// One event, and all that follow from it.
    pub(super) fn upgrade_event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let before = self.upgrade.step();
            let (next, actions) = self.look(|view| machine::step(&self.upgrade, view, event));
            self.upgrade = next;
            if self.upgrade.step() != before {
                self.step_changed(before);
            }
            for action in actions {
                events.extend(self.perform(&action));
            }
        }
        self.release_aside();
    }

    /// Shows the surroundings of this moment.
    fn look<T>(&self, show: impl FnOnce(&View<'_>) -> T) -> T {
        let gossip_members = self.gossip_members();
        show(&View {
            me: self.host,
            stage: self.stage(),
            peers: self.peers.hosts(),
            gossip_members: &gossip_members,
            configuration: self.group.as_ref().map(|(_, group)| group.configuration()),
        })
    }

    fn step_changed(&mut self, before: Option<Step>) {
        self.progressed();
        self.watchers.touch();
        self.procedure.since = self.now.wall;
        if let Phase::Failed(step, cause) = &self.upgrade.phase {
            tracing::error!(target: "raft_group0_upgrade", step = step.name(), "Raft upgrade failed: {cause}");
        } else {
            let step = self.upgrade.step().map(Step::name);
            tracing::info!(target: "raft_group0_upgrade", from = before.map(Step::name), step, "upgrade procedure goes on");
        }
    }

    /// Performs one action; events that follow at once are returned.
    fn perform(&mut self, action: &Action) -> Option<Event> {
        match *action {
            Action::Abort => self.forget_procedure(),
            Action::Ask(host) => self.call(host, PeerRequest::GetGroup0UpgradeState, Purpose::AskStage(host)),
            Action::Join => self.join_group(),
            Action::Compare(host) => self.call(host, PeerRequest::SchemaCheck, Purpose::Compare(host)),
            Action::Barrier => self.barrier(super::barrier::Waiter::Procedure),
            Action::Reconcile(host) => {
                self.call(host, PeerRequest::MigrationRequest { snapshot_of: None }, Purpose::Reconcile(host));
            }
            Action::SubmitSurplus => self.submit_surplus("surplus of an early finish"),
            Action::SubmitSchema if self.schema.rows().is_empty() => return Some(Event::SurplusCommitted),
            Action::SubmitSchema => {
                self.procedure.surplus = self.schema.rows().clone();
                self.submit_surplus("the schema, for newcomers");
            }
            Action::Enter { from, to } => return Some(self.enter(from, to)),
            Action::Backoff => self.back_off(),
            Action::ResetBackoff => self.procedure.backoff = None,
        }
        None
    }

    fn forget_procedure(&mut self) {
        self.forget_calls(Purpose::is_of_procedure_pass);
        self.forget_barrier(super::barrier::Waiter::Procedure);
        self.timers.unset(Timer::ProcedureRetry);
    }

    fn back_off(&mut self) {
        let wait = self.procedure.backoff.map_or(BACKOFF_FIRST, |last| (last * 2).min(BACKOFF_LAST));
        self.procedure.backoff = Some(wait);
        self.timers.set(Timer::ProcedureRetry, self.now.elapsed + wait);
        self.watchers.touch();
    }

    /// Compare-and-set of the stored stage: a `recovery` that a person has written is never overwritten.
    fn enter(&mut self, from: Stage, to: Stage) -> Event {
        let stored = self.stage();
        if stored != from {
            return Event::Overruled(stored);
        }
        if to == Stage::Synchronize
            && let Some(strikes) = self.procedure.fault
        {
            return self.strike(strikes);
        }
        self.local.set_stage(&mut self.effects.persist, to);
        self.stage_entered(to);
        Event::Entered(to)
    }

    fn strike(&mut self, strikes: Strikes) -> Event {
        if strikes == Strikes::Once {
            self.procedure.fault = None;
            self.effects.apply.push(Apply::Struck);
        }
        Event::Fatal("error injection before group0 upgrade enters synchronize".into())
    }

    pub(super) fn stage_entered(&mut self, stage: Stage) {
        self.watchers.touch();
        self.progressed();
        match stage {
            Stage::Synchronize => {
                tracing::info!(target: "raft_group0_upgrade", "Entering synchronize state");
                self.effects.persist.points.push(Point::Synchronize);
                self.figures.synchronize = self.now.wall;
                self.figures.refused_path = self.path;
            }
            Stage::UsePostRaft => {
                tracing::info!(target: "raft_group0_upgrade", "Schema synchronized");
                tracing::info!(target: "raft_group0_upgrade", "Raft upgrade finished");
                self.effects.persist.points.push(Point::Final);
                self.timers.unset(Timer::SlowWarning);
                self.complete_figures();
                self.unwatch_all();
            }
            Stage::UsePreRaft | Stage::Recovery => {}
        }
        self.tell_watching_peers();
    }

    fn complete_figures(&mut self) {
        let (start, end) = (self.figures.refused_path, self.path);
        self.figures.finished = self.now.wall;
        // The transaction of this very step is part of both.
        self.figures.path = crate::io::Path { fsyncs: end.fsyncs + 1, ..end };
        self.figures.refused_path.hops = end.hops.saturating_sub(start.hops);
        self.figures.refused_path.fsyncs = (end.fsyncs + 1).saturating_sub(start.fsyncs);
        self.figures_are_complete = self.figures.started.0 > 0;
    }

    /// Rows that were set aside go where they belong once the comparison is over: through the log if it made us final.
    fn release_aside(&mut self) {
        if self.procedure.aside.is_empty() || self.upgrade.sets_rows_aside() {
            return;
        }
        let rows = std::mem::take(&mut self.procedure.aside);
        self.take_foreign_rows(&rows);
    }

    /// Watches the stage of every member, so that waits end when it changes. A restarted member is watched anew.
    pub(super) fn watch_members(&mut self) {
        let active = self.upgrade.step().is_some_and(|step| step >= Step::AwaitPeersInGroup0);
        let Some((_, group)) = self.group.as_ref().filter(|_| active) else { return };
        let mut members = group.configuration().members();
        members.remove(&self.host);
        for host in members {
            let generation = self.gossip.endpoints().get(&host).map(|endpoint| endpoint.generation).unwrap_or_default();
            if self.procedure.watched.insert(host, generation) != Some(generation) {
                self.forget_calls(|purpose| matches!(purpose, Purpose::WatchStage(of) if *of == host));
                self.timers.set(Timer::WatchRetry(host), self.now.elapsed + WATCH_RENEWAL);
                self.call(host, PeerRequest::WatchGroup0UpgradeState, Purpose::WatchStage(host));
            }
        }
    }

    fn unwatch_all(&mut self) {
        self.forget_calls(|purpose| matches!(purpose, Purpose::WatchStage(_)));
        for host in std::mem::take(&mut self.procedure.watched).into_keys() {
            self.timers.unset(Timer::WatchRetry(host));
        }
    }

    pub(super) fn watch_broken(&mut self, host: HostId) {
        self.timers.set(Timer::WatchRetry(host), self.now.elapsed + WATCH_RETRY);
    }

    pub(super) fn watch_retry(&mut self, host: HostId) {
        self.timers.unset(Timer::WatchRetry(host));
        self.procedure.watched.remove(&host);
        self.watch_members();
    }

    /// A host's word on its stage counts only from our own group and incarnation, where both have one.
    pub(super) fn told_stage(&mut self, host: HostId, reply: StateReply) {
        if let Some(cause) = self.is_foreign(&reply) {
            tracing::warn!(target: "raft_group0_upgrade", %host, stage = %reply.stage, "its word does not count: {cause}");
            self.upgrade_event(Event::Silent(host, cause));
        } else {
            self.upgrade_event(Event::Told(host, reply.stage));
        }
    }

    pub(super) fn is_foreign(&self, reply: &StateReply) -> Option<String> {
        let ours = self.joining.group();
        match (ours, reply.group) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Some(format!("Group0Id mismatch: this node is in {ours}, {} is in {theirs}", reply.host))
            }
            (Some(_), Some(_)) if reply.incarnation < self.local.incarnation() => {
                Some(format!("{} answers from incarnation {}, older than ours", reply.host, reply.incarnation))
            }
            _ => None,
        }
    }

    /// The early finish has a final member's rows of one moment: takes what we lack, and finds what it lacks.
    pub(super) fn reconcile(&mut self, host: HostId, rows: &Rows, state: StateReply) {
        if state.stage != Stage::UsePostRaft || self.is_foreign(&state).is_some() {
            return self.upgrade_event(Event::Silent(host, "it is not final any more".into()));
        }
        self.procedure.surplus = self.schema.surplus_over(rows);
        self.merge_rows(rows);
        let surplus = !self.procedure.surplus.is_empty();
        tracing::info!(target: "raft_group0_upgrade", %host, surplus, "early finish: schema reconciled with a final member");
        self.upgrade_event(Event::Reconciled(surplus));
    }

    pub(super) fn warn_slow(&mut self) {
        if self.upgrade.step().is_none() {
            return;
        }
        self.timers.set(Timer::SlowWarning, self.now.elapsed + WARNING_PERIOD);
        let waiting: Vec<_> = self.procedure_waits_on().iter().map(ToString::to_string).collect();
        tracing::warn!(
            target: "raft_group0_upgrade",
            step = self.upgrade.step().map(Step::name),
            "Raft upgrade procedure taking longer than expected; waiting for: {}",
            waiting.join(", ")
        );
    }

    /// What the procedure waits for; joining with the group, or who has not answered discovery, and what has failed.
    pub(super) fn procedure_waits_on(&self) -> Vec<WaitingOn> {
        let mut waiting = self.look(|view| self.upgrade.waiting_on(view));
        if waiting.first() == Some(&WaitingOn::Discovery) {
            if let Some(group) = self.joining.group() {
                waiting[0] = WaitingOn::TakenIn(group);
            }
            if self.joining.is_searching() {
                let missing = self.joining.discovery().missing();
                let hosts = missing.into_iter().filter_map(|(_, host)| host);
                waiting.extend(hosts.map(|host| WaitingOn::Answer { host, verb: "Group0PeerExchange" }));
            }
            let setbacks = [self.procedure.join_setback.as_ref(), self.consensus.pull_failure()];
            waiting.extend(setbacks.into_iter().flatten().cloned().map(WaitingOn::Retry));
        }
        waiting
    }

    /// One event of joining, and what follows.
    pub(super) fn joining_event(&mut self, event: joining::Event) {
        self.learn_ring();
        let (next, actions) = joining::step(&self.joining, event);
        if next != self.joining {
            self.watchers.touch();
        }
        self.joining = next;
        for action in actions {
            self.perform_joining(action);
        }
    }

    /// Discovery knows at least whom `system.peers` knows.
    fn learn_ring(&mut self) {
        let row = |peer: &Endpoint| DiscoveryPeer { host: Some(peer.host), address: peer.address, generation: peer.generation };
        let ring: Vec<_> = self.peers.rows().values().map(row).collect();
        let (next, actions) = joining::step(&self.joining, joining::Event::Discovery(discovery::Event::Asked(ring)));
        self.joining = next;
        for action in actions {
            self.perform_joining(action);
        }
    }

    fn perform_joining(&mut self, action: joining::Action) {
        match action {
            joining::Action::Persist(known) => self.persist_known(&known),
            joining::Action::Exchange(address, host) => {
                let request = PeerRequest::Group0PeerExchange { peers: self.joining.discovery().known(), bootstrapped: true };
                self.call_address(address, host, request, Purpose::Exchange(address));
            }
            joining::Action::Found => self.found_group(),
            joining::Action::Adopt { group, incarnation } => self.adopt_group(group, incarnation),
            joining::Action::Modify { group, member } => {
                let request = PeerRequest::Group0ModifyConfig { group, add: vec![(self.member(), true)], remove: vec![] };
                self.call_address(member.address, Some(member.host), request, Purpose::JoinGroup);
            }
            joining::Action::Backoff(cause) => {
                tracing::debug!(target: "raft_group0", cause, "joining group 0 will be tried again");
                let wait = self.procedure.join_backoff.map_or(JOIN_BACKOFF_FIRST, |last| (last * 2).min(JOIN_BACKOFF_LAST));
                self.procedure.join_backoff = Some(wait);
                self.procedure.join_setback = cause;
                self.watchers.touch();
                self.timers.set(Timer::JoiningRetry, self.now.elapsed + wait);
            }
            joining::Action::Joined => {
                tracing::info!(target: "raft_group0", "joined group 0");
                (self.procedure.join_backoff, self.procedure.join_setback) = (None, None);
                self.timers.unset(Timer::JoiningRetry);
                self.upgrade_event(Event::Joined);
                self.watch_members();
            }
            joining::Action::Fail(cause) => self.upgrade_event(Event::Fatal(cause)),
        }
    }

    fn persist_known(&mut self, known: &[DiscoveryPeer]) {
        let (from, to) = (vec![], vec![u8::MAX]);
        let writes = &mut self.effects.persist.writes;
        writes.push(Write::DeleteRange(Table::Discovery, from, to));
        for (number, peer) in known.iter().enumerate() {
            let key = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes().to_vec();
            writes.push(Write::Put(Table::Discovery, key, postcard::to_allocvec(peer).unwrap_or_default()));
        }
        self.effects.persist.points.push(Point::DiscoveryPeers);
    }

    pub(super) const fn member(&self) -> Member {
        Member { host: self.host, address: self.settings.broadcast_address }
    }

    /// Deciding to lead and persisting the group is one transaction; the only voter elects itself within it.
    fn found_group(&mut self) {
        let id = GroupId(self.random.time_uuid(self.now.wall).0);
        let incarnation = self.next_incarnation();
        tracing::info!(target: "raft_group0", group = %id, %incarnation, "founding group 0");
        let stored = Group::founding(self.member());
        if self.start_group(id, incarnation, "founder", stored) {
            // People have named it for its log of the former group: all of that counts, as in a recovery by a plan.
            self.apply_dormant_log();
            self.dormant = None;
            if self.stage() == Stage::UsePostRaft {
                // It stays final, and is so in this group from now on: after a visit to recovery it goes on from there.
                self.local.set_stage(&mut self.effects.persist, Stage::UsePostRaft);
            }
            self.effects.persist.points.push(Point::Founded);
            self.joining_event(joining::Event::Founded(id));
            if let Some((_, group)) = &mut self.group {
                group.campaign();
            }
        }
    }

    pub(super) fn adopt_group(&mut self, id: GroupId, incarnation: Incarnation) {
        tracing::info!(target: "raft_group0", group = %id, %incarnation, "joining group 0");
        let was_final = self.boot.is_completed() && self.stage() == Stage::UsePostRaft;
        if self.start_group(id, incarnation, "joiner", Group::joining()) {
            self.effects.persist.points.push(Point::Joining);
            self.give_up_dormant_log();
            if was_final {
                self.reconcile_anew();
            }
        }
    }

    /// It was final in a former group and may have applied there what the leader of this one has not: it is final again when it has
    /// submitted that, also after a crash.
    fn reconcile_anew(&mut self) {
        self.local.set_stage(&mut self.effects.persist, Stage::Synchronize);
        self.stage_entered(Stage::Synchronize);
        self.upgrade_event(Event::Begin);
    }

    fn start_group(&mut self, id: GroupId, incarnation: Incarnation, role: &str, stored: Stored) -> bool {
        let writes = stored.writes(id);
        match Group::start(id, self.host, stored, self.random.fork(), self.now.elapsed, self.settings.raft_tick) {
            Ok(group) => {
                let persist = &mut self.effects.persist;
                self.local.set(persist, key::GROUP_ID, id.to_string());
                self.local.set(persist, key::ROLE, role);
                self.local.set(persist, key::INCARNATION, incarnation.to_string());
                persist.writes.extend(writes);
                self.group = Some((id, group));
                self.progressed();
                true
            }
            Err(error) => {
                self.upgrade_event(Event::Fatal(error.to_string()));
                false
            }
        }
    }

    /// Joined means: in the applied configuration, now as after a restart. Whoever has asked before can be told of the group now.
    pub(super) fn note_membership(&mut self) {
        if self.group.as_ref().is_some_and(|(_, group)| group.configuration().contains(&self.host)) {
            self.joining_event(joining::Event::InConfiguration);
            self.answer_held_exchanges();
        }
    }

    /// The applied configuration has changed, and these were members before.
    pub(super) fn configuration_changed(&mut self, configuration: &Configuration, gone: &BTreeSet<HostId>) {
        self.procedure.view_changed = true;
        self.watchers.touch();
        self.progressed();
        self.effects.persist.points.push(Point::Configuration);
        tracing::info!(
            target: "raft_group0",
            voters = configuration.voters.len(),
            learners = configuration.learners.len(),
            joint = configuration.is_joint(),
            "group 0 configuration applied"
        );
        self.note_membership();
        self.members_gone(gone);
        if configuration.contains(&self.host) {
            self.watch_members();
            self.boot_in_configuration(configuration);
        }
    }

    /// The answer to a discovery request of ours.
    pub(super) fn exchanged(&mut self, address: std::net::SocketAddr, from: HostId, reply: ExchangeReply) {
        if self.is_of_former_group(&reply) {
            return self.exchange_unanswered("it is in a former group, which this node was told to forget");
        }
        let found = matches!(reply, ExchangeReply::Group { .. });
        self.joining_event(joining::Event::Discovery(discovery::Event::Answered { address, from, reply }));
        if !found {
            self.exchange_unanswered("nobody has told of a group yet");
        }
    }

    /// Discovery has not got on: everyone is asked again after a back-off.
    pub(super) fn exchange_unanswered(&mut self, cause: &str) {
        if self.joining.is_searching() && !self.timers.is_set(Timer::JoiningRetry) {
            self.perform_joining(joining::Action::Backoff(Some(cause.into())));
        }
    }
}
