//! What goes into [`crate::node::Node::step`] and what comes out: one enum of inputs, one struct of effects.
//!
//! The contract with whoever carries effects out, a real driver or a simulator:
//! 1. Effects of one step are carried out in the order persist → send → apply → reply. Several steps may be carried out as one
//!    turn with [`Effects::then`]: all of their writes become durable in one transaction before anything is sent or answered.
//! 2. If a transaction fails, nothing of that turn is sent or answered, and no further step is taken.
//! 3. Every [`Send::Call`] is answered by exactly one [`Input::Answer`] whose outcome is final, also after [`Send::Abort`].
//!    A watch is answered by any number of [`Input::Update`]s before that.
//! 4. Messages may be lost, delayed, duplicated and reordered; answers belong to the call that they name.
//! 5. `wake_at` replaces the former one; at that time, or later, the driver steps [`Input::Wake`].

mod admin;
mod client;
mod peer;
mod settings;
mod store;

pub use admin::{AdminReply, AdminRequest, Order, RecoveryPlan, RecoveryStep, Strikes};
pub use client::{ClientReply, ClientRequest, CqlError, ResultSet, SchemaChange, SchemaEvent, SchemaTarget};
pub use peer::{
    CallError, DiscoveryPeer, ExchangeReply, Header, JoinReply, Message, Migration, PeerReply, PeerRequest, Refusal, Replacement,
    StateReply,
};
pub use settings::Settings;
pub use store::{Image, Persist, Point, Table, Write};

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, time::Duration};

/// Names one call from us to a peer, within one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Names one request to us (of a peer, a CQL client or the Admin service), within one process. The driver makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What was counted on the longest chain of causes that led here, since the feature was advertised by the last node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Messages that crossed the network, one way: two make a round trip.
    pub hops: u32,
    /// Transactions made durable.
    pub fsyncs: u32,
}

/// What the driver tells the node.
#[derive(Clone, Debug)]
pub enum Input {
    /// The time of `wake_at` has come, or nothing else has.
    Wake,
    /// A peer's one-way message.
    Message {
        /// From whom.
        header: Header,
        /// What.
        message: Message,
    },
    /// A peer asks.
    Request {
        /// To answer it by.
        id: RequestId,
        /// From whom.
        header: Header,
        /// What.
        request: PeerRequest,
    },
    /// Who asked `id` has gone away; no answer is wanted any more. Ends a watch.
    Gone(RequestId),
    /// The last answer to a call of ours.
    Answer {
        /// Which call.
        call: CallId,
        /// The reply with the replier's path, or why there is none.
        outcome: Result<(PeerReply, Path), CallError>,
    },
    /// One of the answers to a watch of ours.
    Update {
        /// Which call.
        call: CallId,
        /// The reply and the replier's path.
        reply: (PeerReply, Path),
    },
    /// A CQL client asks.
    Client {
        /// To answer it by.
        id: RequestId,
        /// What.
        request: ClientRequest,
    },
    /// The Admin service is asked.
    Admin {
        /// To answer it by.
        id: RequestId,
        /// What.
        request: AdminRequest,
    },
    /// The configured seeds, resolved anew after [`Send::Resolve`].
    Seeds {
        /// Their addresses.
        addresses: Vec<SocketAddr>,
        /// How many of them have none now.
        unresolved: usize,
    },
    /// What things cost here lately, by the driver's clock: medians.
    Measured {
        /// Of a small call to a peer.
        round_trip: Option<Duration>,
        /// Of a transaction.
        fsync: Option<Duration>,
    },
    /// Drain: announce the shutdown, refuse new work. [`Apply::Drained`] follows.
    Shutdown,
}

/// What the driver is to do, in this order.
#[must_use]
#[derive(Debug, Default)]
pub struct Effects {
    /// Durable before anything below leaves.
    pub persist: Persist,
    /// To peers.
    pub send: Vec<Send>,
    /// To whom it may concern in this process.
    pub apply: Vec<Apply>,
    /// To those who asked.
    pub reply: Vec<Reply>,
    /// When to step [`Input::Wake`], on the clock of `Now::elapsed`.
    pub wake_at: Option<Duration>,
}

/// What goes to peers.
#[derive(Clone, Debug)]
pub enum Send {
    /// A one-way message: best effort, in order per destination while the connection lasts.
    Message {
        /// Where to.
        to: Destination,
        /// Who sends.
        header: Header,
        /// What.
        message: Message,
    },
    /// A call.
    Call {
        /// Answers name it.
        call: CallId,
        /// Where to.
        to: Destination,
        /// Who asks.
        header: Header,
        /// What.
        request: PeerRequest,
        /// After which it has timed out. For a watch: the time to the first answer.
        within: Duration,
    },
    /// Forget a call: not sent if it waits still. Only calls of cancellable verbs are aborted.
    Abort(CallId),
    /// Resolve the configured seeds anew, then step [`Input::Seeds`].
    Resolve,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The address to connect to.
    pub address: SocketAddr,
}

/// An answer to someone who asked.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To a peer.
    Peer {
        /// Which request.
        id: RequestId,
        /// The reply and our path, or the refusal. A watch stays open after a reply.
        outcome: Result<(PeerReply, Path), Refusal>,
    },
    /// To a CQL client.
    Client {
        /// Which request.
        id: RequestId,
        /// The reply.
        reply: ClientReply,
    },
    /// To the operator. A watch stays open.
    Admin {
        /// Which request.
        id: RequestId,
        /// The reply.
        reply: AdminReply,
    },
}

/// What changed for others in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Tell every connection that registered for it.
    SchemaChanged(SchemaEvent),
    /// A host of the ring came up or went down, by its CQL address.
    HostChanged {
        /// UP or DOWN.
        up: bool,
        /// Its address for clients.
        address: SocketAddr,
    },
    /// A host entered or left the ring, by its CQL address.
    RingChanged {
        /// NEW_NODE or REMOVED_NODE.
        joined: bool,
        /// Its address for clients.
        address: SocketAddr,
    },
    /// CQL can be used now: open its listener, and `/readyz` says yes. Or not any more.
    Ready(Result<(), String>),
    /// The shutdown has been announced; the process may end.
    Drained,
    /// The same, and the process is to begin anew: same program, arguments and environment.
    Restart,
    /// The error that a test has injected before `synchronize` has struck, and does not strike again.
    Struck,
    /// The node must not go on, e.g. an enabled feature is missing. The process exits 1 with this text.
    Fatal(String),
}

impl Effects {
    /// The effects of this step and then of the next, as one turn.
    pub fn then(self, next: Self) -> Self {
        let Self { mut persist, mut send, mut apply, mut reply, wake_at: _ } = self;
        let Self { persist: next_persist, send: next_send, apply: next_apply, reply: next_reply, wake_at } = next;
        persist.writes.extend(next_persist.writes);
        persist.points.extend(next_persist.points);
        send.extend(next_send);
        apply.extend(next_apply);
        reply.extend(next_reply);
        Self { persist, send, apply, reply, wake_at }
    }
}
