//! What must hold of every plan, whatever is seen: properties over the cases of [`crate::generator`].

use crate::generator::{Case, case};
use group0_operator::{
    act::Failure,
    crd::{Group0Upgrade, Group0UpgradeStatus, Phase},
    look::{self, Start},
    observe::{Machine, NodeView},
    plan::{Action, Intent, Journal, Plan, check, plan},
    status,
};
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray as Items},
    jiff::SignedDuration,
};
use kube::CustomResourceExt as _;
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::Value;
use std::{collections::BTreeSet, sync::LazyLock};

/// Numbers that a case is read from: a case of five nodes reads about six hundred.
const NUMBERS: usize = 700;
/// Looks at the same observation.
const LOOKS: usize = 16;
/// So long after each other: in the end every usual deadline has passed.
const BETWEEN: SignedDuration = SignedDuration::from_secs(30);

fn cases() -> impl Strategy<Value = Case> {
    prop::collection::vec(any::<u16>(), NUMBERS).prop_map(case)
}

/// The same cases each time, or with `PROPTEST_RNG_SEED` others.
fn config(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::with_cases(cases);
    let rng_seed = if given.rng_seed == RngSeed::Random { RngSeed::Fixed(1) } else { given.rng_seed };
    ProptestConfig { failure_persistence: None, rng_seed, ..given }
}

fn planned(case: &Case) -> Plan {
    plan(&case.spec, &case.seen, &case.journal, case.now)
}

proptest! {
    #![proptest_config(config(10_000))]

    /// A plan that its audit refuses would be a dead end, and one that neither acts nor says why a riddle.
    #[test]
    fn a_plan_passes_its_audit_and_says_what_it_waits_for(case in cases()) {
        let plan = planned(&case);
        let violations = check::audit(&case.spec, &case.seen, &case.journal, &plan, case.now);
        prop_assert!(violations.is_empty(), "{violations:?} {plan:?}");
        let is_over = matches!(plan.report.phase, Phase::Complete | Phase::Cancelled);
        let goes_on = !plan.actions.is_empty() || plan.new_run || plan.new_term;
        prop_assert!(is_over || goes_on || !plan.report.waiting.is_empty(), "no reason: {:?} {:?}", plan.report, plan.journal);
        prop_assert!(plan.report.waiting.iter().all(|why| !why.to_string().is_empty() && !why.reason().is_empty()));
        prop_assert!(plan.next_look > case.now, "it looks again before it has looked: {}", plan.next_look);
    }

    #[test]
    fn nothing_is_done_while_paused_or_in_a_dry_run(case in cases(), paused: bool) {
        let mut case = case;
        (case.spec.paused, case.spec.dry_run) = (paused, !paused);
        let plan = planned(&case);
        prop_assert!(plan.actions.is_empty() && !plan.new_run && !plan.new_term, "{plan:?}");
        let decided = |journal: &Journal| (journal.point_of_no_return_at, journal.preflight_passed_at, journal.intents.clone());
        prop_assert_eq!(decided(&plan.journal), decided(&case.journal));
    }

    /// The journal is what the next operator goes on from: all of it must come back from status, and a status that the API server
    /// refuses would stop everything.
    #[test]
    fn the_journal_comes_back_from_a_status_within_its_bounds(case in cases()) {
        let plan = planned(&case);
        let rendered = status::render(&plan, &case.seen, &Group0UpgradeStatus::default(), case.now);
        let text = serde_json::to_string(&rendered).unwrap();
        let read: Group0UpgradeStatus = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(status::journal(&read, case.seen.nodes.keys()), plan.journal);
        let outside = outside_bounds(&serde_json::to_value(&rendered).unwrap(), &SCHEMA, "status");
        prop_assert!(outside.is_empty(), "{outside:?}");
    }
}

proptest! {
    #![proptest_config(config(4000))]

    /// Whatever the acts come to, they are not seen to have any effect; time passes. Then:
    ///
    /// 1. At most one process or pod is taken down, however often that is asked for: each request names the one pod (UID, version)
    ///    or process (generation) that it means, so that the second changes nothing; and another is not taken before the first is
    ///    seen to be over.
    /// 2. What is done does not come back after something else was done instead: A, B, A would be two rules that undo each other.
    ///    Waiting in between is none of it (a window closes, a timer runs), nor is a retry, which is paced, nor, where a
    ///    node may turn out to be lost, what keeps A from taking place late: of the lost it is not waited for, and A is asked for again.
    /// 3. A failed procedure is started again ten times at most.
    #[test]
    fn equal_observations_never_make_it_alternate(case in cases(), outcome in 0..3_usize) {
        let outcome = [Ok(()), Err(Failure::Refused("no".into())), Err(Failure::Unknown("?".into()))][outcome].clone();
        let done = looks(&case, &outcome);
        let mut taken: BTreeSet<_> = done.iter().flatten().filter(|action| action.disrupts().is_some()).collect();
        if !taken.is_empty() {
            taken.extend(not_seen_to_be_over(&case));
        }
        prop_assert!(taken.len() <= 1, "it takes down {taken:?}");
        let is_passing = |action: &Action| match action {
            Action::RetryUpgrade { .. } => true,
            Action::TouchPod { .. } => may_be_lost(&case),
            _ => false,
        };
        let lasting = |actions: &Vec<Action>| actions.iter().filter(|action| !is_passing(action)).cloned().collect::<Vec<_>>();
        let mut blocks: Vec<Vec<Action>> = done.iter().map(lasting).filter(|actions| !actions.is_empty()).collect();
        blocks.dedup();
        let different: BTreeSet<_> = blocks.iter().collect();
        prop_assert!(different.len() == blocks.len(), "it alternates: {blocks:#?}");
        for node in case.seen.nodes.keys() {
            let retries = done.iter().flatten().filter(|action| **action == Action::RetryUpgrade { node: node.clone() }).count();
            prop_assert!(retries <= 10, "{node} was started again {retries} times");
        }
    }
}

/// Whether time alone can prove that a node is lost.
fn may_be_lost(case: &Case) -> bool {
    let mut pods = case.seen.nodes.values().filter_map(|view| view.pod.known());
    let has_proof = pods.any(|pod| pod.volume_gone || !matches!(pod.machine, Machine::There | Machine::Gone));
    has_proof || case.journal.silent.values().any(|record| record.proof.is_some()) || !case.spec.recovery.confirm_dead.is_empty()
}

/// What is done in so many looks at the same observation, each act with this outcome, by the steps of the real operator.
fn looks(case: &Case, outcome: &Result<(), Failure>) -> Vec<Vec<Action>> {
    let mut object = Group0Upgrade::new("demo", case.spec.clone());
    let mut stored = Group0UpgradeStatus::default();
    status::write_journal(&case.journal, &mut stored);
    object.status = Some(stored);
    let (mut epoch, mut now) = (Some(case.journal.epoch), case.now);
    let mut done = Vec::new();
    for _ in 0..LOOKS {
        let journal = match look::start(epoch, &object, &case.seen, "next", now) {
            Start::GoOn(journal) => journal,
            Start::NewTerm(journal, status) => {
                epoch = Some(journal.epoch);
                object.status = Some(*status);
                journal
            }
            Start::Deposed => panic!("nobody else acts"),
        };
        let mut decision = look::decide(&object, &case.seen, &journal, "next", now);
        if decision.plan.new_term {
            epoch = None;
        }
        now = decision.plan.next_look.max(now + BETWEEN);
        if !decision.plan.actions.is_empty() {
            decision.settle(&vec![outcome.clone(); decision.plan.actions.len()]);
        }
        done.push(decision.plan.actions.clone());
        object.status = Some(decision.status.clone());
    }
    done
}

/// What the journal says was taken down last, if the pod or process that it names may still be the one that is there.
fn not_seen_to_be_over(case: &Case) -> Option<&Action> {
    let taken = case.journal.taken.as_ref()?;
    let view = &case.seen.nodes[taken.action.disrupts()?];
    // Of one that a recovery gives up it may never be known: it is what is recovered from.
    let has_plan = |view: &NodeView| view.node.known().is_some_and(|node| node.evidence.plan.is_some());
    if view.node.known().is_none() && (case.journal.recovery.is_some() || case.seen.nodes.values().any(has_plan)) {
        return None;
    }
    let is_over = match &taken.action {
        Action::Recreate { version, .. } => view.pod.known().is_some_and(|pod| pod.version > *version),
        Action::Restart { generation, .. } => {
            view.node.known().is_some_and(|node| node.generation > *generation || node.epoch > taken.epoch)
        }
        _ => true,
    };
    (!is_over).then_some(&taken.action)
}

/// The schema of `status`, made once.
static SCHEMA: LazyLock<JSONSchemaProps> = LazyLock::new(|| {
    let version = Group0Upgrade::crd().spec.versions.remove(0);
    version.schema.unwrap().open_api_v3_schema.unwrap().properties.unwrap().remove("status").unwrap()
});

/// Each text, list or number that is out of the bounds of its schema.
fn outside_bounds(value: &Value, schema: &JSONSchemaProps, path: &str) -> Vec<String> {
    let fits = |length: usize, most: Option<i64>| most.is_none_or(|most| i64::try_from(length).unwrap() <= most);
    match value {
        Value::String(text) if !fits(text.chars().count(), schema.max_length) => vec![format!("{path} is too long: {text}")],
        Value::Array(items) if !fits(items.len(), schema.max_items) => vec![format!("{path} has {} entries", items.len())],
        Value::Array(items) => {
            let Some(Items::Schema(of_one)) = &schema.items else { return Vec::new() };
            items.iter().flat_map(|item| outside_bounds(item, of_one, path)).collect()
        }
        Value::Object(fields) => {
            let of = |name: &String| schema.properties.as_ref().and_then(|properties| properties.get(name));
            let known = fields.iter().map(|(name, value)| (name, value, of(name)));
            known
                .flat_map(|(name, value, schema)| match schema {
                    Some(schema) => outside_bounds(value, schema, &format!("{path}.{name}")),
                    None => vec![format!("{path}.{name} is not in the schema")],
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// What etcd takes with room to spare, with everything as long as it can be.
#[test]
fn the_status_of_a_hundred_nodes_is_small_enough() {
    let mut case = case(vec![0; NUMBERS]);
    let view = case.seen.nodes.pop_first().unwrap().1;
    let set = "s".repeat(59);
    for ordinal in 0..100 {
        let mut view = view.clone();
        let name = group0_operator::observe::PodName::new(0, &set, ordinal);
        let (pod, node) = (crate::world::value(&mut view.pod), crate::world::value(&mut view.node));
        (pod.uid, pod.flag) = ("u".repeat(36), true);
        node.ready = Err("r".repeat(3000));
        let host = |number| group0_operator::observe::HostId(uuid::Uuid::from_u128(number));
        let mut down = crate::world::peer(1);
        down.up = false;
        node.host = host(u128::from(ordinal));
        node.peers = (0..100).filter(|other| *other != u128::from(ordinal)).map(|other| (host(other), down.clone())).collect();
        case.seen.nodes.insert(name, view);
    }
    let mut plan = planned(&case);
    plan.journal.overridden = vec!["o".repeat(300); 32];
    let claim =
        |node: &group0_operator::observe::PodName| Action::Recreate { node: node.clone(), uid: "u".repeat(36), version: 1 << 40 };
    let intents = case.seen.nodes.keys().map(claim).map(|action| Intent { action, epoch: 1 << 20, at: case.now });
    plan.journal.intents = intents.collect();
    let mut status = Group0UpgradeStatus::default();
    plan.report.phase = Phase::Complete;
    for run in 0..12 {
        plan.journal.run_id = format!("{run:036}");
        status = status::render(&plan, &case.seen, &status, case.now);
    }
    assert_eq!((status.nodes.len(), status.intents.len(), status.history.len()), (100, 100, 10));
    let bytes = serde_json::to_string(&status).unwrap().len();
    assert!(bytes < 256 << 10, "{bytes} bytes");
}
