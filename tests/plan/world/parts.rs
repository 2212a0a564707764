//! The parts of a healthy cluster.

use group0_operator::observe::{
    Evidence, HostId, Machine, NodeSeen, Owner, Part, Peer, Pod, PodName, PodState, Procedure, Set, UpgradeState,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use uuid::Uuid;

pub fn known<T>(value: T) -> Part<T> {
    Part::Known { value, age: SignedDuration::ZERO }
}

pub fn host(name: &PodName) -> HostId {
    HostId(Uuid::from_u128(u128::try_from(name.rack).unwrap() * 16 + u128::from(name.ordinal) + 1))
}

pub fn peer(generation: u64) -> Peer {
    Peer { up: true, status: "NORMAL".into(), generation, pulled_from_generation: generation }
}

pub fn new_pod(uid: u64, flag: bool, since: Timestamp) -> Pod {
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

pub fn new_set(name: &str, replicas: u32) -> Set {
    Set {
        name: name.into(),
        version: 1,
        replicas,
        flag: false,
        template_hash: "v1".into(),
        on_delete: true,
        parallel: true,
        kept: false,
        hold: false,
        settled: true,
        owner: Some(Owner { uid: "own-uid".into(), exists: true }),
    }
}

pub fn new_node(name: &PodName, peers: BTreeMap<HostId, Peer>) -> NodeSeen {
    NodeSeen {
        sequence: 100,
        epoch: 1,
        disk_free: Some(1 << 30),
        evidence: Evidence::default(),
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
