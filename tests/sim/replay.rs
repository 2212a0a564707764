//! The simulator's Kubernetes plays the scripts that a real API server plays in `tests/operator`.

use crate::{
    kubernetes::{
        Kubernetes,
        api::{Deed as Person, Reply, Request, Seen, SetChange},
        names, set_name,
    },
    process::{Answer, Arrival, Ask, Kubelet, Moment, Order, Outbox, Parcel, Process as _},
    script::{Cluster, Deed, State, play, scripts},
    swarm::Swarm,
};
use futures::executor::block_on;
use group0_operator::{
    act::Stored,
    crd::{ClusterRef, Group0UpgradeSpec, Group0UpgradeStatus},
};
use std::{process::ExitCode, time::Duration};

/// A process takes so long to end.
const ENDING: Duration = Duration::from_millis(300);

/// Plays all of them, and tells what ends otherwise than it should.
pub fn run() -> ExitCode {
    let mut wrong = 0;
    let scripts = scripts();
    for (name, script) in &scripts {
        let lines = block_on(play(&mut Simulated::new(), script));
        for line in &lines {
            println!("VIOLATION {name}: {line}");
        }
        wrong += lines.len();
    }
    println!("scripts: {}, of whose lines {wrong} end otherwise", scripts.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Simulated {
    kubernetes: Kubernetes,
    now: Duration,
    /// What a kubelet will tell, and when.
    news: Vec<(Duration, usize, Kubelet)>,
    object: Option<Stored>,
    seen: Option<Seen>,
    written: u32,
}

impl Simulated {
    fn new() -> Self {
        let swarm = Swarm::quiet(1, 1, &[], None);
        let kubernetes = Kubernetes::new(&swarm);
        let mut it = Self { kubernetes, now: Duration::ZERO, news: Vec::new(), object: None, seen: None, written: 0 };
        let mut out = Outbox::default();
        it.kubernetes.start(moment(it.now), &mut out);
        it.obey(out);
        it.quiet();
        it.person(Person::Create(Box::new(spec(1))));
        it
    }

    fn take(&mut self, arrival: Arrival) -> Option<Reply> {
        let mut out = Outbox::default();
        self.kubernetes.take(moment(self.now), vec![arrival], &mut out);
        self.obey(out)
    }

    fn obey(&mut self, out: Outbox) -> Option<Reply> {
        for order in out.orders {
            match order {
                Order::Stop { node } => self.news.push((self.now + ENDING, node, Kubelet::Ended("SIGTERM".into()))),
                Order::Start { node, after, .. } => {
                    self.news.push((self.now + after, node, Kubelet::Started));
                    self.news.push((self.now + after, node, Kubelet::Ready(true)));
                }
                Order::Lose { .. } | Order::Destroy { .. } | Order::Renew { .. } | Order::Isolate { .. } => {
                    unreachable!("nobody asks for such a thing here")
                }
            }
        }
        out.send.into_iter().find_map(|parcel| match parcel {
            Parcel::Answer(_, Answer::Api(reply)) => Some(*reply),
            _ => None,
        })
    }

    /// Until nothing is under way and the caches have all of it.
    fn quiet(&mut self) {
        while let Some(at) = self.news.iter().map(|(at, ..)| *at).chain(self.kubernetes.wake_at()).min() {
            self.now = self.now.max(at);
            let due = self.news.iter().position(|(at, ..)| *at <= self.now);
            let arrival =
                due.map(|index| self.news.remove(index)).map_or(Arrival::Wake, |(_, pid, news)| Arrival::Kubelet(pid, news));
            self.take(arrival);
        }
        self.now += Duration::from_secs(1);
    }

    fn ask(&mut self, request: Request) -> Reply {
        self.take(Arrival::Asked(0, Ask::Api(Box::new(request)))).expect("an answer")
    }

    fn person(&mut self, deed: Person) -> Reply {
        self.ask(Request::Person(deed))
    }

    fn observe(&mut self) -> Seen {
        self.now += Duration::from_secs(1);
        match self.ask(Request::Observe) {
            Reply::Seen(seen) => *seen,
            other => unreachable!("{other:?} to Observe"),
        }
    }

    fn change(&self, change: SetChange) -> Request {
        let version = self.seen.as_ref().and_then(|seen| seen.sets[0].known()).map_or(0, |set| set.version);
        Request::ChangeSet { set: set_name(0), version, change }
    }

    /// UID and version of a pod, as they were seen.
    fn pod(&self, number: usize) -> (String, u64) {
        let pods = &self.seen.as_ref().expect("a `see` before it").pods;
        let pod = pods[&names(3, 1)[number]].known().expect("a pod");
        (pod.uid.clone(), pod.version)
    }

    fn uid(&self) -> Option<String> {
        self.object.as_ref().and_then(|stored| stored.object.metadata.uid.clone())
    }
}

impl Cluster for Simulated {
    async fn see(&mut self) {
        self.seen = Some(self.observe());
        let Reply::Object(object) = self.ask(Request::Read) else { unreachable!("another answer to Read") };
        self.object = object.map(|object| *object);
    }

    async fn settle(&mut self) {
        self.quiet();
    }

    async fn attempt(&mut self, deed: Deed) -> Result<(), String> {
        let pod = |number: usize| names(3, 1)[number].clone();
        self.written += 1;
        let request = match deed {
            Deed::Own => self.change(SetChange::Owner(self.uid())),
            Deed::Disown => self.change(SetChange::Owner(None)),
            Deed::Flag => self.change(SetChange::Flag(true)),
            Deed::Unflag => self.change(SetChange::Flag(false)),
            Deed::TouchSet => self.change(SetChange::Touch),
            Deed::TouchPod(number) => Request::Touch { pod: pod(number), uid: self.pod(number).0 },
            Deed::Evict(number) => {
                let (uid, version) = self.pod(number);
                Request::Evict { pod: pod(number), uid, version }
            }
            Deed::Write => Request::Write {
                version: self.object.as_ref().map(|stored| stored.version.clone()).unwrap_or_default(),
                status: Box::new(Group0UpgradeStatus { message: self.written.to_string(), ..Group0UpgradeStatus::default() }),
            },
            Deed::DeletePod(number) => Request::Person(Person::DeletePod(number)),
            Deed::Template => Request::Person(Person::Template("v2".into())),
            Deed::Edit => Request::Person(Person::Edit(Box::new(spec(self.written)))),
            Deed::Delete => Request::Person(Person::Delete),
            Deed::Create => Request::Person(Person::Create(Box::new(spec(1)))),
        };
        match self.ask(request) {
            Reply::Refused(why) => Err(why),
            _ => Ok(()),
        }
    }

    async fn state(&mut self) -> State {
        let now = self.observe();
        let set = now.sets[0].known().expect("the StatefulSet");
        let uid = |seen: &Seen| -> Vec<_> { seen.pods.values().map(|pod| pod.known().map(|pod| pod.uid.clone())).collect() };
        let before = self.seen.as_ref().map(uid).unwrap_or_default();
        State {
            flag: set.flag,
            owner: match &set.owner {
                None => "none",
                Some(owner) if owner.exists => "ours",
                Some(_) => "gone",
            },
            another: uid(&now).into_iter().zip(before).map(|(now, before)| now != before).collect(),
        }
    }
}

const fn moment(now: Duration) -> Moment<'static> {
    Moment { now, trouble: false, addresses: &[] }
}

/// Another one for another number.
fn spec(number: u32) -> Group0UpgradeSpec {
    let cluster_ref =
        ClusterRef { stateful_sets: vec![set_name(0)], container: "node".into(), admin_port: 7001, tls_secret_ref: None };
    let mut spec = Group0UpgradeSpec::new_for(cluster_ref);
    spec.pacing.bake_seconds = number;
    spec
}
