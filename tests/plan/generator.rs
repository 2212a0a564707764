//! Arbitrary specs, observations and journals. A case is read from a list of numbers, in which 0 always means the undisturbed
//! choice, so that a failing case shrinks towards a healthy cluster.

mod losses;

use crate::world::{host, known, new_node, new_pod, new_set, peer};
use group0_operator::{
    crd::{Backup, ClusterRef, ConfirmedDead, Deadlines, Group0UpgradeSpec, GuardOverride, Mode, Pacing, Window},
    observe::{
        Evidence, Group, HostId, Machine, NodeSeen, NodeView, Object, Observation, Owner, Part, Pod, PodName, PodState,
        Procedure, Set, UpgradeState,
    },
    plan::{Action, Halt, Intent, Journal, Progress, Remembered},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct Case {
    pub spec: Group0UpgradeSpec,
    pub seen: Observation,
    pub journal: Journal,
    pub now: Timestamp,
}

/// How far the cluster is: what is undisturbed depends on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Untouched,
    Rolling,
    Flagged,
    Begun,
    Forming,
    Final,
}

/// The numbers, and how seldom something is disturbed.
struct Choices {
    numbers: std::vec::IntoIter<u16>,
    seldom: u16,
    now: Timestamp,
}

pub fn case(numbers: Vec<u16>) -> Case {
    let now = Timestamp::from_second(10_000_000).unwrap();
    let mut choices = Choices { numbers: numbers.into_iter(), seldom: 1000, now };
    choices.seldom = choices.pick(&[1000, 100, 30, 8, 3]);
    choices.case()
}

/// The ailments that a restart may answer are of the whole cluster: node by node they would hardly ever be met.
fn all_failed(case: &mut Case) {
    let failed = Procedure::Failed { step: "join".into(), cause: "no space left".into() };
    each_node(case, |node| node.procedure = failed.clone());
    for node in case.journal.nodes.values_mut() {
        node.retries = 10;
    }
}

fn nobody_leads(case: &mut Case) {
    each_node(case, |node| node.group.iter_mut().for_each(|group| group.leader = None));
}

fn schemas_differ(case: &mut Case) {
    each_node(case, |node| (node.state, node.schema_version) = (UpgradeState::Synchronize, node.host.to_string()));
}

fn each_node(case: &mut Case, change: impl Fn(&mut NodeSeen)) {
    for view in case.seen.nodes.values_mut() {
        if let Part::Known { value, .. } = &mut view.node {
            change(value);
        }
    }
}

impl Choices {
    fn next(&mut self) -> u16 {
        self.numbers.next().unwrap_or_default()
    }

    fn below(&mut self, limit: u16) -> u16 {
        self.next() % limit
    }

    fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        let index = self.below(u16::try_from(values.len()).unwrap());
        values[usize::from(index)].clone()
    }

    fn odd(&mut self) -> bool {
        let seldom = self.seldom;
        self.below(seldom) == seldom - 1
    }

    /// The usual, seldom one of these.
    fn or<T: Clone>(&mut self, usual: T, odd: &[T]) -> T {
        if self.odd() { self.pick(odd) } else { usual }
    }

    /// Before and after now, near and far.
    fn time(&mut self) -> Timestamp {
        let seconds = self.pick(&[0, -1, -6, -200, -100_000, 1, 400, 100_000]);
        // Whole seconds, as every time of the API.
        let extremes = [Timestamp::UNIX_EPOCH, Timestamp::from_second(Timestamp::MAX.as_second()).unwrap()];
        let near = self.now + SignedDuration::from_secs(seconds);
        self.or(near, &extremes)
    }

    fn maybe_time(&mut self, is_there: bool) -> Option<Timestamp> {
        let time = self.time();
        let other = (!is_there).then_some(time);
        self.or(is_there.then_some(time), &[other])
    }

    fn part<T: Clone>(&mut self, value: T) -> Part<T> {
        let old = |seconds| Part::Known { value: value.clone(), age: SignedDuration::from_secs(seconds) };
        let others = [old(4), old(6), old(-1), Part::Unknown("connection refused".into())];
        self.or(known(value.clone()), &others)
    }

    fn case(&mut self) -> Case {
        let stages = [Stage::Rolling, Stage::Untouched, Stage::Flagged, Stage::Begun, Stage::Forming, Stage::Final];
        let stage = self.pick(&stages);
        let racks = usize::from(1 + self.below(2));
        let count = 1 + u32::from(self.below(5));
        let name = |index: u32| {
            let rack = usize::try_from(index).unwrap() % racks;
            PodName::new(rack, ["db", "rack1"][rack], index / u32::try_from(racks).unwrap())
        };
        let names: Vec<_> = (0..count).map(name).collect();
        let spec = self.spec(racks, &names);
        let epoch = 1 + u64::from(self.below(3));
        let seen = self.observation(stage, racks, &names, epoch);
        let journal = self.journal(stage, &seen, epoch);
        let mut case = Case { spec, seen, journal, now: self.now };
        if stage == Stage::Forming {
            let ailments: [fn(&mut Case); 4] = [|_| {}, all_failed, nobody_leads, schemas_differ];
            self.pick(&ailments)(&mut case);
        }
        if stage >= Stage::Begun && self.below(2) == 1 {
            self.losses(&mut case);
        }
        case
    }

    fn spec(&mut self, racks: usize, names: &[PodName]) -> Group0UpgradeSpec {
        let stateful_sets = ["db", "rack1"][..racks].iter().map(|&name| name.into()).collect();
        let cluster_ref = ClusterRef { stateful_sets, container: "node".into(), admin_port: 7001, tls_secret_ref: None };
        let mut spec = Group0UpgradeSpec::new_for(cluster_ref);
        spec.paused = self.or(false, &[true]);
        spec.dry_run = self.or(false, &[true]);
        spec.cancel = self.or(false, &[true]);
        spec.mode = self.or(Mode::Automatic, &[Mode::Supervised]);
        spec.approved_run_id = self.or(None, &[Some("run".into()), Some("other".into())]);
        let seconds = [0, 1, 10, 86400];
        spec.pacing = Pacing { min_seconds_between_nodes: self.or(0, &seconds), bake_seconds: self.or(0, &seconds) };
        let window =
            |start: &str, end: &str| Window { days: Vec::new(), start: start.into(), end: end.into(), time_zone: "UTC".into() };
        spec.window =
            self.or(None, &[Some(window("17:00", "18:00")), Some(window("22:00", "04:00")), Some(window("no", "hour"))]);
        let durations = [0, 1, 60, u64::MAX].map(Duration::from_secs);
        let usual = Deadlines::default();
        spec.deadlines = Deadlines {
            pod_ready: self.or(usual.pod_ready.into(), &durations).into(),
            no_progress: self.or(usual.no_progress.into(), &durations).into(),
            rpc: self.or(usual.rpc.into(), &durations).into(),
        };
        let guards = ["OneBudget", "TemplateChanged", "OnDelete", "Scaling", "ClockOff", "NodesReachable", "ClusterTaken"];
        for guard in guards {
            if self.odd() {
                let entry = GuardOverride { guard: guard.into(), reason: "r".repeat(1024), expires_at: Time(self.time()) };
                spec.overrides.push(entry);
            }
        }
        spec.backup = Backup { enabled: self.or(true, &[false]), ..Backup::default() };
        spec.recovery.dead_after = self.or(Duration::from_mins(5), &durations).into();
        let dead = names.iter().filter(|_| self.odd());
        spec.recovery.confirm_dead =
            dead.map(|name| ConfirmedDead { host_id: host(name).to_string(), reason: "it burnt".into() }).collect();
        spec
    }

    fn observation(&mut self, stage: Stage, racks: usize, names: &[PodName], epoch: u64) -> Observation {
        let flagged = match stage {
            Stage::Untouched => 0,
            Stage::Rolling => usize::from(self.below(u16::try_from(names.len()).unwrap())),
            _ => names.len(),
        };
        let generations: BTreeMap<_, _> = names.iter().map(|name| (host(name), 1 + u64::from(self.below(3)))).collect();
        let sets = (0..racks).map(|rack| self.set(stage, rack, names)).collect();
        let nodes = names.iter().enumerate().map(|(index, name)| {
            let pod = self.pod(generations[&host(name)], index < flagged);
            let node = self.node(stage, name, &pod, &generations, epoch);
            (name.clone(), NodeView { pod: self.part(pod), node: self.part(node) })
        });
        let nodes = nodes.collect();
        let budgets = self.or(vec!["db".into()], &[Vec::new(), vec!["db".into(), "other".into()]]);
        Observation {
            object: Object { uid: "own-uid".into(), generation: 1 + i64::from(self.below(2)), ..Object::default() },
            sets,
            budgets: self.part(budgets),
            nodes,
        }
    }

    fn set(&mut self, stage: Stage, rack: usize, names: &[PodName]) -> Part<Set> {
        let pods = u32::try_from(names.iter().filter(|name| name.rack == rack).count()).unwrap();
        let usual = new_set(["db", "rack1"][rack], pods);
        let owner = |uid: &str, exists| Some(Owner { uid: uid.into(), exists });
        let set = Set {
            version: 1 + u64::from(self.below(3)),
            replicas: self.or(pods, &[pods + 1]),
            flag: self.or(stage != Stage::Untouched, &[stage == Stage::Untouched]),
            template_hash: self.or("v1".into(), &["v2".into()]),
            on_delete: self.or(true, &[false]),
            parallel: self.or(true, &[false]),
            kept: false,
            hold: self.or(stage != Stage::Untouched, &[stage == Stage::Untouched]),
            settled: self.or(true, &[false]),
            owner: self.or(usual.owner.clone(), &[None, owner("other", true), owner("other", false)]),
            ..usual
        };
        self.part(set)
    }

    fn pod(&mut self, uid: u64, flag: bool) -> Pod {
        let states = [
            PodState::Changing,
            PodState::Down("it crashed".into()),
            PodState::Broken("ErrImagePull".into()),
            PodState::Down("x".repeat(3000)),
        ];
        Pod {
            version: uid * 10 + u64::from(self.below(3)),
            state: self.or(PodState::Running, &states),
            since: self.time(),
            flag: self.or(flag, &[!flag]),
            hold: self.or(flag, &[!flag]),
            template_hash: self.or("v1".into(), &["v2".into()]),
            machine: self.or(Machine::There, &[Machine::Gone, Machine::OutOfService]),
            volume_gone: self.or(false, &[true]),
            ..new_pod(uid, flag, self.now)
        }
    }

    fn node(&mut self, stage: Stage, name: &PodName, pod: &Pod, generations: &BTreeMap<HostId, u64>, epoch: u64) -> NodeSeen {
        let own = generations[&host(name)];
        let others = generations.iter().filter(|(other, _)| **other != host(name));
        let mut peers = BTreeMap::new();
        for (other, generation) in others {
            let mut seen = peer(*generation);
            seen.up = self.or(true, &[false]);
            seen.generation = self.or(*generation, &[0]);
            seen.pulled_from_generation = self.or(*generation, &[0]);
            peers.insert(*other, seen);
        }
        if self.odd() {
            peers.insert(HostId(Uuid::from_u128(0xf)), peer(1));
        }
        let states = ["recovery", "use_pre_raft_procedures", "synchronize", "use_post_raft_procedures", "dancing"];
        let reported = if stage == Stage::Final { states[3] } else { states[1] };
        let reported = self.or(reported, &states);
        let reported = if reported == "dancing" { "dancing".repeat(99) } else { reported.to_owned() };
        let has_begun = stage >= Stage::Begun;
        NodeSeen {
            sequence: (own << 32) + u64::from(self.below(3)),
            generation: own,
            release: self.or("0.1.0".into(), &["0.2.0".into()]),
            clock_offset: SignedDuration::from_millis(self.or(0, &[1001, -5000, i64::MIN])),
            ready: self.or(Ok(()), &[Err("replaying".into()), Err("y".repeat(3000))]),
            bootstrapped: self.or(Ok(()), &[Err("joining".into())]),
            flag: self.or(pod.flag, &[!pod.flag]),
            held: self.or(pod.hold, &[!pod.hold]),
            proceed: self.or(has_begun, &[!has_begun]),
            feature_enabled: self.or(has_begun && stage != Stage::Begun, &[has_begun]),
            state: UpgradeState::from(reported.as_str()),
            procedure: self.procedure(stage),
            group: self.group(stage, generations),
            schema_version: self.or("aaaa".into(), &["bbbb".into(), "z".repeat(99)]),
            epoch: self.or(epoch, &[0, epoch - 1, epoch + 1]),
            disk_free: self.or(Some(1 << 30), &[None, Some(5)]),
            evidence: Evidence::default(),
            ..new_node(name, peers)
        }
    }

    fn procedure(&mut self, stage: Stage) -> Procedure {
        let running = |step: &str, waiting: &str| Procedure::Running {
            step: step.into(),
            waiting: vec![waiting.into()],
            since: Timestamp::UNIX_EPOCH,
        };
        let failed = Procedure::Failed { step: "s".repeat(300), cause: "no space left".into() };
        let usual = match stage {
            Stage::Forming => running("join", "db-1"),
            Stage::Final => Procedure::Done,
            _ => Procedure::Idle,
        };
        let barrier = running("confirm", "a read barrier of group 0");
        self.or(usual, &[Procedure::Idle, running("ask_peers", "db-1"), barrier, failed, Procedure::Done])
    }

    fn group(&mut self, stage: Stage, generations: &BTreeMap<HostId, u64>) -> Option<Group> {
        let voters = generations.keys().copied();
        let first = generations.keys().next().copied();
        let group = Group {
            id: Uuid::from_u128(self.or(6, &[7])),
            leader: self.or(first, &[None]),
            voters: voters.filter(|_| !self.odd()).collect(),
            learners: (self.odd()).then(|| HostId(Uuid::from_u128(0xe))).into_iter().collect(),
            joint: false,
            commit: u64::from(self.below(3)),
            state_id: String::new(),
        };
        let has_one = stage >= Stage::Forming;
        self.or(has_one.then(|| group.clone()), &[(!has_one).then_some(group)])
    }

    fn journal(&mut self, stage: Stage, seen: &Observation, epoch: u64) -> Journal {
        let names: Vec<_> = seen.nodes.keys().cloned().collect();
        let hashes = vec!["v1"; seen.sets.len()].join(" ");
        let is_rolling = stage != Stage::Untouched;
        let canary = self.pick(&names);
        let halt = Halt { node: canary.clone(), why: "it crashes".into(), generation: 1 };
        let intents = (0..self.or(0, &[1, 2, 3])).map(|_| self.intent(seen, epoch)).collect();
        let taken = self.pick(&[None, None, None, Some(())]).map(|()| self.disruption(seen, epoch));
        let progress = Progress { marker: "before".into(), since: self.time() };
        let set_version = self.or(1, &[2, 3, 4]);
        Journal {
            epoch,
            preflight_passed_at: self.maybe_time(is_rolling),
            template_hash: self.or(is_rolling.then_some(hashes), &[None, Some("v2 v2".into())]),
            canary: self.or(is_rolling.then_some(canary), &[None]),
            halted: self.or(None, &[Some(halt)]),
            last_restart_at: self.maybe_time(is_rolling),
            gate_held_since: self.maybe_time(false),
            backed_up_at: None,
            point_of_no_return_at: self.maybe_time(stage >= Stage::Begun),
            completed_at: self.maybe_time(stage == Stage::Final),
            cancelled_at: self.maybe_time(false),
            intents,
            taken,
            nodes: names.iter().map(|name| (name.clone(), self.remembered(name, stage, seen))).collect(),
            sets: [("db".into(), set_version)].into(),
            progress: self.or(None, &[Some(progress)]),
            overridden: Vec::new(),
            ..Journal::begin("run".into(), self.now - SignedDuration::from_secs(300))
        }
    }

    fn remembered(&mut self, name: &PodName, stage: Stage, seen: &Observation) -> Remembered {
        let view = &seen.nodes[name];
        let version = view.pod.known().map_or(10, |pod| pod.version);
        let sequence = view.node.known().map_or(1 << 32, |node| node.sequence);
        Remembered {
            host: self.or(Some(host(name)), &[None]),
            pod_version: self.or(version, &[0, version + 1]),
            sequence: self.or(sequence, &[0, sequence + 1]),
            host_pod: self.or(view.pod.known().map(|pod| pod.uid.clone()), &[None, Some("other".into())]),
            backed_up: self.or(stage >= Stage::Flagged, &[true, false]),
            retries: self.or(0, &[9, 10, 11]),
            restarts: self.or(0, &[1]),
            last_attempt_at: self.maybe_time(false),
        }
    }

    fn disruption(&mut self, seen: &Observation, epoch: u64) -> Intent {
        let names: Vec<_> = seen.nodes.keys().cloned().collect();
        let node = self.pick(&names);
        let (uid, version) = seen.nodes[&node].pod.known().map_or(("1".into(), 10), |pod| (pod.uid.clone(), pod.version));
        let generation = seen.nodes[&node].node.known().map_or(1, |node| node.generation);
        let actions = [
            Action::Recreate { node: node.clone(), uid, version: version - u64::from(self.below(2)) },
            Action::Restart { node, generation },
        ];
        Intent { action: self.pick(&actions), epoch: epoch - u64::from(self.below(2)), at: self.time() }
    }

    fn intent(&mut self, seen: &Observation, epoch: u64) -> Intent {
        let Intent { action, epoch, at } = self.disruption(seen, epoch);
        let node = action.disrupts().cloned().unwrap();
        let set = "db".to_owned();
        let version = 1 + u64::from(self.below(3));
        let actions = [
            action,
            Action::SetTemplate { set: set.clone(), version, flag: true },
            Action::SetTemplate { set: set.clone(), version, flag: false },
            Action::Own { set, version },
            Action::Proceed { node: node.clone() },
            Action::Backup { node: node.clone() },
            Action::ClaimEpoch { node: node.clone() },
            Action::RetryUpgrade { node },
        ];
        Intent { action: self.pick(&actions), epoch, at }
    }
}
