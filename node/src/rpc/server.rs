//! What peers ask, as inputs; what the core replies, as answers.

use super::{CHUNK_BYTES, CONNECTION_WINDOW, KEEP_ALIVE, MESSAGE_BYTES, STREAM_WINDOW, wire};
use crate::{
    listeners,
    port::{Asked, PeerAnswer, Port, PortError},
};
use futures::{StreamExt as _, stream, stream::BoxStream};
use group0_api::{
    tls,
    v1::{self, peer_server},
};
use group0_core::io::{Message, Path, PeerReply, PeerRequest};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Calls of one connection at once: a node has a few for each purpose.
const STREAMS: u32 = 1024;

/// Serves peers until the driver stops or the task is dropped.
pub async fn serve(listener: TcpListener, tls: Option<tls::Server>, port: Port) -> Result<(), tonic::transport::Error> {
    let service = peer_server::PeerServer::new(Peer { port: port.clone() })
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .add_service(service);
    listeners::serve(router, listener, tls, async move { port.stopped().await }).await
}

impl From<PortError> for Status {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Overloaded => Self::resource_exhausted(error.to_string()),
            PortError::Stopped => Self::unavailable(error.to_string()),
        }
    }
}

struct Peer {
    port: Port,
}

impl Peer {
    fn start(&self, header: Option<v1::Header>, request: PeerRequest) -> Result<Asked<PeerAnswer>, Status> {
        Ok(self.port.peer(wire::header_from(header)?, request)?)
    }

    /// A stream may last as long as the node; it must not last longer.
    async fn next<M>(&self, messages: &mut Streaming<M>) -> Result<Option<M>, Status> {
        tokio::select! {
            message = messages.message() => message,
            () = self.port.stopped() => Err(PortError::Stopped.into()),
        }
    }

    async fn ask(&self, header: Option<v1::Header>, request: PeerRequest) -> Result<(PeerReply, Path), Status> {
        let answer = self.start(header, request)?.next().await;
        unwrap(answer.ok_or(PortError::Stopped)?)
    }
}

fn unwrap(answer: PeerAnswer) -> Result<(PeerReply, Path), Status> {
    answer.map_err(|refusal| wire::refusal_to_status(&refusal))
}

fn unexpected() -> Status {
    Status::internal("the node's reply is of another verb")
}

fn state(answer: PeerAnswer) -> Result<v1::State, Status> {
    match unwrap(answer)? {
        (PeerReply::State(state), path) => Ok(wire::state_to(state, path)),
        _ => Err(unexpected()),
    }
}

#[tonic::async_trait]
impl peer_server::Peer for Peer {
    async fn get_group0_upgrade_state(
        &self,
        request: Request<v1::GetGroup0UpgradeStateRequest>,
    ) -> Result<Response<v1::State>, Status> {
        let answer = self.ask(request.into_inner().header, PeerRequest::GetGroup0UpgradeState).await?;
        state(Ok(answer)).map(Response::new)
    }

    type WatchGroup0UpgradeStateStream = BoxStream<'static, Result<v1::State, Status>>;

    async fn watch_group0_upgrade_state(
        &self,
        request: Request<v1::WatchGroup0UpgradeStateRequest>,
    ) -> Result<Response<Self::WatchGroup0UpgradeStateStream>, Status> {
        let asked = self.start(request.into_inner().header, PeerRequest::WatchGroup0UpgradeState)?;
        let states = stream::unfold(asked, async |mut asked| Some((state(asked.next().await?), asked)));
        Ok(Response::new(states.boxed()))
    }

    async fn group0_peer_exchange(
        &self,
        request: Request<v1::Group0PeerExchangeRequest>,
    ) -> Result<Response<v1::Group0PeerExchangeResponse>, Status> {
        let request = request.into_inner();
        let exchange = wire::exchange_request_from(&request.peers, request.bootstrapped)?;
        match self.ask(request.header, exchange).await? {
            (PeerReply::Exchange { reply, incarnation }, path) => Ok(Response::new(wire::exchange_to(reply, incarnation, path))),
            _ => Err(unexpected()),
        }
    }

    async fn group0_modify_config(
        &self,
        request: Request<v1::Group0ModifyConfigRequest>,
    ) -> Result<Response<v1::Group0ModifyConfigResponse>, Status> {
        let mut request = request.into_inner();
        let header = request.header.take();
        match self.ask(header, wire::modify_from(&request)?).await? {
            (PeerReply::Modified, path) => Ok(Response::new(v1::Group0ModifyConfigResponse { path: Some(wire::path_to(path)) })),
            _ => Err(unexpected()),
        }
    }

    async fn schema_check(&self, request: Request<v1::SchemaCheckRequest>) -> Result<Response<v1::SchemaCheckResponse>, Status> {
        match self.ask(request.into_inner().header, PeerRequest::SchemaCheck).await? {
            (PeerReply::Schema { version, state }, path) => Ok(Response::new(wire::schema_to(version, state, path))),
            _ => Err(unexpected()),
        }
    }

    type MigrationRequestStream = BoxStream<'static, Result<v1::MigrationChunk, Status>>;

    async fn migration_request(
        &self,
        request: Request<v1::MigrationRequestRequest>,
    ) -> Result<Response<Self::MigrationRequestStream>, Status> {
        let request = request.into_inner();
        let snapshot_of = request.snapshot_of.as_deref().map(wire::group).transpose()?;
        match self.ask(request.header, PeerRequest::MigrationRequest { snapshot_of }).await? {
            (PeerReply::Migration(migration), path) => {
                let (head, bytes) = wire::migration_head(&migration, path);
                Ok(Response::new(stream::iter(chunks(head, bytes)).map(Ok).boxed()))
            }
            _ => Err(unexpected()),
        }
    }

    async fn definitions_update(
        &self,
        request: Request<v1::DefinitionsUpdateRequest>,
    ) -> Result<Response<v1::DefinitionsUpdateResponse>, Status> {
        let request = request.into_inner();
        let update = PeerRequest::DefinitionsUpdate(wire::from_versioned(&request.versioned, "rows")?);
        match self.ask(request.header, update).await? {
            (PeerReply::Merged { version }, path) => Ok(Response::new(wire::merged_to(version, path))),
            _ => Err(unexpected()),
        }
    }

    async fn join_ring(&self, request: Request<v1::JoinRingRequest>) -> Result<Response<v1::JoinRingResponse>, Status> {
        let request = request.into_inner();
        let join = wire::join_request_from(&request)?;
        match self.ask(request.header, join).await? {
            (PeerReply::JoinRing(reply), path) => Ok(Response::new(wire::join_to(reply, path))),
            _ => Err(unexpected()),
        }
    }

    async fn remove_host(&self, request: Request<v1::RemoveHostRequest>) -> Result<Response<v1::RemoveHostResponse>, Status> {
        let request = request.into_inner();
        let (host, agreed) = (wire::host(&request.host)?, request.agreed);
        match self.ask(request.header, PeerRequest::RemoveHost { host, agreed }).await? {
            (PeerReply::Removed, path) => Ok(Response::new(v1::RemoveHostResponse { path: Some(wire::path_to(path)) })),
            _ => Err(unexpected()),
        }
    }

    async fn gossip(&self, request: Request<Streaming<v1::GossipMessage>>) -> Result<Response<v1::StreamEnd>, Status> {
        let mut messages = request.into_inner();
        while let Some(message) = self.next(&mut messages).await? {
            let header = wire::header_from(message.header)?;
            self.port.message(header, Message::Gossip(wire::bytes_from_versioned(&message.versioned)?));
        }
        Ok(Response::new(v1::StreamEnd {}))
    }

    async fn raft(&self, request: Request<Streaming<v1::RaftBatch>>) -> Result<Response<v1::StreamEnd>, Status> {
        let mut batches = request.into_inner();
        while let Some(batch) = self.next(&mut batches).await? {
            for envelope in batch.envelopes {
                let header = wire::header_from(envelope.header)?;
                let message = envelope.message.ok_or(wire::WireError::Missing("a message of Raft"))?;
                self.port.message(header, Message::Raft(wire::group(&envelope.group)?, wire::raft_from(message)?));
            }
        }
        Ok(Response::new(v1::StreamEnd {}))
    }
}

fn chunks(head: v1::MigrationHead, bytes: bytes::Bytes) -> impl Iterator<Item = v1::MigrationChunk> {
    let first = v1::MigrationChunk { head: Some(head), versioned: bytes::Bytes::new() };
    let pieces = (0..bytes.len()).step_by(CHUNK_BYTES).map(move |from| {
        let versioned = bytes.slice(from..bytes.len().min(from + CHUNK_BYTES));
        v1::MigrationChunk { head: None, versioned }
    });
    std::iter::once(first).chain(pieces)
}
