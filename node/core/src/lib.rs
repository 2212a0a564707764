//! The metadata node without its input and output.
//!
//! [`node::Node::step`] takes an input and the time and returns effects; everything else here serves it. Nothing in this
//! crate reads a clock, a file, the network or the operating system's randomness: the same seed and inputs give the same
//! effects, byte for byte, whether a real driver or a simulator carries them out.

pub mod cql;
pub mod discovery;
pub mod gossip;
pub mod group0;
pub mod ids;
pub mod io;
pub mod node;
pub mod raft;
pub mod random;
pub mod recovery;
pub mod schema;
pub mod status;
pub mod system;
pub mod upgrade;
pub mod value;
