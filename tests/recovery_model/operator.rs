//! The operator: what its real planner makes of what is seen, audited and written down before anything is done.

use crate::{
    person, seen,
    world::{Breach, Hashed, Order, Setup, World},
};
use group0_operator::plan::{Action, Intent, Journal, Plan, check, plan};
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex},
};

/// What a look has come to.
#[derive(Debug)]
struct Decision {
    journal: Hashed<Journal>,
    actions: Vec<Action>,
    is_sound: bool,
}

/// Remembers what was decided: the same is seen in many states.
#[derive(Default)]
pub struct Operator {
    decided: Mutex<HashMap<u64, Arc<Decision>, BuildHasherDefault<DefaultHasher>>>,
}

impl Operator {
    /// Looks around, and writes down what it is about to do.
    pub fn look(&self, setup: &Setup, world: &mut World) {
        let decision = self.decide(setup, world);
        if !decision.is_sound {
            world.broken = Some(Breach::Audit);
        }
        world.journal = decision.journal.clone();
        person::read(setup, world);
        let frozen = world.journal.recovery.as_ref().map(|recovery| recovery.plan.clone());
        let order = |action: &Action| {
            let plan = frozen.clone().filter(|_| matches!(action, Action::Recover { .. }));
            Order { action: action.clone(), epoch: world.journal.epoch, plan }.into()
        };
        world.orders = decision.actions.iter().map(order).collect();
    }

    fn decide(&self, setup: &Setup, world: &World) -> Arc<Decision> {
        let sight = seen::Sight::of(setup, world);
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one((&sight, &world.journal));
        if let Some(known) = self.decided.lock().unwrap().get(&key) {
            return known.clone();
        }
        let decision = Arc::new(decide(&sight, &world.journal));
        self.decided.lock().unwrap().insert(key, decision.clone());
        decision
    }
}

/// Time moves only when the lost go or come, so that of progress nothing need be remembered, and nothing is ever called a stall that is
/// not one at once.
fn decide(sight: &seen::Sight, before: &Journal) -> Decision {
    let (spec, observation, now) = (sight.spec(), sight.observation(), sight.now());
    let planned = plan(&spec, &observation, before, now);
    let violations = check::audit(&spec, &observation, before, &planned, now);
    let Plan { actions, mut journal, .. } = planned;
    journal.progress = None;
    let intend = |action: &Action| Intent { action: action.clone(), epoch: journal.epoch, at: now };
    let intents: Vec<_> = actions.iter().filter(|action| action.is_harmful_when_late()).map(intend).collect();
    journal.intents.extend(intents);
    Decision { journal: journal.into(), actions, is_sound: violations.is_empty() }
}
