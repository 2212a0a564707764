//! What the log of group 0 carries.

use crate::{
    ids::{HostId, TimeUuid},
    schema::Rows,
};
use serde::{Deserialize, Serialize};

/// One change of the schema, totally ordered by the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What changes.
    pub rows: Rows,
    /// The state id that the change was made on; anything else at apply: skip. Absent in a merge, which always applies.
    pub previous: Option<PreviousState>,
    /// The state id after it.
    pub state: TimeUuid,
    /// Who made it.
    pub creator: HostId,
    /// For the history, e.g. `CQL DDL statement: "…"`.
    pub description: String,
}

impl Command {
    /// From the data of an entry of the log.
    pub fn read(data: &[u8]) -> Option<Self> {
        postcard::from_bytes(data).ok()
    }
}

/// The state id that a command expects; `None` inside: the history is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviousState(pub Option<TimeUuid>);

/// A row of `system.group0_history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The state id that the command led to.
    pub state: TimeUuid,
    /// Its description.
    pub description: String,
}
