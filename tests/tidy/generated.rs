//! Generated files are committed as they are generated, and never edited.

use crate::source::root;
use std::{fs, process::Command};

/// What `make generate` writes.
const CRD: &str = "crds/group0upgrades.yaml";

/// Complains of a committed file that differs from what its generator says now.
pub fn stale() -> Vec<String> {
    let Ok(committed) = fs::read_to_string(root().join(CRD)) else { return Vec::new() };
    let output = Command::new(env!("CARGO_BIN_EXE_group0-operator")).arg("crd").output().expect("the operator runs");
    assert!(output.status.success(), "group0-operator crd: {}", String::from_utf8_lossy(&output.stderr));
    difference(CRD, &committed, &String::from_utf8_lossy(&output.stdout)).into_iter().collect()
}

fn difference(path: &str, committed: &str, generated: &str) -> Option<String> {
    let line = committed.lines().zip(generated.lines()).take_while(|(a, b)| a == b).count() + 1;
    (committed != generated).then(|| format!("{path}: differs from what is generated, from line {line} on: run `make generate`"))
}

#[test]
fn a_stale_file_is_found() {
    assert_eq!(
        difference("a", "x\ny\n", "x\nz\n").as_deref(),
        Some("a: differs from what is generated, from line 2 on: run `make generate`")
    );
    assert!(difference("a", "x\n", "x\n").is_none());
}
