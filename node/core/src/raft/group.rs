//! One member's share of one Raft group: the calls.

use super::{
    admit::{admitted, shows_loss},
    convert::message_in,
    limits::{
        MAX_COMMAND_BYTES, MAX_EARLY_READS, MAX_TICKS_AT_ONCE, MAX_WAITING_CHANGES, SNAPSHOT_TICKS, config, election_timeout,
    },
    log::Log,
    membership::{Change, ChangeId},
    names::{Names, raft_id},
    output::{Dropped, MemberProgress, Output, RaftError, RaftStatus, RaftWrite, Role},
    stored::{HardState, Stored},
    types::{Configuration, Member, RaftMessage, Snapshot},
};
use crate::{
    ids::{GroupId, HostId},
    random::Random,
};
use bytes::Bytes;
use raft::{
    Progress, RawNode, SnapshotStatus, StateRole,
    eraftpb::{self, MessageType},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One member's consensus for one group.
///
/// Calls change it; [`Group::take`] says what came of them. `step` wants only messages whose `from` is their authenticated sender.
pub struct Group {
    pub(super) me: HostId,
    pub(super) node: RawNode<Log>,
    pub(super) names: Names,
    pub(super) output: Output,
    pub(super) hard: HardState,
    /// As it is on disk once the last output is.
    pub(super) stored_hard: HardState,
    /// Likewise.
    pub(super) stored_applied: u64,
    /// Asked for, not proposed yet.
    pub(super) waiting: Vec<Change>,
    /// See [`MAX_EARLY_READS`].
    pub(super) early_reads: Vec<eraftpb::Message>,
    /// Index of the entry that made the configuration, or a later one.
    pub(super) configured: u64,
    /// Members that have been offered a snapshot, and for how many ticks.
    offered: BTreeMap<u64, u32>,
    /// Term of the last attempt to hand leadership over.
    pub(super) handed_over_in: u64,
    pub(super) reported: Role,
    random: Random,
    /// Tells reads of this process from those of its former lives.
    pub(super) session: u64,
    seen: (u64, StateRole),
    election_timeout: usize,
    tick: Duration,
    next_tick: Duration,
}

impl Group {
    /// The state of a founder, see [`Stored::founding`].
    pub fn founding(me: Member) -> Stored {
        Stored::founding(me)
    }

    /// The state of a joiner, see [`Stored::joining`].
    pub fn joining() -> Stored {
        Stored::joining()
    }

    /// Go on from what is stored.
    pub fn start(
        group: GroupId,
        me: HostId,
        stored: Stored,
        mut random: Random,
        now: Duration,
        tick: Duration,
    ) -> Result<Self, RaftError> {
        stored.check(group)?;
        let tick = tick.max(Duration::from_millis(1));
        let (hard, configured) = (stored.hard, stored.applied);
        let mut names = Names::default();
        stored.configuration.members().into_iter().chain(hard.vote).for_each(|host| names.insert(host));
        names.insert(me);
        let config = config(raft_id(me), stored.applied);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, Log::new(stored), &logger).map_err(|error| RaftError::Refused(error.to_string()))?;
        let seen = (node.raft.term, node.raft.state);
        let mut group = Self {
            me,
            node,
            names,
            output: Output::default(),
            hard,
            stored_hard: hard,
            stored_applied: configured,
            waiting: Vec::new(),
            early_reads: Vec::new(),
            configured,
            offered: BTreeMap::new(),
            handed_over_in: 0,
            reported: Role { term: seen.0, leader: None, is_leader: false },
            session: random.next(),
            election_timeout: election_timeout(&mut random),
            random,
            seen,
            tick,
            next_tick: now + tick,
        };
        group.keep_timeout();
        Ok(group)
    }

    /// A peer's message. What is not for us, or what no healthy member sends, is dropped.
    pub fn step(&mut self, message: RaftMessage) {
        let last_index = self.node.raft.raft_log.last_index();
        let stranger = message.to != self.me || message.from == self.me || !self.names.learn(message.from);
        self.output.lost_confirmed |= !stranger && shows_loss(&message, self.node.raft.term, last_index);
        let Some(kind) = admitted(&message, last_index).filter(|_| !stranger) else { return };
        let Some(inner) = message_in(&self.names, message) else { return };
        match kind {
            MessageType::MsgReadIndex => self.step_read(inner),
            MessageType::MsgTimeoutNow | MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
                self.settle_log();
                self.step_inner(inner);
            }
            _ => self.step_inner(inner),
        }
    }

    /// Perform the ticks that are due.
    pub fn advance_time(&mut self, now: Duration) {
        let mut ticks = 0;
        while self.next_tick <= now {
            if ticks == MAX_TICKS_AT_ONCE {
                self.next_tick = now + self.tick;
                return;
            }
            ticks += 1;
            self.next_tick += self.tick;
            self.settle_log();
            self.with_node(RawNode::tick);
            self.count_offers();
        }
    }

    /// `raft-rs` waits for ever for the report of a snapshot, also if its message was lost.
    fn count_offers(&mut self) {
        let leads = self.is_leader();
        let offered = self.node.raft.prs().iter().filter(|(_, progress)| leads && progress.pending_snapshot > 0);
        let ticks = |id: &u64| self.offered.get(id).copied().unwrap_or(0) + 1;
        self.offered = offered.map(|(id, _)| (*id, ticks(id))).collect();
        let lost = self.offered.iter().filter(|(_, ticks)| **ticks >= SNAPSHOT_TICKS);
        for id in lost.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.offered.remove(&id);
            self.with_node(|node| node.report_snapshot(id, SnapshotStatus::Failure));
        }
    }

    /// When the next tick is due.
    pub fn next_tick(&self) -> Duration {
        self.next_tick
    }

    /// Add a command to the log, through the leader. It may be lost on the way. An empty one is never reported as committed.
    pub fn propose(&mut self, data: Bytes) -> Result<(), Dropped> {
        self.has_leader()?;
        if self.node.raft.lead_transferee.is_some() {
            return Err(Dropped::Transferring);
        }
        if data.len() > MAX_COMMAND_BYTES {
            return Err(Dropped::TooLarge);
        }
        self.with_node(|node| node.raft.step(own_message(MessageType::MsgPropose, data))).map_err(|_| Dropped::Busy)
    }

    /// Ask how far one must have applied to read what was decided before now. `context` is unique within this process. The
    /// question may be lost: ask again with a new context.
    pub fn read_index(&mut self, context: u64) -> Result<(), Dropped> {
        self.has_leader()?;
        let data = [self.node.raft.id, self.session, context].map(u64::to_be_bytes).concat();
        let mut message = own_message(MessageType::MsgReadIndex, data.into());
        message.from = self.node.raft.id;
        self.step_read(message);
        Ok(())
    }

    /// As leader: change the members. Taken together with others into one change as soon as none is pending. It has taken place
    /// when its id is in [`Output::changed`]; it is lost with leadership.
    ///
    /// A leader that is to be demoted hands leadership over first, if there is anyone to take it: [`Dropped::Transferring`].
    pub fn change(&mut self, add: &[(Member, bool)], remove: &[HostId]) -> Result<ChangeId, Dropped> {
        self.may_change()?;
        let id = ChangeId(self.random.next());
        let change = Change { ids: vec![id], add: add.to_vec(), remove: remove.to_vec() };
        let together: Vec<Change> = self.waiting.iter().chain([&change]).cloned().collect();
        let together = Change::gathered(&together);
        if !together.is_possible(self.configuration()) {
            return Err(Dropped::Impossible);
        }
        if self.hands_over(&together) {
            return Err(Dropped::Transferring);
        }
        self.waiting.push(change);
        Ok(id)
    }

    /// As leader: hand leadership over to that voter of these which has most of the log, once it has all of it; one that was heard lately
    /// before all others. Given up after an election timeout. Whether there is one.
    pub fn transfer_leadership(&mut self, hosts: &BTreeSet<HostId>) -> bool {
        let voters = self.configuration().voters.iter().filter(|host| **host != self.me && hosts.contains(host));
        let voters: BTreeSet<u64> = voters.copied().map(raft_id).collect();
        let heard = self.furthest(|id, progress| voters.contains(&id) && progress.recent_active);
        let heir = heard.or_else(|| self.furthest(|id, _| voters.contains(&id))).filter(|_| self.is_leader());
        heir.is_some_and(|heir| {
            self.with_node(|node| node.transfer_leader(heir));
            true
        })
    }

    /// Whether the heir lacks some of the log still: once it has all of it, it is told to call an election.
    pub fn is_handing_over(&self) -> bool {
        let raft = &self.node.raft;
        let heir = raft.lead_transferee.and_then(|heir| raft.prs().get(heir));
        heir.is_some_and(|progress| progress.matched < raft.raft_log.last_index())
    }

    /// Call an election now, if we are a voter. The only voter leads at once.
    pub fn campaign(&mut self) {
        self.settle_log();
        if self.node.raft.promotable() {
            let _ = self.with_node(RawNode::campaign);
        }
    }

    /// As leader: `to` has pulled the snapshot that a message announced, or has failed to.
    pub fn report_snapshot(&mut self, to: HostId, ok: bool) {
        let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        let id = self.names.id(to);
        self.with_node(|node| node.report_snapshot(id, status));
    }

    /// As leader: what was sent to `host` lately has probably been lost.
    pub fn report_unreachable(&mut self, host: HostId) {
        let id = self.names.id(host);
        self.with_node(|node| node.report_unreachable(id));
    }

    /// Drop the log up to `through`, or up to what is applied if that is less. Persisted with the next [`Group::take`]. Nothing
    /// happens if the configuration has changed after `through`: the log starts with the configuration of its start.
    pub fn compact(&mut self, through: u64) {
        let log = self.node.store();
        let through = through.min(log.applied());
        if through > log.start().index && through >= self.configured {
            self.node.mut_store().compact(through);
            let start = self.node.store().start().clone();
            self.output.persist.push(RaftWrite::Compact { start });
        }
    }

    /// How many bytes are in the entries of the log.
    pub fn log_bytes(&self) -> usize {
        self.node.store().bytes()
    }

    /// How many of the last entries of the log take no more bytes than that.
    pub fn entries_within(&self, bytes: usize) -> u64 {
        self.node.store().entries_within(bytes)
    }

    /// The members as of the applied index.
    pub fn configuration(&self) -> &Configuration {
        self.node.store().configuration()
    }

    /// The place of what is applied: what a peer that pulls our state must be told with it. None before the first snapshot.
    pub fn applied_snapshot(&self) -> Option<Snapshot> {
        self.node.store().applied_snapshot()
    }

    /// Whether this member leads, as far as it knows.
    pub fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// What this member knows.
    pub fn status(&self) -> RaftStatus<'_> {
        let (raft, role) = (&self.node.raft, self.role());
        let start = self.node.store().start().index;
        let members = raft.prs().iter().filter_map(|(id, progress)| Some((self.names.host(*id)?, member_progress(progress))));
        RaftStatus {
            term: role.term,
            leader: role.leader,
            is_leader: role.is_leader,
            vote: self.names.host(raft.vote),
            commit: raft.raft_log.committed,
            applied: self.node.store().applied(),
            last_index: raft.raft_log.last_index(),
            last_term: raft.raft_log.last_term(),
            log_length: raft.raft_log.last_index().saturating_sub(start),
            configuration: self.configuration(),
            members: members.filter(|_| role.is_leader).collect(),
        }
    }

    pub(super) fn role(&self) -> Role {
        let raft = &self.node.raft;
        Role { term: raft.term, leader: self.names.host(raft.leader_id), is_leader: self.is_leader() }
    }

    /// Everything that may draw an election timeout within `raft-rs` passes here.
    pub(super) fn with_node<T>(&mut self, call: impl FnOnce(&mut RawNode<Log>) -> T) -> T {
        let result = call(&mut self.node);
        self.keep_timeout();
        result
    }

    /// `raft-rs` draws election timeouts from the operating system, always with a change of term or role; ours replace them.
    fn keep_timeout(&mut self) {
        let seen = (self.node.raft.term, self.node.raft.state);
        if seen != self.seen {
            self.output.lost_leadership |= self.seen.1 == StateRole::Leader;
            self.seen = seen;
            self.election_timeout = election_timeout(&mut self.random);
        }
        self.node.raft.set_randomized_election_timeout(self.election_timeout);
    }

    pub(super) fn step_inner(&mut self, message: eraftpb::Message) {
        // Refused messages are lost ones: whoever sent them tries again.
        let _ = self.with_node(|node| node.step(message));
    }

    /// A leader whose first entry is undecided drops reads in `raft-rs`; they wait here instead.
    fn step_read(&mut self, message: eraftpb::Message) {
        if !self.is_leader() || self.node.raft.commit_to_current_term() {
            self.step_inner(message);
        } else if self.early_reads.len() < MAX_EARLY_READS {
            self.early_reads.push(message);
        }
    }

    fn has_leader(&self) -> Result<(), Dropped> {
        if self.node.raft.leader_id == 0 { Err(Dropped::NoLeader) } else { Ok(()) }
    }

    fn may_change(&self) -> Result<(), Dropped> {
        if !self.is_leader() {
            Err(Dropped::NotLeader)
        } else if self.node.raft.lead_transferee.is_some() {
            Err(Dropped::Transferring)
        } else if self.waiting.len() >= MAX_WAITING_CHANGES {
            Err(Dropped::Busy)
        } else {
            Ok(())
        }
    }
}

fn own_message(kind: MessageType, data: Bytes) -> eraftpb::Message {
    let entry = eraftpb::Entry { data, ..eraftpb::Entry::default() };
    let mut message = eraftpb::Message { entries: vec![entry].into(), ..eraftpb::Message::default() };
    message.set_msg_type(kind);
    message
}

fn member_progress(progress: &Progress) -> MemberProgress {
    MemberProgress { matched: progress.matched, active: progress.recent_active, in_snapshot: progress.pending_snapshot > 0 }
}
