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
    /// Of each group the hosts of its newest configuration, and up to where whoever told of that has applied the log.
    members: BTreeMap<GroupId, (u64, BTreeSet<HostId>)>,
}

impl EveryoneSeen {
    /// The first final node of its group: every member is there with it, and nobody has anything that it has not.
    fn first(&self, turn: &Turn) -> Verdict {
        let Some(group) = &turn.group else { return Err("it is final, and in no group".into()) };
        if !group.hosts.contains(&turn.host) {
            return Err("it is final, and not in its own configuration".into());
        }
        let members = self.members.get(&group.id).map_or(&group.hosts, |(_, hosts)| hosts);
        for host in members.iter().filter(|host| **host != turn.host) {
            let stage = self.stages.get(host).copied().unwrap_or(Stage::UsePreRaft);
            if stage < Stage::Synchronize {
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

    /// Whether there is a group of which somebody is not final yet.
    fn is_under_way(&self) -> bool {
        let is_final = |host: &HostId| self.stages.get(host) == Some(&Stage::UsePostRaft);
        self.members.values().any(|(_, hosts)| !hosts.iter().all(is_final))
    }

    fn learn(&mut self, turn: &Turn) {
        let Some(member) = turn.group.as_ref().filter(|_| !turn.persist.points.is_empty()) else { return };
        let (applied, hosts) = self.members.entry(member.id).or_default();
        if member.applied >= *applied {
            (*applied, *hosts) = (member.applied, member.hosts.clone());
        }
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
        if is_new && self.is_under_way() {
            events.count("joiner while upgrading");
        }
        self.learn(turn);
        self.store(turn);
        match turn.group.as_ref().filter(|_| turn.passes(Point::Final)) {
            Some(group) if self.have_final.insert(group.id) => self.first(turn),
            _ => Ok(()),
        }
    }
}
