//! The journal's place in status, both ways.

use crate::{
    crd::Group0UpgradeStatus,
    observe::PodName,
    plan::{Journal, Retries},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The journal that this status holds. Of nodes that are no longer members nothing is remembered.
pub fn journal<'a>(status: &Group0UpgradeStatus, members: impl IntoIterator<Item = &'a PodName>) -> Journal {
    let at = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    let retries = members.into_iter().filter_map(|name| {
        let node = status.nodes.iter().find(|node| node.pod_name == name.name)?;
        let last_at = at(&node.last_attempt_at)?;
        Some((name.clone(), Retries { attempts: node.attempts, last_at }))
    });
    Journal {
        run_id: status.run_id.clone(),
        started_at: at(&status.started_at),
        preflight_passed_at: at(&status.preflight_passed_at),
        last_restart_at: at(&status.last_restart_at),
        gate_held_since: at(&status.gate_held_since),
        point_of_no_return_at: at(&status.point_of_no_return_at),
        completed_at: at(&status.completed_at),
        retries: retries.collect(),
    }
}

/// Writes all of it but the retries, which are with the nodes.
pub(super) fn write(journal: &Journal, status: &mut Group0UpgradeStatus) {
    let Journal {
        run_id,
        started_at,
        preflight_passed_at,
        last_restart_at,
        gate_held_since,
        point_of_no_return_at,
        completed_at,
        retries: _,
    } = journal;
    status.run_id.clone_from(run_id);
    status.started_at = started_at.map(Time);
    status.preflight_passed_at = preflight_passed_at.map(Time);
    status.last_restart_at = last_restart_at.map(Time);
    status.gate_held_since = gate_held_since.map(Time);
    status.point_of_no_return_at = point_of_no_return_at.map(Time);
    status.completed_at = completed_at.map(Time);
}
