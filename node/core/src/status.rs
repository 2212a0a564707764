//! The node's answer to "what are you doing, and why is nothing happening?": one struct for the Admin service, REST and metrics.

use crate::{
    ids::{Generation, GroupId, HostId, Incarnation, Micros, TimeUuid},
    io::{Path, RecoveryPlan},
    upgrade::{Stage, Step, WaitingOn},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};
use uuid::Uuid;

/// All that an operator asks about.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Grows with every change of anything below, and over restarts (its upper half is the generation).
    pub sequence: u64,
    /// `cluster_name`
    pub cluster_name: String,
    /// This node.
    pub host: HostId,
    /// Its restart generation: tells a restarted process from its former self.
    pub generation: Generation,
    /// Where peers reach it.
    pub address: SocketAddr,
    /// The release of the program.
    pub release: String,
    /// Its wall clock.
    pub clock: Micros,
    /// Whether CQL is usable; if not, why.
    pub ready: Result<(), String>,
    /// How far the first boot has come.
    pub boot: Boot,
    /// `consistent_cluster_management` as configured.
    pub flag: Option<bool>,
    /// Whether the hold keeps the feature from being advertised.
    pub held: bool,
    /// Whether `Proceed` was received.
    pub proceed: bool,
    /// Whether the feature is enabled.
    pub feature_enabled: bool,
    /// The persisted upgrade state.
    pub stage: Stage,
    /// Where the procedure is.
    pub procedure: Procedure,
    /// Group 0, if this node has one.
    pub group: Option<GroupStatus>,
    /// The schema version.
    pub schema_version: Uuid,
    /// The ring as this node knows it, itself excluded.
    pub peers: BTreeMap<HostId, PeerStatus>,
    /// The last upgrade of this process, once final.
    pub upgrade_figures: Option<UpgradeFigures>,
    /// What a round trip to a peer and a transaction cost here lately.
    pub cost: Cost,
    /// The highest epoch that an operator has claimed; 0 if none has.
    pub operator_epoch: u64,
    /// What is left for people to do, once they have ordered recovery.
    pub recovery: Option<&'static str>,
    /// What a recovery would be planned from.
    pub evidence: Evidence,
}

/// What a recovery is planned from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The stored group, whether the node takes part in it or not.
    pub group: Option<GroupId>,
    /// The highest that the node knows of.
    pub incarnation: Incarnation,
    /// The last entry of the log, or the snapshot if the log is empty.
    pub last: Position,
    /// The commit index.
    pub commit: u64,
    /// Whether this start is in recovery.
    pub in_recovery: bool,
    /// Whether the next start is in recovery.
    pub recovery_stored: bool,
    /// How long ago each other host was heard, itself and not by hearsay, whether it was believed or not.
    pub heard: BTreeMap<HostId, Duration>,
    /// Hosts that are removed for ever.
    pub removed: BTreeSet<HostId>,
    /// The plan that was stored last.
    pub plan: Option<StoredPlan>,
    /// Whether the group was forgotten by a plan, be it one before that, and the recovery is not closed: it goes only forward.
    pub forward_only: bool,
}

/// A place in the log; ordered as Raft elects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The term of the entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// A plan of recovery as a survivor keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredPlan {
    /// What was decided.
    pub plan: RecoveryPlan,
    /// How far it has come here.
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

/// How far the first boot has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Looking for the ring or the group; says what it waits for.
    Joining(String),
    /// In the ring.
    Completed,
}

/// Where the upgrade procedure is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// Not started: the feature is not enabled, or the node is new or in recovery.
    Idle,
    /// Running.
    Running {
        /// In this step.
        step: Step,
        /// Waiting for this.
        waiting: Vec<WaitingOn>,
        /// Since when, by the wall clock.
        since: Micros,
    },
    /// It failed in this step. `RetryUpgrade` starts it again.
    Failed {
        /// The step.
        step: Step,
        /// The cause.
        cause: String,
    },
    /// Final.
    Done,
}

/// Group 0 as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Its id.
    pub group: GroupId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The current term.
    pub term: u64,
    /// The leader, if known.
    pub leader: Option<HostId>,
    /// The commit index.
    pub commit: u64,
    /// The applied index.
    pub applied: u64,
    /// Entries in the log.
    pub log_length: u64,
    /// Voters of the applied configuration.
    pub voters: Vec<HostId>,
    /// Non-voters of the applied configuration.
    pub learners: Vec<HostId>,
    /// Whether the configuration is joint.
    pub joint: bool,
    /// The last state id.
    pub state_id: Option<TimeUuid>,
}

/// A host of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its last known address.
    pub address: SocketAddr,
    /// Whether the failure detector thinks it up.
    pub up: bool,
    /// Its gossip status.
    pub status: String,
    /// Its generation, as gossip tells.
    pub generation: Generation,
    /// Its upgrade state, if gossip or a watch has told it.
    pub schema_version: Option<Uuid>,
    /// Since this node started: the generation of the peer with which a schema pull from it, or a comparison that found no
    /// difference, completed.
    pub pulled_from_generation: Option<Generation>,
}

/// What an upgrade took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpgradeFigures {
    /// Wall clock when the last advertisement of the feature was received.
    pub started: Micros,
    /// Wall clock when `synchronize` was persisted: from here schema changes were refused.
    pub synchronize: Micros,
    /// Wall clock when the final state was persisted.
    pub finished: Micros,
    /// Counted on the longest chain of causes up to the final state.
    pub path: Path,
    /// Counted from `synchronize` to the final state.
    pub refused_path: Path,
}

/// Measured costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Median round trip of a small call to a peer.
    pub round_trip: Duration,
    /// Median transaction.
    pub fsync: Duration,
}
