//! Why nothing is being done: one enum for conditions, status, events, the table and the transcripts.

use crate::{
    crd::Phase,
    observe::{HostId, PodName, UpgradeState},
};
use k8s_openapi::jiff::Timestamp;
use std::fmt;

/// Reasons kept at most: all pairs of a hundred nodes would make ten thousand.
const MAX_REASONS: usize = 64;

/// Where the upgrade is and what it waits for, the most important first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it is.
    pub phase: Phase,
    /// What it waits for.
    pub waiting: Vec<WaitingFor>,
}

impl Report {
    /// A report with a bounded number of reasons.
    pub fn new(phase: Phase, mut waiting: Vec<WaitingFor>) -> Self {
        waiting.truncate(MAX_REASONS);
        Self { phase, waiting }
    }
}

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named for what `Display` says of them")]
pub enum WaitingFor {
    /// `spec.paused` to be taken away.
    Unpause,
    /// A pod that does not run.
    PodDown { node: PodName, why: String },
    /// A pod that runs, or is being started, but is not ready.
    PodNotReady { node: PodName, why: String },
    /// A node or pod that cannot be asked.
    NodeUnknown { node: PodName, why: String },
    /// A process that has not read the flag that its pod carries.
    FlagNotTaken { node: PodName },
    /// A node that another one does not see up.
    PeerSeesNodeDown { by: PodName, of: PodName },
    /// A node of which another one knows only an earlier start.
    PeerKnowsEarlierStart { by: PodName, of: PodName },
    /// A schema pull that has not completed since both nodes started.
    SchemaNotExchanged { by: PodName, from: PodName },
    /// A member of the ring that is no pod of the StatefulSets.
    ForeignMember { by: PodName, host: HostId },
    /// Two releases in one cluster.
    ReleaseDiffers { node: PodName, other: PodName, releases: Box<[String; 2]> },
    /// A clock more than a second from ours.
    ClockOff { node: PodName, millis: i64 },
    /// A node in the state `recovery`.
    InRecovery { node: PodName },
    /// A state that has no place at this point.
    UnexpectedState { node: PodName, state: UpgradeState },
    /// A state that this release of the operator does not know.
    UnknownNodeState { node: PodName, state: String },
    /// `spec.pacing.minSecondsBetweenNodes`.
    Pacing { until: Timestamp },
    /// `spec.pacing.bakeSeconds`.
    Baking { until: Timestamp },
    /// A node whose feature is not enabled yet.
    FeatureNotEnabled { node: PodName },
    /// A node that is in a step of its procedure.
    Procedure { node: PodName, step: String, waiting: String },
    /// A node whose procedure has failed.
    UpgradeFiberFailed { node: PodName, cause: String },
    /// A node that is no voter in another one's configuration.
    NotVoter { node: PodName, of: PodName },
    /// Two nodes with different groups.
    GroupsDiffer { node: PodName, other: PodName },
}

impl WaitingFor {
    /// One word, for conditions, columns and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unpause => "Paused",
            Self::PodDown { .. } => "PodDown",
            Self::PodNotReady { .. } => "PodNotReady",
            Self::NodeUnknown { .. } => "NodeUnknown",
            Self::FlagNotTaken { .. } => "FlagNotTaken",
            Self::PeerSeesNodeDown { .. } => "PeerSeesNodeDown",
            Self::PeerKnowsEarlierStart { .. } => "PeerKnowsEarlierStart",
            Self::SchemaNotExchanged { .. } => "SchemaNotExchanged",
            Self::ForeignMember { .. } => "ForeignMembers",
            Self::ReleaseDiffers { .. } => "ReleaseDiffers",
            Self::ClockOff { .. } => "ClockOff",
            Self::InRecovery { .. } => "InRecovery",
            Self::UnexpectedState { .. } => "UnexpectedState",
            Self::UnknownNodeState { .. } => "UnknownNodeState",
            Self::Pacing { .. } => "Pacing",
            Self::Baking { .. } => "Baking",
            Self::FeatureNotEnabled { .. } => "FeatureNotEnabled",
            Self::Procedure { .. } => "ProcedureRunning",
            Self::UpgradeFiberFailed { .. } => "UpgradeFiberFailed",
            Self::NotVoter { .. } => "NotVoter",
            Self::GroupsDiffer { .. } => "GroupsDiffer",
        }
    }

    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<&PodName> {
        match self {
            Self::Unpause | Self::Pacing { .. } | Self::Baking { .. } => None,
            Self::PodDown { node, .. }
            | Self::PodNotReady { node, .. }
            | Self::NodeUnknown { node, .. }
            | Self::FlagNotTaken { node }
            | Self::ReleaseDiffers { node, .. }
            | Self::ClockOff { node, .. }
            | Self::InRecovery { node }
            | Self::UnexpectedState { node, .. }
            | Self::UnknownNodeState { node, .. }
            | Self::FeatureNotEnabled { node }
            | Self::Procedure { node, .. }
            | Self::UpgradeFiberFailed { node, .. }
            | Self::NotVoter { node, .. }
            | Self::GroupsDiffer { node, .. }
            | Self::PeerSeesNodeDown { of: node, .. }
            | Self::PeerKnowsEarlierStart { of: node, .. }
            | Self::SchemaNotExchanged { by: node, .. }
            | Self::ForeignMember { by: node, .. } => Some(node),
        }
    }

    /// Whether only a human can end the wait.
    pub fn needs_human(&self) -> bool {
        matches!(
            self,
            Self::Unpause
                | Self::ForeignMember { .. }
                | Self::ReleaseDiffers { .. }
                | Self::ClockOff { .. }
                | Self::InRecovery { .. }
                | Self::UnexpectedState { .. }
                | Self::UnknownNodeState { .. }
                | Self::GroupsDiffer { .. }
        )
    }
}

impl fmt::Display for WaitingFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpause => write!(f, "spec.paused is set; take it away to go on"),
            Self::PodDown { node, why } => write!(f, "{node} does not run: {why}"),
            Self::PodNotReady { node, why } => write!(f, "{node} is not ready: {why}"),
            Self::NodeUnknown { node, why } => write!(f, "{node} cannot be asked: {why}"),
            Self::FlagNotTaken { node } => write!(f, "the process of {node} has not read the flag that its pod carries"),
            Self::PeerSeesNodeDown { by, of } => write!(f, "{by} does not see {of} up"),
            Self::PeerKnowsEarlierStart { by, of } => write!(f, "{by} has not noticed the restart of {of}"),
            Self::SchemaNotExchanged { by, from } => {
                write!(f, "{by} has not compared its schema with {from} since both started")
            }
            Self::ForeignMember { by, host } => {
                write!(f, "{by} knows host {host}, which is no pod of the StatefulSets: name all of them in spec.clusterRef")
            }
            Self::ReleaseDiffers { node, other, releases } => {
                let [release, other_release] = releases.as_ref();
                write!(f, "{node} runs release {release}, {other} runs {other_release}: bring all to one release first")
            }
            Self::ClockOff { node, millis } => write!(f, "the clock of {node} is {millis} ms off: at most 1000 ms is allowed"),
            Self::InRecovery { node } => write!(f, "{node} is in recovery: end that first"),
            Self::UnexpectedState { node, state } => write!(f, "{node} is in {state}, which has no place here"),
            Self::UnknownNodeState { node, state } => {
                write!(f, "{node} reports the state '{state}', which this release does not know: use a newer operator")
            }
            Self::Pacing { until } => write!(f, "minSecondsBetweenNodes holds the next restart back until {until}"),
            Self::Baking { until } => write!(f, "bakeSeconds holds the next step back until {until}"),
            Self::FeatureNotEnabled { node } => write!(f, "{node} has not enabled the feature yet"),
            Self::Procedure { node, step, waiting } if waiting.is_empty() => write!(f, "{node} is in step {step}"),
            Self::Procedure { node, step, waiting } => write!(f, "{node} is in step {step}, waiting for {waiting}"),
            Self::UpgradeFiberFailed { node, cause } => write!(f, "the upgrade procedure of {node} has failed: {cause}"),
            Self::NotVoter { node, of } => write!(f, "{node} is no voter in the configuration that {of} has applied"),
            Self::GroupsDiffer { node, other } => write!(f, "{node} and {other} are in different groups"),
        }
    }
}
