//! The patterns and formats that the CRD uses, each with its check in plain words. A test holds the list complete.

use crate::crd::{DURATION, HOST_ID, HOUR, OBJECT_NAME};
use k8s_openapi::jiff::Timestamp;
use kube::core::Duration;

/// What the text must be, if it is not.
pub(super) fn wanted(text: &str, pattern: Option<&str>, format: Option<&str>) -> Option<&'static str> {
    let (holds, what) = match (pattern, format) {
        (Some(DURATION), _) => (is_duration(text), "a duration like 90s, 5m or 1h30m"),
        (Some(HOUR), _) => (is_hour(text), "a time of the day like 22:00"),
        (Some(HOST_ID), _) => (uuid::Uuid::try_parse(text).is_ok() && text.len() == 36, "a host id (a UUID)"),
        (Some(OBJECT_NAME), _) => (is_object_name(text), "a name of lowercase letters, digits, '-' and '.'"),
        (_, Some("date-time")) => (text.parse::<Timestamp>().is_ok(), "a time like 2026-01-31T22:00:00Z"),
        (Some(_), _) => (false, "of a pattern that this program does not know: report that as a bug"),
        (None, _) => (true, ""),
    };
    (!holds).then_some(what)
}

fn is_duration(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_digit() || ".msh".contains(c);
    !text.is_empty() && text.chars().all(allowed) && text.ends_with(['s', 'm', 'h']) && text.parse::<Duration>().is_ok()
}

fn is_hour(text: &str) -> bool {
    let number = |part: &str, below: u8| part.len() == 2 && part.parse().is_ok_and(|n: u8| n < below);
    text.split_once(':').is_some_and(|(hour, minute)| number(hour, 24) && number(minute, 60))
}

/// As the API server wants it: a DNS subdomain.
pub(super) fn is_object_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253 && text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crd, plan::guard};

    #[test]
    fn every_pattern_of_the_crd_has_a_check() {
        let yaml = crd::yaml().unwrap();
        for line in yaml.lines().filter_map(|line| line.trim().strip_prefix("pattern: ")) {
            let pattern = line.trim_matches(['"', '\'']).replace("\\\\", "\\");
            assert!([DURATION, HOUR, HOST_ID, OBJECT_NAME].contains(&pattern.as_str()), "{pattern}");
        }
    }

    #[test]
    fn the_crd_names_the_guards_that_may_be_overridden() {
        let names = guard::overridable();
        let message = format!("no guard that can be overridden; these can: {}", names.join(", "));
        let rule = format!("self in ['{}']", names.join("', '"));
        let yaml = crd::yaml().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(yaml.contains(&message) && yaml.contains(&rule), "{message}; {rule}");
    }

    #[test]
    fn durations_are_as_the_pattern_says() {
        let good = ["5m", "1h30m", "1.5s", "250ms"];
        let bad = ["", "5", "-5m", "5 m", "m", "5d", "1.s5"];
        assert!(good.iter().all(|text| is_duration(text)));
        assert!(!bad.iter().any(|text| is_duration(text)));
    }
}
