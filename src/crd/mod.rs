//! The types of `Group0Upgrade`: what a user writes (`spec`), what the operator answers (`status`).
//!
//! The doc comment of a field is its description in the CRD; `group0-operator crd` prints the CRD, and `crds/` holds what
//! it printed. Nothing here decides anything: rules that the API server can check are attributes, the rest is in
//! [`crate::validate`].

mod approvals;
mod generate;
mod spec;
mod spec_parts;
mod status;
mod status_parts;

pub use generate::{FILE_NAME, yaml};
pub use spec::{Group0Upgrade, Group0UpgradeSpec};
pub use spec_parts::{
    Backup, ClusterRef, ConfirmedDead, DURATION, Deadlines, GuardOverride, HOST_ID, HOUR, Mode, OBJECT_NAME, Pacing, Recovery,
    RecoveryMode, Weekday, Window,
};
pub use status::Group0UpgradeStatus;
pub use status_parts::{
    ExcludedStatus, FrozenStatus, HaltStatus, IntentStatus, KnownCommit, NodeRaft, NodeStatus, Phase, RecoveryStatus, Run,
    SetVersion, SilentStatus, Stall, UndoneStatus,
};

/// `apiVersion` of the object.
pub const API_VERSION: &str = "group0.dev/v1alpha1";
/// `kind` of the object.
pub const KIND: &str = "Group0Upgrade";
/// The environment variable of the flag.
pub const FLAG: &str = "GROUP0_CONSISTENT_CLUSTER_MANAGEMENT";
/// The environment variable of the hold.
pub const HOLD: &str = "GROUP0_CONSISTENT_CLUSTER_MANAGEMENT_HOLD";
/// Members of one cluster at most: the journal and the matrix of who sees whom are dimensioned for it.
pub const MAX_NODES: usize = 100;
