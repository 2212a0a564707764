//! Which package may depend on which, as Cargo sees them.

use crate::source::root;
use serde_json::Value;
use std::process::Command;

/// One dependency of one of our packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who depends.
    pub package: String,
    /// On what.
    pub on: String,
    /// For tests only.
    pub dev: bool,
}

/// What Cargo says about the workspace.
pub struct Workspace {
    /// Direct dependencies.
    pub edges: Vec<Edge>,
    /// The first file of every target, from the root of the repository.
    pub roots: Vec<String>,
}

/// The workspace, and what is built apart from it.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "tests/e2e/client/Cargo.toml"];

impl Workspace {
    /// Asks Cargo.
    pub fn read() -> Self {
        let packages: Vec<_> = MANIFESTS.iter().flat_map(|manifest| list(&metadata(manifest)["packages"])).collect();
        Self { edges: packages.iter().flat_map(edges).collect(), roots: packages.iter().flat_map(roots).collect() }
    }
}

fn metadata(manifest: &str) -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest]).current_dir(root());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn edges(package: &Value) -> Vec<Edge> {
    let name = text(&package["name"]);
    let edge =
        |dependency: Value| Edge { package: name.clone(), on: text(&dependency["name"]), dev: dependency["kind"] == "dev" };
    list(&package["dependencies"]).into_iter().map(edge).collect()
}

fn roots(package: &Value) -> Vec<String> {
    let base = format!("{}/", root().display());
    let targets = list(&package["targets"]);
    targets.iter().map(|target| text(&target["src_path"]).trim_start_matches(&base).to_owned()).collect()
}

/// What the core must do without: everything that touches the machine.
const NOT_IN_CORE: [&str; 15] = [
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "prost",
    "axum",
    "hyper-util",
    "tower",
    "redb",
    "rustix",
    "tempfile",
    "tracing-subscriber",
    "prometheus-client",
    "kube",
    "getrandom",
];

/// Complains of each arrow that points the wrong way.
pub fn wrong_way(edges: &[Edge]) -> Vec<String> {
    edges.iter().filter_map(|edge| reason(edge).map(|why| format!("{} depends on {}: {why}", edge.package, edge.on))).collect()
}

fn reason(Edge { package, on, dev }: &Edge) -> Option<&'static str> {
    let ours = on.starts_with("group0-");
    match package.as_str() {
        "group0-core" if ours => Some("the core depends on none of our packages"),
        "group0-core" if !dev && NOT_IN_CORE.contains(&on.as_str()) => Some("the core asks nothing of the machine"),
        "group0-api" if ours => Some("the API depends on none of our packages"),
        "group0-node" if on == "group0-operator" => Some("a node does not know who operates it"),
        "group0-operator" if !dev && (on == "group0-core" || on == "group0-node") => {
            Some("the operator knows nodes by their API; except in tests")
        }
        _ => None,
    }
}

#[test]
fn an_arrow_the_wrong_way_is_found() {
    let edge = |package: &str, on: &str, dev| Edge { package: package.into(), on: on.into(), dev };
    for bad in [
        edge("group0-core", "group0-api", false),
        edge("group0-core", "group0-node", true),
        edge("group0-core", "tokio", false),
        edge("group0-api", "group0-core", false),
        edge("group0-node", "group0-operator", true),
        edge("group0-operator", "group0-core", false),
    ] {
        assert_eq!(wrong_way(std::slice::from_ref(&bad)).len(), 1, "{bad:?}");
    }
    assert!(wrong_way(&[edge("group0-operator", "group0-core", true), edge("group0-node", "group0-core", false)]).is_empty());
}
