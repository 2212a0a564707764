//! What operators and people ask of a node beside CQL, and what they are told.

use crate::{
    ids::{Generation, GroupId, HostId},
    schema::Rows,
    status::Status,
};
use std::{num::NonZeroU64, time::Duration};

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
    /// Let another voter that is up lead group 0, if this node does.
    StepDown,
    /// Cut the log of that group after what is applied.
    TriggerSnapshot(GroupId),
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
    /// Not done, and why.
    Refused(String),
}
