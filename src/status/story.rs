//! `status.recovery.plan`: an incident report. What is known, what is not, what is decided, what would be lost, what is to come.

use crate::{
    observe::{HostId, NodeSeen, Observation, Part, PodName},
    plan::{Donor, Gone, LOOK_EVERY, Plan, Recovery, Silent, Step},
};
use k8s_openapi::jiff::SignedDuration;

/// One line each.
pub(super) fn lines(plan: &Plan, seen: &Observation) -> Vec<String> {
    let silent = plan.journal.silent.iter().map(|(host, silent)| silence(*host, silent));
    let survivors = seen.nodes.iter().filter_map(|(name, view)| match &view.node {
        Part::Known { value, age } => Some(survivor(name, value, *age)),
        Part::Unknown(_) => None,
    });
    let decided = plan.journal.recovery.as_ref().filter(|recovery| recovery.is_in_force()).map(decisions);
    silent.chain(survivors).chain(decided.unwrap_or_default()).collect()
}

fn silence(host: HostId, silent: &Silent) -> String {
    let name = silent.pod.as_ref().map_or_else(|| "in a pod that is not known".to_owned(), |pod| format!("in {pod}"));
    let proof = match silent.proof.as_ref().map(|proof| proof.of) {
        Some(Gone::Machine) => "its machine is out of service",
        Some(Gone::Volume) => "its volume is gone",
        None => "nothing proves that it is gone for good",
    };
    let since = silent.since.map_or_else(|| "is seen alive by others".to_owned(), |since| format!("is silent since {since}"));
    format!("known: host {host} {name} {since}; {proof}")
}

fn survivor(name: &PodName, node: &NodeSeen, age: SignedDuration) -> String {
    let last = node.evidence.last;
    let answers = if age <= LOOK_EVERY { "answers".to_owned() } else { format!("answered last {} s ago", age.as_secs()) };
    format!(
        "known: {name} (host {}) {answers}, in {}, its log ends at term {} index {}, of which {} is committed",
        node.host, node.state, last.term, last.index, node.evidence.commit
    )
}

fn decisions(recovery: &Recovery) -> Vec<String> {
    let hosts = |hosts: &std::collections::BTreeSet<HostId>| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let donor = match recovery.donor {
        None => "the survivor with the longest log, once all are in recovery".into(),
        Some(Donor::Nobody) => "nobody: no survivor has a log".into(),
        Some(Donor::Host(host)) => format!("host {host}"),
    };
    let mut lines = vec![
        format!("plan {}: these go on: {}", recovery.plan.number, hosts(&recovery.plan.survivors)),
        format!("plan {}: these are given up, for ever: {}", recovery.plan.number, hosts(&recovery.plan.excluded)),
        format!("plan {}: whose log is kept: {donor}", recovery.plan.number),
        "would be lost: schema changes that only those had who are given up".into(),
        "expected: each survivor is restarted twice, one after the other; until the end schema changes may fail".into(),
    ];
    let to_come = Step::ALL.iter().filter(|step| **step >= recovery.step).map(|step| step.name()).collect::<Vec<_>>();
    if !to_come.is_empty() {
        lines.push(format!("to come: {}", to_come.join(", ")));
    }
    lines
}
