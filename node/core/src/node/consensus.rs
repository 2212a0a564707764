//! Group 0 at work: what Raft puts out, membership changes, snapshots, and what committed commands do.

use super::{Node, Purpose, Timer, calls};
use crate::{
    gossip::Endpoint,
    group0::{Command, HistoryRow, operation},
    ids::{GroupId, HostId},
    io::{Apply, CallError, Destination, Message, Migration, PeerReply, PeerRequest, Point, Refusal, Reply, RequestId, Send},
    raft::{Configuration, Dropped, MAX_MEMBERS, Member, Output, RaftMessage, Snapshot},
    upgrade::Stage,
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A snapshot of which no word came is reported as failed after this, so that the leader sends another.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(3);

/// The log is cut when this many applied entries are in it: replaying them takes a blink.
const LOG_LENGTH_MAX: u64 = 1_000;

/// And when what is in it takes more than this, applied or not: the log is in memory.
const LOG_BYTES_MAX: usize = 16 << 20;

/// Entries kept behind the cut, unless they take more than half of that, so that a member that was away briefly needs no snapshot.
const LOG_KEPT: u64 = 200;

/// How long a founder waits for the rest of the ring to ask to be added: longer than their requests lie apart, shorter than a
/// change of its own for one of them would take.
const GATHERING: Duration = Duration::from_millis(20);

/// Membership changes waiting at once: one for each of the 100 members.
const MODIFICATIONS_MAX: usize = 100;

/// Why a member ends that must take part no more.
const LOST_CONFIRMED: &str = "this member has lost what it had confirmed: its data is of an earlier time, or a copy of another's. Nothing was \
                              changed. Remove this host from the cluster and replace it by one with an empty workdir";

/// Pending work of the group.
#[derive(Debug, Default)]
pub struct Context {
    modifications: BTreeMap<RequestId, Modification>,
    /// The state of a snapshot that Raft was given in this step.
    pulled: Option<Migration>,
    /// Why the last pull of a snapshot came to nothing.
    pull_failure: Option<String>,
}

impl Context {
    /// Why the snapshot that it needs is not here, if pulling it has failed.
    pub(super) const fn pull_failure(&self) -> Option<&String> {
        self.pull_failure.as_ref()
    }
}

#[derive(Debug)]
struct Modification {
    is_proposed: bool,
    add: Vec<(Member, bool)>,
    remove: Vec<HostId>,
}

impl Modification {
    /// Whether the configuration is as asked for. One who votes already is a member enough for whom asks for a non-voter.
    fn is_done(&self, configuration: &Configuration) -> bool {
        let members = configuration.members();
        let added = |(member, can_vote): &(Member, bool)| match can_vote {
            true => configuration.voters.contains(&member.host),
            false => members.contains(&member.host),
        };
        self.add.iter().all(added) && !self.remove.iter().any(|host| members.contains(host))
    }

    /// Whom it would add although that one was removed for good. Whoever asks for it may not have heard of that.
    fn adds_removed(&self, removed: &BTreeSet<HostId>) -> Option<HostId> {
        self.add.iter().map(|(member, _)| member.host).find(|host| removed.contains(host))
    }

    /// Why it was not proposed: if there is no room, for whom and with how many.
    fn why_dropped(&self, dropped: Dropped, configuration: &Configuration) -> String {
        let members = configuration.members();
        let added: Vec<_> = self.add.iter().map(|(member, _)| member.host).filter(|host| !members.contains(host)).collect();
        if dropped != Dropped::Impossible || members.len() + added.len() <= MAX_MEMBERS {
            return dropped.to_string();
        }
        let added: Vec<_> = added.iter().map(ToString::to_string).collect();
        format!(
            "no room in group 0 for [{}]: it has {} members, and at most {MAX_MEMBERS} are supported. Remove hosts that are gone first",
            added.join(", "),
            members.len()
        )
    }
}

impl Node {
    pub(super) fn raft_message(&mut self, id: GroupId, from: HostId, message: RaftMessage) {
        let Some((ours, group)) = &mut self.group else { return };
        if *ours != id || message.from != from {
            return;
        }
        match &message.snapshot {
            Some(snapshot) if snapshot.index > group.status().commit => self.pull_snapshot(id, message),
            _ => group.step(message),
        }
    }

    /// A snapshot message brings a position only; the state is pulled from its sender first.
    fn pull_snapshot(&mut self, id: GroupId, message: RaftMessage) {
        if !self.calls.any(|purpose| matches!(purpose, Purpose::Snapshot(..))) {
            let request = PeerRequest::MigrationRequest { snapshot_of: Some(id) };
            self.call(message.from, request, Purpose::Snapshot(id, Box::new(message)));
        }
    }

    /// Takes over the state of one moment, which is at least as new as the message that announced it.
    pub(super) fn snapshot_pulled(&mut self, id: GroupId, mut message: RaftMessage, migration: Migration) {
        let needs_final = !self.boot.is_completed() || self.stage() == Stage::UsePostRaft;
        let Some(snapshot) = migration.snapshot.clone() else { return };
        let announced = message.snapshot.as_ref().map_or(u64::MAX, |snapshot| snapshot.index);
        let fits = snapshot.index >= announced && snapshot.configuration.contains(&self.host);
        let Some((ours, group)) = self.group.as_mut().filter(|_| fits) else { return };
        if *ours != id || (needs_final && migration.state.stage != Stage::UsePostRaft) {
            tracing::info!(target: "raft_group0", from = %message.from, "snapshot refused: its maker is not final");
            return;
        }
        tracing::info!(target: "raft_group0", from = %message.from, index = snapshot.index, "taking over a snapshot");
        message.index = snapshot.index;
        message.snapshot = Some(snapshot);
        group.step(message);
        (self.consensus.pulled, self.consensus.pull_failure) = (Some(migration), None);
    }

    /// The leader sends the message again, and it is pulled again.
    pub(super) fn snapshot_not_pulled(&mut self, from: HostId, error: &CallError) {
        tracing::warn!(target: "raft_group0", %from, %error, "pulling a snapshot failed; the leader sends it again");
        let why = format!("pulling the snapshot from {from} has failed: {error}");
        self.boot_hindered(why.clone());
        self.consensus.pull_failure = Some(why);
        self.watchers.touch();
    }

    /// Raft has taken the position over: the state that was pulled for it comes in the same transaction.
    fn install_snapshot(&mut self) {
        if let Some(migration) = self.consensus.pulled.take() {
            if !self.boot.is_completed() {
                self.forget_schema();
            }
            self.merge_rows(&migration.rows);
            self.history.restore(&mut self.effects.persist, migration.history);
            self.effects.persist.points.push(Point::Snapshot);
            self.progressed();
        }
    }

    pub(super) fn snapshot_report_overdue(&mut self, host: HostId) {
        if let Some((_, group)) = &mut self.group {
            group.report_snapshot(host, false);
        }
    }

    /// Takes what Raft puts out and carries it on. Whether anything came.
    pub(super) fn settle_group(&mut self) -> bool {
        self.ask_read_index();
        let Some((id, group)) = &mut self.group else { return false };
        let (id, output) = (*id, group.take());
        let Output {
            persist,
            send,
            committed,
            configuration,
            gone,
            changed: _,
            snapshot,
            reads,
            role,
            lost_leadership,
            lost_confirmed,
        } = output;
        let quiet = persist.is_empty() && send.is_empty() && reads.is_empty() && role.is_none() && snapshot.is_none();
        for write in persist {
            self.effects.persist.writes.extend(write.into_writes(id));
        }
        for message in send {
            self.send_raft(id, message);
        }
        if snapshot.is_some() {
            self.install_snapshot();
        }
        self.consensus.pulled = None;
        for (_, _, command) in committed {
            self.apply_command(&command);
        }
        if let Some(configuration) = configuration {
            self.configuration_changed(&configuration, &gone);
        }
        if let Some(role) = role {
            tracing::info!(target: "raft", term = role.term, leader = role.leader.map(|host| host.to_string()), is_leader = role.is_leader, "role");
            self.watchers.touch();
            self.timers.set(Timer::BarrierRetry, self.now.elapsed);
            // A founder is in the configuration that it founded the group with, and nobody may ever come to change that one.
            self.note_membership();
            self.lead_nobody_in_recovery();
        }
        if lost_leadership {
            self.refuse_modifications("the leader of group 0 has changed");
        }
        if lost_confirmed {
            self.effects.apply.push(Apply::Fatal(LOST_CONFIRMED.into()));
        }
        for (context, index) in reads {
            self.read_index_known(context, index);
        }
        self.release_barriers();
        self.answer_modifications();
        self.compact_log();
        !quiet
    }

    fn send_raft(&mut self, id: GroupId, message: RaftMessage) {
        let Some(address) = self.address_of(message.to) else { return };
        if message.snapshot.is_some() {
            self.timers.set(Timer::SnapshotSent(message.to), self.now.elapsed + SNAPSHOT_LIMIT);
        }
        let header = self.header(Some(message.to));
        self.effects.send.push(Send::Message { to: Destination { address }, header, message: Message::Raft(id, message) });
    }

    fn compact_log(&mut self) {
        let Some((_, group)) = &mut self.group else { return };
        let (applied, length) = (group.status().applied, group.status().log_length);
        if length > LOG_LENGTH_MAX || group.log_bytes() > LOG_BYTES_MAX {
            group.compact(applied.saturating_sub(LOG_KEPT.min(group.entries_within(LOG_BYTES_MAX / 2))));
        }
    }

    // Commands.

    fn apply_command(&mut self, bytes: &Bytes) {
        let command: Command = match postcard::from_bytes(bytes) {
            Ok(command) => command,
            Err(error) => {
                return tracing::error!(target: "raft_group0", %error, "a command of the log cannot be read and is skipped");
            }
        };
        let took_effect = self.history.admits(&command);
        if took_effect {
            self.merge_rows(&command.rows);
            let row = HistoryRow { state: command.state, description: command.description };
            self.history.append(&mut self.effects.persist, row);
            self.effects.persist.points.push(Point::Command);
            self.watchers.touch();
        }
        let event = match took_effect || self.history.contains(command.state) {
            true => operation::Event::Applied,
            false if self.history.reaches_back_to(command.state) => operation::Event::Lost,
            false => operation::Event::Forgotten,
        };
        self.command_applied(command.state, event);
    }

    /// Why a call to the group does not succeed.
    pub(super) fn quorum_report(&self) -> String {
        self.silence_of(self.settings.raft_operation_timeout)
    }

    /// The same, for a call that waited so long.
    pub(super) fn silence_of(&self, limit: Duration) -> String {
        format!("group 0 did not answer in {limit:?}: {}", self.voters_report())
    }

    /// How many voters there are, which seem dead, and which are up and take no part, as in recovery.
    fn voters_report(&self) -> String {
        let Some((id, group)) = &self.group else { return "this node has no group 0".into() };
        let voters = &group.configuration().voters;
        let others = || voters.iter().filter(|host| **host != self.host);
        let takes_part = |host: &HostId| self.gossip.is_in_group(*host, *id);
        let named = |hosts: Vec<&HostId>| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let dead: Vec<_> = others().filter(|host| !self.gossip.is_up(**host)).collect();
        let idle: Vec<_> = others().filter(|host| self.gossip.is_up(**host) && !takes_part(host)).collect();
        let leader = group.status().leader.map_or("no leader is known".into(), |host| format!("the leader is {host}"));
        let idle =
            if idle.is_empty() { String::new() } else { format!("; up, and take no part in the group: [{}]", named(idle)) };
        let (count, alive) = (voters.len(), voters.len() - dead.len());
        format!("{count} voters, {alive} alive, {leader}; seem dead: [{}]{idle}", named(dead))
    }

    // Membership changes.

    pub(super) fn modify_config(&mut self, id: RequestId, group: GroupId, add: Vec<(Member, bool)>, remove: Vec<HostId>) {
        let refuse = |refusal| Reply::Peer { id, outcome: Err(refusal) };
        if self.stage() == Stage::Recovery {
            let why = format!("host {} is in recovery", self.host);
            self.effects.reply.push(refuse(Refusal::NotNow(why)));
            return self.lead_nobody_in_recovery();
        }
        let Some((ours, raft)) = self.group.as_ref().filter(|(ours, _)| *ours == group) else {
            let ours = self.group.as_ref().map(|(id, _)| *id);
            return self.effects.reply.push(refuse(Refusal::OtherGroup { ours, theirs: group }));
        };
        let _ = ours;
        let status = raft.status();
        if !status.is_leader {
            match status.leader.filter(|leader| *leader != self.host) {
                Some(leader) => {
                    let request = PeerRequest::Group0ModifyConfig { group, add, remove };
                    self.call(leader, request, Purpose::ForwardModify(id));
                }
                None => self.effects.reply.push(refuse(Refusal::NotNow(self.voters_report()))),
            }
        } else if self.consensus.modifications.len() >= MODIFICATIONS_MAX {
            self.effects.reply.push(refuse(Refusal::NotNow("too many membership changes are waiting".into())));
        } else {
            self.lead_modification(id, Modification { is_proposed: false, add, remove });
        }
    }

    /// A founder gathers the ring's requests, which all come at about the same time, into one change.
    fn lead_modification(&mut self, id: RequestId, modification: Modification) {
        self.consensus.modifications.insert(id, modification);
        self.timers.set(Timer::ModifyExpired(id), self.now.elapsed + super::RPC_LIMIT);
        let Some((_, group)) = &self.group else { return };
        let is_alone = group.configuration().members().len() == 1;
        let awaited = self.gossip.live().filter(|host| self.peers.hosts().contains(host)).count();
        if is_alone && self.consensus.modifications.len() < awaited {
            if !self.timers.is_set(Timer::ModifyGathered) {
                self.timers.set(Timer::ModifyGathered, self.now.elapsed + GATHERING);
            }
        } else {
            self.propose_modifications();
        }
    }

    /// Proposes what is asked for and not yet proposed.
    pub(super) fn propose_modifications(&mut self) {
        self.timers.unset(Timer::ModifyGathered);
        let Some((_, group)) = &mut self.group else { return };
        let waiting = self.consensus.modifications.iter_mut().filter(|(_, modification)| !modification.is_proposed);
        let mut refused = Vec::new();
        for (id, modification) in waiting {
            modification.is_proposed = true;
            if let Some(host) = modification.adds_removed(self.local.removed()) {
                refused.push((*id, Refusal::RemovedHost(host)));
            } else if !modification.is_done(group.configuration())
                && let Err(dropped) = group.change(&modification.add, &modification.remove)
            {
                refused.push((*id, Refusal::NotNow(modification.why_dropped(dropped, group.configuration()))));
            }
        }
        for (id, refusal) in refused {
            self.end_modification(id, Err(refusal));
        }
    }

    /// A change has taken place when the applied configuration shows it.
    fn answer_modifications(&mut self) {
        let Some((_, group)) = self.group.as_ref().filter(|_| !self.consensus.modifications.is_empty()) else { return };
        let configuration = group.configuration();
        let done = self.consensus.modifications.iter().filter(|(_, modification)| modification.is_done(configuration));
        let done: Vec<_> = done.map(|(id, _)| *id).collect();
        for id in done {
            self.end_modification(id, Ok((PeerReply::Modified, self.step_path)));
        }
    }

    fn end_modification(&mut self, id: RequestId, outcome: Result<(PeerReply, crate::io::Path), Refusal>) {
        if self.consensus.modifications.remove(&id).is_some() {
            self.timers.unset(Timer::ModifyExpired(id));
            self.effects.reply.push(Reply::Peer { id, outcome });
        }
    }

    pub(super) fn modify_expired(&mut self, id: RequestId) {
        let cause = self.silence_of(super::RPC_LIMIT);
        self.end_modification(id, Err(Refusal::NotNow(cause)));
    }

    fn refuse_modifications(&mut self, cause: &str) {
        let ids: Vec<_> = self.consensus.modifications.keys().copied().collect();
        for id in ids {
            self.end_modification(id, Err(Refusal::NotNow(cause.into())));
        }
    }

    pub(super) fn forwarded_modify_answered(&mut self, id: RequestId, outcome: Result<PeerReply, CallError>) {
        let outcome = match outcome {
            Ok(reply) => Ok((reply, self.step_path)),
            Err(CallError::Refused(refusal)) => Err(refusal),
            Err(error) => Err(Refusal::NotNow(format!("the leader did not answer: {error}"))),
        };
        self.effects.reply.push(Reply::Peer { id, outcome });
    }

    pub(super) fn group_join_answered(&mut self, outcome: Result<PeerReply, CallError>) {
        let outcome = outcome.map(drop).map_err(|error| calls::modify_failure(&error));
        self.joining_event(crate::group0::joining::Event::Modified(outcome));
    }

    pub(super) fn boot_into_group_answered(&mut self, outcome: &Result<PeerReply, CallError>) {
        if let Err(why) = outcome {
            self.boot_hindered(why.to_string());
        } else if let Some((_, group)) = &self.group {
            let configuration = group.configuration().clone();
            if configuration.contains(&self.host) {
                self.boot_in_configuration(&configuration);
            }
        }
    }

    /// A leader that ends hands over, so that the others need no election timeout: to one that takes part in the group, which a voter in
    /// recovery does not. Whether there is anybody.
    pub(super) fn hand_over_leadership(&mut self, may_lead: impl Fn(&Endpoint) -> bool) -> bool {
        let Some((id, group)) = &mut self.group else { return false };
        let endpoints = self.gossip.endpoints();
        let takes_part = |host: &HostId| endpoints.get(host).is_some_and(|it| it.group == Some(*id) && may_lead(it));
        let heirs: BTreeSet<HostId> = self.gossip.live().filter(takes_part).collect();
        group.transfer_leadership(&heirs)
    }

    /// In recovery it changes no membership, and nobody takes a snapshot of it.
    pub(super) fn lead_nobody_in_recovery(&mut self) {
        let leads = self.group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
        if leads && self.stage() == Stage::Recovery {
            self.hand_over_leadership(|endpoint| endpoint.is_final);
        }
    }

    /// The state of this moment, for a member that needs a snapshot.
    pub(super) fn make_snapshot(&self, of: GroupId) -> Option<Snapshot> {
        self.group.as_ref().filter(|(id, _)| *id == of).and_then(|(_, group)| group.applied_snapshot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_finds_no_room_is_told_so_by_name() {
        let member = |number| Member { host: HostId::of(number), address: ([127, 0, 0, 1], 7000).into() };
        let full = Configuration { voters: (1..=100).map(HostId::of).collect(), ..Configuration::default() };
        let add = |number| Modification { is_proposed: true, add: vec![(member(number), true)], remove: vec![] };
        let why = add(101).why_dropped(Dropped::Impossible, &full);
        assert!(why.contains(&HostId::of(101).to_string()) && why.contains("at most 100 are supported"), "{why}");
        assert_eq!(add(7).why_dropped(Dropped::Impossible, &full), Dropped::Impossible.to_string());
    }
}
