//! `local set`: changes one field of spec in the user's file and leaves everything else of it as it is, comments included.

use super::{folder, object};
use crate::{args::SetArguments, error::Error, validate};

/// Fields that may be set.
const FIELDS: [&str; 5] = ["paused", "dryRun", "cancel", "mode", "approvedRunID"];

/// Carries `local set` out.
pub fn set(arguments: &SetArguments) -> Result<(), Error> {
    let text = object::text(&arguments.file)?;
    let mistake = |why: String| Error::mistake(format!("{}: {why}", arguments.file.display()));
    validate::upgrade(&text).map_err(|complaint| mistake(complaint.to_string()))?;
    let (field, value) = (arguments.field.as_str(), arguments.value.as_str());
    if !FIELDS.contains(&field) {
        return Err(Error::mistake(format!("{field}: cannot be set this way; one of {}, or edit the file", FIELDS.join(", "))));
    }
    let edited = edit(&text, field, value).ok_or_else(|| mistake("has no line 'spec:'; edit it by hand".into()))?;
    validate::upgrade(&edited).map_err(|complaint| mistake(format!("{field}: {value}: {complaint}; nothing was changed")))?;
    folder::replace(&arguments.file, &edited)
}

/// The text with this line below `spec:` replaced, or added.
fn edit(text: &str, field: &str, value: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let spec = lines.iter().position(|line| line.trim_end() == "spec:")?;
    let below = &lines[spec + 1..];
    let length = below.iter().position(|line| line.starts_with(|c: char| !c.is_whitespace() && c != '#')).unwrap_or(below.len());
    let body = &below[..length];
    let first = body.iter().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))?;
    let indent = &first[..first.len() - first.trim_start().len()];
    let own = format!("{indent}{field}:");
    let new = format!("{own} {value}");
    let mut edited: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    match body.iter().position(|line| line.starts_with(&own)) {
        Some(place) => edited[spec + 1 + place] = new,
        None => edited.insert(spec + 1, new),
    }
    Some(edited.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_replaced_or_added_and_the_rest_stays() {
        let text = "# mine\nspec:\n  # why\n  clusterRef:\n    statefulSets: [db]\n  paused: false\nother: 1\n";
        let paused = edit(text, "paused", "true").unwrap();
        assert_eq!(paused, text.replace("paused: false", "paused: true"));
        let cancelled = edit(text, "cancel", "true").unwrap();
        assert_eq!(cancelled, text.replace("spec:\n", "spec:\n  cancel: true\n"));
        assert_eq!(edit("kind: X\n", "cancel", "true"), None);
    }
}
