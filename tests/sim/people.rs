//! People: they make the object, change their minds, delete and drain pods, break the template, and in the end put everything right,
//! as the messages in its status tell them to.

use crate::{
    dice::Dice,
    kubernetes::{
        BAD_TEMPLATE, FIRST_TEMPLATE,
        api::{self, Deed, Reply, Request},
        names, set_name,
    },
    process::{Answer, Arrival, Ask, Moment, Outbox, Parcel, Pid, Process},
    swarm::{Disaster, Fault, Swarm},
};
use group0_core::io::AdminRequest;
use group0_operator::{
    crd::{
        ClusterRef, ConfirmedDead, Group0UpgradeSpec, Group0UpgradeStatus, GuardOverride, Mode, Phase, RecoveryMode, SilentStatus,
    },
    observe::PodName,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// How often they look.
const LOOK: Duration = Duration::from_secs(1);
/// The same while they wait for a certain moment.
const SOON: Duration = Duration::from_millis(20);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Things that they do once, with how many of them a world has at most.
const WHIMS: [(Fault, u64); 7] = [
    (Fault::Halt, 3),
    (Fault::Cancel, 2),
    (Fault::DeletePod, 4),
    (Fault::Drain, 6),
    (Fault::Recreate, 2),
    (Fault::BadTemplate, 2),
    (Fault::Pace, 3),
];

/// All of them.
pub struct People {
    names: Vec<PodName>,
    dice: Dice,
    begin: Duration,
    scale_up: Option<Duration>,
    /// What comes over them, and when; the latest first.
    whims: Vec<(Duration, Fault)>,
    look_at: Duration,
    token: u64,
    first: Group0UpgradeSpec,
    /// Whether it is the world of a story: what becomes of machines does so at a certain moment.
    is_told: bool,
    /// What will become of machines.
    disaster: Option<Disaster>,
    /// Those that were lost.
    lost: Vec<Pid>,
    /// Who was there.
    lost_hosts: BTreeSet<String>,
    /// What else will come, and when.
    aftermath: Vec<(Duration, Deed)>,
    complete: Result<(), String>,
}

impl People {
    /// Of that world.
    pub fn new(swarm: &Swarm) -> Self {
        let mut dice = Dice::of(swarm.seed, 7);
        let begin = Duration::from_secs(2) + dice.short_time(Duration::from_secs(4));
        let late = swarm.trouble / 8..swarm.trouble;
        let scale_up = swarm.has(Fault::Latecomer).then(|| dice.time(late));
        let mut whims = Vec::new();
        for (fault, most) in WHIMS {
            let mut dice = Dice::of(swarm.seed, 200 + fault as u64);
            for _ in 0..swarm.up_to(fault, most) {
                whims.push((dice.time(begin..swarm.trouble), fault));
            }
        }
        whims.sort_unstable();
        whims.reverse();
        let first = spec(swarm);
        let complete = Err("nobody has seen the object yet".into());
        let names = names(swarm.nodes, swarm.racks);
        let disaster = swarm.disaster();
        Self {
            names,
            dice,
            begin,
            scale_up,
            whims,
            look_at: Duration::ZERO,
            token: 0,
            first,
            is_told: swarm.story.is_some(),
            disaster,
            lost: Vec::new(),
            lost_hosts: BTreeSet::new(),
            aftermath: Vec::new(),
            complete,
        }
    }

    fn ask(&mut self, request: Request, out: &mut Outbox) {
        self.token += 1;
        let ask = Ask::Api(Box::new(request));
        out.send.push(Parcel::Ask { token: self.token, to: api::ADDRESS, ask, within: TIMEOUT });
    }

    fn act(&mut self, deed: Deed, out: &mut Outbox) {
        out.line(format!("people: {deed:?}").chars().take(120).collect::<String>());
        self.ask(Request::Person(deed), out);
    }

    fn look(&mut self, moment: Moment<'_>, out: &mut Outbox) {
        self.look_at = moment.now + if self.is_told && self.disaster.is_some() { SOON } else { LOOK };
        if self.scale_up.is_some_and(|at| at <= moment.now || !moment.trouble) {
            self.scale_up = moment.trouble.then_some(moment.now + LOOK * 5);
            self.act(Deed::ScaleUp, out);
        }
        self.ask(Request::Read, out);
    }

    /// They have read the object.
    fn read(&mut self, moment: Moment<'_>, object: Option<(Group0UpgradeSpec, Option<Group0UpgradeStatus>)>, out: &mut Outbox) {
        if moment.now < self.begin {
            return;
        }
        let Some((spec, status)) = object else {
            self.complete = Err("there is no object".into());
            let first = Box::new(self.first.clone());
            return self.act(Deed::Create(first), out);
        };
        let status = status.unwrap_or_default();
        let said = || format!("the object says {} {}: {}", status.phase, status.progress, status.message);
        self.complete = if status.phase == Phase::Complete && status.blocked_by.is_empty() { Ok(()) } else { Err(said()) };
        if let Some(disaster) = self.strikes(status.phase) {
            self.complete = Err("machines are lost".into());
            return self.strike(moment.now, disaster, &status, out);
        }
        if let Some(at) = self.aftermath.iter().position(|(at, _)| *at <= moment.now) {
            self.complete = Err("more comes of what was lost".into());
            let (_, deed) = self.aftermath.remove(at);
            if let Deed::Destroy { machines, .. } = &deed {
                self.note_lost(machines, &status);
                if status.phase == Phase::Recovering {
                    out.event("another loss during a recovery");
                }
            }
            return self.act(deed, out);
        }
        if !self.aftermath.is_empty() {
            self.complete = Err("more will come of what was lost".into());
        }
        if status.history.iter().any(|run| run.result == "Recovered") {
            out.event("recovered by the operator");
        }
        if let Some((_, whim)) = self.whims.pop_if(|(at, _)| *at <= moment.now)
            && moment.trouble
        {
            self.give_in(whim, spec, out);
        } else if !moment.trouble || self.dice.chance(300_000) {
            self.put_right(moment, spec, &status, out);
        }
    }

    /// What is lost now. What was to be lost in the middle of the upgrade is not, if that is over.
    fn strikes(&mut self, phase: Phase) -> Option<Disaster> {
        let disaster = self.disaster.take()?;
        match (phase, disaster.is_early) {
            (Phase::Synchronizing, true) => Some(disaster),
            (Phase::Complete, false) if self.complete.is_ok() => Some(disaster),
            (Phase::Complete, true) => None,
            _ => {
                self.complete = Err("machines will be lost".into());
                self.disaster = Some(disaster);
                None
            }
        }
    }

    /// Who is on them, as far as is known.
    fn note_lost(&mut self, machines: &[Pid], status: &Group0UpgradeStatus) {
        for pid in machines {
            let node = status.nodes.iter().find(|node| node.pod_name == self.names[*pid].name);
            self.lost_hosts.extend(node.and_then(|node| node.host_id.clone()));
        }
        self.lost.extend(machines);
    }

    fn strike(&mut self, now: Duration, disaster: Disaster, status: &Group0UpgradeStatus, out: &mut Outbox) {
        let Disaster { lost, another, returns, .. } = disaster;
        self.note_lost(&lost, status);
        if let Some((after, pid)) = another {
            self.aftermath.push((now + after, Deed::Destroy { machines: vec![pid], with_disks: true }));
        }
        if let Some(after) = returns {
            self.aftermath.push((now + after, Deed::Return(lost.clone())));
        }
        self.act(Deed::Destroy { machines: lost, with_disks: returns.is_none() }, out);
    }

    fn give_in(&mut self, whim: Fault, mut spec: Group0UpgradeSpec, out: &mut Outbox) {
        out.event(format!("people: {}", whim.name()));
        let pid = self.dice.index(self.names.len());
        match whim {
            Fault::Halt => spec.paused = true,
            Fault::Cancel => spec.cancel = true,
            Fault::Pace => {
                spec.pacing.bake_seconds = u32::try_from(self.dice.within(0..4)).unwrap_or_default();
                spec.pacing.min_seconds_between_nodes = u32::try_from(self.dice.within(0..6)).unwrap_or_default();
            }
            Fault::DeletePod => return self.act(Deed::DeletePod(pid), out),
            Fault::Drain => return self.act(Deed::Drain(pid), out),
            Fault::Recreate => return self.act(Deed::Delete, out),
            _ => return self.act(Deed::Template(BAD_TEMPLATE.into()), out),
        }
        self.act(Deed::Edit(Box::new(spec)), out);
    }

    /// The group goes on without them: they are removed from the ring, and others come in their places.
    fn replace_lost(&mut self, moment: Moment<'_>, status: &Group0UpgradeStatus, out: &mut Outbox) {
        // By their ids: others may be in their pods by now. Whoever is asked may be away.
        let is_named = |host: &str| status.stall.as_ref().is_some_and(|stall| stall.evidence.contains(host));
        let is_lost =
            |host: &&SilentStatus| !host.gone.is_empty() || self.lost_hosts.contains(&host.host_id) || is_named(&host.host_id);
        for host in status.silent.iter().filter(is_lost).filter_map(|host| host.host_id.parse().ok()) {
            self.token += 1;
            let ask = Ask::Admin(AdminRequest::RemoveNode { order: None, host, ignore: Vec::new() });
            let to = moment.addresses[self.dice.index(self.names.len())];
            out.send.push(Parcel::Ask { token: self.token, to, ask, within: TIMEOUT * 10 });
        }
        for pid in self.lost.clone() {
            self.act(Deed::GiveUp(pid), out);
        }
    }

    /// They know what has burnt down, also where nothing of it is to be seen any more; and what may come back.
    fn confirm_dead(&self, spec: &mut Group0UpgradeSpec, status: &Group0UpgradeStatus) {
        if self.aftermath.iter().any(|(_, deed)| matches!(deed, Deed::Return(_))) {
            return;
        }
        let evidence = status.stall.as_ref().and_then(|stall| Some(stall.evidence.split_once("other hosts answer")?.1));
        let guards = status.recovery.iter().flat_map(|recovery| &recovery.blocked_by).map(String::as_str);
        let displaced: Vec<_> =
            evidence.into_iter().chain(guards.filter(|guard| guard.contains("another host answers"))).collect();
        let is_known = |host: &str| self.lost_hosts.contains(host) || displaced.iter().any(|text| text.contains(host));
        let unproven = status.silent.iter().filter(|host| host.gone.is_empty() && is_known(&host.host_id));
        let declare = |host: &SilentStatus| ConfirmedDead { host_id: host.host_id.clone(), reason: "it has burnt down".into() };
        spec.recovery.confirm_dead = unproven.map(declare).collect();
    }

    fn pid_of(&self, pod: &str) -> Option<Pid> {
        self.names.iter().position(|known| known.name == pod)
    }

    /// One thing after another, as status says.
    fn put_right(&mut self, moment: Moment<'_>, mut spec: Group0UpgradeSpec, status: &Group0UpgradeStatus, out: &mut Outbox) {
        let before = spec.clone();
        spec.paused = false;
        let broken = status.nodes.iter().find(|node| node.blocked_by == "PodBroken").map(|node| &node.pod_name);
        // What is told first may wait for what is broken.
        let blocked_by = if broken.is_some() { "PodBroken" } else { status.blocked_by.as_str() };
        match (status.phase, blocked_by) {
            (Phase::Cancelled, _) | (_, "CancelRefused") => spec.cancel = false,
            (_, "LeftoverRun") => spec.cancel = true,
            (Phase::Stalled | Phase::Recovering, "AwaitingApproval" | "SurvivorLost" | "DonorLost" | "Returned") => {
                let hash = status.recovery.as_ref().map(|recovery| recovery.plan_hash.clone());
                // People mistake one plan for another.
                let mistaken = self.dice.chance(200_000);
                if mistaken {
                    out.event("a wrong hash approved");
                }
                spec.recovery.approved_plan_hash = if mistaken { Some("another".into()) } else { hash };
            }
            (_, "NotProvenDead") => self.confirm_dead(&mut spec, status),
            (_, "PodNotReady" | "NodeUnknown" | "PodDown" | "HostMissing")
                if status.stall.as_ref().is_some_and(|stall| stall.evidence.contains("confirmDead")) =>
            {
                self.confirm_dead(&mut spec, status);
            }
            (_, "PodDown") if status.stall.as_ref().is_some_and(|stall| stall.evidence.contains("delete its volume")) => {
                for pid in self.lost.clone() {
                    self.act(Deed::GiveUp(pid), out);
                }
            }
            (_, "ExcludedAlive") => {
                let alive = status.nodes.iter().filter(|node| node.blocked_by == blocked_by);
                let pids: Vec<_> = alive.filter_map(|node| self.pid_of(&node.pod_name)).collect();
                for pid in pids {
                    self.act(Deed::Discard(pid), out);
                }
            }
            (_, "ReplaceLost") => self.replace_lost(moment, status, out),
            (_, "AwaitingApproval") => spec.approved_run_id = Some(status.run_id.clone()),
            // The operator replaces what it gave the template to; the rest is the owner's business.
            (_, "PodBroken") if self.dice.chance(250_000) => {
                if let Some(pid) = broken.and_then(|name| self.pid_of(name)) {
                    self.act(Deed::DeletePod(pid), out);
                }
            }
            // What the run began with was the bad one. What the dead took with them nobody brings back.
            (_, "TemplateChanged" | "DonorBehindKnownCommit") if self.dice.chance(250_000) => {
                let expires_at = Time(Timestamp::MAX);
                spec.overrides =
                    vec![GuardOverride { guard: blocked_by.to_owned(), reason: "it is right now".into(), expires_at }];
            }
            (_, "TemplateChanged" | "PodBroken" | "CanaryFailed") => {
                self.act(Deed::Template(FIRST_TEMPLATE.into()), out);
                if blocked_by == "CanaryFailed" {
                    spec.pacing.bake_seconds = (spec.pacing.bake_seconds + 1) % 3;
                }
            }
            _ => {}
        }
        if spec != before {
            self.act(Deed::Edit(Box::new(spec)), out);
        }
    }
}

/// What they ask for: deadlines short enough for a run to see them pass.
fn spec(swarm: &Swarm) -> Group0UpgradeSpec {
    let cluster_ref = ClusterRef {
        stateful_sets: (0..swarm.racks).map(set_name).collect(),
        container: "node".into(),
        admin_port: 7001,
        tls_secret_ref: None,
    };
    let mut spec = Group0UpgradeSpec::new_for(cluster_ref);
    spec.deadlines.pod_ready = Duration::from_secs(15).into();
    spec.deadlines.no_progress = Duration::from_secs(20).into();
    spec.pacing.min_seconds_between_nodes = swarm.between;
    spec.deadlines.rpc = Duration::from_secs(2).into();
    spec.recovery.dead_after = Duration::from_secs(5).into();
    if swarm.up_to(Fault::Disaster, 100).is_multiple_of(3) {
        spec.recovery.mode = RecoveryMode::Automatic;
    }
    if swarm.has(Fault::Supervised) {
        spec.mode = Mode::Supervised;
    }
    spec
}

impl Process for People {
    fn name(&self) -> &'static str {
        "people"
    }

    fn start(&mut self, moment: Moment<'_>, _: &mut Outbox) {
        self.look_at = moment.now;
    }

    fn take(&mut self, moment: Moment<'_>, arrivals: Vec<Arrival>, out: &mut Outbox) {
        for arrival in arrivals {
            match arrival {
                Arrival::Wake => self.look(moment, out),
                Arrival::Answered { answer: Answer::Api(reply), .. } => {
                    if let Reply::Object(stored) = *reply {
                        let object = stored.map(|stored| (stored.object.spec, stored.object.status));
                        self.read(moment, object, out);
                    }
                }
                _ => {}
            }
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        Some(self.look_at)
    }

    fn crash(&mut self, _: Moment<'_>, _: &mut Outbox) {}

    fn is_done(&self) -> Result<(), String> {
        self.complete.clone()
    }
}
