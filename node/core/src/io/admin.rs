//! What operators and people ask of a node beside CQL, and what they are told.

use crate::{
    ids::{Generation, GroupId, HostId},
    schema::Rows,
    status::{Evidence, Status},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    num::NonZeroU64,
    time::Duration,
};

/// What the operator asks through the Admin service.
#[derive(Clone, Debug)]
pub enum AdminRequest {
    /// The whole status, once.
    GetStatus,
    /// The same, now and at every change. Answered by many replies.
    WatchStatus,
    /// From now on refuse what an operator with a lower epoch orders.
    ClaimEpoch(NonZeroU64),
    /// Lift the hold: advertise the feature from now on.
    Proceed(Order),
    /// Start a failed upgrade procedure again.
    RetryUpgrade(Order),
    /// End this start of the process and begin another. [`crate::io::Apply::Restart`] follows.
    Restart {
        /// Who orders it.
        order: Order,
        /// The start that is to end.
        generation: Generation,
    },
    /// Every schema row with its timestamps, for comparing nodes.
    GetSchema,
    /// Remove a host that is down, for good. Answered once it is out, or refused.
    RemoveNode {
        /// Who orders it; absent if a person does who knows nothing of epochs.
        order: Option<Order>,
        /// Which.
        host: HostId,
        /// Other dead hosts, which need not agree. After the upgrade nobody has to be named.
        ignore: Vec<HostId>,
    },
    /// Leave the cluster for good. Answered once this node is out, or refused.
    Decommission {
        /// Who orders it; absent if a person does who knows nothing of epochs.
        order: Option<Order>,
    },
    /// Answered once all that group 0 had committed when this was asked is applied here, or refused.
    ReadBarrier {
        /// After which it is refused; absent: `group0_raft_op_timeout_in_ms`.
        within: Option<Duration>,
    },
    /// Which host has which token.
    GetTokens,
    /// Announce the shutdown and take part in nothing any more; the process stays, until it is restarted.
    Drain,
    /// Let another voter that is up lead group 0, if this node does.
    StepDown,
    /// For tests: from now on fail right before `synchronize`, or not any more.
    FailBeforeSynchronize(Option<Strikes>),
    /// Cut the log of that group after what is applied.
    TriggerSnapshot(GroupId),
    /// What a recovery would be planned from.
    GetEvidence,
    /// A step of a recovery.
    Recover {
        /// Who orders it.
        order: Order,
        /// The number of the plan that it belongs to; with 0 `LiftFence` takes away a marker that belongs to none.
        plan: u64,
        /// Which.
        step: RecoveryStep,
    },
}

/// The steps of a recovery, in their order; each takes place on every survivor before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryStep {
    /// Store the plan; nothing else changes.
    PrepareFence(RecoveryPlan),
    /// Hear nothing of the excluded hosts.
    Fence,
    /// Withdraw the plan, and hear them again.
    LiftFence,
    /// Start in recovery the next time.
    EnterRecovery,
    /// Apply the log to the end if the donor is this host; else merge what the donor has.
    RollForward {
        /// Whose log is the longest.
        donor: HostId,
    },
    /// Forget group, history and discovery, and remove the excluded hosts for ever.
    ResetGroup0,
    /// Start outside recovery the next time.
    LeaveRecovery,
    /// The plan is done.
    CloseRecovery,
}

impl RecoveryStep {
    /// Its name, as the Admin service has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PrepareFence(_) => "PrepareFence",
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

/// Who goes on and who is given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecoveryPlan {
    /// Higher than that of any plan before it.
    pub number: u64,
    /// All that are left.
    pub survivors: BTreeSet<HostId>,
    /// All that are given up.
    pub excluded: BTreeSet<HostId>,
    /// The plan as it was approved.
    pub text: String,
}

/// How often an error strikes that a test injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strikes {
    /// Once; [`crate::io::Apply::Struck`] follows.
    Once,
    /// Each time.
    Always,
}

/// Who orders a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The run that it belongs to; for the log.
    pub run_id: String,
    /// The epoch of who orders it. Lower than the claimed one: refused.
    pub epoch: u64,
}

/// What the operator is told.
#[derive(Clone, Debug)]
pub enum AdminReply {
    /// To `GetStatus` and its watch.
    Status(Box<Status>),
    /// Done, and durable.
    Done,
    /// To `GetSchema`.
    Schema(Rows),
    /// To `GetEvidence`.
    Evidence(Box<Evidence>),
    /// To `GetTokens`: the token, and where its host is reached by its peers.
    Tokens(BTreeMap<i64, SocketAddr>),
    /// Not done, and why.
    Refused(String),
}
