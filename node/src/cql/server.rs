//! Accepts connections and holds what they share.

use super::{CONNECTIONS_MAX, LARGE_BYTES_MAX, SILENCE_MAX, connection, prepared::PreparedCache};
use crate::descriptors;
use group0_api::acceptor::Acceptor;
use group0_core::{
    cql::frame::Event,
    io::{ClientReply, ClientRequest},
};
use rustix::net::sockopt;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

/// Who answers statements and tells of events.
pub trait Backend: Send + Sync + 'static {
    /// Answers one statement. If the future is dropped, nobody waits for the answer any more.
    fn query(&self, request: ClientRequest) -> impl Future<Output = ClientReply> + Send;
    /// Events from now on. `Event::of` makes them of what the node applies.
    fn events(&self) -> broadcast::Receiver<Event>;
}

impl<B: Backend> Backend for Arc<B> {
    fn query(&self, request: ClientRequest) -> impl Future<Output = ClientReply> + Send {
        B::query(self, request)
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        B::events(self)
    }
}

/// What was counted since the start, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections open now.
    pub open: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed at once because there were too many.
    pub refused: AtomicU64,
    /// Requests answered, with whatever answer.
    pub requests: AtomicU64,
    /// Requests answered with an error.
    pub errors: AtomicU64,
    /// Bytes of frames received.
    pub bytes_received: AtomicU64,
}

impl Counts {
    /// One more of `counter`.
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server of CQL clients.
#[derive(Debug)]
pub struct CqlServer<B> {
    pub(super) backend: B,
    pub(super) prepared: PreparedCache,
    pub(super) counts: Arc<Counts>,
    /// See [`LARGE_BYTES_MAX`].
    pub(super) room: Arc<Semaphore>,
}

impl<B: Backend> CqlServer<B> {
    /// In front of that backend.
    pub fn new(backend: B) -> Self {
        let room = Arc::new(Semaphore::new(LARGE_BYTES_MAX));
        Self { backend, prepared: PreparedCache::default(), counts: Arc::default(), room }
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Serves until `shutdown`, then lets requests under way finish for a few seconds.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let server = Arc::new(self);
        let places = Arc::new(Semaphore::new(connections_max(descriptors::limit())));
        let (mut acceptor, tracker) = (Acceptor::new(listener), TaskTracker::new());
        while let Some((socket, peer)) = shutdown.run_until_cancelled(acceptor.accept()).await {
            debug!(target: "cql", %peer, "accepted");
            let Ok(place) = places.clone().try_acquire_owned() else {
                Counts::add(&server.counts.refused);
                continue;
            };
            if let Err(error) = keep_alive(&socket) {
                debug!(target: "cql", %peer, %error, "the connection ends before it begins");
                continue;
            }
            let (server, shutdown) = (server.clone(), shutdown.clone());
            tracker.spawn(async move {
                let _open = Open::new(server.counts.clone());
                connection::run(server, socket, shutdown).await;
                drop(place);
            });
        }
        drop(acceptor);
        tracker.close();
        tracker.wait().await;
    }
}

/// Counts a connection while it lives.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: Arc<Counts>) -> Self {
        Counts::add(&counts.accepted);
        Counts::add(&counts.open);
        Self(counts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn connections_max(descriptors: Option<u64>) -> usize {
    let half = descriptors.and_then(|limit| usize::try_from(limit / 2).ok());
    half.map_or(CONNECTIONS_MAX, |half| half.clamp(1, CONNECTIONS_MAX))
}

/// A client whose machine has vanished does not hold its place for ever.
fn keep_alive(socket: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_keepidle(socket, SILENCE_MAX)?;
    sockopt::set_tcp_keepintvl(socket, SILENCE_MAX / 8)?;
    sockopt::set_socket_keepalive(socket, true)
}
