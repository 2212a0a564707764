//! Calls under way to peers, and what each is for.

use crate::{
    group0::joining::ModifyFailure,
    ids::{Generation, GroupId, HostId},
    io::{CallError, CallId, RequestId},
    raft::RaftMessage,
};
use std::{collections::BTreeMap, net::SocketAddr};

/// What a call is for; its answer goes there.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// A pass of the procedure asks for the stage.
    AskStage(HostId),
    /// The procedure watches the stage.
    WatchStage(HostId),
    /// Discovery.
    Exchange(SocketAddr),
    /// To be added to the group, by the procedure.
    JoinGroup,
    /// To be added to the group, by the first boot, with a vote or without.
    BootIntoGroup,
    /// The schema of the donor, for the operator's plan.
    RollForward {
        /// Who waits for it.
        id: RequestId,
        /// By which plan.
        plan: u64,
    },
    /// To remove this host from the group.
    Departure(HostId),
    /// To have this host agree to the removal of another and record it, the old way.
    RemoveHost(HostId),
    /// Whether we were removed: the refusal says it.
    WhetherRemoved,
    /// A member asked us; we passed it on to the leader.
    ForwardModify(RequestId),
    /// The procedure compares schemas.
    Compare(HostId),
    /// The procedure pulls after a comparison.
    ComparePull(HostId),
    /// The early finish takes a final member's rows.
    Reconcile(HostId),
    /// Since one of us has started: compare schemas, pull if they differ. The start of the host is that which was known when it was
    /// asked.
    Exchanged(HostId, Generation),
    /// The pull of that, or one because versions differ.
    BackgroundPull(HostId, Generation),
    /// A change of the schema, for which an operation waits.
    Push(HostId, Option<RequestId>),
    /// Leave to join the ring.
    JoinRing(SocketAddr),
    /// The schema for a new node.
    BootPull,
    /// A snapshot for this Raft message of the group.
    Snapshot(GroupId, Box<RaftMessage>),
}

impl Purpose {
    /// Whether a pass of the procedure made it: a new pass drops it.
    pub const fn is_of_procedure_pass(&self) -> bool {
        matches!(self, Self::AskStage(_) | Self::Compare(_) | Self::ComparePull(_) | Self::Reconcile(_))
    }
}

/// The calls under way.
#[derive(Debug, Default)]
pub struct Calls {
    last: u64,
    open: BTreeMap<CallId, Purpose>,
}

impl Calls {
    /// Notes a call.
    pub fn open(&mut self, purpose: Purpose) -> CallId {
        self.last += 1;
        let call = CallId(self.last);
        self.open.insert(call, purpose);
        call
    }

    /// What an answer is for; `None` if nobody waits for it any more.
    pub fn close(&mut self, call: CallId) -> Option<Purpose> {
        self.open.remove(&call)
    }

    /// What an update is for.
    pub fn purpose(&self, call: CallId) -> Option<&Purpose> {
        self.open.get(&call)
    }

    /// What calls are under way for.
    pub fn purposes(&self) -> impl Iterator<Item = &Purpose> {
        self.open.values()
    }

    /// Whether a call for such a purpose is under way.
    pub fn any(&self, of: impl Fn(&Purpose) -> bool) -> bool {
        self.open.values().any(of)
    }

    /// Forgets the calls for such purposes, and names them.
    pub fn forget(&mut self, of: impl Fn(&Purpose) -> bool) -> Vec<CallId> {
        let calls: Vec<_> = self.open.iter().filter(|(_, purpose)| of(purpose)).map(|(call, _)| *call).collect();
        for call in &calls {
            self.open.remove(call);
        }
        calls
    }
}

/// What a failed `Group0ModifyConfig` means for joining.
pub fn modify_failure(error: &CallError) -> ModifyFailure {
    match error {
        CallError::Refused(refusal @ (crate::io::Refusal::OtherGroup { .. } | crate::io::Refusal::Never(_))) => {
            ModifyFailure::OtherGroup(refusal.to_string())
        }
        other => ModifyFailure::Transient(other.to_string()),
    }
}
