//! Operations through group 0.

mod command;
pub mod joining;

pub use command::{Command, HistoryRow, PreviousState};
