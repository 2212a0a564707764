//! Planner transcripts: text in, text out. `UPDATE=1 cargo test --workspace --test plan` rewrites the outputs. What must hold of
//! every plan is in `property.rs`.
//!
//! A file is a list of blocks: commands, a line `----`, what the last of them printed, an empty line. Lines before a block
//! that begin with `#` are comments. The commands are in `world/`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "in tests a panic is how a failure is told")]

mod generator;
mod property;
mod world;

use group0_operator::plan::{Step, runbook, stall::Class};
use std::{env, fmt::Write as _, fs, path::Path};
use world::World;

struct Block {
    comment: String,
    commands: Vec<String>,
    expected: String,
}

fn parse(text: &str) -> Vec<Block> {
    text.split("\n\n").filter(|block| !block.trim().is_empty()).map(parse_block).collect()
}

fn parse_block(block: &str) -> Block {
    let (input, expected) = block.trim_matches('\n').split_once("\n----").unwrap_or((block, ""));
    let (comments, commands): (Vec<_>, Vec<_>) = input.lines().filter(|l| !l.is_empty()).partition(|l| l.starts_with('#'));
    Block {
        comment: comments.into_iter().flat_map(|line| [line, "\n"]).collect(),
        commands: commands.into_iter().map(str::to_owned).collect(),
        expected: expected.trim().to_owned(),
    }
}

fn run(path: &Path) -> (String, String) {
    println!("{}", path.display());
    let text = fs::read_to_string(path).unwrap();
    let (mut expected, mut actual) = (String::new(), String::new());
    let mut world = World::default();
    for Block { comment, commands, expected: block } in parse(&text) {
        let output: String = commands.iter().map(|command| world.obey(command)).collect();
        let input = format!("{comment}{}\n----\n", commands.join("\n"));
        write!(expected, "{input}{block}\n\n").unwrap();
        write!(actual, "{input}{}\n\n", output.trim()).unwrap();
    }
    (expected, actual)
}

/// What a message names must be there for whoever opens it.
#[test]
fn each_stall_and_each_step_has_its_page() {
    let classes = Class::ALL.into_iter().map(|class| class.to_string());
    for name in classes.chain(Step::ALL.into_iter().chain([Step::Withdraw]).map(Step::name)) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(runbook(&name));
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for part in ["# ", "**What it means.**", "**What the operator does by itself.**", "**What to check.**", "**By hand.**"] {
            assert!(text.contains(part), "{}: {part} is missing", page.display());
        }
    }
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan/testdata");
    let (mut folders, mut paths) = (vec![folder], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (below, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        folders.extend(below);
        paths.extend(files);
    }
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let (expected, actual) = run(&path);
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, format!("{}\n", actual.trim_end())).unwrap();
        } else {
            assert!(expected == actual, "{}: expected\n{expected}\nbut it was\n{actual}", path.display());
        }
    }
}
