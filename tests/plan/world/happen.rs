//! What happens to one node, its pod and its peers.

use super::{GROUP, World, grow_old, host, known, new_node, peer};
use group0_operator::observe::{Group, HostId, Machine, NodeSeen, Part, Peer, PodState, Position, Procedure, UpgradeState};
use k8s_openapi::jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl World {
    /// What happens to one node.
    pub fn happen(&mut self, verb: &str, node: &str, rest: &[&str]) {
        match (verb, rest) {
            ("up", []) => self.up(node),
            ("final", []) => self.become_final(node),
            ("joined", []) => self.join(node),
            ("down", why) => self.pod(node).state = PodState::Down(why.join(" ")),
            ("broken", why) => self.pod(node).state = PodState::Broken(why.join(" ")),
            ("changing", []) => self.pod(node).state = PodState::Changing,
            ("ending", []) => self.pod(node).state = PodState::Ending,
            ("running", []) => self.pod(node).state = PodState::Running,
            ("remade", []) => self.remake(node),
            ("unread", []) => self.node(node).flag = false,
            ("unready", why) => self.node(node).ready = Err(why.join(" ")),
            ("ready", []) => self.node(node).ready = Ok(()),
            ("unknown", why) => self.silence(node, why.join(" ")),
            ("unknown-pod", why) => self.view(node).pod = Part::Unknown(why.join(" ")),
            ("stale", [seconds]) => grow_old(&mut self.view(node).node, seconds),
            ("stale-pod", [seconds]) => grow_old(&mut self.view(node).pod, seconds),
            ("older", []) => self.node(node).sequence -= 1,
            ("older-pod", []) => self.pod(node).version -= 1,
            ("state", [state]) => {
                let node = self.node(node);
                node.state = UpgradeState::from(*state);
                node.evidence.in_recovery = node.state == UpgradeState::Recovery;
            }
            ("clock", [millis]) => self.node(node).clock_offset = SignedDuration::from_millis(millis.parse().unwrap()),
            ("disk", [bytes]) => self.node(node).disk_free = Some(bytes.parse().unwrap()),
            ("release", [release]) => self.node(node).release = (*release).into(),
            ("version", [version]) => self.node(node).schema_version = (*version).into(),
            ("claimed", [epoch]) => self.node(node).epoch = epoch.parse().unwrap(),
            ("proceeded", []) => self.node(node).proceed = true,
            ("unflagged", []) => (self.pod(node).flag, self.pod(node).hold) = (false, false),
            ("unheld", []) => (self.pod(node).flag, self.pod(node).hold) = (true, false),
            ("held", []) => self.node(node).proceed = false,
            ("volume-gone", []) => self.pod(node).volume_gone = true,
            ("volume-there", []) => self.pod(node).volume_gone = false,
            ("machine-gone", []) => self.pod(node).machine = Machine::Gone,
            ("out-of-service", []) => self.pod(node).machine = Machine::OutOfService,
            ("volume-out-of-service", []) => self.pod(node).machine = Machine::OutOfServiceForItsVolume,
            ("machine-there", []) => self.pod(node).machine = Machine::There,
            ("cut-off", []) => self.cut_off(node),
            ("lost", why) => self.lose(node, &why.join(" ")),
            ("fresh", []) => self.fresh(node),
            ("joined-fresh", []) => self.join_fresh(node),
            ("back", []) => self.come_back(node),
            ("answers", []) => self.answer(node),
            ("foreign-group", []) => self.be_in(node, super::recover::NEW_GROUP),
            ("own-group", []) => self.be_in(node, GROUP),
            ("marked", []) => self.node(node).evidence.recovery_stored = true,
            ("unjoined", []) => self.node(node).bootstrapped = Err("joining".into()),
            ("log", [term, index, commit]) => {
                let evidence = &mut self.node(node).evidence;
                evidence.last = Position { term: term.parse().unwrap(), index: index.parse().unwrap() };
                evidence.commit = commit.parse().unwrap();
            }
            ("heard", [other, seconds]) => {
                let other = host(&self.name(other));
                self.node(node).evidence.heard.insert(other, SignedDuration::from_secs(seconds.parse().unwrap()));
            }
            ("restarted", []) => self.restart(node),
            ("retried", [times]) => {
                let name = self.name(node);
                self.journal.nodes.entry(name).or_default().retries = times.parse().unwrap();
            }
            ("newer", []) => self.node(node).sequence += 1,
            ("newer-pod", []) => self.pod(node).version += 1,
            ("knows", [other, generation]) => self.peer(node, other).generation = generation.parse().unwrap(),
            ("sees", [other, up]) => self.peer(node, other).up = up.parse().unwrap(),
            ("pulled", [other, generation]) => self.peer(node, other).pulled_from_generation = generation.parse().unwrap(),
            ("does-not-know", [other]) => {
                let other = host(&self.name(other));
                self.node(node).peers.remove(&other);
            }
            ("remembers", [other]) => {
                let other = host(&self.name(other));
                self.node(node).peers.insert(other, Peer { up: false, ..peer(1) });
            }
            ("other-plan", [number]) => self.store_other_plan(node, number.parse().unwrap()),
            ("joining", [other]) => self.peer(node, other).status = "JOINING".into(),
            ("groupless", []) => {
                let node = self.node(node);
                (node.group, node.evidence.group) = (None, None);
                (node.evidence.last, node.evidence.commit) = (Position::default(), 0);
            }
            ("enabled", []) => self.node(node).feature_enabled = true,
            ("leads", []) => self.lead(node),
            ("non-voter", [host]) => self.add_non_voter(node, host),
            ("step", [step, waiting @ ..]) => {
                let since = self.now;
                let waiting = if waiting.is_empty() { Vec::new() } else { vec![waiting.join(" ")] };
                self.node(node).procedure = Procedure::Running { step: (*step).into(), waiting, since };
            }
            ("failed", cause) => {
                self.node(node).procedure = Procedure::Failed { step: "step".into(), cause: cause.join(" ") };
            }
            other => panic!("unknown command {other:?}"),
        }
    }

    /// It does not answer any more; what it says remains.
    fn silence(&mut self, node: &str, why: String) {
        if let Some(said) = self.view(node).node.known().cloned() {
            self.silenced.insert(node.to_owned(), said);
        }
        self.view(node).node = Part::Unknown(why);
    }

    /// Nobody but those who are cut off with it can reach it, and its machine is deleted from Kubernetes.
    fn cut_off(&mut self, name: &str) {
        let cut_off = host(&self.name(name));
        self.pod(name).machine = Machine::Gone;
        self.pod(name).state = PodState::Down("its machine does not answer".into());
        self.view(name).node = Part::Unknown("no route to host".into());
        for view in self.seen.nodes.values_mut() {
            if let Part::Known { value: node, .. } = &mut view.node
                && let Some(peer) = node.peers.get_mut(&cut_off)
            {
                peer.up = false;
            }
        }
    }

    /// Its process was restarted in the same pod.
    pub fn restart(&mut self, name: &str) {
        let uid = self.pod(name).uid.parse::<u64>().unwrap() + 1;
        self.pod(name).uid = uid.to_string();
        self.up(name);
        self.start_as_stored(name);
    }

    /// The node answers in its present start, all see it, and all have exchanged schemas with it.
    pub fn up(&mut self, name: &str) {
        let (name, pod) = (self.name(name), self.pod(name).clone());
        let before = self.view(&name.name).node.known().cloned();
        let generation = pod.uid.parse().unwrap();
        let own = before.as_ref().map_or_else(|| host(&name), |node| node.host);
        let removed = before.as_ref().map(|node| node.evidence.removed.clone()).unwrap_or_default();
        let mut peers = BTreeMap::new();
        for (_, view) in self.seen.nodes.iter_mut().filter(|(other, _)| **other != name) {
            if let Part::Known { value: node, .. } = &mut view.node
                && node.bootstrapped.is_ok()
                && !removed.contains(&node.host)
                && !node.evidence.removed.contains(&own)
            {
                peers.insert(node.host, peer(node.generation));
                node.peers.insert(own, peer(generation));
            }
        }
        let epoch = self.journal.epoch;
        let fresh =
            NodeSeen { generation, sequence: generation * 100, flag: pod.flag, held: pod.hold, epoch, ..new_node(&name, peers) };
        let node = match before {
            Some(before) => {
                let NodeSeen { state, group, feature_enabled, schema_version, evidence, peers, .. } = before;
                let mut node = NodeSeen { state, group, feature_enabled, schema_version, evidence, ..fresh };
                let lost =
                    peers.into_iter().filter(|(host, _)| !node.peers.contains_key(host) && !node.evidence.removed.contains(host));
                let lost: Vec<_> = lost.map(|(host, peer)| (host, Peer { up: false, ..peer })).collect();
                node.peers.extend(lost);
                node
            }
            None => fresh,
        };
        self.pod(&name.name).state = PodState::Running;
        self.view(&name.name).node = known(node);
    }

    /// Whatever it has stored, and takes part in if it does in any.
    fn be_in(&mut self, name: &str, id: Uuid) {
        let node = self.node(name);
        node.evidence.group = Some(id);
        node.group.iter_mut().for_each(|group| group.id = id);
    }

    fn become_final(&mut self, name: &str) {
        self.join(name);
        let node = self.node(name);
        node.state = UpgradeState::PostRaft;
        node.procedure = Procedure::Done;
    }

    pub fn join(&mut self, name: &str) {
        let voters = self.seen.nodes.keys().map(host).collect();
        let leader = Some(host(self.seen.nodes.keys().next().unwrap()));
        let node = self.node(name);
        node.group = Some(Group {
            id: GROUP,
            leader,
            voters,
            learners: BTreeSet::new(),
            joint: false,
            commit: 7,
            state_id: String::new(),
        });
        node.evidence.group = Some(GROUP);
        (node.evidence.last, node.evidence.commit) = (Position { term: 2, index: 7 }, 7);
    }

    /// A host that is to be seen in no pod is a member there, without a vote.
    fn add_non_voter(&mut self, name: &str, host: &str) {
        let host = HostId(Uuid::from_u128(host.parse().unwrap()));
        self.node(name).group.as_mut().unwrap().learners.insert(host);
    }

    /// Only this one is known to lead; the others know nobody.
    fn lead(&mut self, name: &str) {
        let leader = host(&self.name(name));
        for view in self.seen.nodes.values_mut() {
            if let Part::Known { value: node, .. } = &mut view.node
                && let Some(group) = &mut node.group
            {
                group.leader = (node.host == leader).then_some(leader);
            }
        }
    }
}
