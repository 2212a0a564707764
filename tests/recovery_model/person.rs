//! The person who approves plans by their hash: the right one, one that is none at all, or one of a plan that was looked at earlier and
//! has been followed by another since.

use crate::world::{Bits, Breach, Hashed, Order, Rule, Setup, World};
use group0_operator::plan::{Action, RecoveryVerb};

/// What stands in the object as approved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Approved {
    /// Nothing.
    #[default]
    Nothing,
    /// What is the hash of no plan.
    Nonsense,
    /// The hash of that plan, in the order in which they were made.
    Plan(u8),
}

/// What was made and what a person makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Person {
    /// The hashes of all plans that were ever in the object.
    pub hashes: Vec<Hashed<String>>,
    /// What is approved now.
    pub approved: Approved,
    /// Of which of the plans the hash was ever approved.
    pub ever: Bits,
}

/// What a person may write there now.
pub fn possible(setup: &Setup, world: &World) -> Vec<Approved> {
    if !setup.has_person {
        return Vec::new();
    }
    let present = present(setup, world);
    let is_right = |approved: &Approved| present.is_some_and(|number| *approved == Approved::Plan(number));
    let of_plans = (0..u8::try_from(world.person.hashes.len()).unwrap()).map(Approved::Plan);
    let all = of_plans.chain([Approved::Nonsense]).filter(|approved| *approved != world.person.approved);
    all.filter(|approved| is_right(approved) || world.left.mistakes > 0).collect()
}

/// Whether that is not the hash of the plan in force.
pub fn is_mistake(setup: &Setup, world: &World, approved: Approved) -> bool {
    present(setup, world).is_none_or(|number| approved != Approved::Plan(number))
}

/// Writes it.
pub fn approve(setup: &Setup, world: &mut World, approved: Approved) {
    world.left.mistakes -= u8::from(is_mistake(setup, world, approved));
    world.person.approved = approved;
    if let Approved::Plan(number) = approved {
        world.person.ever |= 1 << number;
    }
}

/// The plan in force, if it waits for approval still. Where that is given in general, only one does that has lost its donor, or that gives
/// up somebody who is back.
fn present(setup: &Setup, world: &World) -> Option<u8> {
    let recovery = world.journal.recovery.as_ref().filter(|recovery| recovery.is_in_force() && recovery.approved_at.is_none())?;
    let is_proven = |host| world.journal.silent.get(host).is_some_and(|record| record.proof.is_some());
    let is_open = recovery.needs_human || !recovery.plan.excluded.iter().all(is_proven);
    (setup.approves || is_open).then(|| number_of(world, &recovery.plan.hash()))?
}

fn number_of(world: &World, hash: &String) -> Option<u8> {
    let number = world.person.hashes.iter().position(|known| **known == *hash)?;
    u8::try_from(number).ok()
}

/// Whoever reads the object sees the plan.
pub fn read(setup: &Setup, world: &mut World) {
    let Some(recovery) = world.journal.recovery.as_ref().filter(|_| setup.has_person) else { return };
    let hash = recovery.plan.hash();
    if number_of(world, &hash).is_none() {
        world.person.hashes.push(hash.into());
    }
}

/// What the object says is approved, as the operator takes it.
pub fn said(setup: &Setup, world: &World) -> Option<String> {
    let plan = || world.journal.recovery.as_ref().map(|recovery| recovery.plan.hash());
    match world.person.approved {
        Approved::Nothing => None,
        _ if !setup.obeys(Rule::HashIsOfThePlan) => plan(),
        Approved::Nonsense => Some("nonsense".into()),
        Approved::Plan(number) => Some(String::clone(&world.person.hashes[usize::from(number)])),
    }
}

/// Nothing is ordered by a plan whose hash no person has ever approved, but to take it back.
pub fn judge(setup: &Setup, world: &mut World, order: &Order) {
    let is_lift = matches!(order.action, Action::Recover { verb: RecoveryVerb::LiftFence, .. });
    let Some(plan) = order.plan.as_ref().filter(|_| setup.approves && !is_lift) else { return };
    let is_approved = number_of(world, &plan.hash()).is_some_and(|number| world.person.ever & 1 << number != 0);
    if !is_approved {
        world.broken = Some(Breach::Unapproved);
    }
}
