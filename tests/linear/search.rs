//! The same verdict as the checker's, by trying everything (Wing and Gong, 1993): one after another takes effect, in any order that
//! real time allows, until all have, just as they were told.

use crate::history::{Deed, Names, Operation, Reply, Row};

/// Whether there is such an order. State ids are none of its business.
pub fn is_linearizable(order: &[Row], operations: &[Operation]) -> bool {
    let is_told = |operation: &&Operation| {
        !matches!(operation.deed, Deed::Some(Reply::NotDone | Reply::Unknown) | Deed::Change(_, Reply::NotDone | Reply::Unknown))
    };
    let is_in_order = |operation: &&Operation| order.iter().any(|row| row.is(operation));
    let left =
        operations.iter().filter(|operation| is_told(operation) || is_unknown(operation) && is_in_order(operation)).collect();
    Search { order, states: vec![Names::default()], left, done: Vec::new() }.succeeds()
}

fn is_unknown(operation: &Operation) -> bool {
    matches!(operation.deed, Deed::Some(Reply::Unknown) | Deed::Change(_, Reply::Unknown))
}

#[derive(Clone)]
struct Search<'a> {
    order: &'a [Row],
    /// After each row that has taken effect.
    states: Vec<Names>,
    left: Vec<&'a Operation>,
    /// Each with the number of rows in the state that it saw.
    done: Vec<(&'a Operation, usize)>,
}

impl Search<'_> {
    fn succeeds(&self) -> bool {
        if self.left.is_empty() {
            return self.states.len() == self.order.len() + 1;
        }
        let may_be_next = |at: &usize| !self.left.iter().any(|other| other.is_before(self.left[*at]));
        (0..self.left.len()).filter(may_be_next).any(|at| self.each_place(at).into_iter().any(|next| next.succeeds()))
    }

    /// Every way in which that one is the next to take effect.
    fn each_place(&self, at: usize) -> Vec<Self> {
        let mut next = self.clone();
        let operation = next.left.remove(at);
        let (mut now, rows) = (self.states[self.states.len() - 1].clone(), self.states.len() - 1);
        let is_row = self.order.get(rows).is_some_and(|row| row.is(operation));
        let places = match &operation.deed {
            Deed::Change(statement, Reply::Changed | Reply::Unknown) => {
                let fits = is_row && now.reply(statement) == Reply::Changed;
                now.change(statement);
                next.states.push(now);
                if fits { vec![rows + 1] } else { Vec::new() }
            }
            Deed::Some(Reply::Changed | Reply::Unknown) => {
                next.states.push(now);
                if is_row { vec![rows + 1] } else { Vec::new() }
            }
            Deed::Change(statement, reply) if now.reply(statement) != *reply => Vec::new(),
            Deed::Some(_) | Deed::Change(..) => vec![rows],
            Deed::Columns(columns) => {
                let of_node = self.done.iter().filter(|(other, _)| other.node == operation.node && other.is_before(operation));
                let from = of_node.map(|(_, place)| *place).max().unwrap_or_default();
                (from..=rows).filter(|place| self.states[*place].columns() == *columns).collect()
            }
        };
        let with = |place| Self { done: self.done.iter().copied().chain([(operation, place)]).collect(), ..next.clone() };
        places.into_iter().map(with).collect()
    }
}
