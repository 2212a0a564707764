//! Operations through group 0: joining it, what its log carries, how a schema change goes through it.

mod command;
mod history;
pub mod joining;
pub mod operation;

pub use command::{Command, HistoryRow, PreviousState};
pub use history::History;
