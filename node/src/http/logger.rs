//! How much is logged, target by target: paths and answers as in ScyllaDB. It is changed from this machine only.

use super::{Answer, Failed, Sources, ring::FromHere};
use crate::telemetry::{self, Loggers};
use axum::{
    Json, Router,
    extract::{Path, Query, rejection::QueryRejection},
    http::StatusCode,
    routing::get,
};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes() -> Router<Sources> {
    Router::new().route("/system/logger", get(all)).route("/system/logger/{name}", get(level).post(set_level))
}

fn loggers() -> Result<&'static Loggers, Failed> {
    telemetry::loggers().ok_or_else(|| Failed::unavailable("this process does not log by itself"))
}

async fn all() -> Answer {
    Ok(Json(json!(telemetry::TARGETS)))
}

async fn level(Path(name): Path<String>) -> Answer {
    let level = loggers()?.level(&name).map_err(invalid)?;
    Ok(Json(json!(level.to_string())))
}

#[derive(Deserialize)]
struct Level {
    level: String,
}

async fn set_level(_: FromHere, Path(name): Path<String>, query: Result<Query<Level>, QueryRejection>) -> Result<(), Failed> {
    let Query(asked) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    loggers()?.set_level(&name, &asked.level).map_err(invalid)
}

fn invalid(why: String) -> Failed {
    Failed(StatusCode::BAD_REQUEST, why)
}
