//! Carries the machines' actions out in the world, as a node's core does, and hands them their events.

use crate::{
    statement,
    world::{
        Bits, Breach, Call, Entry, Exchanged, Node, Place, Process, Rule, Sample, Samples, Setup, Verb, World, host, member,
        peer, place, places,
    },
};
use group0_core::{
    discovery,
    group0::joining,
    ids::{GroupId, HostId, Incarnation},
    io::ExchangeReply,
    upgrade::{
        Stage, View,
        machine::{self, Comparison},
    },
};
use std::collections::BTreeSet;

/// The world while one move is carried out.
pub struct Glue<'a> {
    /// What is explored.
    pub setup: &'a Setup,
    /// Where it happens.
    pub world: &'a mut World,
}

impl Glue<'_> {
    /// Starts the process of a node from what is durable.
    pub fn start(&mut self, at: Place) {
        let process = Process::new(at, self.world.node(at), self.setup.peers.len());
        self.world.node_mut(at).process = Some(process);
        let node = self.world.node(at);
        let waits = node.is_fresh && self.setup.obeys(Rule::FirstBootWaits) || !node.ring.is_enabled;
        if waits || !self.world.is_in_service(at) {
            return;
        }
        let is_member = self.world.applied_members(at) & 1 << at != 0;
        if is_member || node.group.is_some() && !self.setup.obeys(Rule::MembershipIsAsked) {
            self.join(at, joining::Event::InConfiguration);
        }
        self.upgrade(at, machine::Event::Begin);
    }

    /// Steps the procedure of a node.
    pub fn upgrade(&mut self, at: Place, event: machine::Event) {
        let configuration = self.world.configuration(at);
        let node = self.world.node(at);
        let peers: BTreeSet<HostId> = places(node.ring.peers).map(host).collect();
        let configuration = node.group.map(|_| &configuration);
        let view = View { me: host(at), stage: node.stage, peers: &peers, gossip_members: &peers, configuration };
        let (next, actions) = machine::step(&self.world.process(at).upgrade, &view, event);
        self.world.process_mut(at).upgrade = next;
        for action in actions {
            self.perform(at, &action);
        }
        self.settle_aside(at);
    }

    fn perform(&mut self, at: Place, action: &machine::Action) {
        use machine::Action;
        match *action {
            Action::Abort => self.abort(at),
            Action::Ask(peer) => self.call(at, Verb::Ask, place(peer)),
            Action::Compare(peer) => self.call(at, Verb::Compare, place(peer)),
            Action::Reconcile(peer) => self.call(at, Verb::Reconcile, place(peer)),
            Action::Join => self.join(at, joining::Event::Begin),
            Action::Barrier => self.world.process_mut(at).barrier = Some(self.world.log.len()),
            Action::SubmitSurplus => self.submit_surplus(at, self.world.process(at).surplus),
            Action::SubmitSchema => self.submit_surplus(at, self.world.node(at).schema),
            Action::Enter { from, to } => self.enter(at, from, to),
            Action::Backoff => self.world.process_mut(at).backoff = self.setup.obeys(Rule::BackoffEnds),
            Action::ResetBackoff => {}
        }
    }

    /// Calls of joining are its own.
    fn abort(&mut self, at: Place) {
        let process = self.world.process_mut(at);
        process.calls.retain(|(verb, _), _| matches!(verb, Verb::Exchange | Verb::Modify));
        (process.barrier, process.submitted) = (None, None);
        // The node has one timer for the back-off, which belongs to the pass that is forgotten.
        process.backoff = false;
    }

    fn call(&mut self, at: Place, verb: Verb, to: Place) {
        let sampled = Samples::default().with(self.world.node(to).sample(verb));
        self.world.process_mut(at).calls.insert((verb, to), Call::Sampled(sampled));
    }

    /// The compare-and-set of the stage, and the ghost that watches S2.
    fn enter(&mut self, at: Place, from: Stage, to: Stage) {
        let stored = self.world.node(at).stage;
        if stored != from {
            return self.upgrade(at, machine::Event::Overruled(stored));
        }
        if stored == Stage::Recovery {
            self.world.broken = Some(Breach::MarkerOverwritten);
        }
        if to == Stage::UsePostRaft {
            self.judge_final(at);
        }
        let node = self.world.node_mut(at);
        (node.stage, node.reached) = (to, node.reached.max(to));
        if to == Stage::UsePostRaft {
            let process = self.world.process_mut(at);
            (process.backoff, process.surplus) = (false, 0);
            process.told.fill(Stage::UsePreRaft);
        }
        self.upgrade(at, machine::Event::Entered(to));
    }

    /// S2: a member is final, or all have been in `synchronize` and this node has all that the old way acknowledged. Who went into
    /// recovery after that does not count, nor what is acknowledged there; nor does one that has only been added, and serves nobody.
    fn may_be_final(&self, at: Place) -> bool {
        let others =
            || places(self.world.members(self.world.log.len())).filter(|other| *other != at).map(|other| self.world.node(other));
        let has_all = self.setup.may_recover() != 0 || self.world.acknowledged & !self.world.node(at).schema == 0;
        let is_synchronized = |node: &Node| match node.stage {
            Stage::Recovery => node.reached >= Stage::Synchronize,
            stage => stage == Stage::Synchronize,
        };
        others().any(|node| node.stage == Stage::UsePostRaft)
            || others().all(|node| node.is_fresh || is_synchronized(node)) && has_all
    }

    /// Nodes are final with grounds only, where everyone is in somebody's `system.peers`.
    pub fn judge_final(&mut self, at: Place) {
        if !self.setup.strangers && !self.may_be_final(at) {
            self.world.broken = Some(Breach::FinalTooEarly);
        }
    }

    /// What was set aside goes through the log once the node is final, and into the tables if the pass has failed.
    fn settle_aside(&mut self, at: Place) {
        let process = self.world.process(at);
        let rows = process.aside;
        if rows != 0 && !process.upgrade.sets_rows_aside() {
            self.world.process_mut(at).aside = 0;
            self.take_rows(at, rows);
        }
    }

    /// Rows that came by push.
    pub fn take_rows(&mut self, at: Place, rows: Bits) {
        if self.world.process(at).upgrade.sets_rows_aside() && self.setup.obeys(Rule::PushesAreSetAside) {
            self.world.process_mut(at).aside |= rows & !self.world.node(at).schema;
        } else if self.world.node(at).stage == Stage::UsePostRaft {
            self.propose_merge(rows & !self.world.node(at).schema);
        } else {
            self.world.node_mut(at).schema |= rows;
        }
    }

    /// What the log has already is not proposed again: it bounds the log, and is idempotent.
    fn propose_merge(&mut self, rows: Bits) {
        let fresh = rows & !self.world.logged_rows();
        if fresh != 0 {
            self.world.log.push(Entry::Merge(fresh));
        }
    }

    fn submit_surplus(&mut self, at: Place, rows: Bits) {
        self.propose_merge(rows);
        self.world.process_mut(at).submitted = Some(self.world.log.len());
    }

    /// An answer to the procedure arrives.
    pub fn answer(&mut self, at: Place, verb: Verb, from: Place, sample: Sample) {
        self.world.process_mut(at).calls.remove(&(verb, from));
        let Some((stage, schema)) = sample else {
            return self.upgrade(at, machine::Event::Silent(host(from), "silent".into()));
        };
        let stage = self.as_said(stage);
        match verb {
            Verb::Compare => self.compare(at, from, stage, schema),
            Verb::Reconcile => self.reconcile(at, stage, schema),
            _ => self.told(at, from, stage),
        }
    }

    /// A host has said its stage, asked or by its watch.
    pub fn told(&mut self, at: Place, from: Place, stage: Stage) {
        self.upgrade(at, machine::Event::Told(host(from), self.as_said(stage)));
    }

    fn as_said(&self, stage: Stage) -> Stage {
        match self.setup.off {
            Some(Rule::StagesAreTrue) => stage.max(Stage::Synchronize),
            Some(Rule::FinalIsBelieved) => stage.min(Stage::Synchronize),
            _ => stage,
        }
    }

    fn compare(&mut self, at: Place, from: Place, stage: Stage, schema: Bits) {
        let ours = self.world.node(at).schema;
        let comparison = if ours == schema || !self.setup.obeys(Rule::VersionsAreCompared) {
            Comparison::Equal(stage)
        } else if schema & !ours == 0 {
            Comparison::Behind(stage)
        } else {
            self.world.node_mut(at).schema |= schema;
            Comparison::Pulled
        };
        self.upgrade(at, machine::Event::Compared(host(from), comparison));
    }

    fn reconcile(&mut self, at: Place, stage: Stage, schema: Bits) {
        if stage != Stage::UsePostRaft {
            return self.upgrade(at, machine::Event::SurplusFailed("not final".into()));
        }
        let surplus = self.world.node(at).schema & !schema;
        self.world.node_mut(at).schema |= schema;
        self.world.process_mut(at).surplus = surplus;
        let noticed = surplus != 0 && self.setup.obeys(Rule::SurplusIsNoticed);
        self.upgrade(at, machine::Event::Reconciled(noticed));
    }

    /// Steps joining of a node, which knows at least whom `system.peers` knows.
    pub fn join(&mut self, at: Place, event: joining::Event) {
        if self.setup.enabling {
            let ring = places(self.world.node(at).ring.peers).map(peer).collect();
            self.step_joining(at, joining::Event::Discovery(discovery::Event::Asked(ring)));
        }
        self.step_joining(at, event);
    }

    fn step_joining(&mut self, at: Place, event: joining::Event) {
        let (next, actions) = joining::step(&self.world.process(at).joining, event);
        self.world.process_mut(at).joining = next;
        for action in actions {
            self.perform_join(at, action);
        }
    }

    fn perform_join(&mut self, at: Place, action: joining::Action) {
        use joining::Action;
        match action {
            Action::Persist(known) => self.world.node_mut(at).known = set_of(&known),
            Action::Exchange(_, to) => {
                let to = place(to.expect("every host of the model has a name"));
                self.world.process_mut(at).calls.insert((Verb::Exchange, to), Call::Exchange(None));
            }
            Action::Found => self.found(at),
            Action::Adopt { group, .. } => self.adopt(at, group),
            Action::Modify { member, .. } => {
                let process = self.world.process_mut(at);
                process.calls.retain(|(verb, _), _| *verb != Verb::Exchange);
                process.calls.insert((Verb::Modify, place(member.host)), Call::Modify(false));
            }
            Action::Backoff(_) => self.world.process_mut(at).join_backoff = true,
            Action::Joined => self.joined(at),
            Action::Fail(cause) => self.upgrade(at, machine::Event::Fatal(cause)),
        }
    }

    /// Id, role and bootstrap snapshot in one transaction.
    fn found(&mut self, at: Place) {
        let group = GroupId::of(u128::from(at) + 10);
        self.adopt(at, group);
        if self.world.broken.is_some() {
            return;
        }
        self.world.group = Some(group);
        if self.setup.obeys(Rule::FoundingIsWhole) {
            self.bootstrap(at);
        } else {
            self.world.process_mut(at).is_founding = true;
        }
    }

    /// The snapshot of a founder: the group has a member.
    pub fn bootstrap(&mut self, at: Place) {
        self.world.process_mut(at).is_founding = false;
        self.world.log = vec![Entry::Add(at)];
        if let Some(group) = self.world.group {
            self.join(at, joining::Event::Founded(group));
        }
    }

    fn adopt(&mut self, at: Place, group: GroupId) {
        self.world.node_mut(at).group = Some(group);
        if self.world.group.is_some_and(|other| other != group) {
            self.world.broken = Some(Breach::SecondGroup);
        }
    }

    /// Watches of the members begin.
    fn joined(&mut self, at: Place) {
        let process = self.world.process_mut(at);
        process.calls.clear();
        process.join_backoff = false;
        process.told.fill(Stage::UsePreRaft);
        self.upgrade(at, machine::Event::Joined);
    }

    /// A node takes part in the exchange of `at`, and answers if it may.
    pub fn serve_exchange(&mut self, at: Place, by: Place) {
        if self.world.node(by).is_fresh && self.setup.obeys(Rule::FirstBootWaits) || !self.world.is_in_service(by) {
            return self.answer_exchange(at, by, Exchanged::Nothing);
        }
        let list = self.world.process(at).joining.discovery().known();
        self.join(by, joining::Event::Discovery(discovery::Event::Asked(list)));
        let Some(reply) = self.exchange_reply(by) else { return };
        self.world.process_mut(at).calls.insert((Verb::Exchange, by), Call::Exchange(Some(reply)));
        if !self.setup.stale_answers {
            self.answer_exchange(at, by, reply);
        }
    }

    /// `None`: the answer is held, by whom may lead until it has decided.
    fn exchange_reply(&self, by: Place) -> Option<Exchanged> {
        let discovery = self.world.process(by).joining.discovery();
        let list = Exchanged::Peers(set_of(&discovery.known()));
        match self.world.node(by).group {
            Some(group) if self.world.applied_members(by) & 1 << by != 0 => Some(Exchanged::Group(group)),
            Some(_) => Some(if self.setup.obeys(Rule::LeaderIsSilent) { Exchanged::Nothing } else { list }),
            None => (!discovery.may_lead()).then_some(list),
        }
    }

    /// A reply to an exchange arrives.
    pub fn answer_exchange(&mut self, at: Place, from: Place, reply: Exchanged) {
        self.world.process_mut(at).calls.remove(&(Verb::Exchange, from));
        let is_final = self.world.node(from).stage == Stage::UsePostRaft;
        let reply = match reply {
            Exchanged::Nothing => ExchangeReply::Nothing,
            Exchanged::Group(group) => {
                ExchangeReply::Group { group, incarnation: Incarnation(1), member: member(from), is_final }
            }
            Exchanged::Peers(known) => ExchangeReply::Peers(places(known).map(peer).collect()),
        };
        let event = discovery::Event::Answered { address: peer(from).address, from: host(from), reply };
        self.join(at, joining::Event::Discovery(event));
    }

    /// A member has the leader add `at`.
    pub fn serve_modify(&mut self, at: Place, by: Place) {
        if self.world.members(self.world.log.len()) & 1 << at == 0 {
            self.world.log.push(Entry::Add(at));
        }
        self.world.process_mut(at).calls.insert((Verb::Modify, by), Call::Modify(true));
        if !self.setup.stale_answers {
            self.answer_modify(at, by, Ok(()));
        }
    }

    /// A reply to a membership change arrives.
    pub fn answer_modify(&mut self, at: Place, from: Place, outcome: Result<(), joining::ModifyFailure>) {
        self.world.process_mut(at).calls.remove(&(Verb::Modify, from));
        self.join(at, joining::Event::Modified(outcome));
    }

    /// The next entry of the log is applied.
    pub fn apply(&mut self, at: Place) {
        let index = self.world.node(at).applied;
        let rows = self.world.rows(index);
        let node = self.world.node_mut(at);
        node.applied += 1;
        node.schema |= rows;
        match self.world.log[index] {
            Entry::Add(member) if member == at => self.join(at, joining::Event::InConfiguration),
            Entry::Ddl { .. } => statement::applied(self, at, index),
            _ => {}
        }
        self.upgrade(at, machine::Event::Changed);
    }
}

fn set_of(peers: &[group0_core::io::DiscoveryPeer]) -> Bits {
    peers.iter().filter_map(|peer| peer.host).fold(0, |set, host| set | 1 << place(host))
}
