//! A client's statement through the log: the real machine of a command, whose proposals get lost and come twice.

use crate::{
    glue::Glue,
    world::{LOGGED_DDL, Place, Rule, Setup, Statement, World},
};
use group0_core::{
    group0::operation::{Action, Event, Operation, step},
    upgrade::Stage,
};

/// One thing that happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// Its barrier has passed: it takes the guard.
    Guard(Place),
    /// Its command is submitted, and gets into the log.
    Submit(Place),
    /// The same, and the command gets lost.
    SubmitInVain(Place),
    /// Nothing was heard of it: it is submitted again.
    Again(Place),
}

/// What may happen to that of a node.
pub fn possible(setup: &Setup, world: &World, at: Place) -> Vec<Move> {
    let node = world.node(at);
    let is_current = node.applied == world.log.len();
    match &world.process(at).statement {
        None => {
            let is_asked = setup.logged_ddl && node.stage == Stage::UsePostRaft && world.logged_rows() & LOGGED_DDL == 0;
            (is_asked && is_current).then_some(Move::Guard(at)).into_iter().collect()
        }
        Some(statement) if statement.operation.awaits_turn() => is_current.then_some(Move::Guard(at)).into_iter().collect(),
        Some(statement) if !statement.is_submitted => {
            let in_vain = (world.timeouts > 0).then_some(Move::SubmitInVain(at));
            in_vain.into_iter().chain([Move::Submit(at)]).collect()
        }
        Some(statement) => {
            let copies = world.log.iter().filter(|entry| **entry == statement.entry(at)).count();
            let may = copies == 0 || copies == 1 && world.timeouts > 0;
            may.then_some(Move::Again(at)).into_iter().collect()
        }
    }
}

/// Lets it happen.
pub fn make(glue: &mut Glue<'_>, happens: Move) {
    match happens {
        Move::Guard(at) => guard(glue, at),
        Move::Submit(at) => submit(glue, at, Event::Prepared),
        Move::SubmitInVain(at) => {
            glue.world.timeouts -= 1;
            event(glue, at, Event::Prepared);
        }
        Move::Again(at) => {
            let entry = glue.world.process(at).statement.as_ref().map(|statement| statement.entry(at));
            let is_there = entry.is_some_and(|entry| glue.world.log.contains(&entry));
            glue.world.timeouts -= u8::from(is_there);
            submit(glue, at, Event::Silence);
        }
    }
}

/// What another node did meanwhile need not be done again.
fn guard(glue: &mut Glue<'_>, at: Place) {
    let upon = glue.world.last_state(glue.world.log.len());
    let is_done = glue.world.logged_rows() & LOGGED_DDL != 0;
    let process = glue.world.process_mut(at);
    let operation = process.statement.take().map_or_else(|| Operation::new().0, |statement| statement.operation);
    process.statement = Some(Statement { operation, upon, is_submitted: false });
    event(glue, at, Event::Turn);
    if is_done {
        event(glue, at, Event::Answered);
        glue.world.process_mut(at).statement = None;
    }
}

fn submit(glue: &mut Glue<'_>, at: Place, why: Event) {
    if event(glue, at, why) == Some(Action::Submit)
        && let Some(statement) = &glue.world.process(at).statement
    {
        let entry = statement.entry(at);
        glue.world.log.push(entry);
    }
}

/// A command was applied: by whom it was made is told, unless it was lost with the process.
pub fn applied(glue: &mut Glue<'_>, at: Place, index: usize) {
    let entry = glue.world.log[index];
    let is_ours = glue.world.process(at).statement.as_ref().is_some_and(|ours| ours.is_submitted && ours.entry(at) == entry);
    if !is_ours {
        return;
    }
    let is_known = (0..=index).any(|before| glue.world.log[before] == entry && glue.world.rows(before) != 0);
    let won = is_known || !glue.setup.obeys(Rule::LostIsNoticed);
    match event(glue, at, if won { Event::Applied } else { Event::Lost }) {
        Some(Action::Succeed) => {
            glue.world.acknowledged |= LOGGED_DDL;
            glue.world.process_mut(at).statement = None;
        }
        Some(Action::GiveUp) => glue.world.process_mut(at).statement = None,
        _ => {}
    }
}

fn event(glue: &mut Glue<'_>, at: Place, event: Event) -> Option<Action> {
    let statement = glue.world.process_mut(at).statement.as_mut()?;
    let (operation, action) = step(&statement.operation, event);
    statement.operation = operation;
    statement.is_submitted |= action == Some(Action::Submit);
    action
}
