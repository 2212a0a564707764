//! Hands the world to stateright, and remembers how its states follow each other: that nobody is ever stuck cannot be said of a
//! single state.

use crate::{
    moves::{self, Move},
    operator::Operator,
    properties,
    world::{Setup, World},
};
use stateright::{Model, Property};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Mutex,
};

/// A setup while it is explored.
pub struct Search {
    /// What is explored.
    pub setup: Setup,
    operator: Operator,
    graph: Mutex<Graph>,
    /// States that lead nowhere, found by a former search.
    stuck: HashSet<u64>,
}

/// The states seen so far, by hash, and which follows which.
#[derive(Default)]
struct Graph {
    numbers: HashMap<u64, u32, BuildHasherDefault<DefaultHasher>>,
    goals: Vec<u32>,
    /// Whither and whence, except by a fault: what only another fault mends counts as stuck.
    edges: Vec<(u32, u32)>,
}

impl Search {
    /// Nothing is explored yet.
    pub fn new(setup: Setup) -> Self {
        Self { setup, operator: Operator::default(), graph: Mutex::default(), stuck: HashSet::new() }
    }

    /// The same, to find the way to a state that no longer leads to the goal, even if nothing fails any more. `None`: there is no
    /// such state among those explored.
    pub fn for_the_stuck(&self) -> Option<Self> {
        let mut graph = self.graph.lock().unwrap();
        let leads = graph.leads_to_goal();
        let stuck: HashSet<_> =
            graph.numbers.iter().filter(|(_, number)| !leads[**number as usize]).map(|(hash, _)| *hash).collect();
        (!stuck.is_empty()).then(|| Self { stuck, ..Self::new(self.setup.clone()) })
    }

    /// Whether that state was found to lead nowhere.
    pub fn is_stuck(&self, world: &World) -> bool {
        !self.stuck.is_empty() && self.stuck.contains(&Graph::hash(world))
    }

    fn remember(&self, from: &World, to: &World) {
        let mut graph = self.graph.lock().unwrap();
        let from = graph.number(from, |world| properties::is_goal(&self.setup, world));
        let to = graph.number(to, |world| properties::is_goal(&self.setup, world));
        graph.edges.push((to, from));
    }
}

impl Graph {
    fn hash(world: &World) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(world)
    }

    fn number(&mut self, world: &World, is_goal: impl Fn(&World) -> bool) -> u32 {
        let next = u32::try_from(self.numbers.len()).expect("fewer states");
        match self.numbers.entry(Self::hash(world)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(slot) => {
                slot.insert(next);
                self.goals.extend(is_goal(world).then_some(next));
                next
            }
        }
    }

    /// By number, walking backwards from the goals.
    fn leads_to_goal(&mut self) -> Vec<bool> {
        self.edges.sort_unstable();
        let mut leads = vec![false; self.numbers.len()];
        let mut left = self.goals.clone();
        while let Some(number) = left.pop() {
            if !std::mem::replace(&mut leads[number as usize], true) {
                let first = self.edges.partition_point(|(to, _)| *to < number);
                left.extend(self.edges[first..].iter().take_while(|(to, _)| *to == number).map(|(_, from)| from));
            }
        }
        leads
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
        if !moves::is_fault(&action) {
            self.remember(world, &next);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let must_reach = |property: &Property<Self>| self.setup.reaches.contains(&property.name);
        properties::always().into_iter().chain(properties::reachable().into_iter().filter(must_reach)).collect()
    }
}
