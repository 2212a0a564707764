//! The shape of a single file: its size, its first lines, nothing left undone, nothing that only its author's desk has.

use crate::source::code_of;

/// Over this nobody reads a file as one thing.
const LINES_MAX: usize = 800;

/// Tables and transcripts, which are read by looking something up.
const TABLES: [&str; 0] = [];

/// Complains of a file over the limit.
pub fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX && !TABLES.contains(&path))
        .then(|| format!("{path}: {lines} lines, over {LINES_MAX}: split it by its ideas"))
}

/// Complains of a file whose first lines do not say what it is for.
pub fn lacks_module_doc(path: &str, text: &str) -> Option<String> {
    let documented = text.lines().take(5).any(|line| line.starts_with("//! ") && line.len() > "//! ".len() + 3);
    (!documented).then(|| format!("{path}: its first lines do not say what it is for (//!)"))
}

/// Complains of placeholders that compile, and of notes to oneself without a reason.
pub fn undone(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let calls = ["todo!", "unimplemented!", "dbg!"];
    let in_code = code
        .lines()
        .enumerate()
        .flat_map(|(at, line)| calls.iter().filter(|call| has_call(line, call)).map(move |call| (at, *call)));
    let mut found: Vec<String> = in_code.map(|(at, call)| format!("{path}:{}: {call} is left in the code", at + 1)).collect();
    for (at, line) in text.lines().enumerate() {
        let Some(comment) = comment_of(line) else { continue };
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
            if let Some(after) = comment.split(mark).nth(1)
                && after.split_whitespace().count() < 4
            {
                found.push(format!("{path}:{}: {mark} without a reason: say what is missing, and why", at + 1));
            }
        }
    }
    found
}

fn has_call(line: &str, call: &str) -> bool {
    line.match_indices(call).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn comment_of(line: &str) -> Option<&str> {
    line.find("//").map(|at| &line[at..])
}

/// Complains of text that leads out of the repository, to where its authors happened to work.
pub fn foreign_reference(path: &str, text: &str) -> Vec<String> {
    let outside = [concat!("shared", "/"), concat!("/work", "/"), concat!("file", ":///")];
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(at, line)| {
            let hit = outside.iter().find(|word| {
                line.match_indices(**word)
                    .any(|(start, _)| !line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-'))
            });
            hit.map(|word| format!("{path}:{}: '{word}' leads out of the repository", at + 1))
        })
        .collect()
}

#[test]
fn a_long_file_is_found() {
    let long = "//! Long\n".repeat(LINES_MAX + 1);
    assert!(too_long("a.rs", &long).is_some());
    assert!(too_long("a.rs", "//! Short\n").is_none());
}

#[test]
fn a_file_without_doc_is_found() {
    assert!(lacks_module_doc("a.rs", "use std::fmt;\n").is_some());
    assert!(lacks_module_doc("a.rs", "//!\n").is_some());
    assert!(lacks_module_doc("a.rs", "//! What it is for\n").is_none());
}

#[test]
fn what_is_undone_is_found() {
    assert_eq!(undone("a.rs", concat!("fn f() { to", "do!() }")).len(), 1);
    assert_eq!(undone("a.rs", concat!("let x = db", "g!(y);")).len(), 1);
    assert_eq!(undone("a.rs", concat!("// TO", "DO later")).len(), 1);
    assert_eq!(undone("a.rs", concat!("// TO", "DO: the second group, once groups can be more than one")).len(), 0);
    assert_eq!(undone("a.rs", concat!("/// Says `to", "do!` in its doc\nlet a_to", "do!;")).len(), 0);
}

#[test]
fn a_way_out_is_found() {
    assert_eq!(foreign_reference("a.md", concat!("see ../shared", "/design")).len(), 1);
    assert_eq!(foreign_reference("a.md", concat!("un", "shared", "/x")).len(), 0);
}
