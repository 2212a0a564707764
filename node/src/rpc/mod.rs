//! The network between nodes: gRPC by [`group0_api`], in the terms of [`group0_core::io`].
//!
//! [`server`] turns what peers ask into inputs; [`client`] carries the core's sends out: calls over [`pool`]ed connections and
//! one-way messages over the streams of [`link`]. Verbs of control and data have connections of their own, so that a schema or
//! a log on its way never delays a question. [`wire`] is the border that nothing unchecked passes.

pub mod client;
pub mod link;
pub mod pool;
pub mod server;
pub mod wire;

use group0_core::raft::MAX_PART_BYTES;
use std::time::Duration;

/// The largest message that is read or written: twice the commands of one append, and room for changes of the schema that are pushed
/// whole.
pub const MESSAGE_BYTES: usize = 2 * MAX_PART_BYTES;
/// The largest schema that is pulled: 10,000 tables of several KiB.
pub const SCHEMA_BYTES: usize = 256 << 20;
/// A piece of a schema.
pub const CHUNK_BYTES: usize = 1 << 20;
/// How often a connection is tried that says nothing, and for how long: a dead one is noticed in two seconds.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Room for a large message without waiting for leave to go on.
pub const STREAM_WINDOW: u32 = 2 << 20;
/// See [`STREAM_WINDOW`].
pub const CONNECTION_WINDOW: u32 = 8 << 20;
