//! The first boot: found the ring, join it the old way, wait while the upgrade runs, or come in through a final member.

use super::{
    Node, Purpose, Timer,
    local::{BootstrapState, key},
};
use crate::{
    gossip::{Endpoint, RingStatus, Timing},
    group0::joining,
    ids::{GroupId, HostId, Incarnation},
    io::{Apply, CallError, JoinReply, Migration, PeerRequest, Point},
    raft::Configuration,
    upgrade::{Stage, feature::FeatureWithdrawn},
};
use rand::seq::IndexedRandom as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// Between two rounds of asking for leave to join.
const RETRY: Duration = Duration::from_millis(500);

/// For so many failure detection timeouts a node that might found the ring takes silence for a ring that it cannot reach just now. Longer than
/// a crashed node takes to come back; the reference's shadow round waits 30 s.
const FOUNDING_PATIENCE: u32 = 2;

/// A ring that this host was in before it lost its data knocks at its address, each member in each period if it is a seed's. Nobody founds
/// one before he has listened for that: there would be two rings, and two groups of one incarnation.
const LISTENING: Duration = Timing::EXCHANGE_PERIOD.saturating_mul(3);

/// What a node that a person has drained says to all who ask.
pub(super) const DRAINED: &str = "this node was drained and takes part in nothing: restart it, or stop it";

/// How far the first boot has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Asking the seeds and whomever gossip knows.
    Asking {
        /// Who is asked, and what is known of each.
        asked: BTreeMap<SocketAddr, Asked>,
        /// Which of the seeds cannot be asked, and why.
        nameless: Option<String>,
        /// Since when. For a while nobody founds a ring.
        since: Duration,
        /// What was heard last.
        heard: String,
    },
    /// Leave was given: pulling the schema the old way. Why that has failed, if it has.
    Pulling(Option<String>),
    /// The upgrade is done: becoming a non-voter, then final, then a voter, of this group. What has hindered that last, if anything has.
    Joining(GroupId, Through, Option<String>),
    /// All but in the ring: waiting until its hosts see this one up, at most until then.
    Meeting {
        /// Who has given leave to join, the old way. Where gossip does not know it as a host of the ring, this node would be alone in it.
        by: Option<HostId>,
        /// What gossip says of it meanwhile.
        status: RingStatus,
        /// A host that is down sees nobody.
        until: Duration,
    },
    /// In the ring.
    Completed,
    /// Out of it for good.
    Left,
}

/// What is known of one who is asked for leave to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was asked, and may answer yet.
    Awaited,
    /// The last question got no answer, for this reason; the next one may be under way.
    Silent(String),
    /// It is in no ring.
    InNone,
    /// It is in a ring, whatever it said.
    InRing,
}

/// The way in through a final member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Through {
    /// To be added without a vote.
    Learner,
    /// A read barrier, after the snapshot.
    Barrier,
    /// To be given a vote.
    Voter,
}

impl Boot {
    /// Of one that is not in the ring.
    pub fn begin(now: Duration) -> Self {
        Self::Asking { asked: BTreeMap::new(), nameless: None, since: now, heard: "nobody has answered yet".into() }
    }

    /// Whether the node is in the ring.
    pub const fn is_completed(&self) -> bool {
        matches!(self, Self::Completed)
    }

    /// What gossip says of it.
    pub const fn ring_status(&self) -> RingStatus {
        match self {
            Self::Completed => RingStatus::Normal,
            Self::Left => RingStatus::Left,
            Self::Pulling(_) => RingStatus::Joining,
            Self::Meeting { status, .. } => *status,
            Self::Asking { .. } | Self::Joining(..) => RingStatus::Waiting,
        }
    }

    /// What it waits for.
    pub fn waiting(&self) -> Option<String> {
        match self {
            Self::Completed => None,
            Self::Left => Some(super::departure::LEFT.into()),
            Self::Pulling(None) => Some("joining the ring: waiting for the schema of a member".into()),
            Self::Pulling(Some(failure)) => Some(format!("joining the ring: {failure}, and is tried again")),
            Self::Meeting { by: Some(by), .. } => Some(format!(
                "waiting to hear of {by}, which gave leave to join, and until the hosts of the ring see this one up"
            )),
            Self::Meeting { by: None, .. } => Some("waiting until the hosts of the ring see this one up".into()),
            Self::Asking { heard, .. } => Some(format!("waiting for leave to join the ring: {heard}")),
            Self::Joining(group, through, hindrance) => {
                let goal = match through {
                    Through::Learner => format!("to be added to group 0 {group}, and for its snapshot"),
                    Through::Barrier => format!("for a read barrier of group 0 {group}"),
                    Through::Voter => format!("to become a voter of group 0 {group}"),
                };
                let hindrance = hindrance.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                Some(format!("waiting {goal}{hindrance}"))
            }
        }
    }
}

impl Node {
    pub(super) fn boot_begin(&mut self) {
        if !self.boot.is_completed() {
            self.ask_to_join();
        }
    }

    fn heard(&mut self, what: impl Into<String>) {
        if let Boot::Asking { heard, .. } = &mut self.boot {
            let what = what.into();
            if *heard != what {
                tracing::info!(target: "raft_group0", "first boot: {what}");
                *heard = what;
            }
        }
    }

    fn ask_to_join(&mut self) {
        let known = self.gossip.endpoints().values().map(|endpoint| endpoint.address);
        let mut addresses: Vec<SocketAddr> = self.settings.seeds.iter().copied().chain(known).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.retain(|address| *address != self.settings.broadcast_address);
        let nameless = match self.unresolved_seeds {
            Some(0) => None,
            Some(number) => Some(format!("of the configured seeds {number} cannot be resolved now")),
            None => Some("the configured seeds were not resolved since the start".into()),
        };
        let Boot::Asking { asked, nameless: unnamed, .. } = &mut self.boot else { return };
        let mut former = std::mem::take(asked);
        let again = |address| match former.remove(&address) {
            Some(silent @ Asked::Silent(_)) => (address, silent),
            _ => (address, Asked::Awaited),
        };
        *asked = addresses.iter().copied().map(again).collect();
        *unnamed = nameless;
        self.timers.set(Timer::BootRetry, self.now.elapsed + RETRY);
        if addresses.is_empty() && self.may_found_ring() {
            return self.found_ring_or_wait(self.settings.broadcast_address);
        }
        for address in addresses {
            // Who is slow is not asked anew, which would be to drop its answer.
            if self.calls.any(|purpose| matches!(purpose, Purpose::JoinRing(asked) if *asked == address)) {
                continue;
            }
            let endpoint = Endpoint { features: self.advertised(), ..self.gossip.me().clone() };
            let replaces = self.settings.replaces.clone();
            let request = PeerRequest::JoinRing { endpoint, replaces };
            self.call_address(address, None, request, Purpose::JoinRing(address));
        }
    }

    pub(super) fn boot_retry(&mut self) {
        match self.boot.clone() {
            Boot::Asking { .. } => {
                self.effects.send.push(crate::io::Send::Resolve);
                self.ask_to_join();
            }
            Boot::Pulling(failure) => {
                self.boot = Boot::begin(self.now.elapsed);
                if let Some(failure) = failure {
                    self.heard(failure);
                }
                self.ask_to_join();
            }
            Boot::Joining(group, through, _) => {
                if let Some((newer, incarnation)) = self.newer_group() {
                    return self.enter_through_final_member(newer, incarnation);
                }
                match through {
                    Through::Learner => self.boot_into_group(group, false),
                    Through::Barrier => self.barrier(super::barrier::Waiter::Boot),
                    Through::Voter => self.boot_into_group(group, true),
                }
            }
            Boot::Meeting { .. } | Boot::Completed | Boot::Left => {}
        }
    }

    /// News of a peer: a waiting node need not wait for its next try.
    pub(super) fn boot_notices(&mut self, endpoint: &Endpoint) {
        let news = endpoint.is_final || endpoint.status == RingStatus::Normal;
        let is_asked = || self.calls.any(|purpose| matches!(purpose, Purpose::JoinRing(_)));
        let is_wanted = match self.boot {
            Boot::Asking { .. } => news && !is_asked(),
            Boot::Joining(..) => self.newer_group().is_some(),
            _ => false,
        };
        if is_wanted {
            self.timers.set(Timer::BootRetry, self.now.elapsed);
        }
    }

    pub(super) fn join_ring_answered(&mut self, address: SocketAddr, outcome: Result<JoinReply, CallError>) {
        let Boot::Asking { asked, .. } = &mut self.boot else { return };
        let known = match &outcome {
            Ok(JoinReply::NotInRing) => Asked::InNone,
            Ok(_) => Asked::InRing,
            Err(error) => Asked::Silent(format!("{address} does not answer ({error})")),
        };
        let is_in_ring = known == Asked::InRing;
        asked.entry(address).and_modify(|it| *it = known);
        let is_in_none = asked.values().all(|it| matches!(it, Asked::InNone | Asked::Silent(_)));
        if is_in_ring {
            self.local.set(&mut self.effects.persist, key::BOOTSTRAPPED, BootstrapState::InProgress.name());
        }
        match outcome {
            Ok(JoinReply::Welcome) => self.pull_before_joining(address),
            Ok(JoinReply::Upgrading) if self.may_have_the_feature() => {
                if let Some(group) = self.group_of_our_snapshot() {
                    return self.go_on_in_group(group);
                }
                self.heard(format!(
                    "{address} answers upgrading: wait. The cluster moves to group 0, and then takes this node in"
                ));
            }
            Ok(JoinReply::Final { group, incarnation }) if self.may_have_the_feature() => {
                self.enter_through_final_member(group, incarnation);
            }
            Ok(JoinReply::Refused(cause)) => self.heard(format!("{address} refuses: {cause}")),
            Ok(JoinReply::NotInRing) | Err(_) if is_in_none => self.found_ring_or_wait(address),
            Ok(_) | Err(_) => {}
        }
    }

    /// One that takes another's place comes into a ring that there is; so does one that was told of a ring or of somebody in it, who may be
    /// silent just now.
    fn may_found_ring(&self) -> bool {
        let hears_of_ring = self.gossip.endpoints().values().any(|it| it.host != self.host && it.status.is_member());
        self.settings.is_first_seed && self.settings.replaces.is_none() && !self.local.knows_of_ring() && !hears_of_ring
    }

    /// Nobody who answers is in the ring, that one last: the first configured seed starts it, the others wait for that. Who is silent may have
    /// one: lost machines come back empty while the only one that is left is restarted (seed 7068 with disasters).
    fn found_ring_or_wait(&mut self, address: SocketAddr) {
        let Boot::Asking { asked, nameless, since, .. } = self.boot.clone() else { return };
        let why = |it| if let Asked::Silent(why) = it { Some(why) } else { None };
        let silent = asked.into_values().find_map(why).or(nameless);
        if !self.may_found_ring() {
            return self.heard(silent.unwrap_or_else(|| format!("{address} is not in the ring itself")));
        }
        let (patience, why) = match silent {
            Some(silent) => {
                let patience = FOUNDING_PATIENCE * self.settings.failure_detector_timeout;
                (patience.max(LISTENING), format!("{silent}, and may know a ring; if it stays silent"))
            }
            None => (LISTENING, "nobody is known to be in a ring; if that stays so".into()),
        };
        if self.now.elapsed < since + patience {
            self.heard(format!("{why}, this node founds one {} s after its start", patience.as_secs()));
        } else {
            self.complete_boot();
        }
    }

    /// A node whose configuration says false must not come into a cluster that has the feature.
    fn may_have_the_feature(&mut self) -> bool {
        let may = self.settings.flag != Some(false);
        if !may {
            self.effects.apply.push(Apply::Fatal(FeatureWithdrawn.to_string()));
        }
        may
    }

    fn pull_before_joining(&mut self, address: SocketAddr) {
        let Some(host) = self.gossip.host_at(address) else { return };
        self.forget_calls(|purpose| matches!(purpose, Purpose::JoinRing(_)));
        self.boot = Boot::Pulling(None);
        self.watchers.touch();
        self.timers.unset(Timer::BootRetry);
        self.call_address(address, Some(host), PeerRequest::MigrationRequest { snapshot_of: None }, Purpose::BootPull);
    }

    /// A pull takes as long as it is large, and fails by itself where nothing comes any more.
    pub(super) fn boot_pull_failed(&mut self, error: &CallError) {
        if let Boot::Pulling(failure) = &mut self.boot {
            *failure = Some(format!("pulling the schema of a member has failed: {error}"));
            self.watchers.touch();
            self.timers.set(Timer::BootRetry, self.now.elapsed + RETRY);
        }
    }

    pub(super) fn boot_pulled(&mut self, migration: &Migration) {
        if matches!(self.boot, Boot::Pulling(_)) {
            self.merge_rows(&migration.rows);
            self.meet_others(Some(migration.state.host));
        }
    }

    /// Whoever uses this host expects that the others know it.
    fn meet_others(&mut self, by: Option<HostId>) {
        let until = self.now.elapsed + self.settings.failure_detector_timeout;
        self.boot = Boot::Meeting { by, status: self.boot.ring_status(), until };
        self.timers.set(Timer::BootRetry, until);
    }

    /// Whether CQL can be used; if not, what is waited for.
    pub(super) fn readiness(&self) -> Result<(), String> {
        if self.drained { Err(DRAINED.into()) } else { self.boot.waiting().map_or(Ok(()), Err) }
    }

    /// Whoever asks whether this node can be used is told what it waits for now.
    pub(super) fn settle_readiness(&mut self) {
        let ready = self.readiness();
        if self.told_ready.as_ref() != Some(&ready) {
            self.told_ready = Some(ready.clone());
            self.effects.apply.push(Apply::Ready(ready));
            self.watchers.touch();
        }
    }

    /// Ends the wait for the others. Who has given leave and is not known as a host of the ring may have gone since: leave is asked for anew.
    pub(super) fn settle_boot(&mut self) {
        let Boot::Meeting { until, by, .. } = self.boot else { return };
        if let Some(by) = by.filter(|by| !self.gossip_members().contains(by)) {
            if self.now.elapsed >= until {
                self.boot = Boot::begin(self.now.elapsed);
                self.heard(format!("{by} gave leave to join, and then nothing was heard of it"));
                self.ask_to_join();
            }
            return;
        }
        let seen_by: BTreeSet<_> = self.gossip.seen_by().collect();
        let mut others = self.gossip.endpoints().values().filter(|it| it.host != self.host && it.status == RingStatus::Normal);
        if self.now.elapsed >= until || others.all(|it| seen_by.contains(&it.host)) {
            self.complete_boot();
        }
    }

    fn complete_boot(&mut self) {
        self.boot = Boot::Completed;
        self.timers.unset(Timer::BootRetry);
        self.forget_calls(|purpose| matches!(purpose, Purpose::JoinRing(_)));
        self.local.set(&mut self.effects.persist, key::BOOTSTRAPPED, BootstrapState::Completed.name());
        self.effects.persist.points.push(Point::Bootstrapped);
        tracing::info!(target: "raft_group0", host = %self.host, "first boot completed: in the ring");
        let live: Vec<_> = self.gossip.live().collect();
        for host in live {
            self.exchange_schema(host);
        }
        self.procedure_begin();
        self.try_enable_feature();
    }

    /// A person has ordered recovery on the way: what is stored of a group stays as it is, and so does the marker.
    fn stays_in_recovery(&mut self) -> bool {
        let stays = self.stage() == Stage::Recovery;
        if stays {
            let why = "recovery was ordered on this host, which is not in the ring: remove the marker and restart it";
            self.heard(why);
            self.boot_hindered(why.into());
        }
        stays
    }

    fn enter_through_final_member(&mut self, group: GroupId, incarnation: Incarnation) {
        if self.stays_in_recovery() {
            return;
        }
        match self.joining.group() {
            Some(ours) if ours != group && incarnation <= self.local.incarnation() => {
                return self.heard(format!(
                    "a final member is in group 0 {group}, which is not newer than {ours}, to which this host was sent"
                ));
            }
            Some(ours) if ours != group => self.leave_former_group(),
            _ => {}
        }
        self.forget_calls(|purpose| matches!(purpose, Purpose::JoinRing(_)));
        if !self.flag().enabled {
            self.enable_feature();
        }
        if self.group.is_none() {
            self.adopt_group(group, incarnation);
            self.joining_event(joining::Event::Adopted(group));
        }
        self.boot = Boot::Joining(group, Through::Learner, None);
        self.boot_into_group(group, false);
    }

    /// The group of which it has a final member's snapshot, and that has it among its members.
    fn group_of_our_snapshot(&self) -> Option<GroupId> {
        let (id, group) = self.group.as_ref().filter(|_| self.stage() == Stage::Synchronize)?;
        group.configuration().contains(&self.host).then_some(*id)
    }

    /// It was on its way in when it stopped, and nobody whom it hears is final any more: a person has put the last one into recovery for
    /// a while. What is left of the way is a read barrier, which takes no final member; and that one waits for this host (seed 4334).
    fn go_on_in_group(&mut self, group: GroupId) {
        self.forget_calls(|purpose| matches!(purpose, Purpose::JoinRing(_)));
        self.boot = Boot::Joining(group, Through::Barrier, None);
        self.timers.unset(Timer::BootRetry);
        self.barrier(super::barrier::Waiter::Boot);
    }

    /// A recovery has made another one since. It went without this host, which is not in the ring and begins anew, however far it had come.
    fn leave_former_group(&mut self) {
        self.forget_barrier(super::barrier::Waiter::Boot);
        self.forget_calls(|purpose| matches!(purpose, Purpose::BootIntoGroup));
        self.forget_group();
        self.local.erase(&mut self.effects.persist, key::UPGRADE_STATE);
        self.stage_entered(Stage::UsePreRaft);
    }

    /// The group of a final member that is newer than the one that this host was sent to.
    fn newer_group(&self) -> Option<(GroupId, Incarnation)> {
        let live = self.gossip.live().filter_map(|host| self.gossip.endpoints().get(&host));
        let newer = live.filter(|it| it.is_final && it.incarnation > self.local.incarnation());
        newer.filter_map(|it| Some((it.group?, it.incarnation))).max_by_key(|(_, incarnation)| *incarnation)
    }

    /// Asks a final member: only such a one adds a new node.
    fn boot_into_group(&mut self, group: GroupId, can_vote: bool) {
        self.timers.set(Timer::BootRetry, self.now.elapsed + RETRY);
        if self.calls.any(|purpose| matches!(purpose, Purpose::BootIntoGroup)) {
            return;
        }
        let is_final = |host: &HostId| self.gossip.endpoints().get(host).is_some_and(|e| e.is_final && e.group == Some(group));
        let members: Vec<HostId> = self.gossip.live().filter(is_final).collect();
        // Any of them: one alone may have lost sight of the leader.
        let Some(host) = members.choose(&mut self.random).copied() else {
            self.boot_hindered("none of its final members is up, as far as gossip knows".into());
            // All whom gossip knew may have moved meanwhile.
            return self.effects.send.push(crate::io::Send::Resolve);
        };
        let request = PeerRequest::Group0ModifyConfig { group, add: vec![(self.member(), can_vote)], remove: vec![] };
        self.call(host, request, Purpose::BootIntoGroup);
    }

    /// The applied configuration contains us.
    pub(super) fn boot_in_configuration(&mut self, configuration: &Configuration) {
        match self.boot {
            Boot::Joining(group, Through::Learner, _) => {
                if self.stays_in_recovery() {
                    return;
                }
                if self.stage() == Stage::UsePreRaft {
                    self.local.set_stage(&mut self.effects.persist, Stage::Synchronize);
                    self.stage_entered(Stage::Synchronize);
                }
                self.go_on_in_group(group);
            }
            Boot::Joining(_, Through::Voter, _) if configuration.voters.contains(&self.host) => self.meet_others(None),
            _ => {}
        }
    }

    /// The next step towards the group did not come about, and is tried again.
    pub(super) fn boot_hindered(&mut self, why: String) {
        if let Boot::Joining(_, _, hindrance) = &mut self.boot {
            *hindrance = Some(why);
        }
    }

    pub(super) fn boot_barrier(&mut self, outcome: &Result<(), String>) {
        if let (&Boot::Joining(group, Through::Barrier, _), Ok(())) = (&self.boot, outcome) {
            if self.stays_in_recovery() {
                return;
            }
            if self.stage() == Stage::Synchronize {
                self.local.set_stage(&mut self.effects.persist, Stage::UsePostRaft);
                self.stage_entered(Stage::UsePostRaft);
            }
            self.boot = Boot::Joining(group, Through::Voter, None);
            self.boot_into_group(group, true);
        } else if let Err(why) = outcome {
            self.boot_hindered(why.clone());
            self.timers.set(Timer::BootRetry, self.now.elapsed + RETRY);
        }
    }
}
