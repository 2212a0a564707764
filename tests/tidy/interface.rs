//! What the documents say of the programs, as the source has it: REST paths, keys of the configuration, metrics, alerts.

use std::collections::BTreeSet;

/// Paths that begin so are a node's, or are taken for one's.
const OF_NODES: [&str; 10] = [
    "/storage_service",
    "/storage_proxy",
    "/failure_detector",
    "/gossiper",
    "/column_family",
    "/raft",
    "/system",
    "/v2",
    "/healthz",
    "/readyz",
];

/// Complains of REST paths in a document that no node has, given what its routes are made of.
pub fn unrouted(path: &str, text: &str, sources: &[&str]) -> Vec<String> {
    let routes: Vec<&str> = sources.iter().flat_map(|source| routes(source)).collect();
    let lines = (1_usize..).zip(text.lines());
    let named = lines.flat_map(|(number, line)| rest_paths(line).map(move |named| (number, named)));
    let missing = named.filter(|(_, named)| !routes.iter().any(|route| leads_to(route, named)));
    missing.map(|(number, named)| format!("{path}:{number}: no node has {named}")).collect()
}

fn routes(source: &str) -> impl Iterator<Item = &str> {
    source.split(".route(").skip(1).filter_map(first_text)
}

/// The text in quotes that begins here, if one does.
fn first_text(code: &str) -> Option<&str> {
    code.trim_start().strip_prefix('"')?.split_once('"').map(|(text, _)| text)
}

/// The paths of nodes in a line, alone or after an address.
fn rest_paths(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| c.is_whitespace() || "`'\"(),;?".contains(c));
    words.filter_map(|word| {
        let word = word.trim_start_matches("http://");
        let host = word.split('/').next()?;
        let path = word[host.len()..].trim_end_matches(['.', ':', '/']);
        let is_one = (host.is_empty() || host.contains(':')) && OF_NODES.iter().any(|start| is_within(path, start));
        is_one.then_some(path)
    })
}

fn is_within(path: &str, start: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a path is that of a route, or its beginning up to a slash.
fn leads_to(route: &str, path: &str) -> bool {
    let mut of_route = route.split('/');
    path.split('/').all(|part| of_route.next().is_some_and(|known| known == part || known.starts_with('{')))
}

/// Complains of keys of the configuration that only one of source and table has.
pub fn differing_keys(source: &str, readme: &str) -> Vec<String> {
    let known = keys(source);
    let rows = readme.lines().skip_while(|line| *line != "| key | meaning | default |").take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let told: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let untold = known.difference(&told).map(|key| format!("README.md: the table of keys has no {key}"));
    untold.chain(told.difference(&known).map(|key| format!("README.md: nodes have no key {key}"))).collect()
}

/// Of the keys of the configuration these are set by the chart itself, and by nothing in its `config`.
const OF_THE_CHART: [&str; 14] = [
    "admin_encryption_options",
    "admin_port",
    "api_port",
    "cluster_name",
    "consistent_cluster_management",
    "consistent_cluster_management_hold",
    "listen_address",
    "native_transport_port",
    "prometheus_port",
    "rack",
    "seeds",
    "server_encryption_options",
    "storage_port",
    "workdir",
];

/// Complains of keys of the configuration that the chart should take and does not, or takes and nodes do not have.
pub fn differing_chart_keys(source: &str, schema: &str) -> Vec<String> {
    let taken = schema.split_once("\"propertyNames\": {\"enum\": [").and_then(|(_, rest)| rest.split_once(']'));
    let taken: BTreeSet<&str> = taken.map_or("", |(inside, _)| inside).split('"').skip(1).step_by(2).collect();
    let known: BTreeSet<&str> = keys(source).difference(&OF_THE_CHART.into()).copied().collect();
    let missing = known.difference(&taken).map(|key| format!("values.schema.json: config has no {key}"));
    missing.chain(taken.difference(&known).map(|key| format!("values.schema.json: nodes have no key {key} for it"))).collect()
}

fn keys(source: &str) -> BTreeSet<&str> {
    let inside = source.split_once("const KEYS:").and_then(|(_, rest)| rest.split_once("];")).map_or("", |(inside, _)| inside);
    inside.split('"').skip(1).step_by(2).collect()
}

/// Complains of metrics that only one of sources and document has. There a name has its unit and ending, too.
pub fn differing_metrics(sources: &[&str], path: &str, text: &str) -> Vec<String> {
    let registered: Vec<String> = sources.iter().flat_map(|source| metrics(source)).collect();
    let told: Vec<&str> = text.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0)).collect();
    let is_of = |told: &str, name: &str| {
        told.strip_prefix(name).is_some_and(|rest| ["", "_total", "_seconds", "_seconds_total"].contains(&rest))
    };
    let untold = registered.iter().filter(|name| !told.iter().any(|told| is_of(told, name)));
    let unknown = told.iter().filter(|told| !registered.iter().any(|name| is_of(told, name)));
    let untold = untold.map(|name| format!("{path}: no {name}"));
    untold.chain(unknown.map(|told| format!("{path}: nobody registers {told}"))).collect()
}

/// The names that a source registers, with their prefix.
fn metrics(source: &str) -> Vec<String> {
    let prefix = source.split("Registry::with_prefix(").nth(1).and_then(first_text).unwrap_or_default();
    let calls = source.split("registry.register").skip(1);
    let named = calls.filter_map(|call| first_text(call.trim_start_matches("_with_unit").strip_prefix('(')?));
    let of_macro = source.split_once("\ngauges! {").and_then(|(_, rest)| rest.split_once("\n}")).map_or("", |(inside, _)| inside);
    let gauges = of_macro.lines().filter_map(|line| Some(line.trim().split_once(": \"")?.0));
    named.chain(gauges).map(|name| format!("{prefix}_{name}")).collect()
}

/// Complains of alerts of the chart that the document does not have, word for word.
pub fn untold_alerts(chart: &str, path: &str, text: &str) -> Vec<String> {
    let parts = chart.lines().filter_map(|line| line.strip_prefix("- alert: ").or_else(|| line.strip_prefix("  expr: ")));
    parts.filter(|part| !text.contains(part)).map(|part| format!("{path}: no alert {part}")).collect()
}

#[test]
fn a_path_that_no_node_has_is_found() {
    let source = ".route(\"/storage_service/drain\", post(drain))\n.route(\n\"/system/logger/{name}\", get(level))";
    let found = |text: &str| unrouted("a.md", text, &[source]).len();
    assert_eq!(found("`curl -X POST localhost:10000/storage_service/drain`, `/system/logger` and /system/logger/raft."), 0);
    assert_eq!(found("`http://ADDRESS:10000/storage_service/drains?x=y`, (/system/log) or /system/logger/raft/level"), 3);
    assert_eq!(found("node/core/src/raft and https://example.org/raft"), 0, "no paths of nodes");
}

#[test]
fn a_key_that_the_chart_does_not_take_is_found() {
    let source = "const KEYS: [&str; 3] = [\n    \"a_port\",\n    \"b\",\n    \"seeds\",\n];";
    let found = |schema: &str| differing_chart_keys(source, schema).len();
    assert_eq!(found("\"propertyNames\": {\"enum\": [\n\"a_port\", \"b\"\n]}"), 0);
    assert_eq!(found("\"propertyNames\": {\"enum\": [\"a_port\", \"c\"]}"), 2);
}

#[test]
fn a_key_without_a_row_is_found() {
    let source = "const KEYS: [&str; 2] = [\n    \"a_port\",\n    \"b\",\n];";
    let found = |rows: &str| differing_keys(source, &format!("| key | meaning | default |\n|---|---|---|\n{rows}\n")).len();
    assert_eq!(found("| `a_port`, `b` | x, unlike `c` | 1 |"), 0);
    assert_eq!(found("| `a_port` | x | 1 |\n| `c` | x | 1 |"), 2);
}

#[test]
fn a_metric_that_is_told_nowhere_is_found() {
    let of_macro = "\ngauges! {\n    ready: \"Whether it is\",\n}\n";
    let calls = "Registry::with_prefix(\"p\"); registry.register(\n\"calls\", x); registry.register_with_unit(\"fsync\", y);";
    let source = format!("registry.register(stringify!($field)); {calls} {of_macro}");
    let found = |text: &str| differing_metrics(&[source.as_str()], "a.md", text).len();
    assert_eq!(found("| `p_calls_total` | x |\n| `p_fsync_seconds` | x |\n| `p_ready` | x |"), 0);
    assert_eq!(found("| `p_calls_total` | x |\n| `p_ready` | x |\n| `p_gone` | x |"), 2);
}

#[test]
fn an_alert_that_differs_is_found() {
    let chart = "- alert: Down\n  expr: up == 0\n  for: 1m\n";
    assert_eq!(untold_alerts(chart, "a.md", "**Down**\n\nup == 0\n").len(), 0);
    assert_eq!(untold_alerts(chart, "a.md", "**Down**\n\nup == 1\n").len(), 1);
}
