//! Hands the world to stateright.

use crate::{
    moves::{self, Move},
    operator::Operator,
    properties,
    reach::Reach,
    world::{Setup, World},
};
use stateright::{Model, Property};

/// A setup while it is explored.
pub struct Search {
    /// What is explored.
    pub setup: Setup,
    operator: Operator,
    reach: Reach,
}

impl Search {
    /// Nothing is explored yet.
    pub fn new(setup: Setup) -> Self {
        Self { setup, operator: Operator::default(), reach: Reach::default() }
    }

    /// The same, to find the way to a state that no longer leads to the goal, even if nothing fails any more. `None`: there is no
    /// such state among those explored.
    pub fn for_the_stuck(&self) -> Option<Self> {
        Some(Self { reach: self.reach.for_the_stuck()?, ..Self::new(self.setup.clone()) })
    }

    /// Whether that state was found to lead nowhere.
    pub fn is_stuck(&self, world: &World) -> bool {
        self.reach.is_stuck(world)
    }
}

impl Model for Search {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![moves::initial(&self.setup, &self.operator)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Move>) {
        actions.extend(moves::possible(&self.setup, world));
    }

    fn next_state(&self, world: &World, action: Move) -> Option<World> {
        let next = moves::after(&self.setup, &self.operator, world, &action);
        if next == *world {
            return None;
        }
        if !moves::is_fault(&self.setup, world, &action) {
            self.reach.follows(world, &next, |world| properties::is_goal(&self.setup, world));
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let must_reach = |property: &Property<Self>| self.setup.reaches.contains(&property.name);
        properties::always().into_iter().chain(properties::reachable().into_iter().filter(must_reach)).collect()
    }
}
