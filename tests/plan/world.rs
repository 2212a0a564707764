//! The smallest world that obeys a planner: nodes as plain values, changed only by commands of the transcript.

use group0_operator::{
    crd::{ClusterRef, ConfirmedDead, Group0UpgradeSpec, GuardOverride, Mode, Weekday, Window},
    observe::{
        Group, HostId, Machine, NodeSeen, NodeView, Object, Observation, Owner, Part, Peer, Pod, PodName, PodState, Procedure,
        Set, UpgradeState,
    },
    plan::{Action, Intent, Journal, Plan, check, plan},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
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
        let seen = Observation {
            object: Object { uid: "own-uid".into(), generation: 1 },
            sets: vec![known(new_set("db", 0))],
            budgets: known(vec!["db".into()]),
            nodes: BTreeMap::new(),
        };
        Self {
            spec: Group0UpgradeSpec::new_for(cluster_ref),
            seen,
            journal: Journal { epoch: 1, ..Journal::begin("run".into(), Timestamp::UNIX_EPOCH) },
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
            ["cluster", counts @ ..] => self.cluster(&counts.iter().map(|count| count.parse().unwrap()).collect::<Vec<_>>()),
            ["plan"] => return self.plan(false),
            ["outlook"] => return self.plan(true),
            ["do"] => self.perform(),
            ["run"] => return self.run(),
            ["advance", seconds] => self.now += SignedDuration::from_secs(seconds.parse().unwrap()),
            ["spec", field, value @ ..] => self.edit(field, &value.join(" ")),
            ["epoch", epoch] => self.journal.epoch = epoch.parse().unwrap(),
            ["intent", epoch] => self.intend(epoch.parse().unwrap()),
            ["set", name, field, value @ ..] => self.change_set(name, field, &value.join(" ")),
            ["budgets", budgets @ ..] => self.seen.budgets = known(budgets.iter().map(|name| (*name).to_owned()).collect()),
            ["foreign", node] => drop(self.node(node).peers.insert(HostId(Uuid::from_u128(0xf)), peer(1))),
            [verb, node, rest @ ..] => self.happen(verb, node, rest),
            other => panic!("unknown command {other:?}"),
        }
        String::new()
    }

    /// What a person writes into spec.
    fn edit(&mut self, field: &str, value: &str) {
        self.seen.object.generation += 1;
        let seconds = || std::time::Duration::from_secs(value.parse().unwrap()).into();
        match field {
            "paused" => self.spec.paused = value.parse().unwrap(),
            "dryRun" => self.spec.dry_run = value.parse().unwrap(),
            "cancel" => self.spec.cancel = value.parse().unwrap(),
            "bake" => self.spec.pacing.bake_seconds = value.parse().unwrap(),
            "between" => self.spec.pacing.min_seconds_between_nodes = value.parse().unwrap(),
            "podReady" => self.spec.deadlines.pod_ready = seconds(),
            "noProgress" => self.spec.deadlines.no_progress = seconds(),
            "rpc" => self.spec.deadlines.rpc = seconds(),
            "deadAfter" => self.spec.recovery.dead_after = seconds(),
            "supervised" => self.spec.mode = Mode::Supervised,
            "approve" => self.spec.approved_run_id = Some(value.into()),
            "backup" => self.spec.backup.enabled = value.parse().unwrap(),
            "touch" => {}
            "confirmDead" => {
                let host_id = host(&self.name(value)).to_string();
                self.spec.recovery.confirm_dead.push(ConfirmedDead { host_id, reason: "it burnt".into() });
            }
            "window" => {
                let (start, end) = value.split_once('-').unwrap();
                let days = vec![Weekday::Thursday];
                self.spec.window = Some(Window { days, start: start.into(), end: end.into(), time_zone: "UTC".into() });
            }
            "override" => {
                let (guard, until) = value.split_once(' ').unwrap();
                let expires_at = Time(Timestamp::from_second(until.parse().unwrap()).unwrap());
                self.spec.overrides.push(GuardOverride { guard: guard.into(), reason: "I know why".into(), expires_at });
            }
            other => panic!("unknown field {other}"),
        }
    }

    /// What happens to one node.
    fn happen(&mut self, verb: &str, node: &str, rest: &[&str]) {
        match (verb, rest) {
            ("up", []) => self.up(node),
            ("final", []) => self.become_final(node),
            ("joined", []) => self.join(node),
            ("down", why) => self.pod(node).state = PodState::Down(why.join(" ")),
            ("broken", why) => self.pod(node).state = PodState::Broken(why.join(" ")),
            ("running", []) => self.pod(node).state = PodState::Running,
            ("unready", why) => self.node(node).ready = Err(why.join(" ")),
            ("ready", []) => self.node(node).ready = Ok(()),
            ("unknown", why) => self.view(node).node = Part::Unknown(why.join(" ")),
            ("unknown-pod", why) => self.view(node).pod = Part::Unknown(why.join(" ")),
            ("stale", [seconds]) => self.stale(node, seconds.parse().unwrap()),
            ("older", []) => self.node(node).sequence -= 1,
            ("older-pod", []) => self.pod(node).version -= 1,
            ("state", [state]) => self.node(node).state = UpgradeState::from(*state),
            ("clock", [millis]) => self.node(node).clock_offset = SignedDuration::from_millis(millis.parse().unwrap()),
            ("disk", [bytes]) => self.node(node).disk_free = Some(bytes.parse().unwrap()),
            ("release", [release]) => self.node(node).release = (*release).into(),
            ("version", [version]) => self.node(node).schema_version = (*version).into(),
            ("claimed", [epoch]) => self.node(node).epoch = epoch.parse().unwrap(),
            ("proceeded", []) => self.node(node).proceed = true,
            ("unflagged", []) => (self.pod(node).flag, self.pod(node).hold) = (false, false),
            ("unheld", []) => (self.pod(node).flag, self.pod(node).hold) = (true, false),
            ("volume-gone", []) => self.pod(node).volume_gone = true,
            ("machine-gone", []) => self.pod(node).machine = Machine::Gone,
            ("out-of-service", []) => self.pod(node).machine = Machine::OutOfService,
            ("sees", [other, up]) => self.peer(node, other).up = up.parse().unwrap(),
            ("pulled", [other, generation]) => self.peer(node, other).pulled_from_generation = generation.parse().unwrap(),
            ("enabled", []) => self.node(node).feature_enabled = true,
            ("leads", []) => self.lead(node),
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

    /// Racks with so many pods each.
    fn cluster(&mut self, counts: &[u32]) {
        let set = |rack: usize| if counts.len() == 1 { "db".to_owned() } else { format!("rack{rack}") };
        let all = counts.iter().enumerate().flat_map(|(rack, count)| (0..*count).map(move |ordinal| (rack, ordinal)));
        let names: Vec<_> = all.map(|(rack, ordinal)| PodName::new(rack, &set(rack), ordinal)).collect();
        self.spec.cluster_ref.stateful_sets = (0..counts.len()).map(set).collect();
        self.seen.sets = counts.iter().enumerate().map(|(rack, count)| known(new_set(&set(rack), *count))).collect();
        for name in &names {
            let peers = names.iter().filter(|other| *other != name).map(|other| (host(other), peer(1))).collect();
            let view = NodeView { pod: known(new_pod(1, false, self.now)), node: known(new_node(name, peers)) };
            self.seen.nodes.insert(name.clone(), view);
        }
    }

    fn plan(&mut self, with_outlook: bool) -> String {
        let plan = plan(&self.spec, &self.seen, &self.journal, self.now);
        let violations = check::audit(&self.spec, &self.seen, &self.journal, &plan, self.now);
        let Plan { actions, journal, report, next_look, new_term, new_run } = plan;
        let mut text = format!("{}, look again in {} s\n", report.phase, next_look.duration_since(self.now).as_secs());
        if self.journal.point_of_no_return_at != journal.point_of_no_return_at {
            text += "  journal: point of no return\n";
        }
        if let Some(stall) = &report.stall {
            writeln!(text, "  stall: {}: {}", stall.class, stall.evidence).unwrap();
        }
        for action in &actions {
            writeln!(text, "  do: {action}").unwrap();
        }
        for why in &report.waiting {
            writeln!(text, "  wait: {}: {why}", why.reason()).unwrap();
        }
        for line in report.outlook.iter().filter(|_| with_outlook) {
            writeln!(text, "  plan: {line}").unwrap();
        }
        for entry in journal.overridden.iter().filter(|entry| !self.journal.overridden.contains(entry)) {
            writeln!(text, "  journal: let pass: {entry}").unwrap();
        }
        for violation in violations {
            writeln!(text, "  audit: {violation}").unwrap();
        }
        text += if new_term { "  a new term\n" } else { "" };
        text += if new_run { "  a new run\n" } else { "" };
        self.journal =
            if new_run { Journal { epoch: journal.epoch, ..Journal::begin("next".into(), self.now) } } else { journal };
        self.planned = actions;
        text
    }

    /// Plans and does, with every node coming back at once, until nothing more is done.
    fn run(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..100 {
            text += &self.plan(false);
            let taken: Vec<_> = self.planned.iter().filter_map(Action::disrupts).cloned().collect();
            if self.planned.is_empty() {
                return text;
            }
            self.perform();
            for name in taken {
                self.up(&name.name);
            }
        }
        panic!("it does not end:\n{text}");
    }

    /// What was planned happens: a restarted node has a new generation, and nobody knows it yet.
    fn perform(&mut self) {
        for action in std::mem::take(&mut self.planned) {
            match action {
                Action::Own { set, .. } => self.set(&set).owner = Some(Owner { uid: "own-uid".into(), exists: true }),
                Action::Disown { set, .. } => self.set(&set).owner = None,
                Action::TouchSet { set, .. } => self.set(&set).version += 1,
                Action::TouchPod { node, .. } => self.pod(&node.name).version += 1,
                Action::SetTemplate { set, flag, .. } => {
                    self.set(&set).flag = flag;
                    self.set(&set).version += 1;
                }
                Action::ClaimEpoch { node } => self.node(&node.name).epoch = self.journal.epoch,
                Action::Backup { node } => self.journal.nodes.get_mut(&node).unwrap().backed_up = true,
                Action::Recreate { node, .. } => {
                    let uid = self.pod(&node.name).uid.parse::<u64>().unwrap() + 1;
                    let set = self.seen.sets[node.rack].known().unwrap().clone();
                    let pod = Pod { template_hash: set.template_hash, ..new_pod(uid, set.flag, self.now) };
                    self.view(&node.name).pod = known(pod);
                    self.view(&node.name).node = Part::Unknown("connection refused".into());
                }
                Action::Restart { node, .. } => {
                    let uid = self.pod(&node.name).uid.parse::<u64>().unwrap() + 1;
                    self.pod(&node.name).uid = uid.to_string();
                    self.up(&node.name);
                }
                Action::Proceed { node } => self.node(&node.name).proceed = true,
                Action::RetryUpgrade { node } => self.node(&node.name).procedure = Procedure::Idle,
            }
        }
    }

    /// What was planned was begun in that epoch, and nobody knows what came of it.
    fn intend(&mut self, epoch: u64) {
        for action in std::mem::take(&mut self.planned) {
            self.journal.intents.push(Intent { action, epoch, at: self.now });
        }
    }

    fn change_set(&mut self, name: &str, field: &str, value: &str) {
        let set = self.set(name);
        set.version += 1;
        match field {
            "template" => set.template_hash = value.into(),
            "flag" => set.flag = value.parse().unwrap(),
            "replicas" => set.replicas = value.parse().unwrap(),
            "onDelete" => set.on_delete = value.parse().unwrap(),
            "parallel" => set.parallel = value.parse().unwrap(),
            "settled" => set.settled = value.parse().unwrap(),
            "owner" => set.owner = Some(Owner { uid: value.into(), exists: true }),
            "stale-owner" => set.owner = Some(Owner { uid: value.into(), exists: false }),
            "unknown" => {
                let place = self.seen.sets.iter().position(|set| set.known().is_some_and(|set| set.name == name)).unwrap();
                self.seen.sets[place] = Part::Unknown(value.into());
            }
            other => panic!("unknown field {other}"),
        }
    }

    /// The node answers in its present start, all see it, and all have exchanged schemas with it.
    fn up(&mut self, name: &str) {
        let (name, pod) = (self.name(name), self.pod(name).clone());
        let before = self.view(&name.name).node.known().cloned();
        let generation = pod.uid.parse().unwrap();
        let mut peers = BTreeMap::new();
        for (other, view) in self.seen.nodes.iter_mut().filter(|(other, _)| **other != name) {
            if let Part::Known { value: node, .. } = &mut view.node {
                peers.insert(host(other), peer(node.generation));
                node.peers.insert(host(&name), peer(generation));
            }
        }
        let epoch = self.journal.epoch;
        let fresh =
            NodeSeen { generation, sequence: generation * 100, flag: pod.flag, held: pod.hold, epoch, ..new_node(&name, peers) };
        let node = match before {
            Some(before) => {
                NodeSeen { state: before.state, group: before.group, feature_enabled: before.feature_enabled, ..fresh }
            }
            None => fresh,
        };
        self.pod(&name.name).state = PodState::Running;
        self.view(&name.name).node = known(node);
    }

    fn become_final(&mut self, name: &str) {
        self.join(name);
        let node = self.node(name);
        node.state = UpgradeState::PostRaft;
        node.procedure = Procedure::Done;
    }

    fn join(&mut self, name: &str) {
        let voters = self.seen.nodes.keys().map(host).collect();
        let leader = Some(host(self.seen.nodes.keys().next().unwrap()));
        self.node(name).group = Some(Group { id: GROUP, leader, voters, joint: false, commit: 7, state_id: String::new() });
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

    fn set(&mut self, name: &str) -> &mut Set {
        let sets = self.seen.sets.iter_mut();
        sets.filter_map(|part| if let Part::Known { value, .. } = part { Some(value) } else { None })
            .find(|set| set.name == name)
            .unwrap()
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
    HostId(Uuid::from_u128(u128::try_from(name.rack).unwrap() * 16 + u128::from(name.ordinal) + 1))
}

fn peer(generation: u64) -> Peer {
    Peer { up: true, status: "NORMAL".into(), generation, pulled_from_generation: generation }
}

fn new_pod(uid: u64, flag: bool, since: Timestamp) -> Pod {
    Pod {
        uid: uid.to_string(),
        version: uid * 10,
        state: PodState::Running,
        since,
        flag,
        hold: flag,
        template_hash: "v1".into(),
        machine: Machine::There,
        volume_gone: false,
    }
}

fn new_set(name: &str, replicas: u32) -> Set {
    Set {
        name: name.into(),
        version: 1,
        replicas,
        flag: false,
        template_hash: "v1".into(),
        on_delete: true,
        parallel: true,
        settled: true,
        owner: Some(Owner { uid: "own-uid".into(), exists: true }),
    }
}

fn new_node(name: &PodName, peers: BTreeMap<HostId, Peer>) -> NodeSeen {
    NodeSeen {
        sequence: 100,
        epoch: 1,
        disk_free: Some(1 << 30),
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
    }
}
