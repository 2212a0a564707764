//! What each act comes to in the world: the preconditions that the world checks, and the breaches that only this moment can tell.

use crate::{
    operator::Outcome,
    seen,
    world::{Breach, Object, Place, Pod, Rule, Setup, Stage, World},
};
use group0_operator::plan::{Action, Journal};
use std::sync::Arc;

/// An act takes place, now, if its precondition holds.
pub fn act(setup: &Setup, world: &mut World, action: &Action, epoch: u64) -> Outcome {
    let takes_place = match action {
        Action::Own { version, .. } => change_set(world, *version, |set, uid| set.owner = uid),
        Action::Disown { version, .. } => change_set(world, *version, |set, _| set.owner = 0),
        Action::TouchSet { version, .. } => change_set(world, *version, |_, _| {}),
        Action::SetTemplate { version, flag, .. } => {
            let takes_place = u64::from(world.set.version) == *version;
            explained(world, action, takes_place);
            change_set(world, *version, |set, _| set.flag = *flag)
        }
        Action::TouchPod { node, uid } => touch(&mut world.pods[seen::place(node)], uid),
        Action::Recreate { node, uid, version } => {
            let (place, version) = (seen::place(node), setup.keeps(Rule::PodVersionIsChecked).then_some(*version));
            take(world, place, action, uid, version)
        }
        Action::ClaimEpoch { node } => order(setup, world, seen::place(node), epoch, |pod, epoch| pod.now.epoch = epoch),
        Action::Proceed { node } => proceed(setup, world, seen::place(node), epoch),
        Action::Backup { node } => world.pods[seen::place(node)].now.answers(),
        // No procedure fails here.
        Action::Restart { .. }
        | Action::RetryUpgrade { .. }
        | Action::Recover { .. }
        | Action::RemoveHost { .. }
        | Action::Replace { .. } => false,
    };
    if takes_place { Outcome::Done } else { Outcome::Refused }
}

fn change_set(world: &mut World, version: u64, change: impl FnOnce(&mut crate::world::Set, u8)) -> bool {
    let uid = world.object.as_ref().map_or(world.former_objects, |object| object.uid);
    let is_right = u64::from(world.set.version) == version;
    if is_right {
        world.set.version += 1;
        change(&mut world.set, uid);
    }
    is_right
}

fn touch(pod: &mut Pod, uid: &str) -> bool {
    let is_right = pod.now.uid.to_string() == uid;
    pod.now.version += u8::from(is_right);
    is_right
}

fn take(world: &mut World, place: Place, action: &Action, uid: &str, version: Option<u64>) -> bool {
    let pod = &world.pods[place];
    let takes_place = pod.now.uid.to_string() == uid && version.is_none_or(|version| u64::from(pod.now.version) == version);
    explained(world, action, takes_place);
    if takes_place {
        let another = world.pods.iter().enumerate().any(|(other, pod)| other != place && pod.taken);
        world.broken = world.broken.or(another.then_some(Breach::TwoTaken));
        make_again(world, place);
        world.pods[place].taken = true;
    }
    takes_place
}

/// Whoever reads the journal of a run that has begun knows what may still happen.
fn explained(world: &mut World, action: &Action, takes_place: bool) {
    let journal = world.object.as_ref().and_then(|object| object.journal.as_ref());
    let is_unknown = |journal: &Journal| {
        journal.preflight_passed_at.is_some() && !journal.intents.iter().any(|intent| intent.action == *action)
    };
    if takes_place && journal.is_some_and(is_unknown) {
        world.broken = world.broken.or(Some(Breach::Unexplained));
    }
}

fn order(setup: &Setup, world: &mut World, place: Place, epoch: u64, obey: impl FnOnce(&mut Pod, u32)) -> bool {
    let pod = &mut world.pods[place];
    let is_right = pod.now.answers() && (epoch >= u64::from(pod.now.epoch) || !setup.keeps(Rule::EpochIsChecked));
    if is_right {
        obey(pod, u32::try_from(epoch).unwrap());
    }
    is_right
}

fn proceed(setup: &Setup, world: &mut World, place: Place, epoch: u64) -> bool {
    let is_heard = order(setup, world, place, epoch, |pod, _| pod.now.proceed = pod.now.flag);
    if is_heard {
        let journal = world.object.as_ref().and_then(|object| object.journal.as_ref());
        let too_early = (!world.no_return_was_stored).then_some(Breach::ProceedTooEarly);
        let is_cancelled = journal.is_some_and(|journal| journal.cancelled_at.is_some());
        world.broken = world.broken.or(too_early).or(is_cancelled.then_some(Breach::ProceedAfterCancel));
    }
    is_heard
}

/// The status is written, unless somebody else has written since.
pub fn write(setup: &Setup, world: &mut World, number: usize, journal: &Journal) -> bool {
    let Some(object) = &mut world.object else { return false };
    if !world.operators[number].is_current && setup.keeps(Rule::ObjectVersionIsChecked) {
        return false;
    }
    Arc::make_mut(object).journal = Some(journal.clone());
    world.no_return_was_stored |= journal.point_of_no_return_at.is_some();
    somebody_wrote(world);
    world.operators[number].is_current = true;
    true
}

fn somebody_wrote(world: &mut World) {
    world.operators.iter_mut().for_each(|process| process.is_current = false);
}

/// The pod is deleted, and made again from the present template. Its disk stays.
pub fn make_again(world: &mut World, place: Place) {
    let flag = world.set.flag;
    leave(&mut world.pods[place], Stage::Away);
    let now = &mut world.pods[place].now;
    (now.uid, now.version, now.flag) = (now.uid + 1, now.version + 1, flag);
}

/// The process of the pod ends.
pub fn crash(world: &mut World, place: Place) {
    leave(&mut world.pods[place], Stage::Down);
}

fn leave(pod: &mut Pod, stage: Stage) {
    if pod.now.answers() {
        pod.before = Some(pod.now);
    }
    pod.now.stage = stage;
}

/// The process starts. Without the flag, a `Proceed` of before is forgotten.
pub fn start(world: &mut World, place: Place) {
    let enabled = world.enabled;
    let now = &mut world.pods[place].now;
    now.generation += 1;
    now.stage = Stage::Back;
    now.proceed &= now.flag || enabled;
}

/// Nothing is missing any more.
pub fn exchange(world: &mut World, place: Place) {
    world.pods[place].now.stage = Stage::Whole;
    world.pods[place].taken = false;
}

/// An object without status.
pub fn make_object(world: &mut World) {
    world.object = Some(Arc::new(Object { uid: world.former_objects + 1, generation: 1, cancel: false, journal: None }));
}

/// The object and its status are gone.
pub fn delete_object(world: &mut World) {
    world.left.deletes_of_object -= 1;
    world.former_objects += 1;
    world.object = None;
    somebody_wrote(world);
}

/// `spec.cancel` is changed.
pub fn edit(world: &mut World, cancel: bool) {
    world.left.cancels -= 1;
    if let Some(object) = &mut world.object {
        let object = Arc::make_mut(object);
        (object.cancel, object.generation) = (cancel, object.generation + 1);
    }
    somebody_wrote(world);
}
