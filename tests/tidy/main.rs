//! The shape of the repository, as a test: sizes, dead files, purity of core and plan, direction of dependencies, generated files,
//! mutants, scenarios, scars.
//!
//! Every check is a pure function from text to complaints, in the file named for it, with a test that makes it complain. Here they meet
//! the files of this repository.

mod dead;
mod dependencies;
mod generated;
mod mutants;
mod purity;
mod scars;
mod scenarios;
mod shape;
mod source;

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
    tidy(&scars::complaints(&table.text, &sources.paths()));
}
