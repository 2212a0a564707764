//! The gRPC services of a node, as their `.proto` files say: `Peer` between nodes, `Admin` for the operator.
//!
//! Messages, clients and servers are generated into [`v1`] at build time. Methods of a client that end in `_with_abort` exist
//! for the verbs that the `.proto` marks as cancellable, and for no others; [`call`] has what they take and how they fail.
//! [`refusal`] is how a typed refusal travels, [`tls`] how both sides prove who they are, [`acceptor`] takes connections, [`http`] serves those
//! of REST and metrics. Nothing here knows the core: the node converts at its border.

// Tests of other packages take in files of this one, which name it.
#[cfg(test)]
extern crate self as group0_api;

pub mod acceptor;
pub mod call;
pub mod http;
pub mod refusal;
pub mod tls;

pub use call::{Answers, Call, CallError};

/// Messages, clients and servers of `group0.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated; the .proto has the documentation")]
pub mod v1 {
    tonic::include_proto!("group0.v1");
    include!(concat!(env!("OUT_DIR"), "/cancellable.rs"));
}
