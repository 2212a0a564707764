//! Makes connections: presents the certificate, and demands the server's to come from a trusted authority and to have the name.

use super::{
    HANDSHAKE_MAX, SERVER_NAME,
    complaints::Complaints,
    error::{Part, TlsError, in_words},
    identity::Identity,
    material::Pem,
};
use futures::{FutureExt as _, future::BoxFuture};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tonic::transport::Uri;
use tower::Service;

/// The side that connects.
#[derive(Clone, Debug)]
pub struct Client {
    identity: Identity,
    name: ServerName<'static>,
    complaints: Arc<Complaints>,
}

impl Client {
    /// With this certificate, to servers that it trusts and whose certificates have the name.
    pub fn new(identity: Identity, name: ServerName<'static>) -> Self {
        Self { identity, name, complaints: Arc::default() }
    }

    /// Of bytes, to servers named [`SERVER_NAME`].
    pub fn from_pem(pem: &Pem<'_>) -> Result<Self, TlsError> {
        let name = ServerName::try_from(SERVER_NAME).map_err(|error| TlsError::new(Part::ServerName, error))?;
        Ok(Self::new(Identity::parse(pem)?, name))
    }

    /// For `Endpoint::connect_with_connector`. The endpoint's address is an IP address, and its scheme `http`, as it would be without
    /// TLS. Connections are made from `local`, if it is given.
    pub fn connector(&self, local: Option<IpAddr>) -> Connector {
        Connector { client: self.clone(), local }
    }

    async fn connect(&self, to: SocketAddr, local: Option<IpAddr>) -> io::Result<TlsStream<TcpStream>> {
        let stream = dial(to, local).await?;
        let shaken = TlsConnector::from(self.identity.material().client).connect(self.name.clone(), stream);
        let why = match timeout(HANDSHAKE_MAX, shaken).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => in_words(&error),
            Err(_) => format!("no handshake within {} s", HANDSHAKE_MAX.as_secs()),
        };
        self.complain(to, &why);
        Err(io::Error::other(format!("TLS with {to}: {why}")))
    }

    fn complain(&self, to: SocketAddr, why: &str) {
        if self.complaints.is_news(to.ip(), why, Instant::now()) {
            tracing::warn!(target: "tls", %to, why, "a server is not trusted");
        } else {
            tracing::debug!(target: "tls", %to, why, "a server is not trusted");
        }
    }
}

async fn dial(to: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Makes the connections of one endpoint, the first and those after it has broken.
#[derive(Clone, Debug)]
pub struct Connector {
    client: Client,
    local: Option<IpAddr>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { client, local } = self.clone();
        async move { client.connect(address(&uri)?, local).await.map(TokioIo::new) }.boxed()
    }
}

fn address(uri: &Uri) -> io::Result<SocketAddr> {
    let parsed = uri.authority().and_then(|authority| authority.as_str().parse().ok());
    parsed.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{uri} has no IP address and port")))
}
