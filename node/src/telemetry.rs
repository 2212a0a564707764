//! Logs: one line an event, text or JSON, to stderr. Each of our targets has a level of its own, which can be changed while the node runs.

use std::{collections::BTreeMap, io::IsTerminal as _, sync::OnceLock};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    registry,
    reload::{self, Handle},
    util::SubscriberInitExt as _,
};

/// What is logged, e.g. `info,raft_group0=debug`.
const FILTER: &str = "GROUP0_LOG";
/// `text` (unless set) or `json`.
const FORMAT: &str = "GROUP0_LOG_FORMAT";

/// What our events are logged under.
pub const TARGETS: [&str; 10] =
    ["config", "cql", "gossip", "raft", "raft_group0", "raft_group0_upgrade", "rpc", "schema", "storage", "tls"];
const LEVELS: [LevelFilter; 6] =
    [LevelFilter::OFF, LevelFilter::ERROR, LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE];

/// A process has one log.
static LOGGERS: OnceLock<Loggers> = OnceLock::new();

/// The levels of the running log.
#[derive(Debug)]
pub struct Loggers(Handle<Targets, Registry>);

/// Starts logging as the environment says. Only the first call in a process has an effect.
pub fn start() {
    let (filter, loggers) = Loggers::new(&std::env::var(FILTER).unwrap_or_default());
    let is_json = std::env::var(FORMAT).is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let base = registry().with(filter);
    let started = if is_json {
        base.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
    } else {
        let colors = std::io::stderr().is_terminal();
        base.with(fmt::layer().with_ansi(colors).with_writer(std::io::stderr)).try_init()
    };
    if started.is_ok() {
        drop(LOGGERS.set(loggers));
    }
}

/// Those of this process, once it logs.
pub fn loggers() -> Option<&'static Loggers> {
    LOGGERS.get()
}

impl Loggers {
    /// As a filter says, or if it says nothing that is understood, `info`.
    fn new(filter: &str) -> (reload::Layer<Targets, Registry>, Self) {
        let said = filter.parse().ok().filter(|_| !filter.trim().is_empty());
        let (layer, handle) =
            reload::Layer::new(complete(said.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))));
        (layer, Self(handle))
    }

    /// Of one target, or why there is none.
    pub fn level(&self, target: &str) -> Result<LevelFilter, String> {
        let target = known(target)?;
        self.0.with_current(|levels| exact(levels).get(target).copied()).ok().flatten().ok_or_else(ended)
    }

    /// From now on, by name; or why not.
    pub fn set_level(&self, target: &str, level: &str) -> Result<(), String> {
        let target = known(target)?;
        let found = LEVELS.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(level));
        let found =
            found.ok_or_else(|| format!("there is no level '{level}', only {}", LEVELS.map(|l| l.to_string()).join(", ")))?;
        let set = |levels: &mut Targets| *levels = std::mem::take(levels).with_target(target, found);
        self.0.modify(set).map_err(|_| ended())
    }
}

fn ended() -> String {
    "the log of this process has ended".to_owned()
}

fn known(target: &str) -> Result<&'static str, String> {
    let found = TARGETS.into_iter().find(|known| *known == target);
    found.ok_or_else(|| format!("there is no logger '{target}', only {}", TARGETS.join(", ")))
}

/// What is said of a target also counts for all that begin as it does: so that each is alone, something is said of each.
fn complete(said: Targets) -> Targets {
    let (levels, default) = (exact(&said), said.default_level().unwrap_or(LevelFilter::OFF));
    said.with_targets(TARGETS.map(|target| (target, levels.get(target).copied().unwrap_or(default))))
}

fn exact(levels: &Targets) -> BTreeMap<String, LevelFilter> {
    levels.iter().map(|(target, level)| (target.to_owned(), level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};
    use tracing::{Level, enabled, subscriber::with_default};

    #[test]
    fn each_target_has_a_level_of_its_own() {
        let (filter, loggers) = Loggers::new("warn,raft=debug,rpc=off");
        with_default(registry().with(filter), || {
            assert!(enabled!(target: "raft", Level::DEBUG) && !enabled!(target: "raft_group0", Level::INFO));
            assert!(!enabled!(target: "rpc", Level::ERROR) && !enabled!(target: "another", Level::INFO));
            loggers.set_level("raft_group0", "DEBUG").unwrap();
            assert!(enabled!(target: "raft_group0", Level::DEBUG) && !enabled!(target: "raft_group0_upgrade", Level::INFO));
            loggers.set_level("raft_group0", "error").unwrap();
            assert!(enabled!(target: "raft", Level::DEBUG) && !enabled!(target: "raft_group0", Level::WARN));
            assert_eq!(loggers.level("raft_group0").unwrap().to_string(), "error");
            assert!(loggers.set_level("raft", "loud").unwrap_err().contains("only off, error, warn"));
            assert!(loggers.level("craft").unwrap_err().contains("raft_group0_upgrade"));
        });
    }

    #[test]
    fn what_is_not_understood_logs_as_ever() {
        for filter in ["", "raft=loud"] {
            let (_filter, loggers) = Loggers::new(filter);
            assert_eq!(loggers.level("cql").unwrap(), LevelFilter::INFO);
        }
    }

    #[test]
    fn no_target_is_forgotten() {
        let mut found = BTreeSet::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![root.join("src"), root.join("core/src"), root.join("api/src")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("telemetry.rs") {
                    let text = fs::read_to_string(path).unwrap();
                    found.extend(text.split("target: \"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
                }
            }
        }
        assert_eq!(found, TARGETS.map(str::to_owned).into());
    }
}
