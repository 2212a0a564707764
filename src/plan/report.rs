//! Why nothing is being done: one enum for conditions, status, events, the table and the transcripts.

use super::{Action, recovery::Why, removal::Remover, stall::Stall};
use crate::{
    crd::{FLAG, HOLD, Phase},
    observe::{HostId, PodName, UpgradeState},
};
use k8s_openapi::jiff::Timestamp;
use std::fmt;

/// Reasons kept at most: all pairs of a hundred nodes would make ten thousand.
const MAX_REASONS: usize = 64;

/// What is needed when all or a majority are needed and do not exist any more.
const RECOVER: &str = ": what is left needs a recovery, which must exclude exactly these";
/// While there is no group yet.
const REMOVE: &str = ", and no node has a group yet";
/// What becomes of what comes in place of the lost, then.
const HELD: &str = "; what replaces it is held until all others are final";
/// Once there is one that goes on.
const REPLACE: &str = ", and the group goes on without, so no recovery";
/// What follows, then: by the owner, or by the operator with `recovery.replaceLostNodes`.
const JOINS: &str = "; then a replacement joins";
/// The budget that lets one pod go at a time, and one that is down at any time.
const BUDGET: &str = ": make one with maxUnavailable: 1 and unhealthyPodEvictionPolicy: AlwaysAllow";

/// `spec.clusterRef.statefulSets` is immutable.
const FOREIGN: &str = ": if it is a member elsewhere, delete this object and make one that names all StatefulSets; if it is dead, remove \
                       it (docs/protocol.md, When a node leaves)";
/// How a node gets out of recovery.
const BY_HAND: &str = " (docs/protocol.md, Recovery of one node by hand)";
/// The state of a node that goes on by itself, or that somebody has moved.
const ANOTHER_RUN: &str = ": wait until it is final, or see docs/protocol.md, Recovery of one node by hand";
/// Somebody recovered by hand, and not everywhere.
const TWO_GROUPS: &str =
    ": one of them has been recovered by hand without the other; see ForeignGroup in docs/runbooks/freeze.md";

/// Where the upgrade is and what it waits for, the most important first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it is.
    pub phase: Phase,
    /// What it waits for.
    pub waiting: Vec<WaitingFor>,
    /// Why nothing moves, once that is a stall.
    pub stall: Option<Stall>,
    /// When lack of progress becomes a stall; `None` if the wait is on purpose, or nothing is waited for.
    pub deadline: Option<Timestamp>,
    /// What is still to come, one line a step.
    pub outlook: Vec<String>,
}

impl Report {
    /// A report with a bounded number of reasons.
    pub fn new(phase: Phase, mut waiting: Vec<WaitingFor>) -> Self {
        waiting.truncate(MAX_REASONS);
        Self { phase, waiting, stall: None, deadline: None, outlook: Vec::new() }
    }
}

/// The page for a step or a class: `NodeLost` has `node-lost.md`.
pub fn runbook(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    format!("docs/runbooks/{text}.md")
}

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named for what `Display` says of them")]
pub enum WaitingFor {
    /// `spec.paused` to be taken away.
    Unpause,
    /// `spec.dryRun` to be taken away.
    DryRun,
    /// An operator with a newer epoch to finish; this one does nothing any more.
    NewerOperator { node: PodName, epoch: u64 },
    /// An action whose outcome is not known, and which could still take place.
    IntentOpen { action: Action },
    /// An action that failed and is asked for again.
    NotDone { action: String, why: String },
    /// A plan that the audit refused. Nothing is done.
    AuditFailed { violation: String },
    /// A StatefulSet that cannot be read.
    SetUnknown { set: String, why: String },
    /// Another upgrade that owns the StatefulSet.
    ClusterTaken { set: String, by: String },
    /// A StatefulSet that makes its pods again by itself.
    NotOnDelete { set: String },
    /// A StatefulSet that starts its pods one after the other.
    OrderedReady { set: String },
    /// A template that has the flag or the hold from somebody else, and is to have neither.
    FlagOfOthers { set: String },
    /// StatefulSets that are to have no pods.
    NoPods,
    /// A template that the StatefulSet's controller has not seen yet.
    TemplateUnsettled { set: String },
    /// A template that somebody changed in the middle of the run.
    TemplateChanged { set: String },
    /// A StatefulSet that is to have another number of pods than there are.
    Scaling { set: String, pods: usize, replicas: u32 },
    /// Budgets that cannot be read.
    BudgetsUnknown { why: String },
    /// No PodDisruptionBudget.
    BudgetMissing,
    /// More than one PodDisruptionBudget.
    BudgetsOverlap { budgets: Vec<String> },
    /// Too little space for the log of the group.
    DiskFull { node: PodName, free: u64 },
    /// A flag that is not held.
    LeftoverRun { node: PodName },
    /// The hours of `spec.window`.
    OutsideWindow { until: Timestamp },
    /// A time zone that `spec.window` names and nobody knows.
    WindowUnknown { zone: String },
    /// A human, who approves this run.
    AwaitingApproval { run_id: String },
    /// A first node that did not come back with the flag; it has been taken back.
    CanaryFailed { node: PodName, why: String },
    /// A `spec.cancel` that comes too late.
    CancelRefused,
    /// `spec.cancel` to be taken away, after which a new run starts.
    Cancelled,
    /// A copy of a node's schema.
    BackupPending { node: PodName },
    /// What ends a stall needs a recovery.
    RecoveryRequired { lost: Vec<String> },
    /// Lost nodes of a cluster that has no group yet.
    RemoveLost { lost: Vec<String>, by: Remover },
    /// Lost nodes that the others can do without.
    ReplaceLost { lost: Vec<String>, by: Remover },
    /// A pod that cannot run as it is.
    PodBroken { node: PodName, why: String },
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
    /// A host that answers in no pod.
    HostMissing { host: HostId },
    /// What a recovery waits for, or is refused for.
    Recovery(Why),
}

impl WaitingFor {
    /// One word, for conditions, columns and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unpause => "Paused",
            Self::DryRun => "DryRun",
            Self::NewerOperator { .. } => "NewerOperator",
            Self::IntentOpen { .. } => "IntentOpen",
            Self::NotDone { .. } => "NotDone",
            Self::AuditFailed { .. } => "AuditFailed",
            Self::SetUnknown { .. } => "SetUnknown",
            Self::ClusterTaken { .. } => "ClusterTaken",
            Self::NotOnDelete { .. } => "NotOnDelete",
            Self::OrderedReady { .. } => "OrderedReady",
            Self::FlagOfOthers { .. } => "FlagOfOthers",
            Self::NoPods => "NoPods",
            Self::TemplateUnsettled { .. } => "TemplateUnsettled",
            Self::TemplateChanged { .. } => "TemplateChanged",
            Self::Scaling { .. } => "Scaling",
            Self::BudgetsUnknown { .. } => "BudgetsUnknown",
            Self::BudgetMissing => "BudgetMissing",
            Self::BudgetsOverlap { .. } => "BudgetsOverlap",
            Self::DiskFull { .. } => "DiskFull",
            Self::LeftoverRun { .. } => "LeftoverRun",
            Self::OutsideWindow { .. } => "OutsideWindow",
            Self::WindowUnknown { .. } => "WindowUnknown",
            Self::AwaitingApproval { .. } => "AwaitingApproval",
            Self::CanaryFailed { .. } => "CanaryFailed",
            Self::CancelRefused => "CancelRefused",
            Self::Cancelled => "Cancelled",
            Self::BackupPending { .. } => "BackupPending",
            Self::RecoveryRequired { .. } => "RecoveryRequired",
            Self::RemoveLost { .. } => "RemoveLost",
            Self::ReplaceLost { .. } => "ReplaceLost",
            Self::PodBroken { .. } => "PodBroken",
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
            Self::HostMissing { .. } => "HostMissing",
            Self::Recovery(why) => why.reason(),
        }
    }

    /// The node that it is about, if it is about one.
    pub fn node(&self) -> Option<&PodName> {
        match self {
            Self::Unpause
            | Self::DryRun
            | Self::Pacing { .. }
            | Self::Baking { .. }
            | Self::IntentOpen { .. }
            | Self::NotDone { .. }
            | Self::AuditFailed { .. }
            | Self::SetUnknown { .. }
            | Self::ClusterTaken { .. }
            | Self::NotOnDelete { .. }
            | Self::OrderedReady { .. }
            | Self::FlagOfOthers { .. }
            | Self::NoPods
            | Self::TemplateUnsettled { .. }
            | Self::TemplateChanged { .. }
            | Self::Scaling { .. }
            | Self::BudgetsUnknown { .. }
            | Self::BudgetMissing
            | Self::BudgetsOverlap { .. }
            | Self::OutsideWindow { .. }
            | Self::WindowUnknown { .. }
            | Self::AwaitingApproval { .. }
            | Self::CancelRefused
            | Self::Cancelled
            | Self::RecoveryRequired { .. }
            | Self::RemoveLost { .. }
            | Self::HostMissing { .. }
            | Self::ReplaceLost { .. } => None,
            Self::Recovery(why) => why.node(),
            Self::NewerOperator { node, .. }
            | Self::DiskFull { node, .. }
            | Self::LeftoverRun { node }
            | Self::CanaryFailed { node, .. }
            | Self::BackupPending { node }
            | Self::PodBroken { node, .. }
            | Self::PodDown { node, .. }
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

    /// Whether somebody asked for the wait, or must: hours, pauses and approval are no stall.
    pub fn is_on_purpose(&self) -> bool {
        if let Self::Recovery(why) = self {
            return matches!(why, Why::AwaitingApproval { .. });
        }
        matches!(
            self,
            Self::Unpause
                | Self::DryRun
                | Self::NewerOperator { .. }
                | Self::Cancelled
                | Self::AwaitingApproval { .. }
                | Self::OutsideWindow { .. }
                | Self::WindowUnknown { .. }
                | Self::Pacing { .. }
                | Self::Baking { .. }
                | Self::CanaryFailed { .. }
                | Self::ClusterTaken { .. }
        )
    }

    /// Whether only a human can end the wait.
    pub fn needs_human(&self) -> bool {
        if let Self::Recovery(why) = self {
            return why.needs_human();
        }
        matches!(
            self,
            Self::Unpause
                | Self::Cancelled
                | Self::WindowUnknown { .. }
                | Self::AwaitingApproval { .. }
                | Self::CanaryFailed { .. }
                | Self::AuditFailed { .. }
                | Self::ClusterTaken { .. }
                | Self::NotOnDelete { .. }
                | Self::OrderedReady { .. }
                | Self::FlagOfOthers { .. }
                | Self::NoPods
                | Self::TemplateChanged { .. }
                | Self::BudgetMissing
                | Self::BudgetsOverlap { .. }
                | Self::DiskFull { .. }
                | Self::LeftoverRun { .. }
                | Self::RecoveryRequired { .. }
                | Self::RemoveLost { .. }
                | Self::ReplaceLost { .. }
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
            Self::DryRun => write!(f, "spec.dryRun is set, and nothing is done; take it away to begin"),
            Self::NewerOperator { node, epoch } => {
                write!(f, "{node} follows an operator of the newer epoch {epoch}: this one does nothing any more")
            }
            Self::IntentOpen { action } => write!(f, "whether this took place is not known yet: {action}"),
            Self::NotDone { action, why } => write!(f, "{action}: the last attempt failed, another follows: {why}"),
            Self::AuditFailed { violation } => {
                write!(f, "the plan was refused by its audit, and nothing is done: {violation}; this is a defect: report it")
            }
            Self::SetUnknown { set, why } => write!(f, "the StatefulSet {set} cannot be read: {why}"),
            Self::ClusterTaken { set, by } => {
                write!(f, "the StatefulSet {set} belongs to the Group0Upgrade with UID {by}: delete that or this one")
            }
            Self::NotOnDelete { set } => write!(
                f,
                "the StatefulSet {set} replaces its pods by itself: set updateStrategy.type to OnDelete in its owner's manifest"
            ),
            Self::OrderedReady { set } => write!(
                f,
                "the StatefulSet {set} starts pods one after the other, so that one which waits for others never becomes ready: \
                 delete it with --cascade=orphan and make it again with podManagementPolicy: Parallel"
            ),
            Self::TemplateUnsettled { set } => write!(f, "the controller of the StatefulSet {set} has not seen its template yet"),
            Self::TemplateChanged { set } => write!(
                f,
                "the pod template of {set} was changed in the middle of the run: take the change back, or override the guard \
                 TemplateChanged and it rides along"
            ),
            Self::Scaling { set, pods, replicas } => write!(f, "the StatefulSet {set} has {pods} pods and is to have {replicas}"),
            Self::FlagOfOthers { set } => f.write_str(&flag_of_others(set)),
            Self::NoPods => write!(f, "spec.clusterRef.statefulSets are to have no pods at all: scale them up"),
            Self::BudgetsUnknown { why } => write!(f, "PodDisruptionBudgets cannot be read: {why}"),
            Self::BudgetMissing => write!(f, "no PodDisruptionBudget selects the pods{BUDGET}"),
            Self::BudgetsOverlap { budgets } => {
                let budgets = budgets.join(", ");
                write!(
                    f,
                    "more than one PodDisruptionBudget selects the pods, so that none can be evicted: keep one of {budgets}"
                )
            }
            Self::DiskFull { node, free } => write!(f, "{node} has {} MiB free, which is too little: make room", free >> 20),
            Self::LeftoverRun { node } => write!(
                f,
                "{node} has the flag without the hold, which no run of this operator leaves: set spec.cancel, wait for Cancelled, take it away"
            ),
            Self::WindowUnknown { zone } => {
                write!(f, "spec.window.timeZone: '{zone}' is not in the IANA database (Europe/Berlin is): correct it")
            }
            Self::OutsideWindow { until } => write!(f, "spec.window is closed until {until}"),
            Self::AwaitingApproval { run_id } => {
                write!(f, "every node is ready for the point of no return: set spec.approvedRunID to {run_id} to pass it")
            }
            Self::CanaryFailed { node, why } => write!(
                f,
                "{node} did not come back with the flag, which is taken from it again: {why}; mend that, then change spec to try again"
            ),
            Self::CancelRefused => {
                write!(f, "spec.cancel comes after the point of no return and is not heeded: the upgrade goes on; take it away")
            }
            Self::Cancelled => write!(f, "the run is cancelled; take spec.cancel away to begin another one"),
            Self::BackupPending { node } => write!(f, "the schema of {node} has not been copied yet"),
            Self::RecoveryRequired { lost } => write!(f, "{} lost for good{RECOVER}", are(lost)),
            Self::RemoveLost { lost, by } => write!(f, "{} lost for good{REMOVE}: {by}{HELD}", are(lost)),
            Self::ReplaceLost { lost, by } => write!(f, "{} lost for good{REPLACE}: {by}{JOINS}", are(lost)),
            Self::PodBroken { node, why } => write!(f, "{node} cannot run as it is: {why}; correct its template"),
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
                write!(f, "{by} knows host {host}, which is no pod of the StatefulSets{FOREIGN}")
            }
            Self::ReleaseDiffers { node, other, releases } => {
                let [release, other_release] = releases.as_ref();
                write!(f, "{node} runs release {release}, {other} runs {other_release}: bring all to one release first")
            }
            Self::ClockOff { node, millis } => write!(f, "the clock of {node} is {millis} ms off: at most 1000 ms is allowed"),
            Self::InRecovery { node } => write!(f, "{node} is in recovery: end that first{BY_HAND}"),
            Self::UnexpectedState { node, state } => write!(f, "{node} is in {state}, which has no place here{ANOTHER_RUN}"),
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
            Self::GroupsDiffer { node, other } => write!(f, "{node} and {other} are in different groups{TWO_GROUPS}"),
            Self::HostMissing { host } => write!(f, "host {host} is a member, and answers in no pod"),
            Self::Recovery(why) => why.fmt(f),
        }
    }
}

fn flag_of_others(set: &str) -> String {
    format!(
        "the template of the StatefulSet {set} has {FLAG} or {HOLD} from somebody else, whose fields stay as they are: take them out there, or by kubectl set env statefulset/{set} {FLAG}- {HOLD}-"
    )
}

/// `db-1 is`, or `db-1, db-2 are`.
fn are(names: &[String]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}
