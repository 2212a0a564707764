//! Accepts connections and holds what they share.

use super::{CONNECTIONS_MAX, connection, prepared::PreparedCache};
use group0_core::{
    cql::frame::Event,
    io::{ClientReply, ClientRequest},
};
use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, broadcast},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

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
}

impl<B: Backend> CqlServer<B> {
    /// In front of that backend.
    pub fn new(backend: B) -> Self {
        Self { backend, prepared: PreparedCache::default(), counts: Arc::default() }
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Serves until `shutdown`, then lets requests under way finish for a few seconds.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) {
        let server = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tracker = TaskTracker::new();
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            let Some(socket) = usable(accepted).await else { continue };
            let Ok(place) = places.clone().try_acquire_owned() else {
                Counts::add(&server.counts.refused);
                continue;
            };
            let (server, shutdown) = (server.clone(), shutdown.clone());
            tracker.spawn(async move {
                let _open = Open::new(server.counts.clone());
                connection::run(server, socket, shutdown).await;
                drop(place);
            });
        }
        drop(listener);
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

/// The socket, unless accepting failed: for want of descriptors it will fail again at once, so it waits a little.
async fn usable(accepted: io::Result<(TcpStream, std::net::SocketAddr)>) -> Option<TcpStream> {
    match accepted {
        Ok((socket, peer)) => {
            debug!(target: "cql", %peer, "accepted");
            socket.set_nodelay(true).ok()?;
            Some(socket)
        }
        Err(error) => {
            warn!(target: "cql", %error, "a connection could not be accepted");
            time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
