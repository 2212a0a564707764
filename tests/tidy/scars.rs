//! The table of what has gone wrong elsewhere (`docs/scars.md`): its rows are all there and numbered without a gap, each is shown
//! to the planner and to the simulator (or it says why not there), and on Kubernetes where that is needed; what each names is
//! there, and each transcript that was written for it is named.

use std::collections::BTreeSet;

/// The table.
pub const TABLE: &str = "docs/scars.md";

const TRANSCRIPTS: &str = "tests/plan/testdata/";
/// The transcripts that were written for this table.
const OWN: &str = "scars/";
/// How a row begins to say why the simulator does not show it.
const NOT_THERE: &str = "not there: ";

/// All that are known. One that is taken out leaves no gap if those after it are numbered anew: only how many there are tells.
const ROWS: usize = 34;
/// What is done on Kubernetes.
const STORIES: &str = "tests/e2e/stories/";
/// What comes of real processes, machines, networks and volumes, or of what Kubernetes does by itself. A world that is only like
/// it would not show that.
const ON_KUBERNETES: [usize; 17] = [1, 2, 4, 6, 8, 10, 12, 14, 15, 18, 24, 25, 28, 29, 30, 31, 34];

/// Complaints about the table, given the paths of all files and the texts of the simulator, whose stories and events it quotes.
pub fn complaints(table: &str, paths: &BTreeSet<String>, simulator: &[&str]) -> Vec<String> {
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    let numbers = rows.iter().map(|(number, _)| *number);
    let unnumbered = (!numbers.eq(1..=rows.len())).then(|| format!("{TABLE}: the numbers of its rows have a gap"));
    let unshown = rows.iter().filter_map(|(number, cells)| Some(format!("{TABLE}: {number}: {}", unshown(cells)?)));
    let quotes = rows.iter().flat_map(|(_, cells)| cells.get(3).into_iter().flat_map(|cell| quoted(cell)));
    let untrue = quotes.filter(|quote| !simulator.iter().any(|text| text.contains(&format!("\"{quote}\""))));
    let untrue = untrue.map(|quote| format!("{TABLE}: the simulator knows nothing of \"{quote}\""));
    let all: BTreeSet<_> = rows.iter().flat_map(|(_, cells)| cells.iter().flat_map(|cell| named(cell))).collect();
    let own = paths.iter().filter_map(|path| path.strip_prefix(TRANSCRIPTS)?.strip_suffix(".txt"));
    let untold = own.filter(|transcript| transcript.starts_with(OWN) && !all.contains(transcript));
    let untold = untold.map(|transcript| format!("{TABLE}: no row names {transcript}"));
    unnumbered.into_iter().chain(unshown).chain(untrue).chain(untold).chain(gone(TABLE, table, paths)).collect()
}

/// Complains of rows that are missing, and of those that need a story on Kubernetes and have none.
pub fn incomplete(table: &str, paths: &BTreeSet<String>) -> Vec<String> {
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    let miscounted = (rows.len() != ROWS).then(|| format!("{TABLE}: {} rows, and not {ROWS}", rows.len()));
    let has_story = |number: usize| {
        let cell = rows.iter().find(|(known, _)| *known == number).and_then(|(_, cells)| cells.get(4));
        cell.is_some_and(|cell| named(cell).any(|name| name.starts_with(STORIES) && paths.contains(name)))
    };
    let untold = ON_KUBERNETES.into_iter().filter(|number| !has_story(*number));
    miscounted.into_iter().chain(untold.map(|number| format!("{TABLE}: {number}: no story shows it on Kubernetes"))).collect()
}

/// What does not show a row: what is wrong, what is right, and then the planner and the simulator.
fn unshown(cells: &[&str]) -> Option<&'static str> {
    let [_, _, planner, simulator, ..] = cells else { return Some("it lacks columns") };
    let is_simulated = named(simulator).chain(quoted(simulator)).next().is_some() || simulator.starts_with(NOT_THERE);
    match (named(planner).next(), is_simulated) {
        (None, _) => Some("nothing shows it to the planner"),
        (_, false) => Some("nothing shows it in the simulator, nor is it said why"),
        _ => None,
    }
}

/// What a table names and what is not there: files and folders from the root, transcripts without `.txt`.
pub fn gone(path: &str, table: &str, paths: &BTreeSet<String>) -> Vec<String> {
    let is_there = |name: &&str| {
        let transcript = format!("{TRANSCRIPTS}{name}.txt");
        paths.contains(&transcript) || paths.iter().any(|path| path == name || path.starts_with(&format!("{name}/")))
    };
    let names = table.lines().filter_map(row).flat_map(|(_, cells)| cells.into_iter().flat_map(named));
    names.filter(|name| !is_there(name)).map(|name| format!("{path}: no {name}")).collect()
}

/// The number of a row, and its other cells.
fn row(line: &str) -> Option<(usize, Vec<&str>)> {
    let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
    Some((cells.next()?.parse().ok()?, cells.collect()))
}

/// Files, folders and transcripts.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2).filter(|word| word.contains('/') && !word.contains(' '))
}

/// Stories and events.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('"').skip(1).step_by(2)
}

#[test]
fn a_row_that_nothing_shows_is_found() {
    let paths: BTreeSet<String> =
        ["tests/plan/testdata/scars/one.txt", "tests/plan/testdata/roll/two.txt", "tests/sim/kills.rs"].map(Into::into).into();
    let found = |table: &str| complaints(table, &paths, &["let story = \"it dies\";"]);
    let head = "| | wrong | right | the planner | in the simulator | on Kubernetes |\n";
    let first = "| 1 | x | y | `scars/one` | `tests/sim`, \"it dies\" | |\n";
    let second = "| 2 | x | y | `roll/two` | not there: z | `tests/sim/kills.rs` |";
    assert_eq!(found(&format!("{head}{first}{second}")), Vec::<String>::new());
    assert_eq!(found(&format!("{first}{}", second.replace("| 2", "| 3"))).len(), 1, "a gap");
    assert_eq!(found(&format!("{first}{}", second.replace("`roll/two`", "to come"))).len(), 1, "nothing shows it to the planner");
    assert_eq!(found(&format!("{first}{}", second.replace("not there: z", "z"))).len(), 1, "nothing shows it in the simulator");
    assert_eq!(found(&format!("{first}{}", second.replace("not there: z", "\"it lives\""))).len(), 1, "there is no such story");
    assert_eq!(found(&format!("{first}{}", second.replace("roll/two", "roll/three"))).len(), 1, "there is no such transcript");
    assert_eq!(found(&second.replace("| 2", "| 1")).len(), 1, "one transcript is told of nowhere");
}

#[test]
fn a_row_without_its_story_is_found() {
    let story = format!("{STORIES}it-dies");
    let paths = BTreeSet::from([story.clone()]);
    let line = |number: usize, story: &str| format!("| {number} | x | y | `scars/one` | not there: z | `{story}` |\n");
    let whole: String = (1..=ROWS).map(|number| line(number, &story)).collect();
    let found = |table: &str| incomplete(table, &paths).len();
    assert_eq!(found(&whole), 0);
    assert_eq!(found(&whole.replace(&line(3, &story), "")), 1, "a row is missing");
    assert_eq!(found(&whole.replace(&line(1, &story), &line(1, "scars/one"))), 1, "one has no story");
    assert_eq!(found(&whole.replace("it-dies", "it-lives")), ON_KUBERNETES.len(), "there is no such story");
}
