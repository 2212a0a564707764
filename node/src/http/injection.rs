//! Errors that tests inject while the node runs: paths and answers as in ScyllaDB. There are none of these paths unless the configuration
//! enables them, and they are taken from this machine only.

use super::{Answer, Failed, Sources, change, ring::FromHere};
use crate::injection::{self, BEFORE_SYNCHRONIZE, Injections};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use group0_core::io::{AdminRequest, Point, Strikes};
use serde::Deserialize;
use serde_json::json;

pub(super) fn routes() -> Router<Sources> {
    Router::new()
        .route("/v2/error_injection/injection", get(enabled).delete(disable_all))
        .route("/v2/error_injection/injection/{name}", get(read).post(enable).delete(disable))
}

impl Sources {
    fn injections(&self) -> Result<&Injections, Failed> {
        let why = "error injections are not enabled on this node: set enable_error_injections to true, for tests only";
        if self.injections.is_open() { Ok(&self.injections) } else { Err(Failed(StatusCode::NOT_FOUND, why.into())) }
    }

    fn injection(&self, name: &str) -> Result<&Injections, Failed> {
        let injections = self.injections()?;
        if injection::is_known(name) {
            return Ok(injections);
        }
        let points: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        let points = points.join(", ");
        let why = format!(
            "there is no injection '{name}', only {BEFORE_SYNCHRONIZE}, and before_POINT and after_POINT, where POINT is one of: {points}"
        );
        Err(Failed(StatusCode::BAD_REQUEST, why))
    }
}

async fn enabled(State(sources): State<Sources>) -> Answer {
    Ok(Json(json!(sources.injections()?.enabled())))
}

/// ScyllaDB answers for each of its shards; this node is one.
async fn read(State(sources): State<Sources>, Path(name): Path<String>) -> Answer {
    let is_enabled = sources.injection(&name)?.enabled().contains(&name);
    Ok(Json(json!([{ "enabled": is_enabled, "parameters": [] }])))
}

#[derive(Deserialize)]
struct Often {
    /// `true`, as its clients write that; absent or anything else: false.
    #[serde(default)]
    one_shot: String,
}

async fn enable(
    State(sources): State<Sources>,
    _: FromHere,
    Path(name): Path<String>,
    Query(often): Query<Often>,
) -> Result<(), Failed> {
    let is_once = often.one_shot.eq_ignore_ascii_case("true");
    set(&sources, &name, Some(if is_once { Strikes::Once } else { Strikes::Always })).await
}

async fn disable(State(sources): State<Sources>, _: FromHere, Path(name): Path<String>) -> Result<(), Failed> {
    set(&sources, &name, None).await
}

async fn disable_all(State(sources): State<Sources>, _: FromHere) -> Result<(), Failed> {
    for name in sources.injections()?.enabled() {
        set(&sources, &name, None).await?;
    }
    Ok(())
}

/// It is listed before the core is told, so that one that strikes at once is not listed afterwards.
async fn set(sources: &Sources, name: &str, strikes: Option<Strikes>) -> Result<(), Failed> {
    let injections = sources.injection(name)?;
    injections.set(name, strikes);
    if name != BEFORE_SYNCHRONIZE {
        return Ok(());
    }
    change(sources, AdminRequest::FailBeforeSynchronize(strikes)).await.inspect_err(|_| injections.set(name, None))
}
