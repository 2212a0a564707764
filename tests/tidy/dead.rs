//! Rust files that no `mod` leads to: nobody compiles them, so nothing keeps them true.

use crate::source::code_of;
use std::collections::{BTreeMap, BTreeSet};

/// Complains of each file that cannot be reached from the first file of a target.
pub fn unreachable(files: &BTreeMap<String, String>, roots: &[String]) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<(String, String)> = roots.iter().map(|root| (root.clone(), folder_of(root))).collect();
    while let Some((path, folder)) = left.pop() {
        if let Some(text) = files.get(&path)
            && reached.insert(path.clone())
        {
            left.extend(modules(&path, &folder, text));
        }
    }
    let dead = files.keys().filter(|path| !reached.contains(*path));
    dead.map(|path| format!("{path}: no `mod` leads to it, so it is never compiled")).collect()
}

/// The files that a file's `mod x;` may mean, each with the folder of its own modules.
fn modules(path: &str, folder: &str, text: &str) -> Vec<(String, String)> {
    let code = code_of(text);
    let mut found = Vec::new();
    let (mut explicit, mut inside): (Option<String>, Vec<(usize, String)>) = (None, Vec::new());
    for (line, raw) in code.lines().zip(text.lines()) {
        let indent = line.len() - line.trim_start().len();
        inside.retain(|&(depth, _)| indent > depth);
        if let Some(rest) = raw.trim().strip_prefix("#[path = \"") {
            explicit = rest.split('"').next().map(str::to_owned);
        }
        let Some(declared) = after_mod(line.trim()) else { continue };
        if let Some(name) = declared.strip_suffix(';') {
            let base = inside.iter().fold(folder.to_owned(), |base, (_, module)| join(&base, module));
            if let Some(file) = explicit.take() {
                let file = join(&folder_of(path), &file);
                found.push((file.clone(), folder_of(&file)));
            } else {
                found.push((join(&base, &format!("{name}.rs")), join(&base, name)));
                found.push((join(&base, &format!("{name}/mod.rs")), join(&base, name)));
            }
        } else if let Some(name) = declared.strip_suffix('{') {
            inside.push((indent, name.trim().to_owned()));
        }
    }
    found
}

/// `x;` of `pub(crate) mod x;`.
fn after_mod(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("mod ")?;
    let visibility = before.trim();
    (visibility.is_empty() || visibility == "pub" || (visibility.starts_with("pub(") && visibility.ends_with(')')))
        .then_some(after.trim())
}

/// The folder of a path.
pub fn folder_of(path: &str) -> String {
    path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default()
}

/// A path from a folder, without `..`.
pub fn join(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[test]
fn a_dead_file_is_found() {
    let files = [
        ("src/lib.rs", "pub mod a;\nmod inner {\n    mod b;\n}\n#[path = \"../odd/c.rs\"]\nmod c;\n// mod dead;\n"),
        ("src/a/mod.rs", "mod d;"),
        ("src/a/d.rs", ""),
        ("src/inner/b.rs", ""),
        ("odd/c.rs", ""),
        ("src/dead.rs", ""),
    ];
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    let complaints = unreachable(&files, &["src/lib.rs".to_owned()]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("src/dead.rs"));
}
