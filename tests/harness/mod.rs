//! Real nodes, as processes on a subnet of 127.0.0.0/8 that is free, for tests that watch them.
//!
//! Nothing here sleeps to wait for a state: it watches the node's own status. Processes that are ended are those that were started
//! here, and all of them end with their [`Cluster`], whose folder goes too. Whoever only reads a status or a schema wants [`Node`];
//! [`workload`] changes the schema all the while and remembers what was acknowledged.

#![allow(dead_code, unused_imports, reason = "each test target takes the part that it needs")]
#![expect(clippy::panic, reason = "a test fails by a panic that says what it saw")]

pub mod binary;
mod cluster;
mod encryption;
pub mod members;
mod node;
mod status;
pub mod subnet;
pub mod workload;

pub use cluster::{Cluster, FINAL};
pub use node::{Node, Start};
pub use status::brief;

use std::time::Duration;

/// After this a wait has failed. Elections, restarts and back-offs take seconds, several clusters share two cores, and a person still waits.
pub const WAIT_MAX: Duration = Duration::from_mins(2);
