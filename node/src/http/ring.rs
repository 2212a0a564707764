//! Who is in the ring, changed by people: paths and answers as in ScyllaDB. Taken from this machine only, since nobody proves who he is
//! here.

use super::{Failed, Sources, change};
use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Query, State, rejection::QueryRejection},
    http::{StatusCode, request::Parts},
    routing::post,
};
use group0_core::{ids::HostId, io::AdminRequest};
use serde::Deserialize;
use std::net::SocketAddr;

pub(super) fn routes() -> Router<Sources> {
    Router::new()
        .route("/storage_service/remove_node", post(remove_node))
        .route("/storage_service/decommission", post(decommission))
        .route("/storage_service/drain", post(drain))
}

/// Somebody on this machine, or who has come through it: `kubectl port-forward` does.
pub(super) struct FromHere;

impl<S: Sync> FromRequestParts<S> for FromHere {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        if peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback()) {
            return Ok(Self);
        }
        let why = "what changes the cluster is taken from 127.0.0.0/8 only; nothing was changed. Call localhost on the node's own \
                   machine, or through kubectl port-forward; for that api_address has to be 127.0.0.1, 0.0.0.0 or ::";
        Err(Failed(StatusCode::FORBIDDEN, why.into()))
    }
}

#[derive(Deserialize)]
struct RemoveNode {
    host_id: String,
    /// Other dead hosts, separated by commas.
    #[serde(default)]
    ignore_nodes: String,
}

impl RemoveNode {
    fn hosts(&self) -> Result<(HostId, Vec<HostId>), String> {
        let id = |name, text: &str| text.trim().parse().map_err(|_| format!("{name} '{text}' is no UUID"));
        let others = self.ignore_nodes.split(',').filter(|part| !part.trim().is_empty());
        let ignore = others.map(|part| id("ignore_nodes", part)).collect::<Result<_, _>>()?;
        Ok((id("host_id", &self.host_id)?, ignore))
    }
}

async fn remove_node(
    State(sources): State<Sources>,
    _: FromHere,
    query: Result<Query<RemoveNode>, QueryRejection>,
) -> Result<(), Failed> {
    let invalid = |why| Failed(StatusCode::BAD_REQUEST, why);
    let Query(asked) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let (host, ignore) = asked.hosts().map_err(invalid)?;
    change(&sources, AdminRequest::RemoveNode { order: None, host, ignore }).await
}

async fn decommission(State(sources): State<Sources>, _: FromHere) -> Result<(), Failed> {
    change(&sources, AdminRequest::Decommission { order: None }).await
}

async fn drain(State(sources): State<Sources>, _: FromHere) -> Result<(), Failed> {
    change(&sources, AdminRequest::Drain).await
}
