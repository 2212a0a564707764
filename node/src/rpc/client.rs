//! Carries the core's sends out. A call is a task with an abort token; its last word is always one [`Input::Answer`].

use super::{
    SCHEMA_BYTES,
    link::Links,
    pool::{Lane, Pool, is_broken},
    wire,
};
use crate::{cost::RoundTrips, driver::Outgoing, metrics::Metrics, port::Port, seeds};
use group0_api::{Call, CallError as WireCallError, call, tls, v1, v1::peer_client::PeerClient};
use group0_core::io::{CallError, CallId, Header, Input, Message, Path, PeerReply, PeerRequest, Send};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};
use tonic::{Status, transport::Channel};

type Reply = (PeerReply, Path);

/// For each piece of a schema or snapshot after the first: the whole may take as long as it is large, and the way slow.
const CHUNK_LIMIT: Duration = Duration::from_secs(5);

/// Calls that may wait at once; the core has a few for each of its at most 100 peers.
const CALLS: usize = 4096;

/// The network as the driver sees it.
#[derive(Debug)]
pub struct Network {
    shared: Arc<Shared>,
    gossip: Links<v1::GossipMessage>,
    raft: Links<v1::RaftEnvelope>,
    seeds: Vec<String>,
    own: SocketAddr,
    /// One at a time: where names are not answered each takes long.
    resolving: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    port: Port,
    metrics: Metrics,
    round_trips: RoundTrips,
    calls: Mutex<HashMap<CallId, Call>>,
}

impl Network {
    /// A network without connections. `own` is where peers reach this node, `seeds` are names to resolve when asked to.
    pub fn new(
        port: Port,
        metrics: Metrics,
        round_trips: RoundTrips,
        own: SocketAddr,
        seeds: Vec<String>,
        tls: Option<tls::Client>,
    ) -> Self {
        let local: Option<IpAddr> = Some(own.ip()).filter(IpAddr::is_loopback);
        let shared = Shared { pool: Pool::new(local, tls), port, metrics, round_trips, calls: Mutex::default() };
        Self { shared: Arc::new(shared), gossip: Links::default(), raft: Links::default(), seeds, own, resolving: None }
    }

    fn message(&mut self, to: SocketAddr, header: &Header, message: Message) {
        let header = Some(wire::header_to(header));
        match message {
            Message::Gossip(datagram) => {
                let versioned = wire::versioned_bytes(&datagram);
                self.gossip.send(&self.shared.pool, to, v1::GossipMessage { header, versioned });
            }
            Message::Raft(group, message) => {
                let (group, message) = (wire::group_bytes(group), Some(wire::raft_to(message)));
                self.raft.send(&self.shared.pool, to, v1::RaftEnvelope { header, group, message });
            }
        }
    }

    fn resolve(&mut self) {
        if self.resolving.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (port, names, own) = (self.shared.port.clone(), self.seeds.clone(), self.own);
        let resolving = tokio::spawn(async move {
            let seeds::Seeds { addresses, unresolved, is_first: _ } = seeds::resolve(&names, own).await;
            port.tell(Input::Seeds { addresses, unresolved: unresolved.len() });
        });
        self.resolving = Some(resolving);
    }
}

impl Outgoing for Network {
    fn carry_out(&mut self, send: Send) {
        match send {
            Send::Message { to, header, message } => self.message(to.address, &header, message),
            Send::Call { call, to, header, request, within } => {
                self.shared.start(call, Call::within(within), to.address, header, request);
            }
            Send::Abort(call) => self.shared.abort(call),
            Send::Resolve => self.resolve(),
        }
    }
}

impl Shared {
    fn start(self: &Arc<Self>, id: CallId, call: Call, to: SocketAddr, header: Header, request: PeerRequest) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= CALLS {
            let outcome = Err(CallError::Closed(format!("this node has {CALLS} calls waiting")));
            self.port.tell(Input::Answer { call: id, outcome });
            return;
        }
        calls.insert(id, call.clone());
        let shared = Arc::clone(self);
        tokio::spawn(async move { shared.answer(id, call, to, header, request).await });
    }

    fn abort(&self, id: CallId) {
        if let Some(call) = self.calls.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            call.abort.cancel();
        }
    }

    async fn answer(&self, id: CallId, call: Call, to: SocketAddr, header: Header, request: PeerRequest) {
        let verb = request.verb();
        let outcome = self.ask(id, &call, to, wire::header_to(&header), request).await.map_err(Failure::into_call_error);
        self.metrics.call(verb, outcome.as_ref().map(drop));
        if let Err(error) = &outcome {
            tracing::debug!(target: "rpc", %to, verb, %error, "a call has failed");
        }
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.port.tell(Input::Answer { call: id, outcome });
    }

    async fn ask(
        &self,
        id: CallId,
        call: &Call,
        to: SocketAddr,
        header: v1::Header,
        request: PeerRequest,
    ) -> Result<Reply, Failure> {
        let line = self.pool.line(to, lane(&request));
        let client = call.run(line.client()).await.map_err(unsent)?;
        let begin = Instant::now();
        let is_small = is_small(&request);
        let outcome = match request {
            PeerRequest::WatchGroup0UpgradeState => self.watch(id, client, call, header).await,
            request => one(client, call, header, request).await,
        };
        match &outcome {
            Ok(_) if is_small => self.round_trips.record(begin.elapsed()),
            Err(Failure::Call(WireCallError::Status(status))) if is_broken(status) => line.forget().await,
            _ => {}
        }
        outcome
    }

    /// Updates until the end, which is always a failure.
    async fn watch(
        &self,
        id: CallId,
        mut client: PeerClient<Channel>,
        call: &Call,
        header: v1::Header,
    ) -> Result<Reply, Failure> {
        let request = v1::WatchGroup0UpgradeStateRequest { header: Some(header) };
        let mut answers = client.watch_group0_upgrade_state_with_abort(request, call).await?;
        while let Some(state) = answers.next().await? {
            answers.forget_deadline();
            let (state, path) = wire::state_from(&state)?;
            self.port.tell(Input::Update { call: id, reply: (PeerReply::State(state), path) });
        }
        Err(Failure::Call(Status::unavailable("the peer has ended the watch").into()))
    }
}

/// A question whose answer takes no longer than a round trip.
const fn is_small(request: &PeerRequest) -> bool {
    matches!(request, PeerRequest::GetGroup0UpgradeState | PeerRequest::SchemaCheck)
}

const fn lane(request: &PeerRequest) -> Lane {
    match request {
        PeerRequest::MigrationRequest { .. } | PeerRequest::DefinitionsUpdate(_) => Lane::Data,
        _ => Lane::Control,
    }
}

/// While there is no connection nothing has been sent.
fn unsent(error: WireCallError) -> Failure {
    Failure::Call(match error {
        WireCallError::Aborted { .. } => WireCallError::Aborted { sent: false },
        WireCallError::TimedOut { .. } => WireCallError::TimedOut { sent: false },
        failed @ WireCallError::Status(_) => failed,
    })
}

/// Verbs with one reply.
async fn one(mut client: PeerClient<Channel>, call: &Call, header: v1::Header, request: PeerRequest) -> Result<Reply, Failure> {
    match request {
        PeerRequest::GetGroup0UpgradeState | PeerRequest::WatchGroup0UpgradeState => {
            let request = v1::GetGroup0UpgradeStateRequest { header: Some(header) };
            let (state, path) = wire::state_from(&client.get_group0_upgrade_state_with_abort(request, call).await?)?;
            Ok((PeerReply::State(state), path))
        }
        PeerRequest::Group0PeerExchange { peers, bootstrapped } => {
            let request = wire::exchange_request_to(header, &peers, bootstrapped);
            Ok(wire::exchange_from(client.group0_peer_exchange_with_abort(request, call).await?)?)
        }
        PeerRequest::Group0ModifyConfig { group, add, remove } => {
            let request = wire::modify_to(header, group, &add, &remove);
            let response = call::unary(call, request, async |request| client.group0_modify_config(request).await).await?;
            Ok((PeerReply::Modified, wire::path_from(response.path)))
        }
        PeerRequest::SchemaCheck => {
            let request = v1::SchemaCheckRequest { header: Some(header) };
            Ok(wire::schema_from(&client.schema_check_with_abort(request, call).await?)?)
        }
        PeerRequest::MigrationRequest { snapshot_of } => {
            let snapshot_of = snapshot_of.map(wire::group_bytes);
            migration(client, call, v1::MigrationRequestRequest { header: Some(header), snapshot_of }).await
        }
        PeerRequest::DefinitionsUpdate(rows) => {
            let request = v1::DefinitionsUpdateRequest { header: Some(header), versioned: wire::versioned(&rows) };
            let response = call::unary(call, request, async |request| client.definitions_update(request).await).await?;
            Ok(wire::merged_from(&response)?)
        }
        PeerRequest::JoinRing { endpoint, replaces } => {
            let request = wire::join_request_to(header, &endpoint, replaces.as_ref());
            let response = call::unary(call, request, async |request| client.join_ring(request).await).await?;
            Ok(wire::join_from(response)?)
        }
        PeerRequest::RemoveHost { host, agreed } => {
            let request = v1::RemoveHostRequest { header: Some(header), host: wire::host_bytes(host), agreed };
            let response = call::unary(call, request, async |request| client.remove_host(request).await).await?;
            Ok((PeerReply::Removed, wire::path_from(response.path)))
        }
    }
}

async fn migration(mut client: PeerClient<Channel>, call: &Call, request: v1::MigrationRequestRequest) -> Result<Reply, Failure> {
    let mut answers = client.migration_request_with_abort(request, call).await?;
    let (mut head, mut bytes) = (None, Vec::new());
    while let Some(chunk) = answers.next().await? {
        answers.extend(CHUNK_LIMIT);
        head = head.or(chunk.head);
        bytes.extend_from_slice(&chunk.versioned);
        if bytes.len() > SCHEMA_BYTES {
            return Err(wire::WireError::Bad("the size of the schema").into());
        }
    }
    Ok(wire::migration_from(head.ok_or(wire::WireError::Missing("the head of a schema"))?, &bytes)?)
}

/// Why there is no reply.
#[derive(Debug)]
enum Failure {
    Call(WireCallError),
    Wire(wire::WireError),
}

impl Failure {
    fn into_call_error(self) -> CallError {
        match self {
            Self::Call(error) => wire::call_error(error),
            Self::Wire(error) => CallError::Closed(error.to_string()),
        }
    }
}

impl From<WireCallError> for Failure {
    fn from(error: WireCallError) -> Self {
        Self::Call(error)
    }
}

impl From<wire::WireError> for Failure {
    fn from(error: wire::WireError) -> Self {
        Self::Wire(error)
    }
}
