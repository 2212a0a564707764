//! What was seen: one plain value, made by reading only.
//!
//! Each part is [`Part::Known`] with its age, or [`Part::Unknown`] with the reason; the planner treats Unknown as unsafe.
//! How a node is read is in [`follow`] and [`admin`]; nothing here decides.

pub mod admin;
pub mod follow;
mod node;
mod set;

pub use node::{
    Evidence, Figures, Group, Machine, NodeSeen, Peer, PlanState, Pod, PodState, Position, Procedure, StoredPlan, UpgradeState,
};
pub use set::{Owner, Set};

use k8s_openapi::jiff::SignedDuration;
use std::{collections::BTreeMap, fmt, time::Duration};
use uuid::Uuid;

/// A node of which nothing new is heard is asked so often.
pub const ASK_EVERY: Duration = Duration::from_secs(1);

/// The name of a pod: StatefulSet and ordinal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// The position of its StatefulSet in `spec.clusterRef.statefulSets`: the rack.
    pub rack: usize,
    /// Its ordinal in the StatefulSet.
    pub ordinal: u32,
    /// Its whole name.
    pub name: String,
}

impl PodName {
    /// The pod of this ordinal of this StatefulSet.
    pub fn new(rack: usize, stateful_set: &str, ordinal: u32) -> Self {
        Self { rack, ordinal, name: format!("{stateful_set}-{ordinal}") }
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A host id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub Uuid);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of an observation: some past version, of its own age.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<T> {
    /// Seen.
    Known {
        /// What was seen.
        value: T,
        /// How long ago.
        age: SignedDuration,
    },
    /// Not seen, and why.
    Unknown(String),
}

impl<T> Part<T> {
    /// The value, if it was seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Everything that the planner may know.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The object that asks for the upgrade.
    pub object: Object,
    /// The StatefulSets, in the order of `spec.clusterRef.statefulSets`: the racks.
    pub sets: Vec<Part<Set>>,
    /// The PodDisruptionBudgets that select any of the pods.
    pub budgets: Part<Vec<String>>,
    /// Each member of the cluster.
    pub nodes: BTreeMap<PodName, NodeView>,
}

/// The object that asks for the upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Its identity: an object that was made again has another.
    pub uid: String,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// By whom what is approved: a run by its id, a plan by its hash.
    pub approvals: BTreeMap<String, String>,
}

/// One member: its pod and what its Admin service says.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// The pod, or the process that stands for it.
    pub pod: Part<Pod>,
    /// The node's own word.
    pub node: Part<NodeSeen>,
}
