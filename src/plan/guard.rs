//! The guards: what must hold before the first restart and before the point of no return, each by a name that `spec.overrides`
//! can let pass.

use super::{Given, WaitingFor, health::Member};
use crate::{
    crd::GuardOverride,
    observe::{HostId, Set, UpgradeState},
};
use k8s_openapi::jiff::SignedDuration;
use std::collections::BTreeSet;

/// A clock may be off by so much: timestamps of schema changes are compared between nodes.
const MAX_CLOCK_OFFSET: SignedDuration = SignedDuration::from_secs(1);
/// The log of a group and its snapshots stay far below this.
const MIN_DISK_FREE: u64 = 64 << 20;

/// What is recorded of a guard that was let pass, with its reason: kept for ten runs.
const MAX_LET_PASS_CHARS: usize = 300;

/// The guard of a recovery: what is known to be committed and in no log that is left, is lost with the dead.
pub(super) const DONOR_BEHIND: &str = "DonorBehindKnownCommit";

/// One thing that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// No other upgrade owns a StatefulSet.
    ClusterTaken,
    /// Each StatefulSet is `OnDelete`.
    OnDelete,
    /// Each StatefulSet is `Parallel`.
    OrderedReady,
    /// The template of each StatefulSet is the one that its controller knows, and the one that the run began with.
    TemplateChanged,
    /// Each StatefulSet has as many pods as it is to have.
    Scaling,
    /// Exactly one budget selects the pods.
    OneBudget,
    /// Every node answers and serves, save at most one, which is rolled first.
    NodesReachable,
    /// No node is in a state that it cannot start from.
    UpgradeState,
    /// No pod has the flag without the hold.
    LeftoverRun,
    /// Clocks agree.
    ClockOff,
    /// All run the same release.
    OneRelease,
    /// There is room on the disks.
    DiskFull,
    /// The ring that the nodes know and the pods correspond one to one.
    ForeignMembers,
}

impl Guard {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 13] = [
        Self::ClusterTaken,
        Self::OnDelete,
        Self::OrderedReady,
        Self::TemplateChanged,
        Self::Scaling,
        Self::OneBudget,
        Self::NodesReachable,
        Self::UpgradeState,
        Self::LeftoverRun,
        Self::ClockOff,
        Self::OneRelease,
        Self::DiskFull,
        Self::ForeignMembers,
    ];

    /// Its name in `spec.overrides`, in `status.plan` and in the history. What it refuses for is said by [`WaitingFor::reason`].
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// Whether a human may let it pass: not where going on would be two operators at once or a node that nobody can ask.
    pub fn may_be_overridden(self) -> bool {
        !matches!(self, Self::ClusterTaken | Self::NodesReachable | Self::UpgradeState)
    }

    /// Which of them is asked again between two restarts: of the others the first answer holds for the run.
    pub(super) fn holds_all_the_time(self) -> bool {
        matches!(self, Self::ClusterTaken | Self::OnDelete | Self::TemplateChanged | Self::Scaling | Self::OneBudget)
    }
}

/// The guards that a human may let pass, by name: those of a roll, and those of a recovery.
pub fn overridable() -> Vec<String> {
    let of_a_roll = Guard::ALL.iter().filter(|guard| guard.may_be_overridden()).map(|guard| guard.name());
    of_a_roll.chain([DONOR_BEHIND.into()]).collect()
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which guard.
    pub guard: Guard,
    /// Why it does not hold; empty if it does.
    pub refused: Vec<WaitingFor>,
    /// The reason of a human who lets it pass.
    pub overridden: Option<String>,
}

impl Verdict {
    /// Whether nothing is in the way.
    pub fn passes(&self) -> bool {
        self.refused.is_empty() || self.overridden.is_some()
    }
}

/// What each of these guards says of what was seen.
pub(super) fn ask(given: &Given<'_>, which: impl Fn(Guard) -> bool) -> Vec<Verdict> {
    let judge = |guard: Guard| Verdict { guard, refused: refused_by(given, guard), overridden: overridden(given, guard) };
    Guard::ALL.into_iter().filter(|guard| which(*guard)).map(judge).collect()
}

/// Why it does not go on: what these guards refuse, save what is overridden. What several refuse for is said once.
pub(super) fn in_the_way(verdicts: &[Verdict]) -> Vec<WaitingFor> {
    let mut reasons = Vec::new();
    for why in verdicts.iter().filter(|verdict| !verdict.passes()).flat_map(|verdict| &verdict.refused) {
        if !reasons.contains(why) {
            reasons.push(why.clone());
        }
    }
    reasons
}

/// What is recorded of guards that were let pass.
pub(super) fn let_pass(verdicts: &[Verdict]) -> impl Iterator<Item = String> {
    let used = verdicts.iter().filter(|verdict| !verdict.refused.is_empty());
    let text = |verdict: &Verdict| Some(format!("{}: {}", verdict.guard.name(), verdict.overridden.as_ref()?));
    used.filter_map(text).map(|text| text.chars().take(MAX_LET_PASS_CHARS).collect())
}

fn overridden(given: &Given<'_>, guard: Guard) -> Option<String> {
    let valid = valid_override(given, &guard.name());
    valid.filter(|_| guard.may_be_overridden()).map(|entry| entry.reason.clone())
}

/// What a human says of the guard with this name, as long as it holds.
pub(super) fn valid_override<'a>(given: &Given<'a>, name: &str) -> Option<&'a GuardOverride> {
    given.spec.overrides.iter().find(|entry| entry.guard == name && entry.expires_at.0 > given.now)
}

fn refused_by(given: &Given<'_>, guard: Guard) -> Vec<WaitingFor> {
    match guard {
        Guard::ClusterTaken => each_set(given, |_, set| {
            let other = set.owner.as_ref().filter(|owner| owner.exists && owner.uid != given.seen.object.uid)?;
            Some(WaitingFor::ClusterTaken { set: set.name.clone(), by: other.uid.clone() })
        }),
        Guard::OnDelete => each_set(given, |_, set| (!set.on_delete).then(|| WaitingFor::NotOnDelete { set: set.name.clone() })),
        Guard::OrderedReady => {
            each_set(given, |_, set| (!set.parallel).then(|| WaitingFor::OrderedReady { set: set.name.clone() }))
        }
        Guard::TemplateChanged => template(given),
        Guard::Scaling => scaling(given),
        Guard::OneBudget => budget(given),
        Guard::NodesReachable => unreachable_nodes(given),
        Guard::UpgradeState => each_member(given, state),
        Guard::LeftoverRun => each_member(given, leftover),
        Guard::ClockOff => each_member(given, clock),
        Guard::OneRelease => members(given).windows(2).filter_map(release).collect(),
        Guard::DiskFull => each_member(given, disk),
        Guard::ForeignMembers => foreign_members(given),
    }
}

fn each_set(given: &Given<'_>, refuse: impl Fn(usize, &Set) -> Option<WaitingFor>) -> Vec<WaitingFor> {
    let racks = 0..given.spec.cluster_ref.stateful_sets.len();
    racks.filter_map(|rack| given.set_of(rack).map_or_else(Some, |set| refuse(rack, set))).collect()
}

fn template(given: &Given<'_>) -> Vec<WaitingFor> {
    let began_with: Vec<&str> = given.journal.template_hash.as_deref().map(|text| text.split(' ').collect()).unwrap_or_default();
    each_set(given, |rack, set| {
        let differs = began_with.get(rack).is_some_and(|hash| *hash != set.template_hash);
        match (set.settled, differs) {
            (_, true) => Some(WaitingFor::TemplateChanged { set: set.name.clone() }),
            (false, false) => Some(WaitingFor::TemplateUnsettled { set: set.name.clone() }),
            (true, false) => None,
        }
    })
}

fn scaling(given: &Given<'_>) -> Vec<WaitingFor> {
    each_set(given, |rack, set| {
        let pods = given.seen.nodes.keys().filter(|name| name.rack == rack).count();
        let is_whole = usize::try_from(set.replicas) == Ok(pods);
        (!is_whole).then(|| WaitingFor::Scaling { set: set.name.clone(), pods, replicas: set.replicas })
    })
}

/// Where no pods are none can select them, and that is not what is wrong.
fn budget(given: &Given<'_>) -> Vec<WaitingFor> {
    if given.seen.nodes.is_empty() {
        return Vec::new();
    }
    match given.fresh(&given.seen.budgets).map(Vec::as_slice) {
        Ok([_]) => Vec::new(),
        Ok([]) => vec![WaitingFor::BudgetMissing],
        Ok(budgets) => vec![WaitingFor::BudgetsOverlap { budgets: budgets.to_vec() }],
        Err(why) => vec![WaitingFor::BudgetsUnknown { why }],
    }
}

/// One node may be unhealthy: it is rolled first, and the gates ask of it later what it could not answer now.
fn unreachable_nodes(given: &Given<'_>) -> Vec<WaitingFor> {
    if let Some(why) = given.nobody() {
        return vec![why];
    }
    let judge = |(name, view)| given.healthy(name, view).err().map(|why| (why, given.needs_restart(name, view)));
    let unhealthy: Vec<_> = given.seen.nodes.iter().filter_map(judge).collect();
    match unhealthy.as_slice() {
        [(_, true)] => Vec::new(),
        _ => unhealthy.into_iter().map(|(why, _)| why).collect(),
    }
}

fn members<'a>(given: &Given<'a>) -> Vec<Member<'a>> {
    given.seen.nodes.iter().filter_map(|(name, view)| given.healthy(name, view).ok()).collect()
}

fn each_member(given: &Given<'_>, refuse: impl Fn(&Member<'_>) -> Option<WaitingFor>) -> Vec<WaitingFor> {
    members(given).iter().filter_map(refuse).collect()
}

fn state(member: &Member<'_>) -> Option<WaitingFor> {
    let node = member.name.clone();
    match &member.node.state {
        UpgradeState::PreRaft => None,
        UpgradeState::Recovery => Some(WaitingFor::InRecovery { node }),
        state => Some(WaitingFor::UnexpectedState { node, state: state.clone() }),
    }
}

/// A pod with flag but without hold goes on by itself, as soon as all have the flag: no run of ours leaves one.
fn leftover(member: &Member<'_>) -> Option<WaitingFor> {
    let left = member.pod.flag && !member.pod.hold;
    left.then(|| WaitingFor::LeftoverRun { node: member.name.clone() })
}

fn clock(member: &Member<'_>) -> Option<WaitingFor> {
    let offset = member.node.clock_offset;
    let millis = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
    (offset.abs() > MAX_CLOCK_OFFSET).then(|| WaitingFor::ClockOff { node: member.name.clone(), millis })
}

fn release(pair: &[Member<'_>]) -> Option<WaitingFor> {
    let [other, node] = pair else { return None };
    (node.node.release != other.node.release).then(|| WaitingFor::ReleaseDiffers {
        node: node.name.clone(),
        other: other.name.clone(),
        releases: Box::new([node.node.release.clone(), other.node.release.clone()]),
    })
}

fn disk(member: &Member<'_>) -> Option<WaitingFor> {
    let free = member.node.disk_free.filter(|free| *free < MIN_DISK_FREE)?;
    Some(WaitingFor::DiskFull { node: member.name.clone(), free })
}

/// Asked once all answer: a host of a node that is silent would look foreign.
fn foreign_members(given: &Given<'_>) -> Vec<WaitingFor> {
    let members = members(given);
    if members.len() != given.seen.nodes.len() {
        return Vec::new();
    }
    let ours: BTreeSet<HostId> = members.iter().map(|m| m.node.host).collect();
    let foreign = |m: &Member<'_>| {
        let host = m.node.peers.keys().find(|host| !ours.contains(host)).copied();
        host.map(|host| WaitingFor::ForeignMember { by: m.name.clone(), host })
    };
    members.iter().filter_map(foreign).collect()
}
