//! S7: once all are final and quiet, their schemas are equal row by row, timestamps included.

use super::{Invariant, Verdict};
use crate::events::Events;
use group0_core::schema::{Rows, Schema};

pub struct EqualRows;

impl Invariant for EqualRows {
    fn name(&self) -> &'static str {
        "S7 schemas are equal"
    }

    fn at_end(&mut self, schemas: &[(String, Rows)], _: &mut Events) -> Verdict {
        let Some(((first, rows), others)) = schemas.split_first() else { return Ok(()) };
        if let Some((name, other)) = others.iter().find(|(_, other)| other != rows) {
            let (ours, theirs) = (Schema::from_rows(rows).surplus_over(other), Schema::from_rows(other).surplus_over(rows));
            let keys = |surplus: &Rows| surplus.keys().take(3).map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" ");
            return Err(format!("{first} has [{}] over {name}, which has [{}] over it", keys(&ours), keys(&theirs)));
        }
        Ok(())
    }
}
