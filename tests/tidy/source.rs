//! The text files of the repository, and Rust text with comments and strings blanked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold no source: build output, what a demo leaves, what belongs to git.
const NOT_SOURCE: [&str; 4] = ["target", "demo", ".git", "venv"];

/// One text file.
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// All text files.
pub struct Sources(Vec<Source>);

impl Sources {
    /// Reads them. Files that are no UTF-8 text are left out.
    pub fn read() -> Self {
        let mut found = Vec::new();
        collect(&root(), &mut found);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Self(found)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The paths of all of them.
    pub fn paths(&self) -> BTreeSet<String> {
        self.0.iter().map(|source| source.path.clone()).collect()
    }

    /// The text of the one with this path.
    pub fn text(&self, path: &str) -> &str {
        let found = self.0.iter().find(|source| source.path == path);
        found.map(|source| source.text.as_str()).expect("the file is there")
    }

    /// The documents that people read: those at the root, of `docs` and of `charts`.
    pub fn documents(&self) -> impl Iterator<Item = &Source> {
        let is_read = |path: &str| !path.contains('/') || path.starts_with("docs/") || path.starts_with("charts/");
        self.0.iter().filter(move |source| has_extension(&source.path, "md") && is_read(&source.path))
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &Source> {
        self.0.iter().filter(|source| has_extension(&source.path, "rs"))
    }

    /// The Rust files whose path begins so.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Source> {
        self.rust().filter(move |source| source.path.starts_with(prefix))
    }

    /// The Rust files, path to text.
    pub fn rust_map(&self) -> BTreeMap<String, String> {
        self.rust().map(|source| (source.path.clone(), source.text.clone())).collect()
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the repository can be read") {
        let path = entry.expect("the repository can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || NOT_SOURCE.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root()).expect("walked from the root");
            found.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

/// Rust text with the contents of comments, strings and characters replaced by blanks; lines stay where they are.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest, code.chars().next_back());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        }
    }
    code
}

/// How many bytes of a comment, string or character begin here; 0 if none does. `before` is the last character of code.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let inside_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment(rest)
    } else if rest.starts_with('"') {
        string(rest)
    } else if !inside_word && (rest.starts_with("r\"") || rest.starts_with("r#") || rest.starts_with("br")) {
        raw_string(rest)
    } else if rest.starts_with('\'') {
        character(rest)
    } else {
        0
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> usize {
    let body = rest.trim_start_matches('b').trim_start_matches('r');
    let hashes = body.len() - body.trim_start_matches('#').len();
    if !body[hashes..].starts_with('"') {
        return 0; // a raw identifier, or a word that begins with `br`
    }
    let start = rest.len() - body.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
}

/// A character literal, told from a lifetime by its closing quote.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(0, |at| at + 4),
        Some((_, _)) => chars.next().filter(|&(_, c)| c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[test]
fn blanks_what_is_no_code() {
    let text = "let a = \"x\\\" // y\"; // tokio\n/* b /* c */ d */ let r = r#\"tonic\"\"#; let c = '\"'; fn f<'a>(x: &'a str) {} let n = '\\n';";
    let code = code_of(text);
    assert_eq!(code.lines().count(), 2);
    for gone in ["tokio", "tonic", "x", "d */"] {
        let left = code.replace("(x:", "(");
        assert!(!left.contains(gone), "{gone} is left in {code}");
    }
    for kept in ["let a =", "let r =", "fn f<'a>(x: &'a str) {}", "let n ="] {
        assert!(code.contains(kept), "{kept} is gone from {code}");
    }
}
