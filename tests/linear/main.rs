//! The history of schema changes through group 0 is linearizable: what clients are told goes with the order of the log.
//!
//! [`history`] decides that, here and in every simulated world. [`processes`] is real nodes that are killed at any moment under
//! clients that get in each other's way. The checker is checked: against a [`search`] over all orders in which something may have
//! happened, on short histories that are [`drawn`], and with true histories that are [`corrupted`].

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic that says what it saw")]

mod corrupted;
mod drawn;
#[path = "../harness/mod.rs"]
mod harness;
mod history;
mod processes;
mod search;
