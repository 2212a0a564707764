//! What a user's scripts rely on: all conditions, each stamped, and a journal that survives.

use super::*;
use crate::{
    crd::{ClusterRef, Group0UpgradeSpec},
    observe::{NodeView, Part, Pod, PodName, PodState},
    plan::{Journal, Retries, plan},
};
use k8s_openapi::jiff::SignedDuration;
use std::collections::BTreeMap;

fn spec() -> Group0UpgradeSpec {
    let stateful_sets = vec!["db".into()];
    Group0UpgradeSpec::new_for(ClusterRef { stateful_sets, container: "node".into(), admin_port: 7001, tls_secret_ref: None })
}

fn silent(count: u32) -> Observation {
    let view = |ordinal: u32| {
        let pod = Pod { uid: ordinal.to_string(), state: PodState::Running, since: at(0), flag: false, hold: false };
        let pod = Part::Known { value: pod, age: SignedDuration::ZERO };
        (PodName::new(0, "db", ordinal), NodeView { pod, node: Part::Unknown("connection refused".into()) })
    };
    Observation { nodes: (0..count).map(view).collect() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn all_conditions_are_there_and_stamped_and_keep_their_time() {
    let (spec, seen, journal) = (spec(), silent(3), Journal::begin("run".into(), at(0)));
    let first = render(&plan(&spec, &seen, &journal, at(1)), &seen, &Group0UpgradeStatus::default(), 7, at(1));
    let names: Vec<_> = first.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    expect_test::expect![
        "Ready Reconciling Stalled PreflightPassed FlagRolledOut Group0Formed SchemaSynchronized Complete AwaitingApproval \
         Paused QuorumHealthy RecoveryRequired RecoveryBlocked Recovering Degraded"
    ]
    .assert_eq(&names.join(" "));
    let second = render(&plan(&spec, &seen, &journal, at(2)), &seen, &first, 8, at(2));
    assert!(second.conditions.iter().all(|c| c.observed_generation == Some(8) && c.last_transition_time.0 == at(1)));
    assert!(second.conditions.iter().all(|c| c.reason == "NodeUnknown" && c.message.contains("connection refused")));
}

#[test]
fn the_reason_is_the_same_everywhere() {
    let (spec, seen, journal) = (spec(), silent(2), Journal::begin("run".into(), at(0)));
    let status = render(&plan(&spec, &seen, &journal, at(1)), &seen, &Group0UpgradeStatus::default(), 1, at(1));
    assert_eq!((status.phase, status.progress.as_str()), (Phase::Preflight, "0/2"));
    assert_eq!((status.blocked_by.as_str(), status.nodes[0].blocked_by.as_str()), ("NodeUnknown", "NodeUnknown"));
    assert_eq!(status.message, status.nodes[0].message);
}

#[test]
fn the_journal_survives_status_and_its_yaml() {
    let seen = silent(2);
    let name = PodName::new(0, "db", 1);
    let written = Journal {
        preflight_passed_at: Some(at(1)),
        last_restart_at: Some(at(2)),
        gate_held_since: Some(at(3)),
        point_of_no_return_at: Some(at(4)),
        completed_at: Some(at(5)),
        retries: BTreeMap::from([(name, Retries { attempts: 2, last_at: at(6) })]),
        ..Journal::begin("run".into(), at(0))
    };
    let plan = Plan { journal: written.clone(), ..plan(&spec(), &seen, &written, at(7)) };
    let status = render(&plan, &seen, &Group0UpgradeStatus::default(), 1, at(7));
    let text = serde_saphyr::to_string(&status).unwrap();
    let read: Group0UpgradeStatus = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(journal(&read, seen.nodes.keys()), written);
}

#[test]
fn what_a_node_said_last_is_kept_while_it_is_silent() {
    let (spec, seen, journal) = (spec(), silent(1), Journal::begin("run".into(), at(0)));
    let mut before = render(&plan(&spec, &seen, &journal, at(1)), &seen, &Group0UpgradeStatus::default(), 1, at(1));
    before.nodes[0].host_id = Some("host".into());
    let after = render(&plan(&spec, &seen, &journal, at(2)), &seen, &before, 1, at(2));
    assert_eq!(after.nodes[0].host_id.as_deref(), Some("host"));
    assert_eq!(after.nodes[0].step, "starting");
}
