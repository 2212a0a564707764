//! `local set`: changes one field of spec in the user's file and leaves everything else of it as it is, comments included.

use super::{folder, object};
use crate::{args::SetArguments, error::Error, validate};

/// Fields that may be set.
const FIELDS: [&str; 7] = ["paused", "dryRun", "cancel", "mode", "approvedRunID", "recovery.mode", "recovery.approvedPlanHash"];

/// Carries `local set` out.
pub fn set(arguments: &SetArguments) -> Result<(), Error> {
    let text = object::text(&arguments.file)?;
    let mistake = |why: String| Error::mistake(format!("{}: {why}", arguments.file.display()));
    validate::upgrade(&text).map_err(|complaint| mistake(complaint.to_string()))?;
    let field = arguments.field.as_str();
    // What is approved is text, also if it looks like a number.
    let is_text = field.ends_with("approvedRunID") || field.ends_with("approvedPlanHash");
    let value = if is_text { &format!("{:?}", arguments.value) } else { &arguments.value };
    if !FIELDS.contains(&field) {
        return Err(Error::mistake(format!("{field}: cannot be set this way; one of {}, or edit the file", FIELDS.join(", "))));
    }
    let path: Vec<_> = std::iter::once("spec").chain(field.split('.')).collect();
    let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    let edited = edit(lines, &path, value).ok_or_else(|| mistake("has no line 'spec:'; edit it by hand".into()))?;
    validate::upgrade(&edited).map_err(|complaint| mistake(format!("{field}: {value}: {complaint}; nothing was changed")))?;
    folder::replace(&arguments.file, &edited)
}

/// The lines with the value of the last key of the path replaced, or added. What is above it has a line of its own: `key:`.
fn edit(mut lines: Vec<String>, path: &[&str], value: &str) -> Option<String> {
    let (last, above) = path.split_last()?;
    let (mut from, mut to, mut indent) = (0, lines.len(), String::new());
    for (depth, key) in above.iter().enumerate() {
        let head = format!("{indent}{key}:");
        let place = match (from..to).find(|at| lines[*at].trim_end() == head) {
            Some(place) => place,
            None if depth == 0 => return None,
            None => {
                lines.insert(from, head);
                to += 1;
                from
            }
        };
        (from, to) = (place + 1, end_of_block(&lines, place + 1, to, &indent));
        let first = lines[from..to].iter().find(|line| is_content(line));
        indent = first.map_or_else(|| format!("{indent}  "), |line| indent_of(line).to_owned());
    }
    let own = format!("{indent}{last}:");
    let new = format!("{own} {value}");
    match (from..to).find(|at| lines[*at].starts_with(&own)) {
        Some(place) => lines[place] = new,
        None => lines.insert(from, new),
    }
    Some(lines.join("\n") + "\n")
}

/// The first line from there that is indented no further.
fn end_of_block(lines: &[String], from: usize, to: usize, indent: &str) -> usize {
    let ends = |at: &usize| is_content(&lines[*at]) && indent_of(&lines[*at]).len() <= indent.len();
    (from..to).find(ends).unwrap_or(to)
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_replaced_or_added_and_the_rest_stays() {
        let text = "# mine\nspec:\n  # why\n  clusterRef:\n    statefulSets: [db]\n  paused: false\nother: 1\n";
        let edit = |text: &str, path: &[&str]| edit(text.lines().map(ToOwned::to_owned).collect(), path, "true");
        assert_eq!(edit(text, &["spec", "paused"]).unwrap(), text.replace("paused: false", "paused: true"));
        assert_eq!(edit(text, &["spec", "cancel"]).unwrap(), text.replace("spec:\n", "spec:\n  cancel: true\n"));
        assert_eq!(edit("kind: X\n", &["spec", "cancel"]), None);
        let nested = edit(text, &["spec", "recovery", "hash"]).unwrap();
        assert_eq!(nested, text.replace("spec:\n", "spec:\n  recovery:\n    hash: true\n"));
        assert_eq!(edit(&nested, &["spec", "recovery", "hash"]).unwrap(), nested);
        let another = edit(&nested, &["spec", "recovery", "mode"]).unwrap();
        assert_eq!(another, nested.replace("recovery:\n", "recovery:\n    mode: true\n"));
    }
}
