//! Errors on purpose, for tests: the process dies before or after a step of the procedure becomes durable, or the procedure fails right
//! before `synchronize` while the process lives on. The driver asks here at each transaction; the configuration and REST say what for.

use group0_core::io::{Point, Strikes};
use rustix::process::{Signal, getpid, kill_process};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The one that kills nobody: the core makes its procedure fail.
pub const BEFORE_SYNCHRONIZE: &str = "group0_upgrade_before_synchronize";

/// Those that are enabled. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Injections {
    is_open: bool,
    enabled: Arc<Mutex<BTreeMap<String, Strikes>>>,
}

impl Injections {
    /// Those of `error_injections_at_startup`. Says which of them are none. If `is_open`, others can be enabled later.
    pub fn new(names: BTreeSet<String>, is_open: bool) -> Self {
        let injections = Self { is_open, ..Self::default() };
        for name in names {
            if is_known(&name) {
                injections.set(&name, Some(Strikes::Always));
            } else {
                tracing::warn!(target: "storage", name, "unknown error injection is ignored");
            }
        }
        injections
    }

    /// Whether they can be enabled and disabled while the node runs.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// The names of those that are enabled.
    pub fn enabled(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Enables one, or disables it.
    pub fn set(&self, name: &str, strikes: Option<Strikes>) {
        let Some(strikes) = strikes else {
            self.lock().remove(name);
            return;
        };
        tracing::warn!(target: "storage", name, ?strikes, "an error is injected into this node");
        self.lock().insert(name.to_owned(), strikes);
    }

    /// The one that applies `when` (`before` or `after`) these points become durable.
    fn at(&self, when: &str, points: &[Point]) -> Option<String> {
        self.lock().keys().find(|name| points.iter().any(|point| is_at(name, when, *point))).cloned()
    }

    /// Kills the process as a power failure would, if an injection applies.
    pub fn strike(&self, when: &str, points: &[Point]) {
        let Some(name) = self.at(when, points) else { return };
        tracing::error!(target: "storage", name, "injected error: the process kills itself now");
        while let Ok(()) = kill_process(getpid(), Signal::KILL) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Strikes>> {
        self.enabled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is such an injection: `before_<point>`, `after_<point>` or [`BEFORE_SYNCHRONIZE`].
pub fn is_known(name: &str) -> bool {
    let is_of = |point: &Point| is_at(name, "before", *point) || is_at(name, "after", *point);
    name == BEFORE_SYNCHRONIZE || Point::ALL.iter().any(is_of)
}

fn is_at(name: &str, when: &str, point: Point) -> bool {
    name.strip_prefix(when).and_then(|rest| rest.strip_prefix('_')) == Some(point.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_moment_and_a_point() {
        let names = ["before_group0_founded", "after_nothing", BEFORE_SYNCHRONIZE].map(str::to_owned);
        let injections = Injections::new(BTreeSet::from(names), false);
        let at = |when, points: &[Point]| injections.at(when, points);
        assert_eq!(at("before", &[Point::Command, Point::Founded]).as_deref(), Some("before_group0_founded"));
        assert_eq!(at("after", &[Point::Founded]), None);
        assert_eq!(at("before", &[]), None);
        assert_eq!(injections.enabled(), ["before_group0_founded", BEFORE_SYNCHRONIZE]);
        injections.clone().set("before_group0_founded", None);
        assert_eq!(at("before", &[Point::Founded]), None, "clones share them");
    }
}
