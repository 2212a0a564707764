//! CQL's place in the node: its listener is open while the node says that it is ready, its statements go to the driver, and
//! what the node applies becomes events.

use crate::{
    cql::{Backend, CqlServer},
    listeners::{CQL_KEYS, ListenError, listen},
    metrics::Metrics,
    port::Port,
};
use group0_core::{
    cql::frame::Event,
    io::{Apply, ClientReply, ClientRequest, CqlError},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{sync::broadcast, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Events that wait for one connection; one that is further behind misses some, as drivers expect.
const EVENTS: usize = 1024;

/// How long requests under way are waited for; they go on after it.
const CLOSING: Duration = Duration::from_secs(1);

/// The listener, if it is open, and what it needs to be.
#[derive(Debug)]
pub struct Clients {
    address: SocketAddr,
    port: Port,
    metrics: Metrics,
    events: broadcast::Sender<Event>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Clients {
    /// Not open yet.
    pub fn new(address: SocketAddr, port: Port, metrics: Metrics) -> Self {
        Self { address, port, metrics, events: broadcast::Sender::new(EVENTS), open: None }
    }

    /// Opens the listener, unless it is open.
    pub async fn open(&mut self) -> Result<(), ListenError> {
        if self.open.is_some() {
            return Ok(());
        }
        let listener = listen(self.address, CQL_KEYS).await?;
        let (port, metrics, events) = (self.port.clone(), self.metrics.clone(), self.events.clone());
        let server = CqlServer::new(Statements { port, metrics, events });
        self.metrics.show_cql(server.counts());
        tracing::info!(target: "cql", address = %self.address, "Starting listening for CQL clients");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.serve(listener, shutdown.clone()));
        self.open = Some(Open { shutdown, task });
        Ok(())
    }

    /// Lets requests under way finish and closes the listener and all connections.
    pub async fn close(&mut self) {
        if let Some(Open { shutdown, task }) = self.open.take() {
            shutdown.cancel();
            drop(timeout(CLOSING, task).await);
        }
    }

    /// Tells connections, if it concerns them.
    pub fn tell(&self, apply: &Apply) {
        if let Some(event) = Event::of(apply) {
            // Without connections there is nobody to tell.
            drop(self.events.send(event));
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.shutdown.cancel();
        }
    }
}

/// The driver, as connections see it.
struct Statements {
    port: Port,
    metrics: Metrics,
    events: broadcast::Sender<Event>,
}

impl Backend for Statements {
    async fn query(&self, request: ClientRequest) -> ClientReply {
        let (begin, changes_schema) = (Instant::now(), request.statement.is_schema_change());
        let answer = self.port.client(request).await;
        let reply = answer.unwrap_or_else(|error| ClientReply::Error(CqlError::Server(error.to_string())));
        if changes_schema {
            self.metrics.schema_change(!matches!(reply, ClientReply::Error(_)), begin.elapsed());
        }
        reply
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
