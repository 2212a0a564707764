//! `/live`, `/ready` and `/metrics`.

use super::metrics::Metrics;
use crate::error::Error;
use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// As Prometheus wants it called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until it is dropped. A process that does not lead is ready, too: it waits for its turn.
pub async fn serve(address: SocketAddr, metrics: Metrics) -> Result<(), Error> {
    let failed = |error: std::io::Error| {
        Error::failure(format!("{address}: cannot be served: {error}; choose another with --http-address"))
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let app = Router::new()
        .route("/live", get(|| async { "alive\n" }))
        .route("/ready", get(|| async { "ready\n" }))
        .route("/metrics", get(text))
        .with_state(metrics);
    group0_api::http::serve(listener, app).await;
    Ok(())
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPEN_METRICS)], metrics.text())
}
