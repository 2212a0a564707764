//! S2: a node becomes final only once every member is in `synchronize` and the node has all that they have, or a member is final.

use super::{Invariant, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::{GroupId, HostId},
    io::{Point, Table, Write},
    schema::Schema,
    upgrade::Stage,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct EveryoneSeen {
    /// How far each has come, in the group that it is in.
    stages: BTreeMap<HostId, Stage>,
    /// Who was in recovery and has not forgotten its group since: it may have more than it was seen with, and submits that later.
    recovered: BTreeSet<HostId>,
    /// Who has forgotten its group. In the next one it begins anew.
    forgetful: BTreeSet<HostId>,
    /// The schema that each has stored, as it is stored.
    stored: BTreeMap<HostId, BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Groups of which a member is final.
    have_final: BTreeSet<GroupId>,
}

impl EveryoneSeen {
    /// The first final node of its group: every member is there with it, and nobody has anything that it has not.
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
        let own = self.schema(turn.host)?;
        for host in members.iter().filter(|host| self.stored.contains_key(host) && !self.recovered.contains(host)) {
            let surplus = self.schema(*host)?.surplus_over(own.rows());
            if !surplus.is_empty() {
                let keys: Vec<_> = surplus.keys().take(3).collect();
                return Err(format!("it is the first to be final, and lacks what {host} has: {keys:?}"));
            }
        }
        Ok(())
    }

    fn schema(&self, host: HostId) -> Result<Schema, String> {
        let entries = self.stored.get(&host).into_iter().flatten();
        Schema::load(entries.map(|(key, value)| (key.as_slice(), value.as_slice()))).map_err(|error| error.to_string())
    }

    fn store(&mut self, turn: &Turn) {
        let stored = self.stored.entry(turn.host).or_default();
        for write in &turn.persist.writes {
            match write {
                Write::Put(Table::Schema, key, value) => drop(stored.insert(key.clone(), value.clone())),
                Write::Delete(Table::Schema, key) => drop(stored.remove(key)),
                _ => {}
            }
        }
    }
}

impl Invariant for EveryoneSeen {
    fn name(&self) -> &'static str {
        "S2 everyone was seen before the first is final"
    }

    fn on_turn(&mut self, turn: &Turn, events: &mut Events) -> Verdict {
        let is_new = !self.stages.contains_key(&turn.host);
        let reached = self.stages.entry(turn.host).or_insert(turn.stage);
        *reached = turn.stage.max(*reached);
        if turn.stage == Stage::Recovery {
            self.recovered.insert(turn.host);
        } else if self.forgetful.remove(&turn.host) {
            self.recovered.remove(&turn.host);
            self.stages.insert(turn.host, turn.stage);
        }
        if turn.passes(Point::GroupForgotten) {
            self.forgetful.insert(turn.host);
        }
        if is_new && self.stages.values().any(|stage| *stage > Stage::UsePreRaft) {
            events.count("joiner while upgrading");
        }
        self.store(turn);
        match turn.group.as_ref().filter(|_| turn.passes(Point::Final)) {
            Some(group) if self.have_final.insert(group.id) => self.first(turn),
            _ => Ok(()),
        }
    }
}
