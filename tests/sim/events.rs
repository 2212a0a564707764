//! Named events of a run, counted: seeds in which nothing happens prove nothing.

use group0_core::io::Point;
use std::collections::BTreeMap;

/// How often each event took place.
#[derive(Clone, Debug, Default)]
pub struct Events(BTreeMap<String, u64>);

/// From so many seeds on, each of [`required`] must have been reached.
const SEEDS_THAT_REACH_ALL: u64 = 800;
/// From so many seeds on, these too, which one of five hundred reaches, or of two thousand.
const SEEDS_THAT_REACH_THE_RARE: u64 = 15_000;
const RARE: [&str; 5] = [
    "stall NodeLost",
    "a survivor has what only the lost knew to be decided",
    "another loss during a recovery",
    "planned LiftFence",
    "survivors at different log positions",
];

impl Events {
    /// It took place.
    pub fn count(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(name.to_owned(), 1)),
        }
    }

    /// Those of another run, too.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name.clone()).or_default() += count;
        }
    }

    /// How often it took place.
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Names and counts.
    pub fn all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// What so many seeds must reach and have not.
    pub fn missing(&self, seeds: u64) -> Vec<String> {
        let required = (seeds >= SEEDS_THAT_REACH_ALL).then(required).unwrap_or_default();
        let rare = RARE.into_iter().filter(|_| seeds >= SEEDS_THAT_REACH_THE_RARE).map(str::to_owned);
        required.into_iter().chain(rare).filter(|name| !self.0.contains_key(name)).collect()
    }
}

/// The name of a crash at a point.
pub fn crash_at(point: Point, after: bool) -> String {
    format!("crash {} {}", if after { "after" } else { "before" }, point.name())
}

/// What a run of many seeds must have reached.
fn required() -> Vec<String> {
    let named = [
        "a wrong hash approved",
        "act of an operator",
        "address changed",
        "address of another host taken",
        "answered without a store",
        "call aborted",
        "call reset",
        "call timed out",
        "clients judged after a disaster",
        "clock jumped back",
        "clock jumped forward",
        "commit failed",
        "crash",
        "crash during a commit, durable",
        "crash during a commit, lost",
        "disaster",
        "drain held back by the budget",
        "early finish",
        "eviction held back by the budget",
        "final by comparison",
        "graceful restart",
        "group forgotten by a plan",
        "histories of several groups judged",
        "history judged",
        "joiner while upgrading",
        "lease taken over",
        "look failed",
        "message cut",
        "message dropped",
        "message duplicated",
        "message overtaken",
        "node decommissioned",
        "node paused",
        "node replaced",
        "older than what was decided from",
        "operator deposed",
        "operator dies in the middle of a look",
        "people: bad-template",
        "people: cancel",
        "people: delete-pod",
        "people: drain",
        "people: halt",
        "people: pace",
        "people: recreate",
        "phase Cancelled",
        "phase Complete",
        "phase Paused",
        "planned ClaimEpoch",
        "planned Disown",
        "planned Replace",
        "planned ResetGroup0",
        "planned TouchPod",
        "planned TouchSet",
        "planned UnsetFlag",
        "pod with a bad template",
        "point of no return",
        "point of no return found passed",
        "recovered by hand",
        "recovered by the operator",
        "schema change in recovery",
        "rival changed something",
        "rival had nothing to do",
        "rival looked",
        "rival was refused",
        "schema change refused in synchronize",
        "schema change the old way",
        "schema change through group 0",
        "schema change with unknown outcome",
        "several steps in one turn",
        "stall QuorumLost",
        "surplus merged",
        "survivors held against the end",
        "the dead came back",
        "upgrade completed",
        "waits for AwaitingApproval",
        "waits for CanaryFailed",
        "waits for CancelRefused",
        "waits for ClockOff",
        "waits for FlagNotTaken",
        "waits for IntentOpen",
        "waits for Pacing",
        "waits for PeerKnowsEarlierStart",
        "waits for PeerSeesNodeDown",
        "waits for PodBroken",
        "waits for SchemaNotExchanged",
        "waits for TemplateChanged",
        "watch broken",
        "writes lost and torn",
    ];
    let named = named.into_iter().map(str::to_owned);
    // Random seeds rarely crash a node at these; elsewhere it is done at each of them.
    let is_rare = |point: &&Point| matches!(point, Point::Founded | Point::HostRemoved | Point::Left | Point::GroupForgotten);
    let points = Point::ALL.iter().filter(|point| !is_rare(point));
    let crashes = points.flat_map(|point| [crash_at(*point, false), crash_at(*point, true)]);
    named.chain(crashes).collect()
}
