//! What is remembered of a recovery: choices that must not change, and when things happened.

use super::{FrozenPlan, why::Because};
use crate::{
    observe::{HostId, PodName},
    plan::stall::Class,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A recovery, from its frozen plan on. The last one stays until another takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recovery {
    /// The choices.
    pub plan: FrozenPlan,
    /// What it answers.
    pub trigger: Class,
    /// In which pod each excluded host was, if that is known.
    pub pods: BTreeMap<HostId, Option<PodName>>,
    /// Where it is.
    pub step: Step,
    /// Since when.
    pub step_since: Timestamp,
    /// When its plan was made, or taken over from the nodes.
    pub frozen_at: Timestamp,
    /// When the loss made schema changes impossible, at the latest.
    pub lost_at: Timestamp,
    /// When the last of the excluded counted as dead.
    pub proven_at: Timestamp,
    /// Whether a human must approve it whatever the mode is: a plan before it has lost the donor of its log.
    pub needs_human: bool,
    /// Whether a plan before it had come to its point of no return: then there is nothing to go back to.
    pub forward_only: bool,
    /// Why it follows another plan, if it does.
    pub because: Option<Because>,
    /// When it was approved, or when it was found that nobody has to.
    pub approved_at: Option<Timestamp>,
    /// Whose log is rolled forward; chosen once.
    pub donor: Option<Donor>,
    /// The intent of the first `ResetGroup0`: the point of no return.
    pub reset_at: Option<Timestamp>,
    /// The intent of the first `LeaveRecovery`.
    pub leaving_at: Option<Timestamp>,
    /// When the new group was seen whole.
    pub verified_at: Option<Timestamp>,
    /// Pods that were given up for a fresh member.
    pub replaced: BTreeSet<PodName>,
    /// Why it was given up before the point of no return.
    pub withdrawn: Option<String>,
    /// When the last survivor had closed or withdrawn it.
    pub ended_at: Option<Timestamp>,
}

/// Whose log is rolled forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Donor {
    /// No survivor has a log: nothing ever went through the group.
    Nobody,
    /// This one's.
    Host(HostId),
}

/// The steps, in their order, and the two ways in which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The choices are made.
    Freeze,
    /// A human, or standing permission, and a copy of every schema.
    Approve,
    /// All survivors store the plan, then hear nothing of the excluded.
    Fence,
    /// All survivors are restarted in recovery.
    EnterRecovery,
    /// The longest log is applied to its end, and what it gave is merged into all.
    RollForward,
    /// The old group is forgotten.
    ResetGroup0,
    /// No survivor knows the excluded any more.
    RemoveLost,
    /// All survivors have compared their schemas.
    AgreeSchema,
    /// All survivors are restarted, and found a group.
    LeaveRecovery,
    /// The group is whole, and goes on.
    Verify,
    /// Fresh members take the places of the lost.
    Replace,
    /// It is over.
    Done,
    /// It is given up.
    Withdraw,
}

impl Step {
    /// The steps of a plan, in their order.
    pub const ALL: [Self; 11] = [
        Self::Freeze,
        Self::Approve,
        Self::Fence,
        Self::EnterRecovery,
        Self::RollForward,
        Self::ResetGroup0,
        Self::RemoveLost,
        Self::AgreeSchema,
        Self::LeaveRecovery,
        Self::Verify,
        Self::Replace,
    ];

    /// Its name, in status and in the plan.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The step with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Done, Self::Withdraw]).find(|step| step.name() == name)
    }
}

impl Recovery {
    /// Whether there is still anything to do by it.
    pub fn is_in_force(&self) -> bool {
        self.ended_at.is_none() || (self.withdrawn.is_none() && self.step != Step::Done)
    }

    /// Whether it may still be given up.
    pub fn may_be_withdrawn(&self) -> bool {
        self.reset_at.is_none() && !self.forward_only
    }

    /// What people know an excluded host by.
    pub fn name_of(&self, host: HostId) -> String {
        match self.pods.get(&host) {
            Some(Some(pod)) => pod.name.clone(),
            _ => "a node".into(),
        }
    }

    /// For how long schema changes were impossible, as far as an operator can know.
    pub fn outage(&self) -> Option<SignedDuration> {
        Some(self.verified_at?.duration_since(self.lost_at))
    }

    /// How much of that was waiting until the lost counted as dead.
    pub fn wait_for_proof(&self) -> SignedDuration {
        self.proven_at.duration_since(self.lost_at)
    }

    /// Timers that began after `now` begin now.
    pub(in crate::plan) fn begin_timers_by(&mut self, now: Timestamp) {
        self.step_since = self.step_since.min(now);
    }
}
