//! REST for people and tools, and the metrics: what is answered from the status of the node, and in [`ring`], [`raft`], [`logger`] and
//! [`injection`] what changes something.

mod injection;
mod logger;
mod raft;
mod ring;

use crate::{
    health::Health,
    injection::Injections,
    metrics::Metrics,
    port::{Asked, Port},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use group0_core::{
    gossip::RingStatus,
    io::{AdminReply, AdminRequest},
    status::{Procedure, Status},
};
use serde_json::{Value, json};
use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::net::TcpListener;

/// A status takes microseconds; a driver that needs longer has a problem worth reporting.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the routes answer from. The port is there once the store is open.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Whether the node is usable.
    pub health: Health,
    /// What was counted.
    pub metrics: Metrics,
    /// The errors that tests inject.
    pub injections: Injections,
    /// The way to the driver.
    pub port: Arc<OnceLock<Port>>,
}

/// Serves one listener until the task is dropped. Both of them have all routes.
pub async fn serve(listener: TcpListener, sources: Sources) {
    group0_api::http::serve(listener, routes(sources)).await;
}

fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/storage_service/raft_upgrade", get(raft_upgrade))
        .route("/storage_service/hostid/local", get(host_id))
        .route("/storage_service/host_id", get(host_ids))
        .route("/storage_service/nodes/joining", get(joining))
        .route("/storage_service/tokens_endpoint", get(tokens))
        .route("/gossiper/generation_number/{address}", get(generation))
        .route("/gossiper/endpoint/live", get(live))
        .route("/gossiper/endpoint/live/", get(live))
        .route("/gossiper/endpoint/down", get(down))
        .route("/gossiper/endpoint/down/", get(down))
        .merge(injection::routes())
        .merge(logger::routes())
        .merge(raft::routes())
        .merge(ring::routes())
        .with_state(sources)
}

impl Sources {
    async fn status(&self) -> Result<Box<Status>, Failed> {
        let mut asked = self.ask(AdminRequest::GetStatus)?;
        match tokio::time::timeout(STATUS_TIMEOUT, asked.next()).await {
            Ok(Some(AdminReply::Status(status))) => Ok(status),
            Ok(_) => Err(Failed::unavailable(&self.health.ready().err().unwrap_or_else(|| "the node is stopping".to_owned()))),
            Err(_) => Err(Failed::unavailable(&format!("the node has not answered within {STATUS_TIMEOUT:?}"))),
        }
    }

    fn ask(&self, request: AdminRequest) -> Result<Asked<AdminReply>, Failed> {
        let port = self.port.get().ok_or_else(|| Failed::unavailable("the node is starting"))?;
        port.admin(request).map_err(|error| Failed::unavailable(&error))
    }
}

/// Answers when it is done: the node itself bounds how long that takes.
async fn change(sources: &Sources, request: AdminRequest) -> Result<(), Failed> {
    match sources.ask(request)?.next().await {
        Some(AdminReply::Done) => Ok(()),
        Some(AdminReply::Refused(why)) => Err(Failed(StatusCode::INTERNAL_SERVER_ERROR, why)),
        _ => Err(Failed::unavailable("the node is stopping; ask another one what has come of it")),
    }
}

/// Why there is no answer, as ScyllaDB tells it.
struct Failed(StatusCode, String);

impl Failed {
    /// It cannot be given now.
    fn unavailable(why: &(impl ToString + ?Sized)) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, why.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "message": self.1, "code": self.0.as_u16() }))).into_response()
    }
}

type Answer = Result<Json<Value>, Failed>;

async fn readyz(State(sources): State<Sources>) -> Response {
    match sources.health.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let status = sources.status().await.ok();
    let text = sources.metrics.text(status.as_deref(), sources.health.ready().is_ok());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

async fn raft_upgrade(State(sources): State<Sources>) -> Answer {
    Ok(Json(upgrade_json(&*sources.status().await?)))
}

fn upgrade_json(status: &Status) -> Value {
    let mut answer = json!({
        "state": status.stage.name(),
        "feature_enabled": status.feature_enabled,
        "held": status.held,
        "operator_epoch": status.operator_epoch,
        "recovery": status.recovery,
        "group_id": status.group.as_ref().map(|group| group.group.to_string()),
    });
    let (phase, step) = match &status.procedure {
        Procedure::Idle => ("idle", None),
        Procedure::Running { step, .. } => ("running", Some(*step)),
        Procedure::Failed { step, .. } => ("failed", Some(*step)),
        Procedure::Done => ("done", None),
    };
    answer["phase"] = json!(phase);
    answer["step"] = json!(step.map(|step| json!({ "number": step.number(), "name": step.name() })));
    if let Procedure::Running { waiting, since, .. } = &status.procedure {
        answer["waiting"] = waiting.iter().map(|waiting| json!(waiting.to_string())).collect();
        answer["since_micros"] = json!(since.0);
    }
    if let Procedure::Failed { cause, .. } = &status.procedure {
        answer["cause"] = json!(cause);
    }
    answer
}

async fn host_id(State(sources): State<Sources>) -> Answer {
    Ok(Json(json!(sources.status().await?.host.to_string())))
}

async fn host_ids(State(sources): State<Sources>) -> Answer {
    let status = sources.status().await?;
    let own = (status.address, status.host);
    let all = status.peers.iter().map(|(host, peer)| (peer.address, *host)).chain([own]);
    let pairs: Vec<_> = all.map(|(address, host)| json!({ "key": address.ip(), "value": host.to_string() })).collect();
    Ok(Json(json!(pairs)))
}

async fn tokens(State(sources): State<Sources>) -> Answer {
    match sources.ask(AdminRequest::GetTokens)?.next().await {
        Some(AdminReply::Tokens(tokens)) => {
            let pairs = tokens.iter().map(|(token, address)| json!({ "key": token.to_string(), "value": address.ip() }));
            Ok(Json(pairs.collect()))
        }
        Some(AdminReply::Refused(why)) => Err(Failed::unavailable(&why)),
        _ => Err(Failed::unavailable("the node is stopping")),
    }
}

async fn live(State(sources): State<Sources>) -> Answer {
    let status = sources.status().await?;
    let up = status.peers.values().filter(|peer| peer.up).map(|peer| peer.address);
    Ok(Json(json!([status.address].into_iter().chain(up).map(|address| address.ip()).collect::<Vec<_>>())))
}

async fn down(State(sources): State<Sources>) -> Answer {
    let status = sources.status().await?;
    let down = status.peers.values().filter(|peer| !peer.up).map(|peer| peer.address.ip());
    Ok(Json(json!(down.collect::<Vec<_>>())))
}

async fn joining(State(sources): State<Sources>) -> Answer {
    let status = sources.status().await?;
    let joining = status.peers.values().filter(|peer| peer.status == RingStatus::Joining.to_string());
    Ok(Json(json!(joining.map(|peer| peer.address.ip()).collect::<Vec<_>>())))
}

async fn generation(State(sources): State<Sources>, Path(address): Path<IpAddr>) -> Answer {
    let status = sources.status().await?;
    let peers = status.peers.values().map(|peer| (peer.address.ip(), peer.generation));
    let known = peers.chain([(status.address.ip(), status.generation)]).find(|(ip, _)| *ip == address);
    let unknown = || {
        Failed(StatusCode::NOT_FOUND, format!("no host of this cluster is at {address}; /storage_service/host_id has them all"))
    };
    known.map(|(_, generation)| Json(json!(generation.0))).ok_or_else(unknown)
}
