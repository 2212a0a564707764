//! Takes connections: a handshake with each, many at once, and only those who prove who they are come through.

use super::{HANDSHAKE_MAX, complaints::Complaints, error::in_words, identity::Identity};
use crate::acceptor::Acceptor;
use futures::{Stream, StreamExt as _};
use std::{io, net::SocketAddr, sync::Arc, time::Instant};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Handshakes at once. Past this others wait with the operating system, for [`HANDSHAKE_MAX`] at most.
const HANDSHAKES_MAX: usize = 256;

/// The side that is connected to.
#[derive(Clone, Debug)]
pub struct Server {
    identity: Identity,
    complaints: Arc<Complaints>,
}

impl Server {
    /// With this certificate, for clients whom it trusts.
    pub fn new(identity: Identity) -> Self {
        Self { identity, complaints: Arc::default() }
    }

    /// Connections whose handshakes have succeeded, in that order. One that fails is told in the log and ends nothing but itself.
    pub fn incoming(self, listener: TcpListener) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
        let connections = Acceptor::new(listener).connections().map(move |stream| {
            let server = self.clone();
            async move { server.greet(stream).await.map(Ok) }
        });
        connections.buffer_unordered(HANDSHAKES_MAX).filter_map(std::future::ready)
    }

    /// A client that fails is nobody.
    async fn greet(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let from = stream.peer_addr().ok()?;
        self.accept(stream).await.map_err(|why| self.complain(from, &why)).ok()
    }

    async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        match timeout(HANDSHAKE_MAX, TlsAcceptor::from(self.identity.material().server).accept(stream)).await {
            Ok(done) => done.map_err(|error| in_words(&error)),
            Err(_) => Err(format!("no handshake within {} s", HANDSHAKE_MAX.as_secs())),
        }
    }

    fn complain(&self, from: SocketAddr, why: &str) {
        if self.complaints.is_news(from.ip(), why, Instant::now()) {
            tracing::warn!(target: "tls", %from, why, "a client is turned away");
        } else {
            tracing::debug!(target: "tls", %from, why, "a client is turned away");
        }
    }
}
