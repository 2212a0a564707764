//! The shape of the repository, as a test: sizes, dead files, purity of core and plan, direction of dependencies, generated files,
//! mutants, scenarios, scars, and what the documents say of the programs.
//!
//! Every check is a pure function from text to complaints, in the file named for it, with a test that makes it complain. Here they meet
//! the files of this repository.

mod dead;
mod dependencies;
mod generated;
mod interface;
mod mutants;
mod prose;
mod purity;
mod reasons;
mod scars;
mod scenarios;
mod shape;
mod source;
mod versions;

use source::Sources;

/// Fails with all complaints, one a line.
fn tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaint(s):\n  {}", complaints.len(), complaints.join("\n  "));
}

#[test]
fn no_file_is_too_long() {
    tidy(&Sources::read().rust().filter_map(|file| shape::too_long(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn every_module_says_what_it_is_for() {
    tidy(&Sources::read().rust().filter_map(|file| shape::lacks_module_doc(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_undone() {
    tidy(&Sources::read().rust().flat_map(|file| shape::undone(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn nothing_refers_to_a_workplace() {
    tidy(&Sources::read().all().flat_map(|file| shape::foreign_reference(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn every_rust_file_is_compiled() {
    let sources = Sources::read();
    let roots = dependencies::Workspace::read().roots;
    tidy(&dead::unreachable(&sources.rust_map(), &roots));
}

#[test]
fn the_core_asks_nothing_of_the_machine() {
    tidy(&Sources::read().under("node/core/src/").flat_map(|file| purity::core(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn the_planner_knows_no_client() {
    tidy(&Sources::read().under("src/plan").flat_map(|file| purity::plan(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn dependencies_point_one_way() {
    tidy(&dependencies::wrong_way(&dependencies::Workspace::read().edges));
}

#[test]
fn generated_files_are_as_generated() {
    tidy(&generated::stale());
}

#[test]
fn mutants_apply() {
    tidy(&mutants::stale());
}

#[test]
fn each_scenario_is_shown_by_a_test() {
    let sources = Sources::read();
    let table = sources.all().find(|file| file.path == scenarios::TABLE).expect("the table is there");
    let gone = scars::gone(&table.path, &table.text, &sources.paths());
    tidy(&[scenarios::complaints(&table.text, &sources.rust_map()), gone].concat());
}

#[test]
fn each_scar_is_shown_by_a_test() {
    let sources = Sources::read();
    let table = sources.all().find(|file| file.path == scars::TABLE).expect("the table is there");
    let simulator: Vec<&str> = sources.under("tests/sim/").map(|file| file.text.as_str()).collect();
    let paths = sources.paths();
    tidy(&[scars::complaints(&table.text, &paths, &simulator), scars::incomplete(&table.text, &paths)].concat());
}

#[test]
fn code_in_documents_ends_on_its_line() {
    tidy(&Sources::read().documents().flat_map(|file| prose::broken_spans(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn links_in_documents_lead_somewhere() {
    let sources = Sources::read();
    let paths = sources.paths();
    let documents = sources.documents().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let complain = |file: &source::Source| prose::dead_links(&file.path, &file.text, &documents, &paths);
    tidy(&sources.documents().flat_map(complain).collect::<Vec<_>>());
}

#[test]
fn documents_name_only_rest_paths_that_there_are() {
    let sources = Sources::read();
    let routed: Vec<&str> = sources.under("node/src/http").map(|file| file.text.as_str()).collect();
    let complain = |file: &source::Source| interface::unrouted(&file.path, &file.text, &routed);
    tidy(&sources.documents().flat_map(complain).collect::<Vec<_>>());
}

#[test]
fn each_key_of_the_configuration_is_in_the_table() {
    let sources = Sources::read();
    let keys = sources.text("node/src/config/layers.rs");
    tidy(&interface::differing_keys(keys, sources.text("README.md")));
    tidy(&interface::differing_chart_keys(keys, sources.text("charts/group0-cluster/values.schema.json")));
}

#[test]
fn each_metric_and_alert_is_in_the_document() {
    const DOCUMENT: &str = "docs/metrics.md";
    let sources = Sources::read();
    let (text, chart) = (sources.text(DOCUMENT), sources.text("charts/group0-operator/alerts.yaml"));
    let registered = [sources.text("src/kubernetes/metrics.rs"), sources.text("node/src/metrics.rs")];
    let metrics = interface::differing_metrics(&registered, DOCUMENT, text);
    tidy(&[metrics, interface::untold_alerts(chart, DOCUMENT, text)].concat());
}

#[test]
fn each_reason_is_in_the_document() {
    let sources = Sources::read();
    let given = [sources.text("src/plan/report.rs"), sources.text("src/plan/recovery/why.rs")];
    tidy(&reasons::differing(&given, sources.text(reasons::DOCUMENT)));
}

#[test]
fn one_release_has_one_version() {
    let sources = Sources::read();
    let complain = |(path, label): (&str, &str)| versions::differing(sources.text("Cargo.toml"), path, sources.text(path), label);
    tidy(&versions::NAMED.into_iter().filter_map(complain).collect::<Vec<_>>());
}
