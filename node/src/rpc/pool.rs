//! Connections to peers, by address and lane. One is made when it is first needed and again after it has broken.

use super::{CONNECTION_WINDOW, KEEP_ALIVE, MESSAGE_BYTES, STREAM_WINDOW};
use group0_api::{tls::Client, v1::peer_client::PeerClient};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

/// A peer in the same network answers in milliseconds; longer than this it is as good as down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Peers have few addresses. Past this the pool forgets all of them and starts anew.
const LINES: usize = 1024;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Small verbs and gossip.
    Control,
    /// Raft and schemas.
    Data,
}

/// All connections of a node.
#[derive(Debug)]
pub struct Pool {
    lines: Mutex<HashMap<(SocketAddr, Lane), Arc<Line>>>,
    local: Option<IpAddr>,
    tls: Option<Client>,
}

impl Pool {
    /// Connections are made from this address, if one is given: on a machine of many nodes it tells whose they are. They are encrypted
    /// if there is something to do it with.
    pub fn new(local: Option<IpAddr>, tls: Option<Client>) -> Self {
        Self { lines: Mutex::default(), local, tls }
    }

    /// The place of a connection.
    pub fn line(&self, address: SocketAddr, lane: Lane) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES {
            lines.clear();
        }
        let new = || Arc::new(Line { address, local: self.local, tls: self.tls.clone(), channel: tokio::sync::Mutex::default() });
        Arc::clone(lines.entry((address, lane)).or_insert_with(new))
    }
}

/// A connection, or the place of one.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    local: Option<IpAddr>,
    tls: Option<Client>,
    channel: tokio::sync::Mutex<Option<Channel>>,
}

impl Line {
    /// A client of the connection, which is made if there is none. All who wait for it wait for the same attempt.
    pub async fn client(&self) -> Result<PeerClient<Channel>, Status> {
        let mut place = self.channel.lock().await;
        let channel = match &*place {
            Some(channel) => channel.clone(),
            None => place.insert(self.connect().await?).clone(),
        };
        Ok(PeerClient::new(channel).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES))
    }

    /// After it has failed: the next one who needs it makes a new one.
    pub async fn forget(&self) {
        self.channel.lock().await.take();
    }

    async fn connect(&self) -> Result<Channel, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).map_err(unavailable)?;
        let local = self.local.filter(|local| local.is_ipv4() == self.address.is_ipv4());
        let endpoint = endpoint
            .local_address(local)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let connected = match &self.tls {
            Some(tls) => endpoint.connect_with_connector(tls.connector(local)).await,
            None => endpoint.connect().await,
        };
        connected.map_err(unavailable)
    }
}

/// Whether the connection has failed and not the peer that answered.
pub fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

fn unavailable(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}
