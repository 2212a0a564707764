//! The mutants (`tests/mutants`): whether each still is one. That each is caught, `make mutants` says, which takes long.

use crate::source::root;
use std::{fs, path::Path, process::Command};

/// Complaints about all of them.
pub fn stale() -> Vec<String> {
    let folder = root().join("tests/mutants");
    let entries = fs::read_dir(&folder).expect("the mutants are there").flatten().map(|entry| entry.path());
    let mut patches: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == "patch")).collect();
    patches.sort();
    assert!(!patches.is_empty(), "{}: no mutant", folder.display());
    patches.iter().flat_map(|patch| unlabelled(patch).into_iter().chain(does_not_apply(patch))).collect()
}

fn unlabelled(patch: &Path) -> Option<String> {
    let text = fs::read_to_string(patch).unwrap_or_default();
    lacks_label(&text).map(|label| format!("{}: no line '{label}…' before the patch", patch.display()))
}

fn lacks_label(text: &str) -> Option<&'static str> {
    let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("# ")).collect();
    ["# plants: ", "# caught by: --"].into_iter().find(|label| !head.iter().any(|line| line.starts_with(label)))
}

fn does_not_apply(patch: &Path) -> Option<String> {
    let output = Command::new("git").args(["apply", "--check"]).arg(patch).current_dir(root()).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{}: does not apply: {}", patch.display(), String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("git cannot be run: {error}")),
    }
}

#[test]
fn a_mutant_without_label_is_found() {
    assert_eq!(lacks_label("# plants: a bug\n# caught by: --test plan\ndiff"), None);
    assert_eq!(lacks_label("# plants: a bug\ndiff\n# caught by: --test plan"), Some("# caught by: --"));
}
