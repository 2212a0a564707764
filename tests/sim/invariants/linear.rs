//! The history of schema changes through group 0 is linearizable: what clients were told goes with the order of the log.

use super::{Invariant, Turn, Verdict};
use crate::{
    events::Events,
    history::{self, Deed, Operation, Reply, Row},
    process::Pid,
};
use group0_core::{
    group0::History,
    io::{Point, Table, Write},
    schema::Rows,
    upgrade::Stage,
};
use std::{collections::BTreeMap, time::Duration};

#[derive(Default)]
pub struct Linear {
    /// Rows of the history, as whoever had one first stored it. That others have the same is said elsewhere.
    order: BTreeMap<Vec<u8>, Vec<u8>>,
    operations: Vec<Operation>,
    /// Nodes that are final, and since when.
    is_final: BTreeMap<Pid, Duration>,
    /// The group was forgotten in a recovery, and its history with it.
    is_over: bool,
}

impl Invariant for Linear {
    fn name(&self) -> &'static str {
        "what clients are told goes with the order"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        self.is_over |= turn.passes(Point::GroupForgotten);
        if turn.stage == Stage::UsePostRaft {
            self.is_final.entry(turn.pid).or_insert(turn.now);
        } else {
            self.is_final.remove(&turn.pid);
        }
        for write in &turn.persist.writes {
            if let Write::Put(Table::History, key, row) = write {
                self.order.entry(key.clone()).or_insert_with(|| row.clone());
            }
        }
        Ok(())
    }

    fn on_told(&mut self, operation: &Operation, events: &mut Events) {
        match operation.deed {
            Deed::Columns(_) => events.count("rival looked"),
            Deed::Change(_, Reply::Changed) => events.count("rival changed something"),
            Deed::Change(_, Reply::Nothing) => events.count("rival had nothing to do"),
            Deed::Change(_, Reply::Refused) => events.count("rival was refused"),
            Deed::Change(..) | Deed::Some(_) => {}
        }
        let was_final = self.is_final.get(&operation.node).is_some_and(|since| *since <= operation.asked);
        self.operations.push(Operation { was_final, ..operation.clone() });
    }

    fn at_end(&mut self, _: &[(String, Rows)]) -> Verdict {
        if self.is_over {
            return Ok(());
        }
        let rows = self.order.iter().map(|(key, row)| (key.as_slice(), row.as_slice()));
        let history = History::load(rows).ok_or("a row of the history cannot be read")?;
        let order: Vec<_> = history.rows().map(Row::of).collect();
        history::check(&order, &self.operations).map_err(|(_, flaw)| flaw)
    }
}
