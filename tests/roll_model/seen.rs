//! From the few bits of a pod to all that the planner may ask for.

use crate::{
    operator::{Seen, Sight},
    world::{PODS, Place, Stage, View},
};
use group0_operator::{
    crd::{ClusterRef, Group0UpgradeSpec},
    observe::{
        Evidence, Group, HostId, Machine, NodeSeen, NodeView, Object, Observation, Owner, Part, Peer, Pod, PodName, PodState,
        Procedure, Set, UpgradeState,
    },
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};
use uuid::Uuid;

/// Every pod, by ordinal.
static NAMES: LazyLock<[PodName; PODS]> = LazyLock::new(|| [0, 1, 2].map(|ordinal| PodName::new(0, "db", ordinal)));

/// The time, always.
pub fn now() -> Timestamp {
    Timestamp::from_second(86_400).unwrap()
}

/// Every pod, by ordinal.
pub fn names() -> &'static [PodName; PODS] {
    &NAMES
}

/// The ordinal of a pod.
pub fn place(name: &PodName) -> Place {
    usize::try_from(name.ordinal).unwrap()
}

/// What is asked for.
pub fn spec() -> Group0UpgradeSpec {
    let stateful_sets = vec!["db".into()];
    Group0UpgradeSpec::new_for(ClusterRef { stateful_sets, container: "node".into(), admin_port: 7001, tls_secret_ref: None })
}

/// What a look sees, in the planner's terms.
pub fn observation(seen: &Seen) -> Observation {
    let set = Set {
        name: "db".into(),
        version: seen.set.version.into(),
        replicas: 3,
        flag: seen.set.flag,
        template_hash: "v1".into(),
        on_delete: true,
        parallel: true,
        kept: false,
        hold: seen.set.flag,
        settled: true,
        owner: (seen.set.owner != 0).then(|| Owner { uid: seen.set.owner.to_string(), exists: seen.exists }),
    };
    Observation {
        object: Object { uid: seen.object.0.to_string(), generation: seen.object.1.into(), ..Object::default() },
        sets: vec![known(set)],
        budgets: known(vec!["db".into()]),
        nodes: names().iter().enumerate().map(|(place, name)| (name.clone(), view(seen, place))).collect(),
    }
}

fn known<T>(value: T) -> Part<T> {
    Part::Known { value, age: SignedDuration::ZERO }
}

fn host(place: Place) -> HostId {
    HostId(Uuid::from_u128(u128::try_from(place).unwrap() + 1))
}

fn view(seen: &Seen, place: Place) -> NodeView {
    let Sight { pod: of_pod, node: of_node, .. } = &seen.pods[place];
    let node = if of_node.answers() { known(node(seen, place, of_node)) } else { Part::Unknown("connection refused".into()) };
    NodeView { pod: known(pod(of_pod)), node }
}

/// The sick one has been so for long; the others were made just now.
fn pod(view: &View) -> Pod {
    let state = match view.stage {
        Stage::Down => PodState::Down("it crashed".into()),
        Stage::Away => PodState::Changing,
        Stage::Sick | Stage::Back | Stage::Whole => PodState::Running,
    };
    Pod {
        uid: view.uid.to_string(),
        version: view.version.into(),
        state,
        since: if view.stage == Stage::Sick { Timestamp::UNIX_EPOCH } else { now() },
        flag: view.flag,
        hold: view.flag,
        template_hash: "v1".into(),
        machine: Machine::There,
        volume_gone: false,
    }
}

fn node(seen: &Seen, place: Place, view: &View) -> NodeSeen {
    let others = (0..PODS).filter(|other| *other != place);
    let group = || Group {
        id: Uuid::from_u128(0x600),
        leader: Some(host(0)),
        voters: (0..PODS).map(host).collect(),
        learners: BTreeSet::new(),
        joint: false,
        commit: 7,
        state_id: String::new(),
    };
    NodeSeen {
        sequence: view.generation.into(),
        host: host(place),
        generation: view.generation.into(),
        release: "0.1.0".into(),
        clock_offset: SignedDuration::ZERO,
        ready: if view.stage == Stage::Sick { Err("its schema is damaged".into()) } else { Ok(()) },
        bootstrapped: Ok(()),
        flag: view.flag,
        proceed: view.proceed,
        held: view.flag && !view.proceed,
        feature_enabled: seen.enabled,
        state: if view.is_final { UpgradeState::PostRaft } else { UpgradeState::PreRaft },
        procedure: if view.is_final { Procedure::Done } else { Procedure::Idle },
        group: view.is_final.then(group),
        schema_version: String::new(),
        peers: others.map(|other| (host(other), peer(view, &seen.pods[other].truth))).collect::<BTreeMap<_, _>>(),
        figures: None,
        epoch: view.epoch.into(),
        disk_free: None,
        evidence: Evidence::default(),
    }
}

/// What a node knows of another one: of one that went away it has not noticed it; of one that is back it has no schema yet.
fn peer(of: &View, other: &View) -> Peer {
    let is_exchanged = of.stage == Stage::Whole && !matches!(other.stage, Stage::Back | Stage::Sick);
    let generation = u64::from(other.generation);
    Peer { up: true, status: "NORMAL".into(), generation, pulled_from_generation: if is_exchanged { generation } else { 0 } }
}
