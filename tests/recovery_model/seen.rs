//! From the few bits of the world to all that the planner may ask for.

use crate::{
    person,
    world::{Hashed, NODES, Place, Rule, Setup, World, others, place, places},
};
use group0_core::{
    recovery::{Mode, Record},
    status::PlanState,
    upgrade::Stage,
};
use group0_operator::{
    crd::{ClusterRef, Group0UpgradeSpec, GuardOverride, RecoveryMode},
    observe::{
        Evidence, Group, HostId, Machine, NodeSeen, NodeView, Object, Observation, Owner, Part, Peer, Pod, PodName, PodState,
        Position, Procedure, Set, StoredPlan, UpgradeState,
    },
    plan::Journal,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

/// How long the lost are away, or there.
const PHASE: SignedDuration = SignedDuration::from_secs(1000);

/// What one look sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sight {
    phase: u8,
    /// Who cannot be reached.
    lost: u8,
    /// What a person has approved, and whether that is always needed.
    hash: Option<String>,
    approves: bool,
    nodes: [Option<Said>; NODES],
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Said {
    plan: Option<Hashed<Record>>,
    stage: Stage,
    is_marked: bool,
    group: Option<crate::world::Group>,
    members: u8,
    takes_part: bool,
    incarnation: u8,
    removed: u8,
    last: (u8, usize),
    commit: u8,
    epoch: u64,
    generation: u8,
    mode: Mode,
    pulled: [u8; NODES],
    /// The start of each other node that it sees up.
    up: [Option<u8>; NODES],
    /// When it has heard each, whatever it made of it.
    heard: [Option<u8>; NODES],
}

impl Sight {
    /// As it is now.
    pub fn of(setup: &Setup, world: &World) -> Self {
        let lost = world.gone | if world.is_cut { setup.lost } else { 0 };
        let said = |at: Place| if lost & 1 << at != 0 { None } else { Said::by(setup, world, at) };
        let (hash, approves) = (person::said(setup, world), setup.approves);
        Self { phase: world.phase, lost, hash, approves, nodes: [0, 1, 2].map(said) }
    }

    /// Grows when the lost go or come.
    pub fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + PHASE * (i32::from(self.phase) + 1000)
    }

    /// What people want.
    pub fn spec(&self) -> Group0UpgradeSpec {
        spec(self.approves, self.hash.clone())
    }

    /// In the planner's terms.
    pub fn observation(&self) -> Observation {
        Observation {
            object: Object { uid: "own-uid".into(), generation: 1, ..Object::default() },
            sets: vec![known(set())],
            budgets: known(vec!["db".into()]),
            nodes: (0..NODES).map(|at| (name(at), self.view(at))).collect(),
        }
    }

    fn view(&self, at: Place) -> NodeView {
        let node = self.nodes[at].as_ref().map(|said| known(self.node(at, said)));
        let is_lost = self.lost & 1 << at != 0;
        let machine = if is_lost { Machine::OutOfService } else { Machine::There };
        let state = if node.is_some() || is_lost { PodState::Running } else { PodState::Down("it crashed".into()) };
        NodeView { pod: known(pod(at, state, machine)), node: node.unwrap_or_else(|| Part::Unknown("no answer".into())) }
    }

    fn node(&self, at: Place, said: &Said) -> NodeSeen {
        let is_final = said.stage == Stage::UsePostRaft;
        let state = UpgradeState::from(said.stage.name());
        let procedure = match said.stage {
            Stage::UsePostRaft => Procedure::Done,
            Stage::Recovery => Procedure::Idle,
            _ => Procedure::Running { step: "await_members".into(), waiting: vec![], since: Timestamp::UNIX_EPOCH },
        };
        let group = said.group.filter(|_| said.takes_part).map(|group| Group {
            id: id(group),
            leader: None,
            voters: places(said.members).map(host).collect(),
            learners: BTreeSet::new(),
            joint: false,
            commit: said.commit.into(),
            state_id: String::new(),
        });
        NodeSeen {
            sequence: 1,
            host: host(at),
            generation: said.generation.into(),
            release: "0.1.0".into(),
            clock_offset: SignedDuration::ZERO,
            ready: Ok(()),
            bootstrapped: Ok(()),
            flag: true,
            proceed: true,
            held: true,
            feature_enabled: true,
            state,
            procedure,
            group,
            schema_version: if is_final { "final".into() } else { String::new() },
            peers: others(at)
                .filter(|other| said.removed & 1 << other == 0)
                .map(|other| (host(other), said.peer(other)))
                .collect(),
            figures: None,
            epoch: said.epoch,
            disk_free: None,
            evidence: self.evidence(at, said),
        }
    }

    fn evidence(&self, at: Place, said: &Said) -> Evidence {
        let heard = |other: Place| Some((host(other), self.ago(said.heard[other]?)));
        Evidence {
            group: said.group.map(id),
            incarnation: said.incarnation.into(),
            last: if said.group.is_some() { position(said.last) } else { Position::default() },
            commit: if said.group.is_some() { u64::from(said.commit) + 1 } else { 0 },
            in_recovery: said.mode == Mode::Yes,
            recovery_stored: said.is_marked,
            heard: others(at).filter_map(heard).collect(),
            removed: places(said.removed).map(host).collect(),
            plan: said.plan.as_deref().map(stored),
            forward_only: said.plan.as_deref().is_some_and(|record| record.is_reset),
        }
    }

    /// A phase ends a second before the next begins.
    fn ago(&self, phase: u8) -> SignedDuration {
        let since = i32::from(self.phase) - i32::from(phase);
        if since == 0 { SignedDuration::ZERO } else { PHASE * (since - 1) + SignedDuration::from_secs(1) }
    }
}

impl Said {
    fn by(setup: &Setup, world: &World, at: Place) -> Option<Self> {
        let node = &world.nodes[at];
        let process = node.process.as_ref()?;
        let last = if setup.obeys(Rule::PositionsOfLogs) { node.last() } else { (1, usize::from(node.commit)) };
        let in_group = |other: &Place| world.nodes[*other].group == node.group;
        let members = if node.group == Some(crate::world::FORMER) && !setup.is_forming {
            (1 << NODES) - 1
        } else {
            (0..NODES).filter(in_group).fold(0, |members, other| members | 1 << other)
        };
        let sees_up = |other: Place| world.hears(setup, at, other).then_some(world.nodes[other].generation);
        Some(Self {
            plan: node.plan.clone(),
            stage: if process.mode == Mode::No { node.stage } else { Stage::Recovery },
            is_marked: node.stage == Stage::Recovery,
            group: node.group,
            members,
            takes_part: node.takes_part(),
            incarnation: node.incarnation,
            removed: node.removed,
            last,
            commit: node.commit,
            epoch: node.epoch,
            generation: node.generation,
            mode: process.mode,
            pulled: process.pulled,
            up: [0, 1, 2].map(sees_up),
            heard: process.heard,
        })
    }

    fn peer(&self, other: Place) -> Peer {
        let generation = u64::from(self.up[other].unwrap_or_default());
        let (up, pulled) = (self.up[other].is_some(), self.pulled[other]);
        Peer { up, status: "NORMAL".into(), generation, pulled_from_generation: pulled.into() }
    }
}

/// Whatever is proven is answered at once: that an operator waits is only that it looks late.
fn spec(approves: bool, hash: Option<String>) -> Group0UpgradeSpec {
    let stateful_sets = vec!["db".into()];
    let cluster = ClusterRef { stateful_sets, container: "node".into(), admin_port: 7001, tls_secret_ref: None };
    let mut spec = Group0UpgradeSpec::new_for(cluster);
    spec.backup.enabled = false;
    spec.recovery.mode = if approves { RecoveryMode::Approve } else { RecoveryMode::Automatic };
    spec.recovery.approved_plan_hash = hash;
    spec.recovery.dead_after = Duration::ZERO.into();
    spec.recovery.replace_lost_nodes = false;
    let reason = "what is lost with the dead is lost".into();
    spec.overrides = vec![GuardOverride { guard: "DonorBehindKnownCommit".into(), reason, expires_at: Time(Timestamp::MAX) }];
    spec
}

/// The journal of an operator that has followed an upgrade as far as it is.
pub fn journal() -> Journal {
    let begun = Some(Timestamp::UNIX_EPOCH);
    Journal {
        epoch: 1,
        preflight_passed_at: begun,
        point_of_no_return_at: begun,
        template_hash: Some("v1".into()),
        ..Journal::begin("run".into(), Timestamp::UNIX_EPOCH)
    }
}

fn known<T>(value: T) -> Part<T> {
    Part::Known { value, age: SignedDuration::ZERO }
}

fn name(at: Place) -> PodName {
    PodName::new(0, "db", u32::try_from(at).unwrap())
}

fn host(at: Place) -> HostId {
    HostId(crate::world::host(at).0)
}

fn id(group: crate::world::Group) -> Uuid {
    Uuid::from_u128(0x600 + u128::from(group.number))
}

/// Before all this there was one entry.
fn position((term, index): (u8, usize)) -> Position {
    Position { term: term.into(), index: u64::try_from(index).unwrap() + 1 }
}

fn set() -> Set {
    Set {
        name: "db".into(),
        version: 1,
        replicas: 3,
        flag: true,
        template_hash: "v1".into(),
        on_delete: true,
        parallel: true,
        kept: false,
        hold: true,
        settled: true,
        owner: Some(Owner { uid: "own-uid".into(), exists: true }),
    }
}

fn pod(at: Place, state: PodState, machine: Machine) -> Pod {
    Pod {
        uid: at.to_string(),
        version: 1,
        state,
        since: Timestamp::UNIX_EPOCH,
        flag: true,
        hold: true,
        template_hash: "v1".into(),
        machine,
        volume_gone: false,
    }
}

fn stored(record: &Record) -> StoredPlan {
    let group0_core::status::StoredPlan { plan, state, rolled_forward } = record.stored.clone();
    let hosts =
        |hosts: std::collections::BTreeSet<group0_core::ids::HostId>| hosts.into_iter().map(|it| host(place(it))).collect();
    StoredPlan {
        number: plan.number,
        survivors: hosts(plan.survivors),
        excluded: hosts(plan.excluded),
        text: plan.text,
        state: match state {
            PlanState::Prepared => group0_operator::observe::PlanState::Prepared,
            PlanState::Fenced => group0_operator::observe::PlanState::Fenced,
            PlanState::Resetting => group0_operator::observe::PlanState::Resetting,
            PlanState::Done => group0_operator::observe::PlanState::Done,
            PlanState::Withdrawn => group0_operator::observe::PlanState::Withdrawn,
        },
        rolled_forward,
    }
}
