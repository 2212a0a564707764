//! Group 0 asked and told by people: paths as in ScyllaDB. What changes something is taken from this machine only.

use super::{Answer, Failed, Sources, change, ring::FromHere};
use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    routing::{get, post},
};
use group0_core::{ids::GroupId, io::AdminRequest};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Whoever asks for a read barrier may have it waited for so long: a node that has no majority until then is not heard of soon.
const TIMEOUT_MAX: Duration = Duration::from_mins(10);

pub(super) fn routes() -> Router<Sources> {
    Router::new()
        .route("/raft/leader_host", get(leader))
        .route("/raft/read_barrier", post(read_barrier))
        .route("/raft/trigger_stepdown", post(step_down))
        .route("/raft/trigger_stepdown/", post(step_down))
        .route("/raft/trigger_snapshot/{group}", post(trigger_snapshot))
}

async fn leader(State(sources): State<Sources>) -> Answer {
    let leader = sources.status().await?.group.as_ref().and_then(|group| group.leader);
    Ok(Json(json!(leader.map(|host| host.to_string()).unwrap_or_default())))
}

#[derive(Deserialize)]
struct Limit {
    /// In seconds; absent: as long as the node waits by itself.
    timeout: Option<u64>,
}

async fn read_barrier(State(sources): State<Sources>, query: Result<Query<Limit>, QueryRejection>) -> Result<(), Failed> {
    let Query(Limit { timeout }) = query.map_err(|rejection| Failed(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let within = timeout.map(Duration::from_secs);
    if within.is_some_and(|within| within > TIMEOUT_MAX) {
        return Err(Failed(StatusCode::BAD_REQUEST, format!("timeout is more than {} seconds", TIMEOUT_MAX.as_secs())));
    }
    change(&sources, AdminRequest::ReadBarrier { within }).await
}

async fn step_down(State(sources): State<Sources>, _: FromHere) -> Result<(), Failed> {
    change(&sources, AdminRequest::StepDown).await
}

async fn trigger_snapshot(State(sources): State<Sources>, _: FromHere, Path(group): Path<String>) -> Result<(), Failed> {
    let wrong = |_| Failed(StatusCode::BAD_REQUEST, format!("group '{group}' is no UUID"));
    let group: GroupId = group.parse().map_err(wrong)?;
    change(&sources, AdminRequest::TriggerSnapshot(group)).await
}
