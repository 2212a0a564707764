//! Gives the flag and the hold to one node after the other, then passes the point of no return.

use super::{Action, Given, Halt, Intent, Journal, Plan, WaitingFor, forming, gate, guard, health::after, window};
use crate::{
    crd::{Mode, Phase},
    observe::{NodeView, Part, Pod, PodName, PodState, Set, UpgradeState},
};
use k8s_openapi::jiff::Timestamp;
use std::{cmp::Reverse, time::Duration};

/// Overridden guards that are recorded: as many as spec may name.
const MAX_LET_PASS: usize = 32;
/// A halt is kept in status, which bounds its text.
const MAX_WHY_CHARS: usize = 1000;

/// The next restart, or the point of no return, or what is waited for.
pub(super) fn next(given: &Given<'_>) -> Plan {
    if let Some(waiting) = unreadable_pods(given) {
        return given.wait(Phase::Rolling, waiting);
    }
    if let Some(plan) = halted(given) {
        return plan;
    }
    if let Some(plan) = corrected(given, Phase::Rolling) {
        return plan;
    }
    let verdicts = guard::ask(given, guard::Guard::holds_all_the_time);
    let next = next_to_take(given, |pod| !(pod.flag && pod.hold));
    let mut waiting = gate::closed_by(given, next.map(|(name, _)| name), &[UpgradeState::PreRaft]);
    waiting.splice(0..0, guard::in_the_way(&verdicts));
    if let Some((name, view)) = next {
        waiting.splice(0..0, not_to_be_taken_yet(given, name, view));
    }
    if !waiting.is_empty() {
        return gate_closed(given, Phase::Rolling, waiting);
    }
    let mut journal = gate_holds(given);
    remember_let_pass(&mut journal, &verdicts);
    // It has come back with the flag: from here on it is one of them.
    journal.canary = journal.canary.filter(|canary| !given.pod(canary).is_some_and(|pod| pod.flag));
    let given = &Given { journal: &journal, ..*given };
    if let Some(plan) = held_back(given, Phase::Rolling, next.is_some()) {
        return plan;
    }
    let Some((name, view)) = next else { return before_no_return(given) };
    templates_first(given, Phase::Rolling, true).unwrap_or_else(|| take(given, Phase::Rolling, name, view))
}

fn remember_let_pass(journal: &mut Journal, verdicts: &[guard::Verdict]) {
    for text in guard::let_pass(verdicts) {
        if journal.overridden.len() < MAX_LET_PASS && !journal.overridden.contains(&text) {
            journal.overridden.push(text);
        }
    }
}

/// Whether a pod has the flag must be known of every pod: it decides who is next, and whether all have it.
pub(super) fn unreadable_pods(given: &Given<'_>) -> Option<Vec<WaitingFor>> {
    let unreadable = |(name, view): (&PodName, &NodeView)| {
        let why = given.current_pod(name, view).err()?;
        Some(WaitingFor::NodeUnknown { node: name.clone(), why })
    };
    let waiting: Vec<_> = given.seen.nodes.iter().filter_map(unreadable).collect();
    (!waiting.is_empty()).then_some(waiting)
}

/// Of the pods that are to be made again: one that needs a restart anyway, else rack by rack the highest ordinal.
pub(super) fn next_to_take<'a>(given: &Given<'a>, is_to_be: impl Fn(&Pod) -> bool) -> Option<(&'a PodName, &'a NodeView)> {
    let order = |name: &PodName, view: &NodeView| (!given.needs_restart(name, view), name.rack, Reverse(name.ordinal));
    let candidates = given.seen.nodes.iter().filter(|(name, view)| given.current_pod(name, view).is_ok_and(&is_to_be));
    candidates.min_by_key(|(name, view)| order(name, view))
}

/// A node that is unhealthy, but not for so long that a restart is what it needs.
pub(super) fn not_to_be_taken_yet(given: &Given<'_>, name: &PodName, view: &NodeView) -> Option<WaitingFor> {
    given.healthy(name, view).err().filter(|_| !given.needs_restart(name, view))
}

/// Makes this pod again when the gate, pacing and window allow it. A pod that cannot run as it is serves nobody anyway.
pub(super) fn take_gated(given: &Given<'_>, phase: Phase, (name, view): (&PodName, &NodeView), allowed: &[UpgradeState]) -> Plan {
    if view.pod.known().is_some_and(|pod| matches!(pod.state, PodState::Broken(_))) {
        return take(given, phase, name, view);
    }
    let mut waiting: Vec<_> = not_to_be_taken_yet(given, name, view).into_iter().collect();
    waiting.extend(gate::closed_by(given, Some(name), allowed));
    if !waiting.is_empty() {
        return gate_closed(given, phase, waiting);
    }
    let given = &Given { journal: &gate_holds(given), ..*given };
    held_back(given, phase, true).unwrap_or_else(|| take(given, phase, name, view))
}

fn gate_closed(given: &Given<'_>, phase: Phase, waiting: Vec<WaitingFor>) -> Plan {
    let mut plan = given.wait(phase, waiting);
    plan.journal.gate_held_since = None;
    plan
}

fn gate_holds(given: &Given<'_>) -> Journal {
    Journal { gate_held_since: given.journal.gate_held_since.or(Some(given.now)), ..given.journal.clone() }
}

/// What `spec.pacing` and `spec.window` still ask for, and until when.
pub(super) fn held_back(given: &Given<'_>, phase: Phase, between_nodes: bool) -> Option<Plan> {
    let later = |at: Option<Timestamp>, seconds: u32| {
        let until = after(at?, Duration::from_secs(seconds.into()));
        (until > given.now).then_some(until)
    };
    let pacing = &given.spec.pacing;
    let baking = later(given.journal.gate_held_since, pacing.bake_seconds).map(|until| (WaitingFor::Baking { until }, until));
    let last_restart = given.journal.last_restart_at.filter(|_| between_nodes);
    let pacing = || {
        let until = later(last_restart, pacing.min_seconds_between_nodes)?;
        Some((WaitingFor::Pacing { until }, until))
    };
    let (why, until) = baking.or_else(pacing).or_else(|| window::wait(given.spec.window.as_ref()?, given.now))?;
    Some(Plan { next_look: until, ..given.wait(phase, vec![why]) })
}

/// Templates that have to change before a pod can be made again with the flag, or without it. Restarts nothing. What others have put
/// there is not taken back.
pub(super) fn templates(given: &Given<'_>, flag: bool) -> Vec<Action> {
    let is_other = |set: &&Set| if flag { !(set.flag && set.hold) } else { (set.flag || set.hold) && !set.kept };
    let others = given.seen.sets.iter().filter_map(Part::known).filter(is_other);
    others.map(|set| Action::SetTemplate { set: set.name.clone(), version: set.version, flag }).collect()
}

/// The same as a plan, or what is waited for until each template is known to be in force: a pod that is made again before would
/// have to be made again once more. A StatefulSet that cannot be read may have another owner by now.
pub(super) fn templates_first(given: &Given<'_>, phase: Phase, flag: bool) -> Option<Plan> {
    let sets: Vec<_> = (0..given.spec.cluster_ref.stateful_sets.len()).map(|rack| given.set_of(rack)).collect();
    let unknown: Vec<_> = sets.iter().filter_map(|set| set.as_ref().err()).cloned().collect();
    if !unknown.is_empty() {
        return Some(given.wait(phase, unknown));
    }
    let actions = templates(given, flag);
    let in_the_way = |set: &&Set| match set {
        set if set.kept && !flag => Some(WaitingFor::FlagOfOthers { set: set.name.clone() }),
        set => (!set.settled).then(|| WaitingFor::TemplateUnsettled { set: set.name.clone() }),
    };
    let waiting: Vec<_> = sets.iter().flatten().filter_map(in_the_way).collect();
    (!actions.is_empty() || !waiting.is_empty()).then(|| Plan { actions, ..given.wait(phase, waiting) })
}

/// Makes this pod again.
pub(super) fn take(given: &Given<'_>, phase: Phase, name: &PodName, view: &NodeView) -> Plan {
    let mut plan = given.wait(phase, Vec::new());
    let Some(pod) = view.pod.known() else { return plan };
    plan.journal.last_restart_at = Some(given.now);
    plan.journal.gate_held_since = None;
    if phase == Phase::Rolling {
        plan.journal.halted = None;
        plan.journal.canary = flagged(given).next().is_none().then(|| name.clone()).or(plan.journal.canary);
    }
    let action = Action::Recreate { node: name.clone(), uid: pod.uid.clone(), version: pod.version };
    plan.journal.taken = Some(Intent { action: action.clone(), epoch: given.journal.epoch, at: given.now });
    plan.actions.push(action);
    plan
}

fn flagged<'a>(given: &Given<'a>) -> impl Iterator<Item = &'a Pod> {
    given.seen.nodes.values().filter_map(|view| view.pod.known()).filter(|pod| pod.flag)
}

/// The first node must come back with the flag; if it does not, the flag is taken from it again, and a human is asked.
fn halted(given: &Given<'_>) -> Option<Plan> {
    let journal = given.journal;
    if let Some(halt) = &journal.halted
        && halt.generation == given.seen.object.generation
        && journal.template_hash.as_deref() == Some(&given.template_hash())
    {
        return Some(take_back(given, halt));
    }
    let canary = journal.canary.as_ref()?;
    let (view, pod) = (given.seen.nodes.get(canary)?, given.pod(canary)?);
    let is_only_one = flagged(given).count() == 1;
    let why = given.healthy(canary, view).err()?;
    // Its clock, that of the API server, may be behind ours.
    let had_time = |at| after(at, given.spec.deadlines.pod_ready.into()) <= given.now;
    let has_failed =
        (given.had_time(pod) && journal.last_restart_at.is_none_or(had_time)) || matches!(pod.state, PodState::Broken(_));
    if !(pod.flag && is_only_one && has_failed) || given.template_hash() != journal.template_hash.clone()? {
        return None;
    }
    let why = why.to_string().chars().take(MAX_WHY_CHARS).collect();
    let halt = Halt { node: canary.clone(), why, generation: given.seen.object.generation };
    let journal = Journal { halted: Some(halt.clone()), ..journal.clone() };
    Some(take_back(&Given { journal: &journal, ..*given }, &halt))
}

fn take_back(given: &Given<'_>, halt: &Halt) -> Plan {
    let failed = WaitingFor::CanaryFailed { node: halt.node.clone(), why: halt.why.clone() };
    let next = next_to_take(given, |pod| pod.flag || pod.hold);
    let mut plan = templates_first(given, Phase::Rolling, false).unwrap_or_else(|| match next {
        Some(next) => take_gated(given, Phase::Rolling, next, &[UpgradeState::PreRaft]),
        None => {
            Plan { journal: Journal { canary: None, ..given.journal.clone() }, ..given.wait(Phase::Rolling, unhealthy(given)) }
        }
    });
    plan.report.waiting.insert(0, failed);
    plan.journal.halted = Some(halt.clone());
    plan.journal.canary = plan.journal.canary.filter(|_| next.is_some());
    plan
}

fn unhealthy(given: &Given<'_>) -> Vec<WaitingFor> {
    given.seen.nodes.iter().filter_map(|(name, view)| given.healthy(name, view).err()).collect()
}

/// A pod cannot run as it is, and its template is another one by now: it gets that at once.
pub(super) fn corrected(given: &Given<'_>, phase: Phase) -> Option<Plan> {
    let is_correctable = |(name, view): &(&PodName, &NodeView)| {
        let (Ok(pod), Ok(set)) = (given.current_pod(name, view), given.set_of(name.rack)) else { return false };
        matches!(pod.state, PodState::Broken(_)) && set.settled && set.template_hash != pod.template_hash
    };
    let present = Some(given.template_hash()).filter(|hash| !hash.contains('?'))?;
    let (name, view) = given.seen.nodes.iter().find(is_correctable)?;
    // Of its own StatefulSet only: what others have changed meanwhile nobody has looked at.
    let former = given.journal.template_hash.as_deref().unwrap_or(&present).split(' ');
    let corrected = former.zip(present.split(' ')).enumerate();
    let hashes = corrected.map(|(rack, (former, present))| if rack == name.rack { present } else { former });
    let mut plan = take(given, phase, name, view);
    plan.journal.template_hash = Some(hashes.collect::<Vec<_>>().join(" "));
    plan.journal.halted = None;
    Some(plan)
}

/// Every node has the flag and the gate holds: approval and backup, then no return.
fn before_no_return(given: &Given<'_>) -> Plan {
    let verdicts = guard::ask(given, |guard| guard != guard::Guard::LeftoverRun);
    let in_the_way = guard::in_the_way(&verdicts);
    if !in_the_way.is_empty() {
        return given.wait(Phase::Rolling, in_the_way);
    }
    let run_id = &given.journal.run_id;
    if given.spec.mode == Mode::Supervised && given.spec.approved_run_id.as_ref() != Some(run_id) {
        return given.wait(Phase::Rolling, vec![WaitingFor::AwaitingApproval { run_id: run_id.clone() }]);
    }
    if let Some(plan) = backup(given) {
        return plan;
    }
    let mut journal = Journal { point_of_no_return_at: Some(given.now), ..given.journal.clone() };
    remember_let_pass(&mut journal, &verdicts);
    forming::follow(&Given { journal: &journal, ..*given })
}

fn backup(given: &Given<'_>) -> Option<Plan> {
    if !given.spec.backup.enabled {
        return None;
    }
    let missing: Vec<_> = given.seen.nodes.keys().filter(|name| !given.journal.node(name).backed_up).collect();
    let first = (*missing.first()?).clone();
    let mut plan = given.wait(Phase::Rolling, vec![WaitingFor::BackupPending { node: first }]);
    plan.actions = missing.into_iter().map(|name| Action::Backup { node: name.clone() }).collect();
    Some(plan)
}
