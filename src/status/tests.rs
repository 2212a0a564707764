//! What a user's scripts rely on: all conditions, each stamped, and a journal that survives.

use super::*;
use crate::{
    crd::{ClusterRef, Group0UpgradeSpec},
    observe::{Machine, NodeView, Object, Part, Pod, PodName, PodState, Set},
    plan::{Action, Halt, Intent, Journal, Progress, Remembered, Undone, plan},
};
use k8s_openapi::jiff::SignedDuration;

fn spec() -> Group0UpgradeSpec {
    let stateful_sets = vec!["db".into()];
    Group0UpgradeSpec::new_for(ClusterRef { stateful_sets, container: "node".into(), admin_port: 7001, tls_secret_ref: None })
}

fn silent(count: u32) -> Observation {
    let view = |ordinal: u32| {
        let pod = Pod {
            uid: ordinal.to_string(),
            version: 1,
            state: PodState::Running,
            since: at(0),
            flag: false,
            hold: false,
            template_hash: "v1".into(),
            machine: Machine::There,
            volume_gone: false,
        };
        let pod = Part::Known { value: pod, age: SignedDuration::ZERO };
        (PodName::new(0, "db", ordinal), NodeView { pod, node: Part::Unknown("connection refused".into()) })
    };
    let set = Set {
        name: "db".into(),
        version: 1,
        replicas: count,
        flag: false,
        hold: false,
        template_hash: "v1".into(),
        on_delete: true,
        parallel: true,
        kept: false,
        settled: true,
        owner: Some(crate::observe::Owner { uid: "uid".into(), exists: true }),
    };
    Observation {
        object: Object { uid: "uid".into(), generation: 7, ..Object::default() },
        sets: vec![Part::Known { value: set, age: SignedDuration::ZERO }],
        budgets: Part::Known { value: vec!["db".into()], age: SignedDuration::ZERO },
        nodes: (0..count).map(view).collect(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn all_conditions_are_there_and_stamped_and_keep_their_time() {
    let (spec, mut seen, journal) = (spec(), silent(3), Journal::begin("run".into(), at(0)));
    let first = render(&plan(&spec, &seen, &journal, at(1)), &seen, &Group0UpgradeStatus::default(), at(1));
    let names: Vec<_> = first.conditions.iter().map(|condition| condition.type_.as_str()).collect();
    expect_test::expect![
        "Ready Reconciling Stalled PreflightPassed FlagRolledOut Group0Formed SchemaSynchronized Complete AwaitingApproval \
         Paused QuorumHealthy RecoveryRequired RecoveryBlocked Recovering Degraded"
    ]
    .assert_eq(&names.join(" "));
    seen.object.generation = 8;
    let second = render(&plan(&spec, &seen, &journal, at(2)), &seen, &first, at(2));
    assert!(second.conditions.iter().all(|c| c.observed_generation == Some(8) && c.last_transition_time.0 == at(1)));
    assert!(second.conditions.iter().all(|c| c.reason == "NodeUnknown" && c.message.contains("connection refused")));
}

#[test]
fn the_reason_is_the_same_everywhere() {
    let (spec, seen, journal) = (spec(), silent(2), Journal::begin("run".into(), at(0)));
    let status = render(&plan(&spec, &seen, &journal, at(1)), &seen, &Group0UpgradeStatus::default(), at(1));
    assert_eq!((status.phase, status.progress.as_str()), (Phase::Preflight, "0/2"));
    assert_eq!((status.blocked_by.as_str(), status.nodes[0].blocked_by.as_str()), ("NodeUnknown", "NodeUnknown"));
    assert_eq!(status.message, status.nodes[0].message);
}

#[test]
fn history_says_who_approved_a_run() {
    let (spec, mut seen, journal) = (spec(), silent(1), Journal::begin("run".into(), at(0)));
    seen.object.approvals = [("run".into(), "kubectl-patch".into()), ("another".into(), "helm".into())].into();
    let mut plan = plan(&spec, &seen, &journal, at(1));
    plan.report.phase = Phase::Complete;
    let status = render(&plan, &seen, &Group0UpgradeStatus::default(), at(1));
    assert_eq!(status.history.iter().map(|run| run.approved_by.as_str()).collect::<Vec<_>>(), ["kubectl-patch"]);
}

#[test]
fn the_journal_survives_status_and_its_yaml() {
    let seen = silent(2);
    let name = PodName::new(0, "db", 1);
    let remembered = Remembered {
        host: Some(crate::observe::HostId(uuid::Uuid::from_u128(5))),
        pod_version: 3,
        sequence: 4,
        host_pod: Some("u".into()),
        backed_up: true,
        retries: 2,
        restarts: 1,
        last_attempt_at: Some(at(6)),
    };
    let actions = [
        Action::Own { set: "db".into(), version: 1 },
        Action::Disown { set: "db".into(), version: 2 },
        Action::TouchSet { set: "db".into(), version: 3 },
        Action::TouchPod { node: name.clone(), uid: "u".into() },
        Action::ClaimEpoch { node: name.clone() },
        Action::SetTemplate { set: "db".into(), version: 4, flag: true },
        Action::SetTemplate { set: "db".into(), version: 5, flag: false },
        Action::Recreate { node: name.clone(), uid: "u".into(), version: 6 },
        Action::Restart { node: name.clone(), generation: 7 },
        Action::Backup { node: name.clone() },
        Action::Proceed { node: name.clone() },
        Action::RetryUpgrade { node: name.clone() },
    ];
    let written = Journal {
        epoch: 9,
        preflight_passed_at: Some(at(1)),
        template_hash: Some("a b".into()),
        canary: Some(name.clone()),
        halted: Some(Halt { node: name.clone(), why: "it crashes".into(), generation: 3 }),
        last_restart_at: Some(at(2)),
        gate_held_since: Some(at(3)),
        backed_up_at: Some(at(3)),
        point_of_no_return_at: Some(at(4)),
        completed_at: Some(at(5)),
        cancelled_at: Some(at(5)),
        intents: actions.into_iter().map(|action| Intent { action, epoch: 9, at: at(6) }).collect(),
        undone: Some(Undone { action: "put flag and hold into the template of db".into(), why: "refused: read-only".into() }),
        nodes: [(PodName::new(0, "db", 0), Remembered::default()), (name, remembered)].into(),
        progress: Some(Progress { marker: "m".into(), since: at(6) }),
        overridden: vec!["OneBudget: because".into()],
        ..Journal::begin("run".into(), at(0))
    };
    let plan = Plan { journal: written.clone(), ..plan(&spec(), &seen, &written, at(7)) };
    let status = render(&plan, &seen, &Group0UpgradeStatus::default(), at(7));
    let text = serde_saphyr::to_string(&status).unwrap();
    let read: Group0UpgradeStatus = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(journal(&read, seen.nodes.keys()), written);
}

#[test]
fn what_a_node_said_last_is_kept_while_it_is_silent() {
    let (spec, seen, journal) = (spec(), silent(1), Journal::begin("run".into(), at(0)));
    let mut before = render(&plan(&spec, &seen, &journal, at(1)), &seen, &Group0UpgradeStatus::default(), at(1));
    before.nodes[0].host_id = Some("host".into());
    let after = render(&plan(&spec, &seen, &journal, at(2)), &seen, &before, at(2));
    assert_eq!(after.nodes[0].host_id.as_deref(), Some("host"));
    assert_eq!(after.nodes[0].step, "starting");
}

#[test]
fn a_run_is_added_to_the_history_once_with_its_own_end() {
    let (spec, seen) = (spec(), silent(1));
    let journal = Journal { completed_at: Some(at(5)), ..Journal::begin("run".into(), at(0)) };
    let mut plan = plan(&spec, &seen, &journal, at(9));
    plan.report.phase = Phase::Complete;
    let ended = history(&plan, &seen, &Group0UpgradeStatus::default(), at(9));
    assert_eq!(ended.iter().map(|run| (run.run_id.as_str(), run.ended_at.0)).collect::<Vec<_>>(), [("run", at(5))]);
    let later = |number: i64| Run { run_id: format!("plan {number}"), ended_at: Time(at(10 + number)), ..ended[0].clone() };
    let before = Group0UpgradeStatus { history: (0..10).map(later).collect(), ..Group0UpgradeStatus::default() };
    assert_eq!(history(&plan, &seen, &before, at(30)), before.history, "it was pushed out");
}
