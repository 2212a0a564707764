//! The loop over what `raft-rs` has ready.
//!
//! The driver makes a turn durable before anything of it leaves, so here everything counts as durable at once, and one
//! [`Group::take`] goes as far as it can: the only voter elects itself and commits within it.

use super::{
    convert::{entry_out, message_out, snapshot_out},
    group::Group,
    output::{Output, RaftWrite},
    parts::in_parts,
    stored::HardState,
};
use raft::{
    Ready,
    eraftpb::{self, Entry, EntryType},
};
use std::mem;

impl Group {
    /// Everything that came of the calls since the last time.
    pub fn take(&mut self) -> Output {
        loop {
            self.settle();
            self.release_early_reads();
            let proposed = self.propose_changes();
            if !proposed && !self.node.has_ready() {
                break;
            }
        }
        self.report();
        mem::take(&mut self.output)
    }

    /// An election must not begin over entries that do not count as durable: `raft-rs` asserts it.
    pub(super) fn settle_log(&mut self) {
        let log = &self.node.raft.raft_log;
        if !log.unstable_entries().is_empty() || log.unstable_snapshot().is_some() {
            self.settle();
        }
    }

    /// `raft-rs` asserts that only a leader has messages after a ready is persisted, and that a leader is in its own
    /// configuration; so a ready is finished first, and then its entries are applied, which may end our leadership.
    fn settle(&mut self) {
        while self.node.has_ready() {
            let mut ready = self.node.ready();
            self.send(ready.take_messages());
            self.send(ready.take_persisted_messages());
            self.answer_reads(&mut ready);
            self.store(&mut ready);
            let committed = ready.take_committed_entries();
            let mut light = self.node.advance_append(ready);
            self.hard.commit = light.commit_index().unwrap_or(self.hard.commit);
            self.send(light.take_messages());
            self.apply(committed);
            self.apply(light.take_committed_entries());
            self.with_node(raft::RawNode::advance_apply);
        }
    }

    fn store(&mut self, ready: &mut Ready) {
        if let Some(hard) = ready.hs() {
            self.hard = HardState { term: hard.term, vote: self.names.host(hard.vote), commit: hard.commit };
        }
        if let Some(snapshot) = Some(ready.snapshot()).filter(|snapshot| !snapshot.is_empty()).and_then(snapshot_out) {
            self.output.gone.extend(&self.configuration().members() - &snapshot.configuration.members());
            self.node.mut_store().restore(snapshot.clone());
            snapshot.configuration.members().into_iter().for_each(|host| self.names.insert(host));
            self.configured = snapshot.index;
            self.output.configuration = Some(snapshot.configuration.clone());
            self.output.persist.push(RaftWrite::Snapshot(snapshot.clone()));
            self.output.snapshot = Some(snapshot);
        }
        let entries = ready.take_entries();
        if let Some(first) = entries.first().map(|entry| entry.index) {
            if self.node.mut_store().append(&entries) {
                self.output.persist.push(RaftWrite::Truncate { from: first });
            }
            self.output.persist.push(RaftWrite::Append(entries.into_iter().map(entry_out).collect()));
        }
    }

    /// A follower would pass on what it was sent by mistake; two that take each other for the leader would do so without end.
    fn send(&mut self, messages: Vec<eraftpb::Message>) {
        let me = self.node.raft.id;
        let own = messages.into_iter().filter(|message| message.from == me);
        self.output.send.extend(own.filter_map(|message| message_out(&self.names, message)).flat_map(in_parts));
    }

    fn answer_reads(&mut self, ready: &mut Ready) {
        let ours = [self.node.raft.id, self.session].map(u64::to_be_bytes).concat();
        for read in ready.take_read_states() {
            let context = read.request_ctx.strip_prefix(ours.as_slice()).and_then(|context| context.try_into().ok());
            self.output.reads.extend(context.map(|context| (u64::from_be_bytes(context), read.index)));
        }
    }

    /// The applied index moves after the configuration, so that a snapshot made in between has both of before.
    fn apply(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let (index, term) = (entry.index, entry.term);
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal => self.output.committed.push((index, term, entry.data)),
                EntryType::EntryConfChangeV2 => self.apply_change(&entry),
                EntryType::EntryConfChange => {}
            }
            self.node.mut_store().set_applied(index);
        }
    }

    fn release_early_reads(&mut self) {
        if !self.is_leader() {
            self.early_reads.clear();
        } else if self.node.raft.commit_to_current_term() {
            for read in mem::take(&mut self.early_reads) {
                self.step_inner(read);
            }
        }
    }

    /// What is said once a turn, however often it changed.
    fn report(&mut self) {
        let applied = self.node.store().applied();
        if self.hard != self.stored_hard {
            self.output.persist.push(RaftWrite::Hard(self.hard));
            self.stored_hard = self.hard;
        }
        if applied != self.stored_applied || self.output.configuration.is_some() {
            self.output.persist.push(RaftWrite::Applied { index: applied, configuration: self.output.configuration.clone() });
            self.stored_applied = applied;
        }
        let role = self.role();
        self.output.role = (role != self.reported).then_some(role);
        self.reported = role;
        if self.names.is_full() {
            self.forget_strangers();
        }
    }

    fn forget_strangers(&mut self) {
        let (me, vote, leader) = (self.me, self.hard.vote, self.reported.leader);
        let members = self.configuration().members();
        self.names.retain(|host| host == me || Some(host) == vote || Some(host) == leader || members.contains(&host));
    }
}
