//! Hands the world to stateright, and follows each state to its end: that somebody can always finish cannot be said of a state
//! alone.

use crate::{
    moves::{Move, Rules},
    operator::Operators,
    properties,
    world::{Setup, World},
};
use stateright::{Model, Property};
use std::{
    collections::HashSet,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Mutex,
};

/// More steps than any end takes.
const MAX_STEPS: usize = 600;

/// A setup while it is explored.
pub struct Search {
    /// What is explored.
    pub setup: Setup,
    operators: Operators,
    /// States from which the end is reached, with whose turn it is.
    ends_well: Mutex<HashSet<u64>>,
}

impl Search {
    /// Nothing is explored yet.
    pub fn new(setup: Setup) -> Self {
        let operators = Operators::new(setup.backup, setup.stale == 0);
        Self { setup, operators, ends_well: Mutex::default() }
    }

    fn rules(&self) -> Rules<'_> {
        Rules { setup: &self.setup, operators: &self.operators }
    }

    /// Whether the upgrade comes to its end if nothing fails any more: pods come back, and the operators take turns, also one
    /// that was paused. Acts without an answer never take place.
    pub fn ends_well(&self, world: &World) -> bool {
        if world.broken.is_some() {
            return true;
        }
        let (mut world, mut turn, mut passed) = (world.clone(), 0, Vec::new());
        for _ in 0..MAX_STEPS {
            let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((&world, turn));
            if world.is_goal() || self.ends_well.lock().unwrap().contains(&hash) {
                self.ends_well.lock().unwrap().extend(passed);
                return true;
            }
            passed.push(hash);
            world = self.undisturbed(&world, &mut turn);
        }
        false
    }

    /// Nodes first, then the operator whose turn it is.
    fn undisturbed(&self, world: &World, turn: &mut usize) -> World {
        let rules = self.rules();
        if let Some(step) = rules.of_nodes(world).first() {
            return rules.after(world, step);
        }
        let number = *turn;
        *turn = (number + 1) % world.operators.len();
        rules.of_operator(world, number).map_or_else(|| world.clone(), |step| rules.after(world, &step))
    }
}

impl Model for Search {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let (mut world, mut turn) = (World::initial(&self.setup), 0);
        while self.setup.from_no_return && !self.rules().is_about_to_proceed(&world) {
            world = self.undisturbed(&world, &mut turn);
        }
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Move>) {
        actions.extend(self.rules().possible(world));
    }

    fn next_state(&self, world: &World, action: Move) -> Option<World> {
        let next = self.rules().after(world, &action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let must_reach = |property: &Property<Self>| self.setup.reaches.contains(&property.name);
        properties::always().into_iter().chain(properties::reachable().into_iter().filter(must_reach)).collect()
    }
}
