//! What Prometheus reads: counted where things happen, and gauges made of the status when they are asked for.

use crate::cql::Counts;
use group0_core::{
    io::{CallError, Point, Refusal},
    status::{GroupStatus, Procedure, Status},
    upgrade::Stage,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    verb: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
}

/// Of one node: several of them may share a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    calls: Family<CallLabels, Counter>,
    refusals: Family<ReasonLabels, Counter>,
    fsync: Histogram,
    steps: Family<StepLabels, Counter>,
    schema_changes: Family<ResultLabels, Histogram>,
    cql: Cql,
    states: Family<StateLabels, Gauge>,
    gauges: Gauges,
}

/// The CQL server counts by itself.
#[derive(Clone, Debug, Default)]
struct Cql {
    counts: Arc<Mutex<Arc<Counts>>>,
    connections: Gauge,
    requests: Counter,
    errors: Counter,
}

impl Cql {
    fn show(&self) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        self.connections.set(number(counts.open.load(Ordering::Relaxed)));
        self.requests.inner().store(counts.requests.load(Ordering::Relaxed), Ordering::Relaxed);
        self.errors.inner().store(counts.errors.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

macro_rules! gauges {
    ($($field:ident: $help:literal,)*) => {
        #[derive(Clone, Debug, Default)]
        struct Gauges { $($field: Gauge,)* }
        impl Gauges {
            fn register(&self, registry: &mut Registry) {
                $(registry.register(stringify!($field), $help, self.$field.clone());)*
            }
        }
    };
}
gauges! {
    ready: "Whether CQL is usable",
    upgrade_step: "Step of the upgrade procedure, 0 to 9; -1 if it does not run",
    upgrade_step_seconds: "How long the procedure has been in its step",
    upgrade_failed: "Whether the procedure has failed",
    raft_term: "Term of group 0",
    raft_commit_index: "Commit index of group 0",
    raft_applied_index: "Applied index of group 0",
    raft_log_entries: "Entries in the log of group 0",
    raft_is_leader: "Whether this node leads group 0",
    raft_has_leader: "Whether this node knows a leader of group 0",
    raft_voters: "Voters of group 0",
    raft_learners: "Members of group 0 that do not vote",
    schema_disagreeing_peers: "Live peers whose schema version differs from ours",
    gossip_live: "Peers that are up",
    gossip_down: "Peers that are down",
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("group0");
        let metrics = Self {
            registry: Arc::default(),
            calls: Family::default(),
            refusals: Family::default(),
            fsync: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            steps: Family::default(),
            schema_changes: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16))),
            cql: Cql::default(),
            states: Family::default(),
            gauges: Gauges::default(),
        };
        registry.register("rpc_calls", "Calls to peers, by verb and result", metrics.calls.clone());
        registry.register("rpc_refusals", "Requests of other nodes that were refused, by reason", metrics.refusals.clone());
        registry.register_with_unit("fsync", "Transactions made durable", Unit::Seconds, metrics.fsync.clone());
        let text = "Steps made durable, by name: group0_command a schema command applied, group0_snapshot a snapshot taken over";
        registry.register("steps", text, metrics.steps.clone());
        let text = "Schema changes of clients, by result";
        registry.register_with_unit("schema_change", text, Unit::Seconds, metrics.schema_changes.clone());
        registry.register("cql_connections", "Open connections of CQL clients", metrics.cql.connections.clone());
        registry.register("cql_requests", "Requests of CQL clients", metrics.cql.requests.clone());
        registry.register("cql_errors", "Requests of CQL clients answered with an error", metrics.cql.errors.clone());
        registry.register("upgrade_state", "1 for the state of the upgrade that the node is in", metrics.states.clone());
        metrics.gauges.register(&mut registry);
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    /// A call to a peer has ended.
    pub fn call(&self, verb: &'static str, outcome: Result<(), &CallError>) {
        let result = match outcome {
            Ok(()) => "ok",
            Err(CallError::Aborted { .. }) => "aborted",
            Err(CallError::TimedOut { .. }) => "timed_out",
            Err(CallError::Closed(_)) => "closed",
            Err(CallError::Refused(_)) => "refused",
        };
        self.calls.get_or_create(&CallLabels { verb, result }).inc();
    }

    /// A request of another node was refused.
    pub fn refusal(&self, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::ForeignCluster { .. } => "foreign_cluster",
            Refusal::WrongDestination { .. } => "wrong_destination",
            Refusal::RemovedHost(_) => "removed_host",
            Refusal::OtherGroup { .. } => "other_group",
            Refusal::NotNow(_) => "not_now",
            Refusal::Never(_) => "never",
        };
        self.refusals.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// From now on these are the counts of CQL.
    pub fn show_cql(&self, counts: Arc<Counts>) {
        *self.cql.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// A transaction took so long.
    pub fn fsync(&self, took: Duration) {
        self.fsync.observe(took.as_secs_f64());
    }

    /// These steps are durable.
    pub fn steps(&self, points: &[Point]) {
        for point in points {
            self.steps.get_or_create(&StepLabels { step: point.name() }).inc();
        }
    }

    /// A client that wanted the schema changed was answered after so long.
    pub fn schema_change(&self, is_changed: bool, took: Duration) {
        let result = if is_changed { "ok" } else { "error" };
        self.schema_changes.get_or_create(&ResultLabels { result }).observe(took.as_secs_f64());
    }

    /// The text for Prometheus. Without a status the gauges keep what they were.
    pub fn text(&self, status: Option<&Status>, is_ready: bool) -> String {
        self.cql.show();
        self.gauges.ready.set(i64::from(is_ready));
        if let Some(status) = status {
            self.show(status);
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }

    fn show(&self, status: &Status) {
        for stage in Stage::ALL {
            self.states.get_or_create(&StateLabels { state: stage.name() }).set(i64::from(stage == status.stage));
        }
        self.show_procedure(status);
        self.show_group(status);
        self.show_peers(status);
    }

    fn show_procedure(&self, status: &Status) {
        let (step, seconds) = match &status.procedure {
            Procedure::Running { step, since, .. } => (i64::from(step.number()), (status.clock.0 - since.0).max(0) / 1_000_000),
            Procedure::Failed { step, .. } => (i64::from(step.number()), 0),
            Procedure::Idle | Procedure::Done => (-1, 0),
        };
        self.gauges.upgrade_step.set(step);
        self.gauges.upgrade_step_seconds.set(seconds);
        self.gauges.upgrade_failed.set(i64::from(matches!(status.procedure, Procedure::Failed { .. })));
    }

    /// Without a group all are 0, not what they were while there was one.
    fn show_group(&self, status: &Status) {
        let group = status.group.as_ref();
        let of = |value: fn(&GroupStatus) -> u64| number(group.map_or(0, value));
        self.gauges.raft_term.set(of(|group| group.term));
        self.gauges.raft_commit_index.set(of(|group| group.commit));
        self.gauges.raft_applied_index.set(of(|group| group.applied));
        self.gauges.raft_log_entries.set(of(|group| group.log_length));
        self.gauges.raft_voters.set(of(|group| group.voters.len() as u64));
        self.gauges.raft_learners.set(of(|group| group.learners.len() as u64));
        let leader = group.and_then(|group| group.leader);
        self.gauges.raft_is_leader.set(i64::from(leader == Some(status.host)));
        self.gauges.raft_has_leader.set(i64::from(leader.is_some()));
    }

    fn show_peers(&self, status: &Status) {
        let up = status.peers.values().filter(|peer| peer.up);
        let disagreeing = up.clone().filter(|peer| peer.schema_version.is_some_and(|version| version != status.schema_version));
        self.gauges.schema_disagreeing_peers.set(number(disagreeing.count() as u64));
        let live = up.count();
        self.gauges.gossip_live.set(number(live as u64));
        self.gauges.gossip_down.set(number((status.peers.len() - live) as u64));
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
