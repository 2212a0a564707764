//! The history of schema changes through group 0 is linearizable: what clients were told goes with the order of the log.

use super::{Invariant, Turn, Verdict};
use crate::{
    events::Events,
    history::{self, Deed, Operation, Reply, Row},
    process::Pid,
};
use group0_core::{
    group0::History,
    ids::GroupId,
    io::{Point, Table, Write},
    schema::Rows,
    upgrade::Stage,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

#[derive(Default)]
pub struct Linear {
    /// Of each group the rows of its history, as whoever had one first stored it. That others have the same is said elsewhere.
    orders: BTreeMap<GroupId, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Groups that have one, each with whether it began with nothing.
    groups: Vec<(GroupId, bool)>,
    /// Whether a recovery has made a group anew: it begins with what there was, be it that it was never in a history.
    has_recovered: bool,
    /// Each with the group that its node was in when it answered.
    operations: Vec<(Option<GroupId>, Operation)>,
    group_of: BTreeMap<Pid, GroupId>,
    /// Nodes that are final, and since when.
    is_final: BTreeMap<Pid, Duration>,
}

impl Linear {
    /// What belongs to a group: what its members were asked, and what has come into its history whoever was asked.
    fn of(&self, group: GroupId, order: &[Row]) -> Vec<Operation> {
        let tags: BTreeSet<_> = order.iter().filter_map(|row| row.tag.as_deref()).collect();
        let is_of_it =
            |(at, operation): &&(Option<GroupId>, Operation)| *at == Some(group) || tags.contains(operation.tag.as_str());
        self.operations.iter().filter(is_of_it).map(|(_, operation)| operation.clone()).collect()
    }

    /// A group that follows another one begins with what there was: of what it begins with nothing is told, only what came then.
    fn judge(&self, group: GroupId, begins_with_nothing: bool) -> Verdict {
        let rows = self.orders.get(&group).into_iter().flatten().map(|(key, row)| (key.as_slice(), row.as_slice()));
        let history = History::load(rows).ok_or("a row of the history cannot be read")?;
        let order: Vec<_> = history.rows().map(Row::of).collect();
        let mut operations = self.of(group, &order);
        if !begins_with_nothing {
            operations.retain(|operation| !matches!(operation.deed, Deed::Columns(_)));
            for operation in &mut operations {
                if let Deed::Change(_, reply) = operation.deed {
                    operation.deed = Deed::Some(reply);
                }
            }
        }
        history::check(&order, &operations).map_err(|(_, flaw)| format!("{group}: {flaw}"))
    }
}

impl Invariant for Linear {
    fn name(&self) -> &'static str {
        "what clients are told goes with the order"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        self.has_recovered |= turn.resets();
        if turn.passes(Point::GroupForgotten) {
            self.group_of.remove(&turn.pid);
        }
        if turn.stage == Stage::UsePostRaft {
            self.is_final.entry(turn.pid).or_insert(turn.now);
        } else {
            self.is_final.remove(&turn.pid);
        }
        let Some(group) = &turn.group else { return Ok(()) };
        self.group_of.insert(turn.pid, group.id);
        for write in &turn.persist.writes {
            if let Write::Put(Table::History, key, row) = write {
                let order = self.orders.entry(group.id).or_insert_with(|| {
                    self.groups.push((group.id, self.groups.is_empty() && !self.has_recovered));
                    BTreeMap::new()
                });
                order.entry(key.clone()).or_insert_with(|| row.clone());
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
        let group = self.group_of.get(&operation.node).copied();
        self.operations.push((group, Operation { was_final, ..operation.clone() }));
    }

    fn at_end(&mut self, _: &[(String, Rows)], events: &mut Events) -> Verdict {
        for (group, begins_with_nothing) in &self.groups {
            self.judge(*group, *begins_with_nothing)?;
        }
        events.count("history judged");
        if self.groups.len() > 1 {
            events.count("histories of several groups judged");
        }
        Ok(())
    }
}
