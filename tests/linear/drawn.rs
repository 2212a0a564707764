//! Short histories, most of them nearly true: the checker and the search over everything agree about each.

use crate::{
    history::{Deed, Flaw, Names, Operation, Reply, Row, Statement, check},
    search::is_linearizable,
};
use group0_core::{
    ids::{Micros, TimeUuid},
    random::Random,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// So many histories take seconds.
const HISTORIES: u64 = 100_000;
/// The search takes the factorial of this.
const OPERATIONS_MAX: u64 = 8;
const NODES: u64 = 2;
/// Moments of a history: few, so that much overlaps.
const MOMENTS: u64 = 16;

/// All that the search knows about, too.
const FLAWS: [Flaw; 8] =
    [Flaw::NotAskedFor, Flaw::Twice, Flaw::Lost, Flaw::Done, Flaw::Senseless, Flaw::Overtaken, Flaw::Stale, Flaw::TooEarly];

#[test]
fn the_checker_and_the_search_agree() {
    let (mut good, mut flaws) = (0_u64, BTreeMap::<Flaw, u32>::new());
    for seed in 0..HISTORIES {
        let history = History::draw(&mut Random::seeded(seed));
        let verdict = check(&history.order, &history.operations);
        let expected = is_linearizable(&history.order, &history.operations);
        assert_eq!(verdict.is_ok(), expected, "history {seed}: {verdict:?} of {history:#?}");
        match verdict {
            Ok(()) => good += 1,
            Err((flaw, _)) => *flaws.entry(flaw).or_default() += 1,
        }
    }
    println!("{good} linearizable, others {flaws:?}");
    for flaw in FLAWS {
        assert!(flaws.contains_key(&flaw), "no history has the flaw {flaw:?}");
    }
    assert!(good * 4 > HISTORIES, "few histories are true");
}

#[derive(Debug, Default)]
struct History {
    order: Vec<Row>,
    operations: Vec<Operation>,
}

/// What happens to the one system whose histories are drawn.
#[derive(Default)]
struct World {
    history: History,
    /// After each row.
    states: Vec<Names>,
    /// How far each node is.
    views: BTreeMap<usize, usize>,
}

impl History {
    fn draw(random: &mut Random) -> Self {
        let count = random.within(2..OPERATIONS_MAX);
        let mut plan: Vec<_> = (1..=count).map(|number| (random.within(1..MOMENTS), number)).collect();
        plan.sort_unstable();
        let mut world = World { states: vec![Names::default()], ..World::default() };
        world.change(random, 0, (0, &Statement::first()));
        for (moment, number) in plan {
            if random.within(0..5) < 2 {
                world.look(random, moment, number);
            } else {
                let statement = Statement::draw(random, number);
                world.change(random, moment, (number, &statement));
            }
        }
        let mut history = world.history;
        if random.within(0..8) > 2 && !history.order.is_empty() {
            history.spoil(random, &world.states);
        }
        for (at, row) in history.order.iter_mut().enumerate() {
            row.state = TimeUuid::new(Micros(at.try_into().unwrap()), 0);
        }
        history
    }

    /// Something in it is not as it was.
    fn spoil(&mut self, random: &mut Random, states: &[Names]) {
        let row = index(random, self.order.len());
        let (other, at) = (index(random, self.order.len()), index(random, self.operations.len()));
        let operation = &mut self.operations[at];
        match (random.within(0..8), &mut operation.deed) {
            (0, _) => drop(self.order.remove(row)),
            (1, _) => self.order.push(self.order[row].clone()),
            (2, _) => self.order.swap(row, other),
            (3, _) => drop(self.operations.remove(at)),
            (4, Deed::Change(_, reply)) => {
                *reply = pick(random, &[Reply::Changed, Reply::Nothing, Reply::Refused, Reply::NotDone]);
            }
            (_, Deed::Columns(columns)) => *columns = states[index(random, states.len())].columns(),
            (5, _) => operation.node = 1 - operation.node,
            (6, _) => operation.told = operation.asked,
            _ => (operation.asked, operation.told) = interval(random, random.clone().within(0..MOMENTS)),
        }
    }
}

impl World {
    fn change(&mut self, random: &mut Random, moment: u64, (number, statement): (u64, &Statement)) {
        let mut now = self.states[self.states.len() - 1].clone();
        let mut reply = now.reply(statement);
        let mut is_done = reply == Reply::Changed;
        if random.within(0..4) == 0 {
            (reply, is_done) = (Reply::Unknown, is_done && random.within(0..2) == 0);
        }
        let operation = operation(random, moment, number, Deed::Change(statement.clone(), reply));
        if is_done {
            now.change(statement);
            self.states.push(now);
            self.history.order.push(Row { state: TimeUuid::new(Micros(0), 0), tag: Some(operation.tag.clone()) });
        }
        self.views.insert(operation.node, self.states.len() - 1);
        self.history.operations.push(operation);
    }

    fn look(&mut self, random: &mut Random, moment: u64, number: u64) {
        let mut operation = operation(random, moment, number, Deed::Columns(BTreeSet::new()));
        let view = self.views.entry(operation.node).or_default();
        *view += index(random, self.states.len() - *view);
        operation.deed = Deed::Columns(self.states[*view].columns());
        self.history.operations.push(operation);
    }
}

fn operation(random: &mut Random, moment: u64, number: u64, deed: Deed) -> Operation {
    let (asked, told) = interval(random, moment);
    let node = usize::try_from(random.within(0..NODES)).unwrap();
    Operation { tag: number.to_string(), node, asked, told, deed, was_final: true }
}

/// Around that moment.
fn interval(random: &mut Random, moment: u64) -> (Duration, Duration) {
    let at = |moment: u64| Duration::from_millis(moment);
    (at(moment.saturating_sub(random.within(0..4))), at(moment + random.within(0..4)))
}

fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.within(0..length as u64)).unwrap()
}

fn pick<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[index(random, choices.len())]
}
