//! Kubernetes, as far as an operator depends on it: the object in etcd, StatefulSets that are `OnDelete` and `Parallel`, their pods, a
//! budget, a lease, and caches that lag. It never fails itself; the network to it does.
//!
//! [`api`] is what is asked of it, [`object`] the `Group0Upgrade`, [`past`] what caches have of the rest, [`pods`] controller and
//! kubelet.

pub mod api;
mod object;
mod past;
mod pods;

use crate::{
    clock::Clock,
    dice::Dice,
    invariants::Act,
    process::{Answer, Arrival, Ask, Moment, Note, Outbox, Parcel, Pid, Process},
    swarm::{Fault, Swarm},
};
use api::{Deed, Reply, Request, Seen, SetChange};
use group0_operator::{
    crd::Group0Upgrade,
    observe::{Owner, Part, PodName, Set},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use object::Etcd;
use past::Past;
use pods::Slot;
use std::{collections::BTreeMap, time::Duration};

/// Caches are as old as this in good times.
const USUAL_LAG: Duration = Duration::from_millis(50);
/// Who has not asked for so long leads no more.
const LEASE: Duration = Duration::from_secs(4);
/// The UID of an object that people made besides ours.
const RIVAL: &str = "another-uid";
/// The template that all begin with.
pub const FIRST_TEMPLATE: &str = "v1";
/// A template that no pod can run with.
pub const BAD_TEMPLATE: &str = "bad";

/// Kubernetes.
pub struct Kubernetes {
    dice: Dice,
    worst_lag: Duration,
    etcd: Etcd,
    sets: Vec<Past<Set>>,
    pods: Vec<Slot>,
    budgets: Vec<String>,
    /// Whether there is another object for the same StatefulSets.
    has_rival: bool,
    version: u64,
    lease: Option<(Pid, Duration)>,
}

/// The names of the pods of these nodes, which are spread over so many racks.
pub fn names(nodes: usize, racks: usize) -> Vec<PodName> {
    (0..nodes)
        .map(|pid| PodName::new(pid % racks, &set_name(pid % racks), u32::try_from(pid / racks).unwrap_or_default()))
        .collect()
}

/// The StatefulSet of a rack.
pub fn set_name(rack: usize) -> String {
    format!("rack{rack}")
}

impl Kubernetes {
    /// Of that world: its pods are made when it starts.
    pub fn new(swarm: &Swarm) -> Self {
        let names = names(swarm.nodes, swarm.racks);
        let late = swarm.has(Fault::Latecomer).then(|| swarm.nodes - 1);
        let replicas = |rack| {
            let pods = names.iter().enumerate().filter(|(pid, name)| name.rack == rack && Some(*pid) != late);
            u32::try_from(pods.count()).unwrap_or_default()
        };
        Self {
            dice: Dice::of(swarm.seed, 6),
            worst_lag: Duration::from_millis(swarm.up_to(Fault::Stale, 6_000)),
            etcd: Etcd::default(),
            sets: (0..swarm.racks).map(|rack| Past::new(new_set(rack, replicas(rack)))).collect(),
            pods: names.into_iter().map(Slot::new).collect(),
            budgets: vec!["budget".into()],
            has_rival: false,
            version: 1,
            lease: None,
        }
    }

    /// The object, unless there is none.
    pub const fn object(&self) -> Option<&Group0Upgrade> {
        self.etcd.object()
    }

    /// How often the object was made.
    pub const fn made(&self) -> u64 {
        self.etcd.made()
    }

    /// Of each pod whether it serves, as far as is known here.
    pub fn serving(&self) -> Vec<bool> {
        self.pods.iter().map(Slot::serves).collect()
    }

    const fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// What nobody can see any more.
    fn forgotten(&self, now: Duration) -> Duration {
        now.saturating_sub(self.worst_lag.max(USUAL_LAG))
    }

    fn change_set(&mut self, now: Duration, rack: usize, change: impl FnOnce(&mut Set)) {
        let mut set = self.sets[rack].now().clone();
        change(&mut set);
        set.version = self.next_version();
        let forgotten = self.forgotten(now);
        self.sets[rack].put(now, set, forgotten);
    }

    fn asked(&mut self, moment: Moment<'_>, request: Request, out: &mut Outbox) -> Reply {
        match request {
            Request::Read => Reply::Object(self.etcd.read()),
            Request::Write { version, status } => {
                let before = self.etcd.object().cloned();
                match self.etcd.write(&version, *status) {
                    Ok(version) => {
                        out.notes.push(Note::Act(Act::Wrote { before: before.map(Box::new) }));
                        Reply::Written(version)
                    }
                    Err(why) => Reply::Refused(why),
                }
            }
            Request::Observe => Reply::Seen(Box::new(self.observe(moment))),
            Request::ChangeSet { set, version, change } => self.change(moment.now, &set, version, change, out),
            Request::Touch { pod, uid } => self.touch(moment.now, &pod, &uid),
            Request::Evict { pod, uid, version } => self.evict(moment, &pod, &uid, version, out),
            Request::Replace { pod, uid } => self.replace(moment.now, &pod, &uid, out),
            Request::Lease(who) => Reply::Leader(self.lease(moment.now, who, out)),
            Request::Person(deed) => {
                self.person(moment, deed, out);
                Reply::Done
            }
        }
    }

    /// Each part in a version of its own age, in which an older one may well come after a newer one.
    fn observe(&mut self, moment: Moment<'_>) -> Seen {
        let lag = if moment.trouble { self.worst_lag.max(USUAL_LAG) } else { USUAL_LAG };
        let (dice, etcd, has_rival) = (&mut self.dice, &self.etcd, self.has_rival);
        let sets = self.sets.iter().map(|past| {
            let mut set = past.seen(moment.now, lag, dice).clone();
            if let Some(owner) = &mut set.owner {
                owner.exists = etcd.has(&owner.uid) || has_rival && owner.uid == RIVAL;
            }
            known(set)
        });
        let sets = sets.collect();
        let pods = self.pods.iter().filter(|slot| slot.is_wanted(&self.sets)).map(|slot| {
            let pod = slot.pod.seen(moment.now, lag, dice).clone();
            (slot.name.clone(), pod.map_or_else(|| Part::Unknown("there is no such pod".into()), known))
        });
        let pods: BTreeMap<_, _> = pods.collect();
        Seen { object: self.etcd.seen(), sets, budgets: known(self.budgets.clone()), pods }
    }

    fn change(&mut self, now: Duration, name: &str, version: u64, change: SetChange, out: &mut Outbox) -> Reply {
        let Some(rack) = self.sets.iter().position(|set| set.now().name == name && set.now().version == version) else {
            return Reply::Refused(format!("{name} is not in version {version}"));
        };
        self.change_set(now, rack, |set| match change {
            SetChange::Touch => {}
            SetChange::Owner(owner) => set.owner = owner.map(|uid| Owner { uid, exists: true }),
            SetChange::Flag(flag) => {
                (set.flag, set.hold) = (flag, flag);
                out.notes.push(Note::Act(Act::Templated { set: name.into(), version, flag }));
            }
        });
        Reply::Done
    }

    fn lease(&mut self, now: Duration, who: Pid, out: &mut Outbox) -> Pid {
        let (leader, renewed) = self.lease.unwrap_or((who, now));
        let has_ended = now > renewed + LEASE;
        if has_ended && leader != who {
            out.event("lease taken over");
        }
        let leader = if has_ended { who } else { leader };
        self.lease = Some((leader, if leader == who { now } else { renewed }));
        leader
    }

    /// Somebody does something.
    pub fn person(&mut self, moment: Moment<'_>, deed: Deed, out: &mut Outbox) {
        match deed {
            Deed::Create(spec) => self.etcd.create(*spec),
            Deed::Delete => self.etcd.delete(),
            Deed::Edit(spec) => self.etcd.edit(*spec),
            Deed::DeletePod(pid) => self.remove(moment.now, pid, out),
            Deed::Drain(pid) if self.budget_allows(pid) => self.remove(moment.now, pid, out),
            Deed::Drain(_) => out.event("drain held back by the budget"),
            Deed::Template(hash) => {
                for rack in 0..self.sets.len() {
                    self.change_set(moment.now, rack, |set| set.template_hash.clone_from(&hash));
                }
            }
            Deed::Flag { hold } => {
                for rack in 0..self.sets.len() {
                    self.change_set(moment.now, rack, |set| (set.flag, set.hold) = (true, hold));
                }
            }
            Deed::Unflag => {
                for rack in 0..self.sets.len() {
                    self.change_set(moment.now, rack, |set| (set.flag, set.hold) = (false, false));
                }
            }
            Deed::Destroy { machines, with_disks } => self.destroy(moment.now, machines, with_disks, out),
            Deed::Return(pids) => self.come_back(moment.now, &pids, out),
            Deed::Discard(pid) => {
                self.destroy(moment.now, vec![pid], true, out);
                self.give_up(moment.now, pid);
            }
            Deed::GiveUp(pid) => self.give_up(moment.now, pid),
            Deed::ScaleUp => self.scale_up(moment, out),
            Deed::Budgets(count) => self.budgets = (1..=count).map(|number| format!("budget{number}")).collect(),
            Deed::Rival { exists } => {
                self.has_rival = exists;
                for rack in 0..self.sets.len() {
                    self.change_set(moment.now, rack, |set| set.owner = Some(Owner { uid: RIVAL.into(), exists }));
                }
            }
            Deed::Forget(pids) => self.forget(moment.now, &pids),
            Deed::Remember(pids) => self.remember(moment.now, &pids, out),
        }
    }
}

impl Process for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn start(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        self.make_all(moment, out);
    }

    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox) {
        for arrival in arrivals {
            match arrival {
                Arrival::Wake => self.make_due(moment, out),
                Arrival::Asked(question, Ask::Api(request)) => {
                    let reply = self.asked(moment, *request, out);
                    out.send.push(Parcel::Answer(question, Answer::Api(Box::new(reply))));
                }
                Arrival::Kubelet(pid, news) => self.hear(moment, pid, news, out),
                _ => {}
            }
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        self.pods.iter().filter_map(|slot| slot.due).min()
    }

    fn crash(&mut self, _: Moment<'_>, _: &mut Outbox) {}

    fn is_done(&self) -> Result<(), String> {
        Ok(())
    }

    fn kubernetes(&mut self) -> Option<&mut Kubernetes> {
        Some(self)
    }
}

fn new_set(rack: usize, replicas: u32) -> Set {
    Set {
        name: set_name(rack),
        version: 1,
        replicas,
        flag: false,
        template_hash: FIRST_TEMPLATE.into(),
        on_delete: true,
        parallel: true,
        kept: false,
        hold: false,
        settled: true,
        owner: None,
    }
}

fn known<T>(value: T) -> Part<T> {
    Part::Known { value, age: SignedDuration::ZERO }
}

/// The time on the clocks of Kubernetes, which are right.
fn time(now: Duration) -> Timestamp {
    Timestamp::from_microsecond(Clock::exact().now(now, now).wall.0).unwrap_or(Timestamp::UNIX_EPOCH)
}
