//! The steps of a plan that is in force: for each, what is missing, on whom.

use super::{Because, Donor, Event, Recovery, Step, Why, freeze, hosts, report, scene::Scene, withdraw};
use crate::{
    crd::RecoveryMode,
    observe::{HostId, PlanState, PodName, Position},
    plan::{
        Action, Given, Intent, Plan, RecoveryVerb, WaitingFor, evidence, forming, guard,
        health::{Member, recognized},
    },
};
use std::cmp::Reverse;

/// What a step is missing.
pub(super) enum Missing {
    /// These acts.
    Acts(Vec<Action>),
    /// Nothing that we could do: these.
    Waits(Vec<WaitingFor>),
}

/// Looks whether a step is missing anything.
type Look = fn(&mut Scene<'_>) -> Option<Missing>;

/// The next thing to do by this plan, or what is waited for.
pub(super) fn next(given: &Given<'_>, recovery: &Recovery) -> Plan {
    let mut scene = Scene::of(given, recovery);
    if let Some(plan) = other_plan(&scene).or_else(|| successor(&scene)) {
        return plan;
    }
    if let Some(missing) = withdraw::look(&mut scene) {
        return conclude(scene, Step::Withdraw, missing);
    }
    let steps: [(Step, Look); 10] = [
        (Step::Approve, approve),
        (Step::Fence, fence),
        (Step::EnterRecovery, enter),
        (Step::RollForward, roll_forward),
        (Step::ResetGroup0, reset),
        (Step::RemoveLost, remove_lost),
        (Step::AgreeSchema, agree_schema),
        (Step::LeaveRecovery, leave),
        (Step::Verify, verify),
        (Step::Replace, replace),
    ];
    // What is verified is not begun again, whatever a node says that comes late; what is over everywhere is no matter of the survivors.
    let from = match (scene.recovery.ended_at, scene.recovery.verified_at) {
        (Some(_), _) => Step::Replace,
        (None, Some(_)) => Step::Verify,
        (None, None) => Step::Approve,
    };
    let found = steps.into_iter().filter(|(step, _)| *step >= from).find_map(|(step, look)| Some((step, look(&mut scene)?)));
    let (step, missing) = found.unwrap_or((Step::Done, Missing::Waits(Vec::new())));
    conclude(scene, step, missing)
}

/// The plan of this look: its acts, and what is said of the step.
fn conclude(scene: Scene<'_>, step: Step, missing: Missing) -> Plan {
    let Scene { given, mut recovery, survivors, .. } = scene;
    if recovery.step != step {
        (recovery.step, recovery.step_since) = (step, given.now);
    }
    let (actions, waiting) = match missing {
        Missing::Acts(actions) => (actions, Vec::new()),
        Missing::Waits(waiting) => (Vec::new(), waiting),
    };
    let is_unfinished = step == Step::Verify && recovery.verified_at.is_none();
    let mut plan = report(given, recovery, waiting);
    let disrupting = actions.iter().find(|action| action.disrupts().is_some()).cloned();
    let taken = disrupting.map(|action| Intent { action, epoch: given.journal.epoch, at: given.now });
    plan.journal.taken = taken.or(plan.journal.taken);
    plan.actions = actions;
    for member in survivors.values().filter(|_| is_unfinished) {
        forming::retry(given, &mut plan, member);
    }
    plan
}

/// A survivor has stored another plan under this number, or one after it that nobody here knows: whoever made it, is asked for.
/// That keeps nobody from taking ours back.
fn other_plan(scene: &Scene<'_>) -> Option<Plan> {
    let Recovery { plan: ours, ended_at, .. } = &scene.recovery;
    let is_other = |member: &&Member<'_>| {
        let stored = member.node.evidence.plan.as_ref();
        stored.is_some_and(|plan| plan.number > ours.number || (plan.number == ours.number && plan.text != ours.text))
    };
    let member = scene.members().find(is_other).filter(|_| ended_at.is_none() && withdraw::cause(scene).is_none())?;
    let number = member.node.evidence.plan.as_ref().map_or(0, |plan| plan.number);
    let why = WaitingFor::Recovery(Why::OtherPlan {
        node: member.name.clone(),
        number,
        may_be_withdrawn: scene.recovery.may_be_withdrawn(),
    });
    Some(report(scene.given, scene.recovery.clone(), vec![why]))
}

/// The plan after this one, for those who are there now: a survivor is lost for good; or, when some have reset by a plan before it
/// and nothing can be taken back any more, one has come back that this one gives up.
fn successor(scene: &Scene<'_>) -> Option<Plan> {
    let (given, recovery) = (scene.given, &scene.recovery);
    if recovery.verified_at.is_some() || recovery.withdrawn.is_some() || evidence::goes_on(given) {
        return None;
    }
    let because = lost(scene).or_else(|| returned(scene))?;
    let needs_human = recovery.needs_human || because.what == Event::DonorLost;
    Some(match freeze::successor(given, recovery) {
        Ok(next) => {
            let next = Recovery { needs_human, because: Some(because), ..next };
            let approval = approval(given, &next);
            let said = next.because.clone().map(Why::Follows).into_iter().chain(approval);
            let waiting = said.map(WaitingFor::Recovery).collect();
            let mut plan = report(given, next, waiting);
            plan.journal.nodes.values_mut().for_each(|node| node.backed_up = false);
            plan
        }
        Err(refused) => {
            let said = std::iter::once(Why::Follows(because)).chain(refused);
            report(given, recovery.clone(), said.map(WaitingFor::Recovery).collect())
        }
    })
}

fn lost(scene: &Scene<'_>) -> Option<Because> {
    let Recovery { plan, donor, .. } = &scene.recovery;
    let dead = hosts::dead(scene.given);
    let lost = dead.iter().find(|dead| plan.survivors.contains(&dead.host))?;
    let of_donor = dead.iter().find(|dead| *donor == Some(Donor::Host(dead.host)));
    let was_lost = format!("was lost while plan {} was carried out", plan.number);
    Some(match of_donor {
        Some(donor) => Because {
            what: Event::DonorLost,
            text: format!(
                "{}, whose log was to be kept, {was_lost}: no other is picked, and the next plan needs a new approval",
                donor.name
            ),
        },
        None => {
            Because { what: Event::SurvivorLost, text: format!("{} {was_lost}: the next plan needs a new approval", lost.name) }
        }
    })
}

fn returned(scene: &Scene<'_>) -> Option<Because> {
    let recovery = &scene.recovery;
    let alive = withdraw::alive(scene.given, recovery).filter(|_| recovery.forward_only && recovery.reset_at.is_none())?;
    let text = format!(
        "{} (host {alive}), which plan {} gives up, is alive: the next plan counts it as a survivor",
        recovery.name_of(alive),
        recovery.plan.number
    );
    Some(Because { what: Event::Returned, text })
}

/// What is said as long as a plan is not approved.
pub(super) fn unapproved(given: &Given<'_>, recovery: &Recovery) -> Vec<WaitingFor> {
    let Some(approval) = approval(given, recovery) else { return Vec::new() };
    let because = recovery.because.clone().map(Why::Follows);
    because.into_iter().chain([approval]).map(WaitingFor::Recovery).collect()
}

/// What a human must still approve. In mode `Automatic` nothing, if each loss is proven and no donor was lost.
fn approval(given: &Given<'_>, recovery: &Recovery) -> Option<Why> {
    let spec = &given.spec.recovery;
    let (hash, approved) = (recovery.plan.hash(), spec.approved_plan_hash.as_ref());
    let is_proven = |host: &HostId| given.journal.silent.get(host).is_some_and(|record| record.proof.is_some());
    let all_proven = recovery.plan.excluded.iter().all(is_proven) && !recovery.needs_human;
    let is_automatic = spec.mode == RecoveryMode::Automatic;
    let missing = approved != Some(&hash) && !(is_automatic && all_proven);
    missing.then(|| Why::AwaitingApproval {
        number: recovery.plan.number,
        hash,
        other: approved.cloned(),
        not_automatic: is_automatic.then_some(if recovery.needs_human {
            "the survivor whose log was to be kept was lost"
        } else {
            "not every loss is proven by a volume or a taint"
        }),
    })
}

fn acts(actions: Vec<Action>) -> Option<Missing> {
    (!actions.is_empty()).then_some(Missing::Acts(actions))
}

fn waits(waiting: Vec<WaitingFor>) -> Option<Missing> {
    (!waiting.is_empty()).then_some(Missing::Waits(waiting))
}

impl Scene<'_> {
    /// This verb, to each of these.
    pub(super) fn order(&self, members: &[Member<'_>], verb: RecoveryVerb) -> Vec<Action> {
        let order = |member: &Member<'_>| Action::Recover { node: member.name.clone(), plan: self.recovery.plan.number, verb };
        members.iter().map(order).collect()
    }

    /// Restarts the first of these in place, once all survivors are there and see each other in their present start.
    pub(super) fn restart_one(&self, mut members: Vec<Member<'_>>) -> Option<Missing> {
        members.sort_by_key(|member| (member.name.rack, Reverse(member.name.ordinal)));
        let first = members.first()?;
        let waiting: Vec<_> = self.missing.iter().cloned().chain(self.apart()).collect();
        let restart = Action::Restart { node: first.name.clone(), generation: first.node.generation };
        waits(waiting).or_else(|| acts(vec![restart]))
    }

    /// Which survivor does not see which, in its present start.
    fn apart(&self) -> Vec<WaitingFor> {
        let pairs = self.members().flat_map(|a| self.members().filter(|b| b.name != a.name).map(move |b| (a, b)));
        pairs.filter_map(|(a, b)| unseen(a, b)).collect()
    }
}

fn unseen(a: &Member<'_>, b: &Member<'_>) -> Option<WaitingFor> {
    let (by, of) = (a.name.clone(), b.name.clone());
    match a.node.peers.get(&b.node.host) {
        Some(peer) if peer.up && peer.generation == b.node.generation => None,
        Some(peer) if peer.up => Some(WaitingFor::PeerKnowsEarlierStart { by, of }),
        _ => Some(WaitingFor::PeerSeesNodeDown { by, of }),
    }
}

/// Step 2. The copies are of what everybody has before anything is changed.
fn approve(scene: &mut Scene<'_>) -> Option<Missing> {
    if scene.recovery.approved_at.is_none() {
        let unapproved = unapproved(scene.given, &scene.recovery);
        if !unapproved.is_empty() {
            return waits(unapproved);
        }
        scene.recovery.approved_at = Some(scene.given.now);
    }
    let is_copied = |member: &Member<'_>| scene.has_reset(member) || scene.given.journal.node(member.name).backed_up;
    let uncopied = scene.without(is_copied);
    if !scene.given.spec.backup.enabled || scene.recovery.reset_at.is_some() {
        return None;
    }
    acts(uncopied.into_iter().map(|member| Action::Backup { node: member.name.clone() }).collect())
}

/// Step 3, in two phases: until all have stored the plan, nothing is enabled anywhere.
fn fence(scene: &mut Scene<'_>) -> Option<Missing> {
    let unprepared = scene.without(|member| scene.state(member).is_some_and(|state| state != PlanState::Withdrawn));
    let unfenced =
        scene.without(|member| matches!(scene.state(member), Some(PlanState::Fenced | PlanState::Resetting | PlanState::Done)));
    if unfenced.is_empty() && scene.recovery.step > Step::Fence {
        return None;
    }
    let prepare = scene.order(&unprepared, RecoveryVerb::PrepareFence);
    acts(prepare).or_else(|| waits(scene.missing.clone())).or_else(|| acts(scene.order(&unfenced, RecoveryVerb::Fence)))
}

/// Step 4: the marker everywhere, then one restart after the other.
fn enter(scene: &mut Scene<'_>) -> Option<Missing> {
    let outside = scene.without(|member| Scene::is_in_recovery(member) || scene.has_reset(member));
    let unmarked: Vec<_> = outside.iter().filter(|member| !member.node.evidence.recovery_stored).copied().collect();
    if !outside.is_empty() && !scene.missing.is_empty() {
        return waits(scene.missing.clone());
    }
    acts(scene.order(&unmarked, RecoveryVerb::EnterRecovery)).or_else(|| scene.restart_one(outside))
}

/// Step 5. No log grows any more: the longest is chosen, once.
fn roll_forward(scene: &mut Scene<'_>) -> Option<Missing> {
    if scene.recovery.reset_at.is_some() {
        return None;
    }
    let donor = match scene.recovery.donor {
        Some(donor) => donor,
        None => match choose(scene) {
            Ok(donor) => donor,
            Err(missing) => return Some(missing),
        },
    };
    scene.recovery.donor = Some(donor);
    if !scene.missing.is_empty() {
        return waits(scene.missing.clone());
    }
    let Donor::Host(donor) = donor else { return None };
    let behind = scene.without(|member| scene.stored(member).is_some_and(|stored| stored.rolled_forward));
    let (first, others): (Vec<_>, Vec<_>) = behind.into_iter().partition(|member| member.node.host == donor);
    let members = if first.is_empty() { others } else { first };
    acts(scene.order(&members, RecoveryVerb::RollForward { donor }))
}

fn choose(scene: &Scene<'_>) -> Result<Donor, Missing> {
    if !scene.missing.is_empty() {
        return Err(Missing::Waits(scene.missing.clone()));
    }
    if let Some(foreign) = freeze::foreign_group(scene.members()) {
        return Err(Missing::Waits(vec![WaitingFor::Recovery(foreign)]));
    }
    let with_log = scene.members().filter(|member| member.node.evidence.group.is_some());
    let with_log = with_log.filter(|member| member.node.evidence.last > Position::default());
    let Some(longest) = with_log.max_by_key(|member| (member.node.evidence.last, Reverse(member.node.host))) else {
        return Ok(Donor::Nobody);
    };
    match behind(scene, longest) {
        Some(why) => Err(Missing::Waits(vec![WaitingFor::Recovery(why)])),
        None => Ok(Donor::Host(longest.node.host)),
    }
}

/// What is known to be committed in its group, and is not in its log. After a plan that had come to its point of no return
/// everything that was to be saved is in all schemas already.
fn behind(scene: &Scene<'_>, longest: &Member<'_>) -> Option<Why> {
    let evidence = &longest.node.evidence;
    let of_its_group = scene.given.journal.commit.filter(|commit| Some(commit.group) == evidence.group);
    let commit = of_its_group.map_or(0, |commit| commit.index);
    let is_behind = evidence.last.index < commit && !scene.recovery.forward_only;
    let donor = longest.name.clone();
    (is_behind && guard::valid_override(scene.given, guard::DONOR_BEHIND).is_none()).then_some(Why::DonorBehindKnownCommit {
        donor,
        index: evidence.last.index,
        commit,
    })
}

/// Step 6. Its first intent is the point of no return.
fn reset(scene: &mut Scene<'_>) -> Option<Missing> {
    let untouched = scene.without(|member| scene.has_reset(member));
    if untouched.is_empty() && (scene.missing.is_empty() || scene.recovery.leaving_at.is_some()) {
        return None;
    }
    if scene.recovery.reset_at.is_none() {
        if !scene.missing.is_empty() {
            return waits(scene.missing.clone());
        }
        scene.recovery.reset_at = Some(scene.given.now);
    }
    acts(scene.order(&untouched, RecoveryVerb::ResetGroup0)).or_else(|| waits(scene.missing.clone()))
}

/// Step 7: who still has a row of a lost host, drops it.
fn remove_lost(scene: &mut Scene<'_>) -> Option<Missing> {
    let excluded = &scene.recovery.plan.excluded;
    let actions = scene.members().filter_map(|member| {
        let host = *excluded.iter().find(|host| member.node.peers.contains_key(host))?;
        let ignore = excluded.iter().filter(|other| **other != host).copied().collect();
        Some(Action::RemoveHost { node: member.name.clone(), host, ignore })
    });
    acts(actions.collect())
}

/// Step 8. Not one version: schema changes go on, the old way.
fn agree_schema(scene: &mut Scene<'_>) -> Option<Missing> {
    if scene.recovery.leaving_at.is_some() {
        return None;
    }
    let pairs = scene.members().flat_map(|a| scene.members().filter(|b| b.name != a.name).map(move |b| (a, b)));
    let unexchanged =
        pairs.filter(|(a, b)| a.node.peers.get(&b.node.host).is_none_or(|peer| peer.pulled_from_generation != b.node.generation));
    waits(unexchanged.map(|(a, b)| WaitingFor::SchemaNotExchanged { by: a.name.clone(), from: b.name.clone() }).collect())
}

/// Step 9: the markers go, then one restart after the other; the procedure runs anew.
fn leave(scene: &mut Scene<'_>) -> Option<Missing> {
    if !scene.missing.is_empty() && scene.recovery.leaving_at.is_none() {
        return waits(scene.missing.clone());
    }
    scene.recovery.leaving_at.get_or_insert(scene.given.now);
    let marked = scene.without(|member| !member.node.evidence.recovery_stored);
    let inside = scene.without(|member| !Scene::says_recovery(member));
    let leave = if scene.missing.is_empty() { scene.order(&marked, RecoveryVerb::LeaveRecovery) } else { Vec::new() };
    acts(leave).or_else(|| scene.restart_one(inside))
}

/// Step 10: one new group with every survivor in it, all final; then the plan is closed everywhere.
fn verify(scene: &mut Scene<'_>) -> Option<Missing> {
    if scene.recovery.verified_at.is_none() {
        let unfinished: Vec<_> = scene.missing.iter().cloned().chain(not_whole(scene)).collect();
        if !unfinished.is_empty() {
            return waits(unfinished);
        }
        scene.recovery.verified_at = Some(scene.given.now);
    }
    let open = scene.without(|member| scene.state(member) == Some(PlanState::Done));
    let missing = acts(scene.order(&open, RecoveryVerb::CloseRecovery)).or_else(|| waits(scene.missing.clone()));
    if missing.is_none() {
        scene.recovery.ended_at.get_or_insert(scene.given.now);
    }
    missing
}

fn not_whole(scene: &Scene<'_>) -> Vec<WaitingFor> {
    let members: Vec<_> = scene.members().copied().collect();
    let unrecognized = members.iter().filter_map(|member| recognized(member.name, member.node).err());
    let unfinished = members.iter().filter_map(forming::not_final);
    unrecognized.chain(unfinished).chain(forming::not_one_group(&members)).collect()
}

/// Step 11: what is left of the lost makes room, once. A pod in which another host has answered has been taken over already; one in which
/// a lost host answers is a human's business, and keeps nothing else from going on.
fn replace(scene: &mut Scene<'_>) -> Option<Missing> {
    let given = scene.given;
    let is_open = |(host, pod): &(HostId, &PodName)| given.journal.node(pod).host == Some(*host);
    let lost = scene.recovery.pods.iter().filter_map(|(host, pod)| Some((*host, pod.as_ref()?))).filter(is_open);
    let gone = lost.filter(|(_, pod)| !answers(given, pod));
    let uid = |pod: &PodName| given.pod(pod).map(|pod| pod.uid.clone()).unwrap_or_default();
    let left = gone.map(|(_, pod)| pod).filter(|pod| hosts::is_left(given, pod));
    let to_be = left.chain(nobodys(scene)).filter(|pod| !scene.recovery.replaced.contains(*pod));
    let actions = to_be.map(|pod| Action::Replace { node: pod.clone(), uid: uid(pod) }).collect();
    if given.spec.recovery.replace_lost_nodes { acts(actions) } else { None }
}

/// Whether somebody answers there, now and not a while ago.
fn answers(given: &Given<'_>, pod: &PodName) -> bool {
    given.seen.nodes.get(pod).is_some_and(|view| given.fresh(&view.node).is_ok())
}

/// Pods in which nobody is known to have answered, if the plan gives up hosts of which no pod is known, and all members answer elsewhere: who
/// has forgotten where they were must not take the volume of one that is away.
fn nobodys<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a PodName> {
    let given = scene.given;
    let is_homeless = scene.recovery.pods.values().any(Option::is_none)
        && hosts::members(given).iter().all(|host| evidence::answers(given, *host));
    given.seen.nodes.keys().filter(move |pod| is_homeless && !answers(given, pod) && given.journal.node(pod).host.is_none())
}
