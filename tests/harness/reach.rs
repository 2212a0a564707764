//! Remembers how the states of a model follow each other: that nobody is ever stuck cannot be said of a single state.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash},
    sync::{Mutex, PoisonError},
};

/// From which states the goal can be reached.
#[derive(Default)]
pub struct Reach {
    graph: Mutex<Graph>,
    /// States that lead nowhere, found by a former search.
    stuck: HashSet<u64>,
}

/// The states seen so far, by hash, and which follows which.
#[derive(Default)]
struct Graph {
    numbers: HashMap<u64, u32, BuildHasherDefault<DefaultHasher>>,
    goals: Vec<u32>,
    /// Whither and whence.
    edges: Vec<(u32, u32)>,
}

impl Reach {
    /// One state may follow the other. Not to be called for faults: what only another fault mends counts as stuck.
    pub fn follows<S: Hash>(&self, from: &S, to: &S, is_goal: impl Fn(&S) -> bool) {
        let mut graph = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        let from = graph.number(from, &is_goal);
        let to = graph.number(to, &is_goal);
        graph.edges.push((to, from));
    }

    /// To search once more, for the way to a state from which the goal is not reached any more, even if nothing fails from then on. `None`: there
    /// is no such state among those explored.
    pub fn for_the_stuck(&self) -> Option<Self> {
        let mut graph = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        let leads = graph.leads_to_goal();
        let stuck: HashSet<_> =
            graph.numbers.iter().filter(|(_, number)| !leads[**number as usize]).map(|(hash, _)| *hash).collect();
        (!stuck.is_empty()).then(|| Self { stuck, ..Self::default() })
    }

    /// Whether that state was found to lead nowhere.
    pub fn is_stuck(&self, state: &impl Hash) -> bool {
        !self.stuck.is_empty() && self.stuck.contains(&hash(state))
    }
}

fn hash(state: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(state)
}

impl Graph {
    fn number<S: Hash>(&mut self, state: &S, is_goal: impl Fn(&S) -> bool) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        match self.numbers.entry(hash(state)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(slot) => {
                slot.insert(next);
                self.goals.extend(is_goal(state).then_some(next));
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
