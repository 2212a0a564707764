//! Takes connections: a handshake with each, many at once, and only those who prove who they are come through.

use super::{HANDSHAKE_MAX, complaints::Complaints, error::in_words, identity::Identity};
use futures::{Stream, StreamExt as _};
use std::{io, net::SocketAddr, sync::Arc, time::Instant};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::TcpListenerStream;

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
        let connections = TcpListenerStream::new(listener).map(move |accepted| {
            let server = self.clone();
            async move { server.greet(accepted).await.transpose() }
        });
        connections.buffer_unordered(HANDSHAKES_MAX).filter_map(std::future::ready)
    }

    /// An error is the listener's; a client that fails is nobody.
    async fn greet(&self, accepted: io::Result<TcpStream>) -> io::Result<Option<TlsStream<TcpStream>>> {
        let stream = accepted?;
        let Ok(from) = stream.peer_addr() else { return Ok(None) };
        match self.accept(stream).await {
            Ok(stream) => Ok(Some(stream)),
            Err(why) => {
                self.complain(from, &why);
                Ok(None)
            }
        }
    }

    async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
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
