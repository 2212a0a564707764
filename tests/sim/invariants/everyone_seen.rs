//! S2: a node becomes final only once every member is in `synchronize` and the node has all that they have, or a member is final.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::HostId,
    io::Point,
    schema::{Rows, Schema},
    upgrade::Stage,
};
use std::collections::BTreeMap;

#[derive(Default)]
pub struct EveryoneSeen {
    stages: BTreeMap<HostId, Stage>,
    rows: BTreeMap<HostId, Rows>,
    has_final: bool,
}

impl EveryoneSeen {
    /// The first final node: every member is there with it, and nobody has anything that it has not.
    fn first(&self, turn: &Turn) -> Verdict {
        let members = turn.group.as_ref().map(|group| group.hosts.clone()).unwrap_or_default();
        if !members.contains(&turn.host) {
            return Err("it is final, and not in its own configuration".into());
        }
        let ring = self.stages.keys().filter(|host| **host != turn.host);
        for host in members.iter().filter(|host| **host != turn.host).chain(ring) {
            let stage = self.stages.get(host).copied().unwrap_or(Stage::UsePreRaft);
            if members.contains(host) && stage < Stage::Synchronize {
                return Err(format!("it is the first to be final, and {host} is {stage}"));
            }
        }
        let own = self.rows.get(&turn.host).cloned().unwrap_or_default();
        for (host, rows) in self.rows.iter().filter(|(host, _)| members.contains(host)) {
            let surplus = Schema::from_rows(rows).surplus_over(&own);
            if !surplus.is_empty() {
                let keys: Vec<_> = surplus.keys().take(3).collect();
                return Err(format!("it is the first to be final, and lacks what {host} has: {keys:?}"));
            }
        }
        Ok(())
    }
}

impl Invariant for EveryoneSeen {
    fn name(&self) -> &'static str {
        "S2 everyone was seen before the first is final"
    }

    fn on_turn(&mut self, turn: &Turn, events: &mut Events) -> Verdict {
        let is_new = self.stages.insert(turn.host, turn.stage).is_none();
        if is_new && self.stages.values().any(|stage| *stage > Stage::UsePreRaft) {
            events.count("joiner while upgrading");
        }
        if let Some(rows) = &turn.rows {
            self.rows.insert(turn.host, rows.clone());
        }
        if !turn.passes(Point::Final) {
            return Ok(());
        }
        if std::mem::replace(&mut self.has_final, true) { Ok(()) } else { self.first(turn) }
    }
}
