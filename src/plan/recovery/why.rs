//! Why a recovery does not begin or go on: refusals by name, and what is waited for.

use crate::observe::{HostId, PodName};
use std::fmt;

/// Why a plan follows another one that was not carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Because {
    /// What has happened.
    pub what: Event,
    /// The same in words.
    pub text: String,
}

/// What ends a plan that cannot be carried out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A survivor was lost while the plan was carried out.
    SurvivorLost,
    /// The survivor whose log was to be kept.
    DonorLost,
    /// One that was to be given up, and that is alive.
    Returned,
}

impl Event {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::SurvivorLost => "SurvivorLost",
            Self::DonorLost => "DonorLost",
            Self::Returned => "Returned",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::SurvivorLost, Self::DonorLost, Self::Returned].into_iter().find(|event| event.name() == name)
    }
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named for what `Display` says of them")]
pub enum Why {
    /// A human, who approves this plan.
    AwaitingApproval { number: u64, hash: String, other: Option<String>, not_automatic: Option<&'static str> },
    /// `spec.recovery.mode` says so.
    Disabled,
    /// No member answers.
    NobodyLeft,
    /// A host that does not answer, and that may be alive.
    NotProvenDead { host: HostId, name: String, why: String },
    /// A host that does not answer us, but others.
    MemberUnreachable { host: HostId, name: String, why: String },
    /// Nodes with different groups.
    ForeignGroup { node: PodName, other: PodName },
    /// A host that is neither a member yet nor none.
    StillJoining { node: PodName },
    /// A plan that the survivors would not store.
    PlanTooLarge { bytes: usize },
    /// A node that has stored another plan under the same number; whether ours can still be taken back.
    OtherPlan { node: PodName, number: u64, may_be_withdrawn: bool },
    /// What made this plan necessary after another one.
    Follows(Because),
    /// The longest log that is left lacks what is known to be committed.
    DonorBehindKnownCommit { donor: PodName, index: u64, commit: u64 },
    /// A plan that was found on the nodes.
    Adopted { number: u64 },
    /// A plan that is taken back.
    Withdrawing { number: u64, why: String },
    /// A node that is in recovery by no plan, beside others that go on.
    StrayMarker { node: PodName, is_marked: bool },
    /// A removed host that answers.
    ExcludedAlive { node: PodName, host: HostId },
}

impl Why {
    /// One word, for conditions, columns and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AwaitingApproval { .. } => "AwaitingApproval",
            Self::Disabled => "RecoveryDisabled",
            Self::NobodyLeft => "NobodyLeft",
            Self::NotProvenDead { .. } => "NotProvenDead",
            Self::MemberUnreachable { .. } => "MemberUnreachable",
            Self::ForeignGroup { .. } => "ForeignGroup",
            Self::StillJoining { .. } => "StillJoining",
            Self::PlanTooLarge { .. } => "PlanTooLarge",
            Self::OtherPlan { .. } => "OtherPlan",
            Self::Follows(because) => because.what.name(),
            Self::DonorBehindKnownCommit { .. } => "DonorBehindKnownCommit",
            Self::Adopted { .. } => "Adopted",
            Self::Withdrawing { .. } => "Withdrawing",
            Self::StrayMarker { .. } => "StrayMarker",
            Self::ExcludedAlive { .. } => "ExcludedAlive",
        }
    }

    /// The node that it is about, if it is about one that is a pod.
    pub fn node(&self) -> Option<&PodName> {
        match self {
            Self::ForeignGroup { node, .. }
            | Self::StillJoining { node }
            | Self::OtherPlan { node, .. }
            | Self::DonorBehindKnownCommit { donor: node, .. }
            | Self::StrayMarker { node, .. }
            | Self::ExcludedAlive { node, .. } => Some(node),
            _ => None,
        }
    }

    /// Whether it is a guard that refuses: it stands in `status.recovery.blockedBy`.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Self::AwaitingApproval { .. }
                | Self::Follows(_)
                | Self::Adopted { .. }
                | Self::Withdrawing { .. }
                | Self::StrayMarker { .. }
                | Self::ExcludedAlive { .. }
        )
    }

    /// The page of `docs/runbooks` that says more: named for a step or for a class of stalls.
    pub fn page(&self) -> &'static str {
        match self {
            Self::Disabled
            | Self::NobodyLeft
            | Self::NotProvenDead { .. }
            | Self::MemberUnreachable { .. }
            | Self::ForeignGroup { .. }
            | Self::StillJoining { .. }
            | Self::PlanTooLarge { .. } => "Freeze",
            Self::AwaitingApproval { .. } | Self::Follows(_) | Self::Adopted { .. } => "Approve",
            Self::OtherPlan { .. } => "Fence",
            Self::DonorBehindKnownCommit { .. } => "RollForward",
            Self::Withdrawing { .. } => "Withdraw",
            Self::StrayMarker { .. } => "StrayRecovery",
            Self::ExcludedAlive { .. } => "Replace",
        }
    }

    /// Whether only a human can end the wait.
    pub fn needs_human(&self) -> bool {
        matches!(self, Self::AwaitingApproval { .. } | Self::StrayMarker { .. } | Self::ExcludedAlive { .. }) || self.is_refusal()
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AwaitingApproval { number, hash, other, not_automatic } => {
                write!(
                    f,
                    "plan {number} is ready: read status.recovery.plan, then set spec.recovery.approvedPlanHash to {hash}"
                )?;
                if let Some(why) = not_automatic {
                    write!(f, "; mode Automatic does not suffice, because {why}")?;
                }
                other.as_ref().map_or(Ok(()), |other| write!(f, "; what is approved now is another plan: {other}"))
            }
            Self::Disabled => write!(f, "spec.recovery.mode is Disabled: set Approve to have a plan made"),
            Self::NobodyLeft => write!(
                f,
                "no member answers, and there is nobody to go on with: bring one back, on its volume; or begin a new cluster, from a copy of the schema if there is one (spec.backup)"
            ),
            Self::NotProvenDead { host, name, why } => write!(
                f,
                "{name} (host {host}) does not answer, and nothing proves that it is gone for good: {why}; \
                 if you know that it is, name it in spec.recovery.confirmDead"
            ),
            Self::MemberUnreachable { host, name, why } => {
                write!(f, "{name} (host {host}) is alive but cannot be asked, and a recovery needs all that are alive: {why}")
            }
            Self::ForeignGroup { node, other } => {
                write!(f, "{node} and {other} have stored different groups: a recovery would have to choose between them")
            }
            Self::StillJoining { node } => write!(f, "{node} is a member that has not finished joining: remove it, or wait"),
            Self::PlanTooLarge { bytes } => write!(f, "the plan has {bytes} bytes, more than nodes store"),
            Self::OtherPlan { node, number, may_be_withdrawn } => {
                write!(f, "{node} has stored another plan {number} than this object has: find out who made it; ")?;
                f.write_str(if *may_be_withdrawn {
                    "with spec.recovery.mode Disabled this one is taken back, and with Approve again the next is made"
                } else {
                    "this one can no longer be taken back"
                })
            }
            Self::Follows(because) => f.write_str(&because.text),
            Self::DonorBehindKnownCommit { donor, index, commit } => write!(
                f,
                "the longest log that is left is that of {donor} and ends at {index}, but {commit} is known to be committed: what lies \
                 between is lost with the dead; override the guard DonorBehindKnownCommit to go on without it"
            ),
            Self::Adopted { number } => {
                write!(f, "plan {number} is on the nodes and not in this object: it is taken over from them")
            }
            Self::Withdrawing { number, why } => write!(f, "plan {number} is taken back: {why}"),
            Self::StrayMarker { node, is_marked: true } => write!(
                f,
                "{node} is in recovery, and no plan has put it there: whoever did it by hand, finishes by hand; otherwise delete \
                 group0_upgrade_state from its system.scylla_local and restart it. With spec.recovery.mode Automatic both are done \
                 after recovery.deadAfter"
            ),
            Self::StrayMarker { node, is_marked: false } => {
                write!(f, "{node} is in recovery, and would leave it with its next start: restart it")
            }
            Self::ExcludedAlive { node, host } => write!(
                f,
                "{node} is host {host}, which is removed for ever, and answers: nobody hears it; delete its volume and its pod, and a \
                 fresh member takes its place"
            ),
        }
    }
}
