//! The smallest world that obeys a planner: nodes as plain values, changed only by commands of the transcript.

use group0_operator::{
    crd::{ClusterRef, Group0UpgradeSpec},
    observe::{Group, HostId, NodeSeen, NodeView, Observation, Part, Peer, Pod, PodName, PodState, Procedure, UpgradeState},
    plan::{Action, Journal, Plan, plan},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, fmt::Write as _};
use uuid::Uuid;

const GROUP: Uuid = Uuid::from_u128(0x600);

pub struct World {
    spec: Group0UpgradeSpec,
    seen: Observation,
    journal: Journal,
    now: Timestamp,
    planned: Vec<Action>,
}

impl Default for World {
    fn default() -> Self {
        let cluster_ref =
            ClusterRef { stateful_sets: vec!["db".into()], container: "node".into(), admin_port: 7001, tls_secret_ref: None };
        let spec = Group0UpgradeSpec::new_for(cluster_ref);
        Self {
            spec,
            seen: Observation { nodes: BTreeMap::new() },
            journal: Journal::begin("run".into(), Timestamp::UNIX_EPOCH),
            now: Timestamp::UNIX_EPOCH,
            planned: Vec::new(),
        }
    }
}

impl World {
    /// Carries out one command and returns what it prints.
    pub fn obey(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["cluster", count] => self.cluster(count.parse().unwrap()),
            ["plan"] => return self.plan(),
            ["do"] => self.perform(),
            ["advance", seconds] => self.now += SignedDuration::from_secs(seconds.parse().unwrap()),
            ["spec", "paused", value] => self.spec.paused = value.parse().unwrap(),
            ["spec", "bake", seconds] => self.spec.pacing.bake_seconds = seconds.parse().unwrap(),
            ["spec", "between", seconds] => self.spec.pacing.min_seconds_between_nodes = seconds.parse().unwrap(),
            ["up", node] => self.up(node),
            ["final", node] => self.become_final(node),
            ["down", node, why @ ..] => self.pod(node).state = PodState::Down(why.join(" ")),
            ["unready", node, why @ ..] => self.node(node).ready = Err(why.join(" ")),
            ["unknown", node, why @ ..] => self.view(node).node = Part::Unknown(why.join(" ")),
            ["unknown-pod", node, why @ ..] => self.view(node).pod = Part::Unknown(why.join(" ")),
            ["stale", node, seconds] => self.stale(node, seconds.parse().unwrap()),
            ["state", node, state] => self.node(node).state = UpgradeState::from(*state),
            ["clock", node, millis] => self.node(node).clock_offset = SignedDuration::from_millis(millis.parse().unwrap()),
            ["release", node, release] => self.node(node).release = (*release).into(),
            ["sees", node, other, up] => self.peer(node, other).up = up.parse().unwrap(),
            ["pulled", node, other, generation] => {
                self.peer(node, other).pulled_from_generation = generation.parse().unwrap();
            }
            ["enabled", node] => self.node(node).feature_enabled = true,
            ["running", node, step @ ..] => {
                let since = self.now;
                self.node(node).procedure = Procedure::Running { step: step.join(" "), waiting: Vec::new(), since };
            }
            ["failed", node, cause @ ..] => {
                self.node(node).procedure = Procedure::Failed { step: "step".into(), cause: cause.join(" ") };
            }
            other => panic!("unknown command {other:?}"),
        }
        String::new()
    }

    fn cluster(&mut self, count: u32) {
        let names: Vec<_> = (0..count).map(|ordinal| PodName::new(0, "db", ordinal)).collect();
        for name in &names {
            let peers = names.iter().filter(|other| *other != name).map(|other| (host(other), peer(1))).collect();
            let view = NodeView { pod: known(new_pod(1, false, self.now)), node: known(new_node(name, peers)) };
            self.seen.nodes.insert(name.clone(), view);
        }
    }

    fn plan(&mut self) -> String {
        let Plan { actions, journal, report, next_look } = plan(&self.spec, &self.seen, &self.journal, self.now);
        let mut text = format!("{}, look again in {} s\n", report.phase, next_look.duration_since(self.now).as_secs());
        if self.journal.point_of_no_return_at != journal.point_of_no_return_at {
            text += "  journal: point of no return\n";
        }
        for action in &actions {
            writeln!(text, "  do: {action}").unwrap();
        }
        for why in &report.waiting {
            writeln!(text, "  wait: {}: {why}", why.reason()).unwrap();
        }
        self.journal = journal;
        self.planned = actions;
        text
    }

    /// What was planned happens: a restarted node has a new generation, and nobody knows it yet.
    fn perform(&mut self) {
        for action in std::mem::take(&mut self.planned) {
            match action {
                Action::Recreate { node, flag, hold, .. } => {
                    let uid = self.pod(&node.name).uid.parse::<u64>().unwrap() + 1;
                    let pod = Pod { hold, ..new_pod(uid, flag, self.now) };
                    self.view(&node.name).pod = known(pod);
                    self.view(&node.name).node = Part::Unknown("connection refused".into());
                }
                Action::Proceed { node } => self.node(&node.name).proceed = true,
                Action::RetryUpgrade { node } => self.node(&node.name).procedure = Procedure::Idle,
            }
        }
    }

    /// The node answers in its present start, all see it, and all have exchanged schemas with it.
    fn up(&mut self, name: &str) {
        let (name, pod) = (self.name(name), self.pod(name).clone());
        let generation = pod.uid.parse().unwrap();
        let mut peers = BTreeMap::new();
        for (other, view) in self.seen.nodes.iter_mut().filter(|(other, _)| **other != name) {
            if let Part::Known { value: node, .. } = &mut view.node {
                peers.insert(host(other), peer(node.generation));
                node.peers.insert(host(&name), peer(generation));
            }
        }
        let node = NodeSeen { generation, flag: pod.flag, held: pod.hold, ..new_node(&name, peers) };
        self.pod(&name.name).state = PodState::Running;
        self.view(&name.name).node = known(node);
    }

    fn become_final(&mut self, name: &str) {
        let voters = self.seen.nodes.keys().map(host).collect();
        let node = self.node(name);
        node.state = UpgradeState::PostRaft;
        node.procedure = Procedure::Done;
        node.group = Some(Group { id: GROUP, leader: None, voters, joint: false });
    }

    fn stale(&mut self, name: &str, seconds: i64) {
        if let Part::Known { age, .. } = &mut self.view(name).node {
            *age = SignedDuration::from_secs(seconds);
        }
    }

    fn name(&self, name: &str) -> PodName {
        self.seen.nodes.keys().find(|known| known.name == name).unwrap().clone()
    }

    fn view(&mut self, name: &str) -> &mut NodeView {
        let name = self.name(name);
        self.seen.nodes.get_mut(&name).unwrap()
    }

    fn pod(&mut self, name: &str) -> &mut Pod {
        value(&mut self.view(name).pod)
    }

    fn node(&mut self, name: &str) -> &mut NodeSeen {
        value(&mut self.view(name).node)
    }

    fn peer(&mut self, name: &str, other: &str) -> &mut Peer {
        let other = host(&self.name(other));
        self.node(name).peers.get_mut(&other).unwrap()
    }
}

fn value<T>(part: &mut Part<T>) -> &mut T {
    match part {
        Part::Known { value, .. } => value,
        Part::Unknown(why) => panic!("unknown: {why}"),
    }
}

fn known<T>(value: T) -> Part<T> {
    Part::Known { value, age: SignedDuration::ZERO }
}

fn host(name: &PodName) -> HostId {
    HostId(Uuid::from_u128(u128::from(name.ordinal) + 1))
}

fn peer(generation: u64) -> Peer {
    Peer { up: true, status: "NORMAL".into(), generation, pulled_from_generation: generation }
}

fn new_pod(uid: u64, flag: bool, since: Timestamp) -> Pod {
    Pod { uid: uid.to_string(), state: PodState::Running, since, flag, hold: flag }
}

fn new_node(name: &PodName, peers: BTreeMap<HostId, Peer>) -> NodeSeen {
    NodeSeen {
        sequence: 1,
        host: host(name),
        generation: 1,
        release: "0.1.0".into(),
        clock_offset: SignedDuration::ZERO,
        ready: Ok(()),
        bootstrapped: Ok(()),
        flag: false,
        proceed: false,
        held: false,
        feature_enabled: false,
        state: UpgradeState::PreRaft,
        procedure: Procedure::Idle,
        group: None,
        schema_version: String::new(),
        peers,
        figures: None,
        epoch: 0,
        disk_free: None,
    }
}
