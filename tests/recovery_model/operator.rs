//! The operator: what its real planner makes of what is seen, audited and written down before anything is done.

use crate::{
    seen,
    world::{Breach, Hashed, Order, Setup, World},
};
use group0_operator::plan::{Action, Intent, Journal, check, plan};
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

/// Since time moves only when the lost go or come, what progress is measured by says nothing.
fn decide(sight: &seen::Sight, before: &Journal) -> Decision {
    let (spec, observation, now) = (seen::spec(), sight.observation(), sight.now());
    let plan = plan(&spec, &observation, before, now);
    let violations = check::audit(&spec, &observation, before, &plan, now);
    let mut journal = plan.journal;
    journal.progress = None;
    let intend = |action: &Action| Intent { action: action.clone(), epoch: journal.epoch, at: now };
    let intents: Vec<_> = plan.actions.iter().filter(|action| action.is_harmful_when_late()).map(intend).collect();
    journal.intents.extend(intents);
    Decision { journal: journal.into(), actions: plan.actions, is_sound: violations.is_empty() }
}
