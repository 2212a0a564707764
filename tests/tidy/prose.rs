//! The documents that people read: code in them ends on its line, and links lead somewhere.

use crate::dead::{folder_of, join};
use std::collections::{BTreeMap, BTreeSet};

/// Complains of code that begins on one line and ends on another: nobody can copy it, or search for it.
pub fn broken_spans(path: &str, text: &str) -> Vec<String> {
    let (mut is_open, mut found) = (false, Vec::new());
    for (number, line) in prose(text) {
        let is_odd = line.matches('`').count() % 2 == 1;
        if is_odd && !is_open {
            found.push(format!("{path}:{number}: code goes on in the next line: keep it on one, or in a fenced block"));
        }
        is_open = !line.trim().is_empty() && is_open != is_odd;
    }
    found
}

/// Complains of links to files, or to headings in them, that are not there. `documents` are those whose headings are known.
pub fn dead_links(path: &str, text: &str, documents: &BTreeMap<&str, &str>, paths: &BTreeSet<String>) -> Vec<String> {
    let complain = |(number, target): (usize, &str)| {
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let file = if file.is_empty() { path.to_owned() } else { join(&folder_of(path), file) };
        let folder = format!("{file}/");
        let is_there = paths.iter().any(|known| *known == file || known.starts_with(&folder));
        let has_heading =
            heading.is_empty() || documents.get(file.as_str()).is_some_and(|text| headings(text).any(|known| known == heading));
        (!is_there || !has_heading).then(|| format!("{path}:{number}: nothing is at {target}"))
    };
    targets(text).filter_map(complain).collect()
}

/// The lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fence && !is_fenced
    })
}

/// Where links lead that stay in the repository.
fn targets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let all = prose(text).flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| rest.split_once(')').map(|(target, _)| (number, target)))
    });
    all.filter(|(_, target)| !target.contains("://"))
}

/// The headings of a document, as links name them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = prose(text).filter_map(|(_, line)| line.strip_prefix('#'));
    titles.map(|title| {
        let kept = title.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect::<String>()
    })
}

#[test]
fn code_over_two_lines_is_found() {
    let found = |text: &str| broken_spans("a.md", text).len();
    assert_eq!(found("Say `a\nb` and `c`.\n"), 1);
    assert_eq!(found("Say `a b`.\n```sh\necho `date\n```\n- `c`\n"), 0);
    assert_eq!(found("Say `a\n\nAnd `b`, `c\nd`.\n"), 2, "a paragraph ends it");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let documents = BTreeMap::from([("docs/a.md", "# One thing\n## And: another\n"), ("docs/b/c.md", "# C\n")]);
    let paths: BTreeSet<String> = documents.keys().map(|path| (*path).to_owned()).collect();
    let found = |text: &str| dead_links("docs/b/c.md", text, &documents, &paths).len();
    assert_eq!(found("[a](../a.md#and-another), [c](#c), [out](https://example.org/x#y), [here](c.md), [folder](../b)"), 0);
    assert_eq!(found("[a](../a.md#none), [b](b.md), [c](#d)"), 3);
}
