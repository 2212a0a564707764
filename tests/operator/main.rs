//! `group0-operator run` against a real API server with real controllers, and real nodes as processes.
//!
//! Scheduler and kubelet are played by [`kubelet`]; everything else is what users have. Without the program of the control plane the
//! tests say that they are skipped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is how a failure is told")]

#[path = "../harness/binary.rs"]
mod binary;
mod control_plane;
mod hidden;
mod idle;
mod killed;
mod kubelet;
mod leaders;
mod operator;
mod people;
mod proxy;
mod recovery;
mod refused;
mod replay;
mod rights;
mod scene;
#[path = "../harness/script.rs"]
mod script;
#[path = "../harness/subnet.rs"]
mod subnet;
mod upgrade;
