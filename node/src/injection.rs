//! Dies on purpose, for tests: before or after a step of the procedure becomes durable.

use group0_core::io::Point;
use rustix::process::{Signal, getpid, kill_process};
use std::{collections::BTreeSet, time::Duration};

/// The configured injections.
#[derive(Clone, Debug, Default)]
pub struct Injections(BTreeSet<String>);

impl Injections {
    /// Those of `error_injections_at_startup`: `before_<point>` and `after_<point>`. Says which of them are none.
    pub fn new(names: BTreeSet<String>) -> Self {
        for name in &names {
            let known = Point::ALL.iter().any(|point| is_at(name, "before", *point) || is_at(name, "after", *point));
            if known {
                tracing::warn!(target: "storage", name, "this node will kill itself at an injected error");
            } else {
                tracing::warn!(target: "storage", name, "unknown error injection is ignored");
            }
        }
        Self(names)
    }

    /// The one that applies `when` (`before` or `after`) these points become durable.
    pub fn at(&self, when: &str, points: &[Point]) -> Option<&str> {
        self.0.iter().find(|name| points.iter().any(|point| is_at(name, when, *point))).map(String::as_str)
    }

    /// Kills the process as a power failure would, if an injection applies.
    pub fn strike(&self, when: &str, points: &[Point]) {
        let Some(name) = self.at(when, points) else { return };
        tracing::error!(target: "storage", name, "injected error: the process kills itself now");
        while let Ok(()) = kill_process(getpid(), Signal::KILL) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn is_at(name: &str, when: &str, point: Point) -> bool {
    name.strip_prefix(when).and_then(|rest| rest.strip_prefix('_')) == Some(point.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_moment_and_a_point() {
        let injections = Injections::new(BTreeSet::from(["before_group0_founded".to_owned(), "after_nothing".to_owned()]));
        assert_eq!(injections.at("before", &[Point::Command, Point::Founded]), Some("before_group0_founded"));
        assert_eq!(injections.at("after", &[Point::Founded]), None);
        assert_eq!(injections.at("before", &[]), None);
    }
}
