//! The parts of `spec`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{KubeSchema, core::Duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time;

/// The pattern of a duration.
pub const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$";
/// The pattern of a time of the day.
pub const HOUR: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
/// The pattern of a host id.
pub const HOST_ID: &str = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
/// The pattern of the name of an object: a DNS subdomain.
pub const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

/// One cluster and the way to its nodes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRef {
    /// The StatefulSets, in the namespace of this object, that together make up one cluster: one, or one for each rack.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("statefulSets is immutable: make another Group0Upgrade for another cluster"))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, a == b))").message("a StatefulSet is named twice"))]
    pub stateful_sets: Vec<String>,
    /// The container that carries the flag.
    #[serde(default = "container")]
    #[schemars(length(min = 1, max = 63))]
    pub container: String,
    /// The port of the node's Admin service.
    #[serde(default = "admin_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub admin_port: u16,
    /// A Secret with the client certificate for the Admin service (tls.crt, tls.key, ca.crt); absent means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_ref: Option<String>,
}

fn container() -> String {
    "node".into()
}

fn admin_port() -> u16 {
    7001
}

/// Who decides at the point of no return.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The guards decide.
    #[default]
    Automatic,
    /// A human approves.
    Supervised,
}

/// How fast the roll may go.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Pacing {
    /// Seconds that must pass between the restarts of two nodes.
    #[serde(default)]
    #[schemars(range(max = 86400))]
    pub min_seconds_between_nodes: u32,
    /// Seconds during which the gate must have held without a break before the next node is taken.
    #[serde(default)]
    #[schemars(range(max = 86400))]
    pub bake_seconds: u32,
}

/// Days and hours in which disruptive actions may start.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The days on which the window opens; empty means every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Weekday>,
    /// When it opens, as HH:MM.
    #[schemars(regex(pattern = HOUR), length(max = 5))]
    pub start: String,
    /// When it closes, as HH:MM; earlier than start means on the next day.
    #[schemars(regex(pattern = HOUR), length(max = 5))]
    pub end: String,
    /// The time zone of these hours, by its name in the IANA database.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".into()
}

/// A day of the week.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it all")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// How long things may take before they are reported.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    /// From the restart of a node until it is ready.
    #[serde(default = "pod_ready")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("must be at least 1s"))]
    #[schemars(with = "String", regex(pattern = DURATION), length(max = 32))]
    pub pod_ready: Duration,
    /// Time without any progress (not time since the start) after which the run counts as stalled.
    #[serde(default = "no_progress")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("must be at least 1s"))]
    #[schemars(with = "String", regex(pattern = DURATION), length(max = 32))]
    pub no_progress: Duration,
    /// One call to a node.
    #[serde(default = "rpc")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('100ms') && duration(self) <= duration('1m')").message("must be from 100ms to 1m"))]
    #[schemars(with = "String", regex(pattern = DURATION), length(max = 32))]
    pub rpc: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { pod_ready: pod_ready(), no_progress: no_progress(), rpc: rpc() }
    }
}

fn pod_ready() -> Duration {
    time::Duration::from_mins(5).into()
}

fn no_progress() -> Duration {
    time::Duration::from_mins(2).into()
}

fn rpc() -> Duration {
    time::Duration::from_secs(5).into()
}

/// The guards that may be overridden, in CEL; a test compares them with the planner's.
const OVERRIDABLE: &str = "self in ['OnDelete', 'OrderedReady', 'TemplateChanged', 'Scaling', 'OneBudget', 'LeftoverRun', 'ClockOff', 'OneRelease', 'DiskFull', 'ForeignMembers', 'DonorBehindKnownCommit']";

/// Lets one guard pass.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GuardOverride {
    /// The guard, by the name that status gives.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(OVERRIDABLE).message("no guard that can be overridden; these can: OnDelete, OrderedReady, TemplateChanged, Scaling, OneBudget, LeftoverRun, ClockOff, OneRelease, DiskFull, ForeignMembers, DonorBehindKnownCommit"))]
    pub guard: String,
    /// Why it may pass.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// When it holds again.
    pub expires_at: Time,
}

/// Copies of each node's schema (the rows of its schema tables, with their timestamps), made before the point of no return and before a group is reset.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Whether copies are made.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What the ConfigMaps that receive them are named, one for each pod: this, `-` and the pod; what does not fit into one goes on in
    /// those that end in `-2` and so on. Without it: `<object>-schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = OBJECT_NAME), length(min = 1, max = 180))]
    pub config_map_name: Option<String>,
}

impl Default for Backup {
    fn default() -> Self {
        Self { enabled: true, config_map_name: None }
    }
}

fn yes() -> bool {
    true
}

/// What may be done when nodes are lost for good, or a node is left in recovery.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Disabled: report only. Approve: prepare the plan and wait. Automatic: carry it out when the loss is proven.
    #[serde(default)]
    pub mode: RecoveryMode,
    /// How long there must be no sign of life of a host before it may be excluded. That alone proves nothing: its volume must be gone with
    /// its pod, its machine out of service, or a human must have declared it dead.
    #[serde(default = "dead_after")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("must be at least 1s"))]
    #[schemars(with = "String", regex(pattern = DURATION), length(max = 32))]
    pub dead_after: Duration,
    /// Hosts that a human declares irrecoverable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub confirm_dead: Vec<ConfirmedDead>,
    /// The hash, from status, of the plan that a human approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub approved_plan_hash: Option<String>,
    /// Delete claim and pod of each host that was excluded or removed, so that its StatefulSet boots a fresh member: after a recovery, and in
    /// mode Automatic also of hosts that the others can do without.
    #[serde(default = "yes")]
    pub replace_lost_nodes: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            mode: RecoveryMode::default(),
            dead_after: dead_after(),
            confirm_dead: Vec::new(),
            approved_plan_hash: None,
            replace_lost_nodes: true,
        }
    }
}

fn dead_after() -> Duration {
    time::Duration::from_mins(5).into()
}

/// How far recovery may go by itself.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Report only.
    Disabled,
    /// Prepare the plan and wait for its hash.
    #[default]
    Approve,
    /// Carry it out when the loss of each excluded node is proven. Also remove lost hosts from the ring that the others can do without, and
    /// take away a marker of recovery that somebody has left behind.
    Automatic,
}

/// A host that a human declares irrecoverable.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmedDead {
    /// Its host id.
    #[serde(rename = "hostID")]
    #[schemars(regex(pattern = HOST_ID), length(max = 36))]
    pub host_id: String,
    /// Why it will not come back.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
}
