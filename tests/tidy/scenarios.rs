//! The table of scenarios (`docs/scenarios.md`): each has its row, and each row names tests that there are.

use std::collections::{BTreeMap, BTreeSet};

/// The table.
pub const TABLE: &str = "docs/scenarios.md";

const SCENARIOS: u32 = 80;

/// Those that no test shows yet. Whoever writes one takes its number out here.
const MISSING: &[u32] = &[];
const SAID_OF_MISSING: &str = "missing";

/// Complaints about the table, given the Rust files by path.
pub fn complaints(table: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    let listed: BTreeSet<_> = rows.iter().map(|(number, _)| *number).collect();
    let absent = (1..=SCENARIOS).filter(|number| !listed.contains(number)).map(|number| format!("{TABLE}: no row of {number}"));
    let twice = (rows.len() != listed.len()).then(|| format!("{TABLE}: a number has two rows"));
    absent.chain(twice).chain(rows.iter().flat_map(|(number, shown)| unshown(*number, shown, files))).collect()
}

/// The number of a row and what its last column says.
fn row(line: &str) -> Option<(u32, &str)> {
    let cells: Vec<_> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let [number, _, shown] = cells.as_slice() else { return None };
    Some((number.parse().ok()?, shown))
}

fn unshown(number: u32, shown: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let is_missing = MISSING.contains(&number);
    if shown == SAID_OF_MISSING && is_missing {
        return Vec::new();
    }
    let tests = tests_in(shown);
    if tests.is_empty() {
        return vec![format!("{TABLE}: {number}: no test")];
    }
    let not_missing =
        is_missing.then(|| format!("{TABLE}: {number} is shown now: take it out of the list of those that are missing"));
    let gone = tests.iter().filter(|(path, name)| !files.get(*path).is_some_and(|text| has_test(text, name)));
    not_missing.into_iter().chain(gone.map(|(path, name)| format!("{TABLE}: {number}: no test {name} in {path}"))).collect()
}

/// Path and name of each test. A path goes for all names up to the next.
fn tests_in(shown: &str) -> Vec<(&str, &str)> {
    let (mut path, mut tests) = ("", Vec::new());
    for word in shown.split('`').skip(1).step_by(2) {
        if word.contains('/') { path = word } else { tests.push((path, word)) }
    }
    tests
}

/// Whether there is such a function, and it is a test.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_named = |line: &str| {
        let signature = line.trim_start_matches("async ").strip_prefix("fn ");
        signature.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let before = |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let is_test = |line: &str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    lines.iter().enumerate().any(|(at, line)| is_named(line) && before(at).any(|attribute| is_test(attribute)))
}

#[test]
fn a_scenario_without_a_test_is_found() {
    let text = "#[test]\nfn holds() {}\n#[tokio::test(start_paused = true)]\nasync fn holds_too() {}\nfn helps() {}\n";
    let files = BTreeMap::from([("a/b.rs".to_owned(), text.to_owned())]);
    let found = |number, shown| unshown(number, shown, &files);
    assert_eq!(found(1, "`a/b.rs` `holds`, `holds_too`"), Vec::<String>::new());
    assert_eq!(found(1, "`a/b.rs` `helps`").len(), 1, "no test");
    assert_eq!(found(1, "`a/b.rs` `hold`, `holds`; `a/c.rs` `holds`").len(), 2, "no such function, no such file");
    assert_eq!(found(1, "somewhere").len(), 1);
    assert_eq!(found(1, SAID_OF_MISSING).len(), 1);
    let rows = |numbers: std::ops::RangeInclusive<u32>| numbers.map(|number| format!("| {number} | x | `a/b.rs` `holds` |\n"));
    let all_but_missing = MISSING.len();
    assert_eq!(complaints(&rows(1..=80).collect::<String>(), &files).len(), all_but_missing);
    assert_eq!(complaints(&rows(2..=80).collect::<String>(), &files).len(), all_but_missing + 1, "one has no row");
}
