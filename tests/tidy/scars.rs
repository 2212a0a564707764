//! The table of what has gone wrong elsewhere (`docs/scars.md`): its rows are numbered without a gap, what each names is there, and
//! each transcript that was written for it is named.

use std::collections::BTreeSet;

/// The table.
pub const TABLE: &str = "docs/scars.md";

const TRANSCRIPTS: &str = "tests/plan/testdata/";
/// The transcripts that were written for this table.
const OWN: &str = "scars/";

/// Complaints about the table, given the paths of all files.
pub fn complaints(table: &str, paths: &BTreeSet<String>) -> Vec<String> {
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    let numbers = rows.iter().map(|(number, _)| *number);
    let unnumbered = (!numbers.eq(1..=rows.len())).then(|| format!("{TABLE}: the numbers of its rows have a gap"));
    let unshown = rows.iter().filter(|(_, shown)| named(shown).next().is_none());
    let unshown = unshown.map(|(number, _)| format!("{TABLE}: {number}: nothing shows it"));
    let all: BTreeSet<_> = rows.iter().flat_map(|(_, shown)| named(shown)).collect();
    let own = paths.iter().filter_map(|path| path.strip_prefix(TRANSCRIPTS)?.strip_suffix(".txt"));
    let untold = own.filter(|transcript| transcript.starts_with(OWN) && !all.contains(transcript));
    let untold = untold.map(|transcript| format!("{TABLE}: no row names {transcript}"));
    unnumbered.into_iter().chain(unshown).chain(untold).chain(gone(TABLE, table, paths)).collect()
}

/// What the last column of a table names and what is not there: files and folders from the root, transcripts without `.txt`.
pub fn gone(path: &str, table: &str, paths: &BTreeSet<String>) -> Vec<String> {
    let is_there = |name: &&str| {
        let transcript = format!("{TRANSCRIPTS}{name}.txt");
        paths.contains(&transcript) || paths.iter().any(|path| path == name || path.starts_with(&format!("{name}/")))
    };
    let names = table.lines().filter_map(row).flat_map(|(_, shown)| named(shown));
    names.filter(|name| !is_there(name)).map(|name| format!("{path}: no {name}")).collect()
}

/// The number of a row and what its last column says.
fn row(line: &str) -> Option<(usize, &str)> {
    let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
    Some((cells.next()?.parse().ok()?, cells.next_back()?))
}

/// Files, folders and transcripts.
fn named(shown: &str) -> impl Iterator<Item = &str> {
    shown.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains(' '))
}

#[test]
fn a_row_that_nothing_shows_is_found() {
    let paths: BTreeSet<String> =
        ["tests/plan/testdata/scars/one.txt", "tests/plan/testdata/roll/two.txt", "tests/sim/scenarios.rs"]
            .map(Into::into)
            .into();
    let found = |table: &str| complaints(table, &paths);
    let first = "| 1 | x | y | `scars/one`, `tests/sim`, `make sim` |\n";
    assert_eq!(found(&format!("| | wrong | right | shown by |\n{first}| 2 | x | y | `roll/two` |")), Vec::<String>::new());
    assert_eq!(found(&format!("{first}| 3 | x | y | `roll/two` |")).len(), 1, "a gap");
    assert_eq!(found(&format!("{first}| 2 | x | y | to come |")).len(), 1, "nothing shows it");
    assert_eq!(found(&format!("{first}| 2 | x | y | `roll/three`, `tests/si` |")).len(), 2, "neither is there");
    assert_eq!(found("| 1 | x | y | `roll/two` |").len(), 1, "one transcript is told of nowhere");
}
