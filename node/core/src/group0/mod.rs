//! Operations through group 0.

mod command;

pub use command::{Command, HistoryRow};
