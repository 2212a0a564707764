//! Consensus.

mod types;

pub use types::{Configuration, Entry, EntryKind, Member, MessageKind, RaftMessage, Snapshot};
