//! Pure: the text of a file → a `Group0Upgrade`, or what is wrong with it, where, and what to do.
//!
//! What the API server would check is checked here against the same schema ([`schema`]), with the place in the file
//! ([`tree`]); rules that the CRD says in CEL are said again below.

mod formats;
mod schema;
mod tree;

use crate::{
    crd::{API_VERSION, Group0Upgrade, Group0UpgradeSpec, KIND},
    plan::{guard, window},
};
use serde_saphyr::{Location, SnippetMode, UserMessageFormatter};
use std::{collections::BTreeSet, fmt, time::Duration};
use tree::{Tree, TreeAt};

/// A file is not read beyond this: the API server takes no larger object either.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Something that only the user can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Line and column, counted from 1, if it has a place.
    pub place: Option<(u64, u64)>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Complaint {
    fn at(location: Location, message: impl Into<String>) -> Self {
        Self { place: Some((location.line(), location.column())), message: message.into() }
    }

    fn anywhere(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// The object that this text describes.
pub fn upgrade(text: &str) -> Result<Group0Upgrade, Complaint> {
    let tree: TreeAt = serde_saphyr::from_str(text).map_err(|error| not_yaml(&error))?;
    is_an_upgrade(&tree)?;
    schema::check(&tree)?;
    let object: Group0Upgrade = serde_saphyr::from_str(text).map_err(|error| not_yaml(&error))?;
    rules(&object.spec)?;
    Ok(object)
}

fn not_yaml(error: &serde_saphyr::Error) -> Complaint {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let options = serde_saphyr::render_options! { formatter: &UserMessageFormatter, snippets: SnippetMode::Off };
    let message = first_line(error.render_with_options(options));
    match error.location() {
        Some(location) => {
            let message = message.split(" at line ").next().unwrap_or_default();
            Complaint::at(location, format!("{message}; correct the file"))
        }
        None => Complaint::anywhere(format!("{message}; correct the file")),
    }
}

fn is_an_upgrade(tree: &TreeAt) -> Result<(), Complaint> {
    let no = |why: String| {
        let remedy = format!("it must begin with 'apiVersion: {API_VERSION}' and 'kind: {KIND}'");
        Err(Complaint::at(tree.referenced, format!("this is no {KIND}: {why}; {remedy}")))
    };
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        match tree.value.get(key).map(|at| &at.value) {
            None => return no(format!("it has no '{key}'")),
            Some(Tree::Text(text)) if text == expected => {}
            Some(other) => return no(format!("its {key} is {other}")),
        }
    }
    Ok(())
}

/// The rules of the CRD that are written in CEL, save those that compare with an earlier object.
fn rules(spec: &Group0UpgradeSpec) -> Result<(), Complaint> {
    let names = &spec.cluster_ref.stateful_sets;
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(Complaint::anywhere("spec.clusterRef.statefulSets: a StatefulSet is named twice; name it once"));
    }
    if let Some(zone) = spec.window.as_ref().map(|window| &window.time_zone).filter(|zone| !window::is_time_zone(zone)) {
        return Err(Complaint::anywhere(format!("spec.window.timeZone: '{zone}' is not in the IANA database; Europe/Berlin is")));
    }
    for entry in &spec.overrides {
        let names = guard::overridable;
        if !names().contains(&entry.guard) {
            let text = format!(
                "spec.overrides: '{}' is no guard that can be overridden; these can: {}",
                entry.guard,
                names().join(", ")
            );
            return Err(Complaint::anywhere(text));
        }
    }
    durations(spec)
}

fn durations(spec: &Group0UpgradeSpec) -> Result<(), Complaint> {
    let (deadlines, second) = (&spec.deadlines, Duration::from_secs(1));
    let waits = [
        ("deadlines.podReady", deadlines.pod_ready),
        ("deadlines.noProgress", deadlines.no_progress),
        ("recovery.deadAfter", spec.recovery.dead_after),
    ];
    if let Some((field, _)) = waits.into_iter().find(|(_, wait)| Duration::from(*wait) < second) {
        return Err(Complaint::anywhere(format!("spec.{field}: must be at least 1s")));
    }
    if !(Duration::from_millis(100)..=Duration::from_mins(1)).contains(&deadlines.rpc.into()) {
        return Err(Complaint::anywhere("spec.deadlines.rpc: must be from 100ms to 1m"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
