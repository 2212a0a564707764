//! What may not be named in a piece of code: the core asks nothing of the machine, the planner has no client in scope.
//!
//! Paths in `use` trees are written out in full first, so that `use std::{fs, io}` names `std::fs`.

use crate::source::code_of;

/// Nothing in the core reads a clock, a file, the network, the environment or the system's randomness, or depends on hash order.
const CORE: [&str; 17] = [
    "tokio",
    "tonic",
    "redb",
    "axum",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "getrandom",
    "thread_rng",
];

/// A plan is a value made from values.
const PLAN: [&str; 14] = [
    "tokio",
    "tonic",
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::api::Api",
    "std::fs",
    "std::env",
    "std::process",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "Instant",
    "SystemTime",
];

/// Complaints about a file of the core.
pub fn core(path: &str, text: &str) -> Vec<String> {
    forbidden(path, text, &CORE, "the core is one step function: it comes in as an argument")
}

/// Complaints about a file of the planner.
pub fn plan(path: &str, text: &str) -> Vec<String> {
    forbidden(path, text, &PLAN, "the planner decides without doing: it comes in as an argument")
}

fn forbidden(path: &str, text: &str, words: &[&str], why: &str) -> Vec<String> {
    let code = code_of(text);
    let named: Vec<String> = use_paths(&code).into_iter().chain(inline_paths(&code)).collect();
    words
        .iter()
        .filter(|word| named.iter().any(|path| names(path, word)))
        .map(|word| format!("{path}: names {word}; {why}"))
        .collect()
}

/// Whether the path has the segments of `word` in it, at its beginning if `word` is more than one segment.
fn names(path: &str, word: &str) -> bool {
    let segments: Vec<&str> = path.split("::").collect();
    let wanted: Vec<&str> = word.split("::").collect();
    if wanted.len() == 1 { segments.contains(&word) } else { segments.starts_with(&wanted) }
}

/// Every path of every `use` of the code, braces written out.
fn use_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let tree: String = code[at + 4..].chars().take_while(|&c| c != ';').collect();
        expand("", &tree, &mut paths);
    }
    paths
}

fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    for branch in branches(tree) {
        let branch = branch.trim();
        match branch.find('{') {
            Some(open) if branch.ends_with('}') => {
                expand(&format!("{prefix}{}", branch[..open].trim()), &branch[open + 1..branch.len() - 1], paths);
            }
            _ => paths.push(
                format!("{prefix}{}", branch.split(" as ").next().unwrap_or(branch).trim()).trim_start_matches("::").to_owned(),
            ),
        }
    }
}

/// Splits at the commas that are in no braces.
fn branches(tree: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&tree[start..]);
    found.into_iter().filter(|branch| !branch.trim().is_empty()).collect()
}

/// Every path in the code, `a::b::c` or a single word.
fn inline_paths(code: &str) -> Vec<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(|c| !word(c)).map(|path| path.trim_matches(':').to_owned()).filter(|path| !path.is_empty()).collect()
}

#[test]
fn what_the_core_may_not_name_is_found() {
    for bad in [
        "use tokio::sync::mpsc;",
        "use std::{collections::{BTreeMap, HashMap}, fmt};",
        "use std::{fmt, fs};",
        "use std::net::{SocketAddr, TcpStream};",
        "let now = std::time::Instant::now();",
        "let x = std::env::var(\"A\");",
        "use std::time::{Duration, SystemTime as Clock};",
    ] {
        assert_eq!(core("a.rs", bad).len(), 1, "{bad}");
    }
}

#[test]
fn what_the_core_may_name_is_not() {
    for good in [
        "use std::{net::SocketAddr, time::Duration};",
        "//! No tokio and no HashMap here\n/* std::fs */",
        "let text = \"std::fs\";",
        "use crate::{gossip::Endpoint, io::Effects}; let fs = 1;",
    ] {
        assert!(core("a.rs", good).is_empty(), "{good}");
    }
}

#[test]
fn what_the_planner_may_not_name_is_found() {
    assert_eq!(plan("a.rs", "use kube::{Client, CustomResource};").len(), 1);
    assert_eq!(plan("a.rs", "use std::net::TcpStream;").len(), 1);
    assert!(plan("a.rs", "use kube::CustomResource; use std::net::IpAddr;").is_empty());
}
