//! What a status says, on one line, for the messages of failed tests.

use group0_api::v1::Status;

/// The parts that explain why something is waited for.
pub fn brief(status: &Status) -> String {
    let procedure = status.procedure.clone().unwrap_or_default();
    let peers: Vec<String> = status
        .peers
        .iter()
        .map(|peer| format!("{}={}{}", peer.address, peer.status, if peer.up { "" } else { "(down)" }))
        .collect();
    format!(
        "{} ready={} {} {} flag={:?} held={} proceed={} enabled={} step={} {} waiting={:?} cause={:?} group={} schema={} peers=[{}]",
        status.address,
        status.ready,
        status.not_ready_reason,
        status.upgrade_state,
        status.flag,
        status.held,
        status.proceed,
        status.feature_enabled,
        procedure.step,
        procedure.step_name,
        procedure.waiting,
        procedure.cause,
        status.group.as_ref().map_or("none", |group| group.id.as_str()),
        status.schema_version,
        peers.join(" "),
    )
}
