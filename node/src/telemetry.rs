//! Logs: one line an event, text or JSON, to stderr.

use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, registry, util::SubscriberInitExt as _};

/// What is logged, e.g. `info,raft_group0=debug`.
const FILTER: &str = "GROUP0_LOG";
/// `text` (unless set) or `json`.
const FORMAT: &str = "GROUP0_LOG_FORMAT";

/// Starts logging as the environment says. Only the first call in a process has an effect.
pub fn start() {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("info"));
    let is_json = std::env::var(FORMAT).is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let base = registry().with(filter);
    let started = if is_json {
        base.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
    } else {
        let colors = std::io::stderr().is_terminal();
        base.with(fmt::layer().with_ansi(colors).with_writer(std::io::stderr)).try_init()
    };
    drop(started);
}
