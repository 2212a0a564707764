//! Serves CQL clients: connections, sessions, prepared statements and pages around a [`Backend`] that answers single statements.
//!
//! What bytes and statements mean is `group0_core::cql`'s matter; what a statement does is the node's. `server` accepts,
//! `intake` takes frames in, `connection` has them answered and writes the answers, `session` answers requests, `prepared` remembers
//! statements, `client` is the other side.

pub mod client;
mod codec;
mod connection;
mod intake;
mod prepared;
mod server;
mod session;

pub use server::{Backend, Counts, CqlServer};

/// Connections to one node. Each costs a socket and some kilobytes; drivers open a few a client. If the process may not have twice as many
/// files open, it is half of what it may: peers, operators and the database need some, too.
pub const CONNECTIONS_MAX: usize = 4096;

/// Requests of one connection that wait for their answers. Reading pauses while there are so many.
pub const IN_FLIGHT_MAX: usize = 1024;

/// Bytes of the large requests of all clients that are being read or answered; whoever sends more waits. A schema change may wait a minute
/// for a majority, and is in memory for so long. There is room for some of the largest frames.
const LARGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A frame that is no larger costs no more than the task that answers it, and does not wait for the large ones.
const SMALL_FRAME_MAX: usize = 4 * 1024;

/// For the body of a large frame to come.
const BODY_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// Answers of one connection that wait to be written; what comes more waits in its request.
const ANSWERS_QUEUED_MAX: usize = 64;

/// Reads of one connection whose answers are made, or wait to be written. Such an answer may take megabytes: what comes more is not begun.
const READS_MAX: usize = 64;

/// For a client to take some of what is written to it. One that reads nothing for so long has its connection closed.
const WRITE_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// Prepared statements that a node remembers. A forgotten one is prepared again by the driver.
pub const PREPARED_MAX: usize = 10_000;

/// Bytes of text of the remembered statements; parsed they take about ten times as much.
const PREPARED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Until a client must have sent STARTUP: a socket that says nothing is not kept.
const GREETING_MAX: std::time::Duration = std::time::Duration::from_secs(30);

/// A connection that is silent for so long is asked whether the client's machine is there still, and given up after some questions.
const SILENCE_MAX: std::time::Duration = std::time::Duration::from_mins(2);

/// For answers under way when the node shuts down.
const DRAIN_MAX: std::time::Duration = std::time::Duration::from_secs(5);
