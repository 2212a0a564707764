//! Whether a history of schema changes through group 0 is linearizable, pure: who did what when, and the order of the log, come in
//! as arguments.
//!
//! What is promised, and no more: a change takes effect at one moment between its question and its answer, and so does an answer
//! that nothing was done or that it makes no sense; that moment is its place in the order. A `SELECT` looks at one node only: it
//! sees the state of one place of the order, never an earlier one than another answer of that node that came before it was asked, and
//! nothing that was asked for after it was answered.
//!
//! `names` is what changes do, `check` compares. Everything is done in n log n.

#![allow(dead_code, unused_imports, reason = "each test target takes the part that it needs")]

mod check;
mod names;

pub use check::{Flaw, check};
pub use names::{Names, Statement, columns, query};

use group0_core::{group0::HistoryRow, ids::TimeUuid, io::CqlError};
use std::{collections::BTreeSet, time::Duration};

/// What a client was told of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done and changed something.
    Changed,
    /// There was nothing to do.
    Nothing,
    /// It makes no sense.
    Refused,
    /// It was not done, for a reason that has nothing to do with the schema.
    NotDone,
    /// Maybe.
    Unknown,
}

impl Reply {
    /// What an error says.
    pub fn of(error: &CqlError) -> Self {
        match error {
            CqlError::Invalid(_) | CqlError::Config(_) | CqlError::AlreadyExists { .. } => Self::Refused,
            CqlError::Unavailable { message, .. } if !message.contains("nothing was changed") => Self::Unknown,
            CqlError::Server(message) if message.contains("it is unknown whether") => Self::Unknown,
            _ => Self::NotDone,
        }
    }
}

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Some change, and what came of it.
    Some(Reply),
    /// This change, and what came of it. All that have to do with the same names must be known.
    Change(Statement, Reply),
    /// Looked at all columns, and saw these.
    Columns(BTreeSet<String>),
}

/// One thing that a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// No other has this.
    pub tag: String,
    /// The number of the node that was asked.
    pub node: usize,
    /// When it was asked.
    pub asked: Duration,
    /// When it answered, or the client gave up.
    pub told: Duration,
    /// What.
    pub deed: Deed,
    /// Whether the node was final already: what it has done is in the order.
    pub was_final: bool,
}

/// A row of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its state id.
    pub state: TimeUuid,
    /// Of which change; none if no client gave it.
    pub tag: Option<String>,
}

const BEFORE_TAG: &str = "/* change ";
const AFTER_TAG: &str = " */";

/// A statement with a comment that is found again in the history.
pub fn tagged(text: &str, tag: &str) -> String {
    format!("{text} {BEFORE_TAG}{tag}{AFTER_TAG}")
}

impl Row {
    /// Of a row of `system.group0_history`.
    pub fn of(row: &HistoryRow) -> Self {
        let tag = row.description.split_once(BEFORE_TAG).and_then(|(_, rest)| rest.split_once(AFTER_TAG));
        Self { state: row.state, tag: tag.map(|(tag, _)| tag.to_owned()) }
    }

    /// Whether it is the change of this operation.
    pub fn is(&self, operation: &Operation) -> bool {
        self.tag.as_ref() == Some(&operation.tag)
    }
}

impl Operation {
    /// What it says of the order, if it is a change.
    fn reply(&self) -> Option<Reply> {
        match self.deed {
            Deed::Some(reply) | Deed::Change(_, reply) => Some(reply),
            Deed::Columns(_) => None,
        }
    }

    /// Whether its answer says how the state was, and no more.
    fn is_about_state(&self) -> bool {
        match self.deed {
            Deed::Change(_, Reply::Nothing | Reply::Refused) => self.was_final,
            Deed::Columns(_) => true,
            Deed::Some(_) | Deed::Change(..) => false,
        }
    }

    /// Whether it was told before the other one was asked for.
    pub fn is_before(&self, other: &Self) -> bool {
        self.reply() != Some(Reply::Unknown) && self.told < other.asked
    }
}
