//! The reasons for which the operator waits (`docs/reasons.md`): each that the planner gives has a row, and no other has.

use std::collections::BTreeSet;

/// Where they are told.
pub const DOCUMENT: &str = "docs/reasons.md";

/// The methods whose texts are reasons: of waits, and of what one plan follows another for.
const GIVERS: [&str; 2] = ["fn reason(", "fn name("];
/// The first cell of each table's head.
const HEAD: &str = "reason";

/// Complains of reasons that only one of sources and document has, and of those that it has twice.
pub fn differing(sources: &[&str], text: &str) -> Vec<String> {
    let given: BTreeSet<&str> = sources.iter().flat_map(|source| reasons(source)).collect();
    let rows: Vec<&str> = text.lines().filter_map(row).collect();
    let told: BTreeSet<&str> = rows.iter().copied().collect();
    let untold = given.difference(&told).map(|reason| format!("{DOCUMENT}: no row of {reason}"));
    let unknown = told.difference(&given).map(|reason| format!("{DOCUMENT}: nobody waits for {reason}"));
    let twice = (rows.len() != told.len()).then(|| format!("{DOCUMENT}: a reason has two rows"));
    untold.chain(unknown).chain(twice).collect()
}

/// What the methods return.
fn reasons(source: &str) -> impl Iterator<Item = &str> {
    let methods = GIVERS.into_iter().flat_map(move |giver| source.split(giver).skip(1));
    let bodies = methods.filter_map(|rest| Some(rest.split_once("\n    }\n")?.0));
    bodies.flat_map(|body| body.split('"').skip(1).step_by(2))
}

/// The reason that a line is the row of.
fn row(line: &str) -> Option<&str> {
    let cell = line.strip_prefix("| ")?.split('|').next()?.trim();
    (cell != HEAD).then_some(cell.trim_matches('`'))
}

#[test]
fn a_reason_without_a_row_is_found() {
    let waits = "fn reason() {\n        match x {\n            A => \"A\",\n        }\n    }\n    fn page() { \"Z\" }\n";
    let events = "fn name() {\n        \"B\"\n    }\n";
    let found = |rows: &str| differing(&[waits, events], &format!("| reason | it means |\n|---|---|\n{rows}")).len();
    assert_eq!(found("| `A` | x |\n\n| `B` | x, unlike `C` |\n"), 0);
    assert_eq!(found("| `A` | x |\n"), 1, "one has no row");
    assert_eq!(found("| `A` | x |\n| `B` | x |\n| `Z` | x |\n"), 1, "nobody waits for one");
    assert_eq!(found("| `A` | x |\n| `B` | x |\n| `A` | x |\n"), 1, "one has two rows");
}
