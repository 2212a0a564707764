//! A pod and a node as they were seen. Strings of the wire have been parsed.

use super::HostId;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, collections::BTreeSet, fmt};
use uuid::Uuid;

/// A pod, or the process that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its identity: a pod that was made again has another.
    pub uid: String,
    /// Grows with every change of it, by whomever.
    pub version: u64,
    /// Whether it runs.
    pub state: PodState,
    /// When it was made.
    pub since: Timestamp,
    /// Whether its environment turns the flag on.
    pub flag: bool,
    /// Whether its environment holds the feature back.
    pub hold: bool,
    /// The template that it was made from, without our variables, hashed.
    pub template_hash: String,
    /// The machine that it runs on.
    pub machine: Machine,
    /// Whether its volume is gone for good.
    pub volume_gone: bool,
}

/// The machine of a pod, as far as Kubernetes knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// It is there; whether it answers is no matter.
    #[default]
    There,
    /// A human has declared it out of service (the taint of that name).
    OutOfService,
    /// All that its volume names, and can be used on, are out of service, whether or not the pod was made since and is on one of them.
    OutOfServiceForItsVolume,
    /// Its Node object is gone. Of containers that still run there nothing is known.
    Gone,
}

/// Whether a pod runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// It runs; whether it is ready, the node says.
    Running,
    /// It is being started or stopped.
    Changing,
    /// Somebody has deleted it, and it is not gone yet.
    Ending,
    /// It does not run, and why. It is started again without our help.
    Down(String),
    /// It cannot run as it is: it crashes again and again, its image cannot be had, or it finds no machine.
    Broken(String),
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSeen {
    /// Grows with every change.
    pub sequence: u64,
    /// Who it is.
    pub host: HostId,
    /// Grows with each start of the process.
    pub generation: u64,
    /// Its release.
    pub release: String,
    /// Its wall clock minus ours, when its answer came.
    pub clock_offset: SignedDuration,
    /// Whether it serves clients; if not, why.
    pub ready: Result<(), String>,
    /// Whether it is a full member; if not, what it waits for.
    pub bootstrapped: Result<(), String>,
    /// The flag as its process read it.
    pub flag: bool,
    /// Whether `Proceed` was received.
    pub proceed: bool,
    /// Whether the hold keeps the feature back.
    pub held: bool,
    /// Whether the feature is enabled.
    pub feature_enabled: bool,
    /// Its upgrade state.
    pub state: UpgradeState,
    /// Its upgrade procedure.
    pub procedure: Procedure,
    /// Its group, if it has one.
    pub group: Option<Group>,
    /// Its schema version.
    pub schema_version: String,
    /// The other hosts of the ring as it knows them.
    pub peers: BTreeMap<HostId, Peer>,
    /// What its upgrade took, if this process has finished one.
    pub figures: Option<Figures>,
    /// The highest epoch that an operator has claimed on it; 0 if none has.
    pub epoch: u64,
    /// Bytes that it may still write, if it can tell.
    pub disk_free: Option<u64>,
    /// What a recovery would be planned from.
    pub evidence: Evidence,
}

/// What a recovery is planned from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The stored group, whether the node takes part in it or not.
    pub group: Option<Uuid>,
    /// The highest incarnation that it knows of.
    pub incarnation: u32,
    /// The last entry of its log, or its snapshot if the log is empty; zero if there is neither.
    pub last: Position,
    /// The commit index.
    pub commit: u64,
    /// Whether its present start is in recovery; ordered, it begins with the next.
    pub in_recovery: bool,
    /// Whether its next start is in recovery.
    pub recovery_stored: bool,
    /// How long ago each other host was heard, itself and not by hearsay, when the answer came.
    pub heard: BTreeMap<HostId, SignedDuration>,
    /// Hosts that are removed for ever.
    pub removed: BTreeSet<HostId>,
    /// The plan that was stored last.
    pub plan: Option<StoredPlan>,
    /// Whether it has forgotten its group by a plan, be it one before that, and the recovery is not closed: no fence is lifted here.
    pub forward_only: bool,
}

/// A place in the log; ordered as Raft elects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The term of the entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// A plan of recovery as a survivor keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlan {
    /// Its number.
    pub number: u64,
    /// All that are left.
    pub survivors: BTreeSet<HostId>,
    /// All that are given up.
    pub excluded: BTreeSet<HostId>,
    /// The plan as it was approved.
    pub text: String,
    /// How far it has come there.
    pub state: PlanState,
    /// Whether the log, or what the donor has of it, is in the schema.
    pub rolled_forward: bool,
}

/// How far a plan has come on one survivor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlanState {
    /// Stored, without effect.
    Prepared,
    /// The excluded are not heard; that can be lifted.
    Fenced,
    /// From `ResetGroup0` on: only forward.
    Resetting,
    /// Over.
    Done,
    /// Given up before it had come to `Resetting`.
    Withdrawn,
}

impl NodeSeen {
    /// Whether the same host has said something later before. At an address that another host has taken over, its word is a new one.
    pub fn is_older_than(&self, former: &Self) -> bool {
        self.host == former.host && self.sequence < former.sequence
    }

    /// Whether it says anything that was not said before.
    pub fn is_news_after(&self, former: &Self) -> bool {
        (self.host, self.sequence) != (former.host, former.sequence)
    }
}

/// The persisted upgrade state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradeState {
    /// `recovery`
    Recovery,
    /// `use_pre_raft_procedures`
    PreRaft,
    /// `synchronize`
    Synchronize,
    /// `use_post_raft_procedures`
    PostRaft,
    /// A text that this release does not know.
    Unrecognized(String),
}

impl From<&str> for UpgradeState {
    fn from(text: &str) -> Self {
        match text {
            "recovery" => Self::Recovery,
            "use_pre_raft_procedures" => Self::PreRaft,
            "synchronize" => Self::Synchronize,
            "use_post_raft_procedures" => Self::PostRaft,
            other => Self::Unrecognized(other.into()),
        }
    }
}

impl fmt::Display for UpgradeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recovery => "recovery",
            Self::PreRaft => "use_pre_raft_procedures",
            Self::Synchronize => "synchronize",
            Self::PostRaft => "use_post_raft_procedures",
            Self::Unrecognized(text) => text,
        })
    }
}

/// Where a node's upgrade procedure is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// Not started.
    Idle,
    /// Running.
    Running {
        /// Its step.
        step: String,
        /// What it waits for, in words.
        waiting: Vec<String>,
        /// Since when.
        since: Timestamp,
    },
    /// It has failed and waits to be started again.
    Failed {
        /// Its step.
        step: String,
        /// Why.
        cause: String,
    },
    /// Final.
    Done,
}

/// Group 0 as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: Uuid,
    /// The leader, if known.
    pub leader: Option<HostId>,
    /// Voters of the applied configuration.
    pub voters: BTreeSet<HostId>,
    /// Its members that do not vote: newcomers on their way in.
    pub learners: BTreeSet<HostId>,
    /// Whether the configuration is joint.
    pub joint: bool,
    /// The commit index.
    pub commit: u64,
    /// The last state id; empty if there is none.
    pub state_id: String,
}

/// Another host, as one node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Whether it is seen up.
    pub up: bool,
    /// Its gossip status.
    pub status: String,
    /// The start of its process that the node knows of.
    pub generation: u64,
    /// The generation of the peer from which a schema pull has completed since the node itself started; 0 if none has.
    pub pulled_from_generation: u64,
}

/// What an upgrade took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The last advertisement of the feature was received.
    pub started: Timestamp,
    /// `synchronize` was durable.
    pub synchronize: Timestamp,
    /// The final state was durable.
    pub finished: Timestamp,
}
