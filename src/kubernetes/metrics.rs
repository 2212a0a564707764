//! What Prometheus is told of the operator.

use crate::{
    crd::{Group0Upgrade, Group0UpgradeStatus, Phase},
    plan::stall::Class,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::ObjectRef;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Object {
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Said {
    namespace: String,
    name: String,
    value: String,
}

/// All of them; clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    leads: Gauge,
    phase: Family<Said, Gauge>,
    nodes: Family<Said, Gauge>,
    stalled: Family<Said, Gauge>,
    blocked: Family<Said, Gauge>,
    /// Waits that only a human can end and that have no class, as they were told last.
    halting: Passing,
    /// The guards of recovery that refuse, as they were told last.
    refusing: Passing,
    progress: Family<Object, Gauge>,
    looks: Family<Object, Counter>,
    failures: Family<Object, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("group0_operator");
        let leads = Gauge::default();
        let (phase, nodes) = (Family::default(), Family::default());
        let (stalled, blocked) = (Family::default(), Family::default());
        let (progress, looks, failures) = (Family::default(), Family::default(), Family::default());
        registry.register("leader", "Whether this process leads", leads.clone());
        registry.register("upgrade_phase", "1 for the phase of the upgrade", phase.clone());
        registry.register("upgrade_nodes", "Nodes of the cluster by upgrade state", nodes.clone());
        registry.register("upgrade_stalled", "1 for the class of a stall", stalled.clone());
        registry.register("recovery_blocked", "1 for each guard that refuses a recovery", blocked.clone());
        registry.register("upgrade_last_progress_timestamp_seconds", "When anything moved last", progress.clone());
        registry.register("looks", "Looks at the object", looks.clone());
        registry.register("look_failures", "Looks that failed", failures.clone());
        let (registry, halting, refusing) = (Arc::new(registry), Passing::default(), Passing::default());
        Self { registry, leads, phase, nodes, stalled, blocked, halting, refusing, progress, looks, failures }
    }
}

const PHASES: [Phase; 12] = [
    Phase::Pending,
    Phase::Preflight,
    Phase::Rolling,
    Phase::Forming,
    Phase::Synchronizing,
    Phase::Complete,
    Phase::Paused,
    Phase::Stalled,
    Phase::Recovering,
    Phase::Cancelling,
    Phase::Cancelled,
    Phase::Failed,
];
const STATES: [&str; 4] = ["recovery", "use_pre_raft_procedures", "synchronize", "use_post_raft_procedures"];

impl Metrics {
    /// As text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Whether this process leads. What it knew of objects is told by another one from then on.
    pub fn lead(&self, leads: bool) {
        self.leads.set(leads.into());
        for said in [&self.phase, &self.nodes, &self.stalled, &self.blocked] {
            said.clear();
        }
        self.progress.clear();
    }

    /// What a look came to.
    pub fn looked(&self, object: &ObjectRef<Group0Upgrade>, status: &Group0UpgradeStatus) {
        let object = labels(object);
        self.looks.get_or_create(&object).inc();
        for phase in PHASES {
            self.phase.get_or_create(&said(&object, &phase.to_string())).set((phase == status.phase).into());
        }
        for state in STATES {
            let count = status.nodes.iter().filter(|node| node.upgrade_state.as_deref() == Some(state)).count();
            self.nodes.get_or_create(&said(&object, state)).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let stalled = stalled(status);
        for class in Class::ALL.map(|class| class.to_string()) {
            self.stalled.get_or_create(&said(&object, &class)).set((stalled == Some(&class)).into());
        }
        let unclassed = stalled.filter(|value| Class::named(value).is_none());
        self.halting.tell(&self.stalled, &object, unclassed.map(str::to_owned).into_iter().collect());
        let refusals = status.recovery.iter().flat_map(|recovery| &recovery.blocked_by);
        let guards = refusals.filter_map(|why| why.split_once(':')).map(|(guard, _)| guard.to_owned()).collect();
        self.refusing.tell(&self.blocked, &object, guards);
        if let Some(at) = &status.last_progress_at {
            self.progress.get_or_create(&object).set(at.0.as_second());
        }
    }

    /// A look that failed.
    pub fn failed(&self, object: &ObjectRef<Group0Upgrade>) {
        self.failures.get_or_create(&labels(object)).inc();
    }

    /// The object is deleted.
    pub fn forget(&self, namespace: &str, name: &str) {
        let object = object(namespace, name);
        for phase in PHASES {
            self.phase.remove(&said(&object, &phase.to_string()));
        }
        for state in STATES {
            self.nodes.remove(&said(&object, state));
        }
        for class in Class::ALL {
            self.stalled.remove(&said(&object, &class.to_string()));
        }
        self.halting.tell(&self.stalled, &object, BTreeSet::new());
        self.refusing.tell(&self.blocked, &object, BTreeSet::new());
        self.progress.remove(&object);
        self.looks.remove(&object);
        self.failures.remove(&object);
    }
}

/// Values of a family that are told while they hold, by object.
#[derive(Clone, Debug, Default)]
struct Passing(Arc<Mutex<BTreeMap<Object, BTreeSet<String>>>>);

impl Passing {
    fn tell(&self, family: &Family<Said, Gauge>, object: &Object, values: BTreeSet<String>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.insert(object.clone(), values.clone()).unwrap_or_default();
        for value in before.difference(&values) {
            family.remove(&said(object, value));
        }
        for value in values {
            family.get_or_create(&said(object, &value)).set(1);
        }
    }
}

/// What the condition `Stalled` says: the class, or the reason of a wait that only a human can end.
fn stalled(status: &Group0UpgradeStatus) -> Option<&str> {
    let is_it = |condition: &&Condition| condition.type_ == "Stalled" && condition.status == "True";
    let reason = || status.conditions.iter().find(is_it).map(|condition| condition.reason.as_str());
    status.stall.as_ref().map(|stall| stall.class.as_str()).or_else(reason)
}

fn labels(object: &ObjectRef<Group0Upgrade>) -> Object {
    self::object(object.namespace.as_deref().unwrap_or_default(), &object.name)
}

fn object(namespace: &str, name: &str) -> Object {
    Object { namespace: namespace.into(), name: name.into() }
}

fn said(object: &Object, value: &str) -> Said {
    Said { namespace: object.namespace.clone(), name: object.name.clone(), value: value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{RecoveryStatus, Stall};
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    fn on(metrics: &Metrics, name: &str) -> Vec<String> {
        let start = format!("group0_operator_{name}{{");
        let is_on = |line: &&str| line.starts_with(&start) && line.ends_with(" 1");
        metrics.text().lines().filter(is_on).map(str::to_owned).collect()
    }

    #[test]
    fn a_stall_that_is_over_and_an_object_that_is_gone_are_not_told_any_more() {
        let (metrics, object) = (Metrics::default(), ObjectRef::new("demo").within("ns"));
        let since = Time(Timestamp::UNIX_EPOCH);
        let stall = Stall { class: Class::NoLeader.to_string(), evidence: "seen".into(), since };
        let mut status = Group0UpgradeStatus { stall: Some(stall), ..Group0UpgradeStatus::default() };
        metrics.looked(&object, &status);
        assert!(matches!(on(&metrics, "upgrade_stalled").as_slice(), [line] if line.contains("NoLeader")), "{}", metrics.text());
        status.stall = None;
        metrics.looked(&object, &status);
        assert_eq!(on(&metrics, "upgrade_stalled"), Vec::<String>::new());
        metrics.forget("ns", "demo");
        assert!(!metrics.text().contains("demo"), "{}", metrics.text());
    }

    #[test]
    fn a_wait_that_only_a_human_can_end_is_told_by_its_reason() {
        let (metrics, object) = (Metrics::default(), ObjectRef::new("demo").within("ns"));
        let stalled = |status: &str| Condition {
            type_: "Stalled".into(),
            status: status.into(),
            reason: "CanaryFailed".into(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        let mut status = Group0UpgradeStatus { conditions: vec![stalled("True")], ..Group0UpgradeStatus::default() };
        metrics.looked(&object, &status);
        let told = on(&metrics, "upgrade_stalled");
        assert!(matches!(told.as_slice(), [line] if line.contains("CanaryFailed")), "{}", metrics.text());
        status.conditions = vec![stalled("False")];
        metrics.looked(&object, &status);
        assert!(!metrics.text().contains("CanaryFailed"), "{}", metrics.text());
    }

    #[test]
    fn a_guard_is_told_while_it_refuses() {
        let (metrics, object) = (Metrics::default(), ObjectRef::new("demo").within("ns"));
        let mut status = Group0UpgradeStatus::default();
        let refusals =
            ["NotProvenDead: db-1 may be alive", "NotProvenDead: db-2 may be alive", "ForeignGroup: db-3 is elsewhere"];
        let blocked_by = refusals.map(str::to_owned).into();
        status.recovery = Some(RecoveryStatus { blocked_by, ..RecoveryStatus::default() });
        metrics.looked(&object, &status);
        assert_eq!(on(&metrics, "recovery_blocked").len(), 2, "{}", metrics.text());
        status.recovery.as_mut().unwrap().blocked_by.truncate(1);
        metrics.looked(&object, &status);
        let left = on(&metrics, "recovery_blocked");
        assert!(matches!(left.as_slice(), [line] if line.contains("NotProvenDead")), "{}", metrics.text());
        metrics.forget("ns", "demo");
        assert!(!metrics.text().contains("NotProvenDead"), "{}", metrics.text());
    }
}
