//! The smallest world that obeys a planner: nodes as plain values, changed only by commands of the transcript. What a person
//! can do is in `edit.rs`, what can happen to a node in `happen.rs`.

mod edit;
mod happen;
mod parts;
mod recover;

pub use parts::{host, known, new_node, new_pod, new_set, peer};

use group0_operator::{
    crd::{ClusterRef, Group0UpgradeSpec, Group0UpgradeStatus, Mode},
    observe::{HostId, NodeSeen, NodeView, Object, Observation, Owner, Part, Peer, Pod, PodName, Procedure, Set},
    plan::{Action, Intent, Journal, Plan, Undone, check, plan},
    status,
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
    status: Group0UpgradeStatus,
    /// What those said last who cannot be asked now.
    silenced: BTreeMap<String, NodeSeen>,
}

impl Default for World {
    fn default() -> Self {
        let cluster_ref =
            ClusterRef { stateful_sets: vec!["db".into()], container: "node".into(), admin_port: 7001, tls_secret_ref: None };
        let seen = Observation {
            object: Object { uid: "own-uid".into(), generation: 1, ..Object::default() },
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
            status: Group0UpgradeStatus::default(),
            silenced: BTreeMap::new(),
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
            ["do-first"] => {
                self.planned.truncate(1);
                self.perform();
            }
            ["refused", why @ ..] => self.refuse(&why.join(" ")),
            ["run"] => return self.run(),
            ["until", step @ ..] => self.until(&step.join(" ")),
            ["amnesia"] => self.forget(),
            ["status"] => return self.tell(),
            ["roll"] => self.roll(),
            ["form"] => self.form(),
            ["finish"] => self.finish(),
            ["reform"] => self.reform(),
            ["approve"] => self.approve(),
            ["recovery"] => return self.tell_of_recovery(),
            ["at", time] => self.now = time.parse().unwrap(),
            ["advance", seconds] => self.now += SignedDuration::from_secs(seconds.parse().unwrap()),
            ["spec", field, value @ ..] => self.edit(field, &value.join(" ")),
            ["epoch", epoch] => self.journal.epoch = epoch.parse().unwrap(),
            ["intent", epoch] => self.intend(epoch.parse().unwrap()),
            ["set", name, field, value @ ..] => self.change_set(name, field, &value.join(" ")),
            ["budgets", budgets @ ..] => self.seen.budgets = known(budgets.iter().map(|name| (*name).to_owned()).collect()),
            ["unread-budgets", why] => self.seen.budgets = Part::Unknown((*why).into()),
            ["foreign", node] => drop(self.node(node).peers.insert(HostId(Uuid::from_u128(0xf)), peer(1))),
            [verb, node, rest @ ..] => self.happen(verb, node, rest),
            other => panic!("unknown command {other:?}"),
        }
        String::new()
    }

    /// Another cluster and another run: racks with so many pods each. Only the time stays.
    fn cluster(&mut self, counts: &[u32]) {
        *self = Self { now: self.now, ..Self::default() };
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
        self.status = status::render(&plan, &self.seen, &self.status, self.now);
        let before = self.journal.recovery.as_ref().map(|recovery| (recovery.plan.number, recovery.step));
        let Plan { actions, journal, report, next_look, new_term, new_run } = plan;
        let mut text = format!("{}, look again in {} s\n", report.phase, next_look.duration_since(self.now).as_secs());
        if self.journal.point_of_no_return_at != journal.point_of_no_return_at {
            text += "  journal: point of no return\n";
        }
        if let Some(stall) = &report.stall {
            writeln!(text, "  stall: {}: {}", stall.class, stall.evidence).unwrap();
        }
        let after = journal.recovery.as_ref().map(|recovery| (recovery.plan.number, recovery.step));
        if let Some((number, step)) = after.filter(|_| before != after) {
            writeln!(text, "  journal: plan {number}: {}", step.name()).unwrap();
        }
        text += &recover::news(self.journal.recovery.as_ref(), journal.recovery.as_ref());
        for action in &actions {
            writeln!(text, "  do: {action}{}", recover::ignored(action)).unwrap();
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
        self.journal = if new_run { journal.next("next".into(), self.now) } else { journal };
        self.journal.epoch += u64::from(new_term);
        self.planned = actions;
        text
    }

    /// What was planned is not done: the first of it is refused.
    fn refuse(&mut self, why: &str) {
        let first = std::mem::take(&mut self.planned).into_iter().next();
        self.journal.undone = first.map(|action| Undone { action: action.to_string(), why: why.into() });
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

    /// The same without a word, until something is to be done whose name begins so: it is planned, and
    /// not done. Or until that is what is waited for.
    fn until(&mut self, verb: &str) {
        for _ in 0..100 {
            let text = self.plan(false);
            if self.status.blocked_by == verb {
                return;
            }
            assert!(!self.planned.is_empty(), "nothing is done any more:\n{text}");
            if self.planned.iter().any(|action| action.to_string().starts_with(verb)) {
                return;
            }
            let taken: Vec<_> = self.planned.iter().filter_map(Action::disrupts).cloned().collect();
            self.perform();
            for name in taken {
                self.up(&name.name);
            }
        }
        panic!("{verb} is never planned");
    }

    /// The object was made again, without its status.
    fn forget(&mut self) {
        self.journal = Journal { epoch: self.journal.epoch + 1, ..Journal::begin("again".into(), self.now) };
        self.status = Group0UpgradeStatus::default();
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
                    (self.set(&set).flag, self.set(&set).hold) = (flag, flag);
                    self.set(&set).version += 1;
                }
                Action::ClaimEpoch { node } => self.node(&node.name).epoch = self.journal.epoch,
                Action::Backup { node } => self.journal.nodes.get_mut(&node).unwrap().backed_up = true,
                Action::Recreate { node, .. } => self.remake(&node.name),
                Action::Restart { node, .. } => self.restart(&node.name),
                Action::Proceed { node } => self.node(&node.name).proceed = true,
                Action::RetryUpgrade { node } => self.node(&node.name).procedure = Procedure::Idle,
                Action::Recover { node, plan, verb } => self.recover(&node.name, plan, verb),
                Action::RemoveHost { node, host, .. } => self.remove_host(&node.name, host),
                Action::Replace { node, .. } => self.replace(&node),
            }
        }
    }

    /// The pod is made again from the present template.
    fn remake(&mut self, name: &str) {
        let name = self.name(name);
        let uid = self.pod(&name.name).uid.parse::<u64>().unwrap() + 1;
        let set = self.seen.sets[name.rack].known().unwrap().clone();
        let pod = Pod { template_hash: set.template_hash, ..new_pod(uid, set.flag, self.now) };
        self.view(&name.name).pod = known(pod);
        self.view(&name.name).node = Part::Unknown("connection refused".into());
    }

    /// All that comes before the point of no return, as in `run`, without a word.
    fn roll(&mut self) {
        let mode = std::mem::replace(&mut self.spec.mode, Mode::Supervised);
        self.run();
        self.spec.mode = mode;
    }

    /// The same and the point of no return: every node is a voter and in its procedure.
    fn form(&mut self) {
        self.roll();
        self.plan(false);
        self.perform();
        let names: Vec<_> = self.seen.nodes.keys().map(|name| name.name.clone()).collect();
        for name in names {
            self.join(&name);
            self.happen("enabled", &name, &[]);
            self.happen("step", &name, &["join"]);
        }
        self.plan(false);
    }

    /// The short form of status: what a user sees first, and which conditions are true.
    fn tell(&self) -> String {
        let status = &self.status;
        let holds = |condition: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| condition.status == "True";
        let conditions: Vec<_> = status.conditions.iter().filter(holds).map(|condition| condition.type_.as_str()).collect();
        let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
            time.as_ref().map_or("none".to_owned(), |time| time.0.to_string())
        };
        format!(
            "{} {}, deadline {}, eta {}\n  true: {}\n",
            status.phase,
            status.progress,
            time(&status.deadline_at),
            time(&status.eta),
            conditions.join(", ")
        )
    }

    /// What was planned was begun in that epoch, and nobody knows what came of it.
    fn intend(&mut self, epoch: u64) {
        for action in std::mem::take(&mut self.planned) {
            self.journal.intents.push(Intent { action, epoch, at: self.now });
        }
    }

    fn set(&mut self, name: &str) -> &mut Set {
        let sets = self.seen.sets.iter_mut();
        sets.filter_map(|part| if let Part::Known { value, .. } = part { Some(value) } else { None })
            .find(|set| set.name == name)
            .unwrap()
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

/// The value of a part that must be known.
pub fn value<T>(part: &mut Part<T>) -> &mut T {
    match part {
        Part::Known { value, .. } => value,
        Part::Unknown(why) => panic!("unknown: {why}"),
    }
}

/// It was seen so many seconds ago.
fn grow_old<T>(part: &mut Part<T>, seconds: &str) {
    if let Part::Known { age, .. } = part {
        *age = SignedDuration::from_secs(seconds.parse().unwrap());
    }
}
