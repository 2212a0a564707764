//! What can be done: each idempotent, each with the precondition that makes a late performer fail.

use crate::observe::{HostId, PodName};
use std::fmt;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Say in the StatefulSet that this upgrade owns it.
    Own {
        /// The StatefulSet.
        set: String,
        /// Only in this version.
        version: u64,
    },
    /// Change the StatefulSet without changing anything: whoever wakes late with its old version fails.
    TouchSet {
        /// The StatefulSet.
        set: String,
        /// Only in this version.
        version: u64,
    },
    /// The same for a pod.
    TouchPod {
        /// The pod.
        node: PodName,
        /// The pod with this UID, and no other.
        uid: String,
    },
    /// Have the node refuse every older operator.
    ClaimEpoch {
        /// The node.
        node: PodName,
    },
    /// Set flag and hold in the pod template, or take both out. Restarts nothing.
    SetTemplate {
        /// The StatefulSet.
        set: String,
        /// Only in this version.
        version: u64,
        /// Whether flag and hold are in it.
        flag: bool,
    },
    /// Make the pod again, from the present template.
    Recreate {
        /// The pod.
        node: PodName,
        /// The pod with this UID, and no other.
        uid: String,
        /// Only in this version.
        version: u64,
    },
    /// Restart the process in its pod, with the environment that it has.
    Restart {
        /// The node.
        node: PodName,
        /// The start that is ended, and no other.
        generation: u64,
    },
    /// Keep a copy of the node's schema, with the timestamps.
    Backup {
        /// The node.
        node: PodName,
    },
    /// Lift the hold on this node.
    Proceed {
        /// The node.
        node: PodName,
    },
    /// Start the failed upgrade procedure of this node again.
    RetryUpgrade {
        /// The node.
        node: PodName,
    },
    /// A step of a recovery on this node. What the plan says is in [`crate::act::Order`].
    Recover {
        /// The node, a survivor.
        node: PodName,
        /// The number of the plan.
        plan: u64,
        /// The step.
        verb: RecoveryVerb,
    },
    /// Have this node remove a host that is dead, for good.
    RemoveHost {
        /// The node that does it.
        node: PodName,
        /// The dead host.
        host: HostId,
        /// Other dead hosts, which need not agree.
        ignore: Vec<HostId>,
    },
    /// Give up the volume of a lost node, so that a fresh member boots in its place.
    Replace {
        /// The lost node.
        node: PodName,
        /// The pod with this UID, and no other; empty if there is none.
        uid: String,
    },
    /// Take the owner's name out of the StatefulSet.
    Disown {
        /// The StatefulSet.
        set: String,
        /// Only in this version.
        version: u64,
    },
}

/// The steps of a recovery that take place on a node, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecoveryVerb {
    /// Store the plan; nothing else changes.
    PrepareFence,
    /// Hear nothing of the excluded hosts.
    Fence,
    /// Withdraw the plan, and hear them again.
    LiftFence,
    /// Start in recovery the next time.
    EnterRecovery,
    /// Apply the log to the end if the donor is this node; else merge what the donor has.
    RollForward {
        /// Whose log is the longest.
        donor: HostId,
    },
    /// Forget group, history and discovery, and remove the excluded for ever.
    ResetGroup0,
    /// Start outside recovery the next time.
    LeaveRecovery,
    /// The plan is done.
    CloseRecovery,
}

impl RecoveryVerb {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrepareFence => "PrepareFence",
            Self::Fence => "Fence",
            Self::LiftFence => "LiftFence",
            Self::EnterRecovery => "EnterRecovery",
            Self::RollForward { .. } => "RollForward",
            Self::ResetGroup0 => "ResetGroup0",
            Self::LeaveRecovery => "LeaveRecovery",
            Self::CloseRecovery => "CloseRecovery",
        }
    }
}

impl Action {
    /// Its name, in the journal and wherever acts are counted.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Own { .. } => "Own",
            Self::Disown { .. } => "Disown",
            Self::TouchSet { .. } => "TouchSet",
            Self::TouchPod { .. } => "TouchPod",
            Self::ClaimEpoch { .. } => "ClaimEpoch",
            Self::SetTemplate { flag: true, .. } => "SetFlag",
            Self::SetTemplate { flag: false, .. } => "UnsetFlag",
            Self::Recreate { .. } => "Recreate",
            Self::Restart { .. } => "Restart",
            Self::Backup { .. } => "Backup",
            Self::Proceed { .. } => "Proceed",
            Self::RetryUpgrade { .. } => "RetryUpgrade",
            Self::Recover { verb, .. } => verb.name(),
            Self::RemoveHost { .. } => "RemoveHost",
            Self::Replace { .. } => "Replace",
        }
    }

    /// A `Recreate` whose record is lost: of which pod of that name is not known, so that only a touch ends it.
    pub fn lost_recreate(node: &PodName) -> Self {
        Self::Recreate { node: node.clone(), uid: String::new(), version: 0 }
    }

    /// A `SetTemplate` whose record is lost, likewise.
    pub fn lost_template(set: &str) -> Self {
        Self::SetTemplate { set: set.into(), version: 0, flag: false }
    }

    /// Whether it stands for one whose record is lost.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Recreate { node, .. } => *self == Self::lost_recreate(node),
            Self::SetTemplate { set, .. } => *self == Self::lost_template(set),
            _ => false,
        }
    }

    /// Whether a node serves nobody while it takes place.
    pub fn disrupts(&self) -> Option<&PodName> {
        match self {
            Self::Recreate { node, .. } | Self::Restart { node, .. } => Some(node),
            _ => None,
        }
    }

    /// The pod that it is about, if it is about one.
    pub fn pod(&self) -> Option<&PodName> {
        match self {
            Self::Own { .. } | Self::Disown { .. } | Self::TouchSet { .. } | Self::SetTemplate { .. } => None,
            Self::TouchPod { node, .. }
            | Self::ClaimEpoch { node }
            | Self::Recreate { node, .. }
            | Self::Restart { node, .. }
            | Self::Backup { node }
            | Self::Proceed { node }
            | Self::RetryUpgrade { node }
            | Self::Recover { node, .. }
            | Self::RemoveHost { node, .. }
            | Self::Replace { node, .. } => Some(node),
        }
    }

    /// Whether doing it late, when the plan has become another, could do harm.
    pub fn is_harmful_when_late(&self) -> bool {
        matches!(self, Self::Recreate { .. } | Self::Restart { .. } | Self::SetTemplate { .. } | Self::Replace { .. })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { set, .. } => write!(f, "own {set}"),
            Self::Disown { set, .. } => write!(f, "disown {set}"),
            Self::TouchSet { set, .. } => write!(f, "touch {set}"),
            Self::TouchPod { node, .. } => write!(f, "touch {node}"),
            Self::ClaimEpoch { node } => write!(f, "claim {node}"),
            Self::SetTemplate { set, flag: true, .. } => write!(f, "put flag and hold into the template of {set}"),
            Self::SetTemplate { set, flag: false, .. } => write!(f, "take flag and hold out of the template of {set}"),
            Self::Recreate { node, .. } => write!(f, "recreate {node}"),
            Self::Restart { node, .. } => write!(f, "restart {node} in place"),
            Self::Backup { node } => write!(f, "back up the schema of {node}"),
            Self::Proceed { node } => write!(f, "proceed {node}"),
            Self::RetryUpgrade { node } => write!(f, "retry upgrade {node}"),
            Self::Recover { node, plan, verb: RecoveryVerb::RollForward { donor } } => {
                write!(f, "RollForward {node} from {donor} by plan {plan}")
            }
            Self::Recover { node, plan, verb } => write!(f, "{} {node} by plan {plan}", verb.name()),
            Self::RemoveHost { node, host, .. } => write!(f, "have {node} remove {host}"),
            Self::Replace { node, .. } => write!(f, "give up the volume of {node} so that a fresh member boots there"),
        }
    }
}
