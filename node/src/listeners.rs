//! The ports of a node, except CQL's. REST comes first, so that a node can say why it does not start any further.

use crate::config::Config;
use futures::StreamExt as _;
use group0_api::{acceptor::Acceptor, tls::Server};
use std::{io, net::SocketAddr};
use tokio::net::TcpListener;
use tonic::transport::server::Router;

/// Of CQL's address.
pub const CQL_KEYS: &str = "rpc_address and native_transport_port";

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({keys}): {cause}. Is another process using it, or is it not an address of this machine?")]
pub struct ListenError {
    /// What.
    pub address: SocketAddr,
    /// The keys of the configuration that say so.
    pub keys: &'static str,
    /// As the operating system says.
    pub cause: io::Error,
}

/// Where a running node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC between nodes.
    pub peer: SocketAddr,
    /// The Admin service.
    pub admin: SocketAddr,
    /// REST.
    pub api: SocketAddr,
    /// Metrics.
    pub prometheus: SocketAddr,
}

/// REST and metrics.
#[derive(Debug)]
pub struct Front {
    /// REST.
    pub api: TcpListener,
    /// Metrics.
    pub prometheus: TcpListener,
}

/// What needs the core behind it.
#[derive(Debug)]
pub struct Back {
    /// gRPC between nodes.
    pub peer: TcpListener,
    /// The Admin service.
    pub admin: TcpListener,
}

impl Front {
    /// Opens both.
    pub async fn open(config: &Config) -> Result<Self, ListenError> {
        Ok(Self {
            api: listen(config.api, "api_address and api_port").await?,
            prometheus: listen(config.prometheus, "prometheus_address and prometheus_port").await?,
        })
    }

    /// Of REST and of metrics.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.api.local_addr()?, self.prometheus.local_addr()?))
    }
}

impl Back {
    /// Opens both. CQL's is opened once the node can be used: that it could be is known before anything is written.
    pub async fn open(config: &Config) -> Result<Self, ListenError> {
        drop(listen(config.cql, CQL_KEYS).await?);
        Ok(Self {
            peer: listen(config.listen, "listen_address and storage_port").await?,
            admin: listen(config.admin, "admin_address and admin_port").await?,
        })
    }
}

impl Addresses {
    /// With the ports that the operating system chose where 0 was asked for.
    pub fn of((api, prometheus): (SocketAddr, SocketAddr), back: &Back) -> io::Result<Self> {
        Ok(Self { peer: back.peer.local_addr()?, admin: back.admin.local_addr()?, api, prometheus })
    }
}

/// Opens one. The port can be used again at once after a process that had it has ended.
pub async fn listen(address: SocketAddr, keys: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|cause| ListenError { address, keys, cause })
}

/// Serves gRPC, over TLS if there is any, until `end`.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    tls: Option<Server>,
    end: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    match tls {
        Some(tls) => router.serve_with_incoming_shutdown(tls.incoming(listener), end).await,
        None => router.serve_with_incoming_shutdown(Acceptor::new(listener).connections().map(io::Result::Ok), end).await,
    }
}
