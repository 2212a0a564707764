//! A recovery gives up nobody who is merely unreachable: only hosts that were lost with their machines, or that people have declared dead.
//! And it forgets no group of which a majority has come to the end and is not lost: such a group goes on, and replaces the others.
//!
//! What people do by hand is their own, and a newcomer that leaves one group for another forgets it by no plan.

use super::{Act, Invariant, Scene, Turn, Verdict};
use crate::events::Events;
use group0_core::{
    ids::{GroupId, HostId},
    status::PlanState,
    upgrade::Stage,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct OnlyTheLost {
    /// Hosts that were lost, or declared dead, when the journal was written last: no plan rests on anything later.
    dead: BTreeSet<HostId>,
    /// Of each host the group that it was in last.
    group_of: BTreeMap<HostId, GroupId>,
    groups: BTreeMap<GroupId, Group>,
}

#[derive(Default)]
struct Group {
    /// Up to where who told of the voters has applied its log.
    applied: u64,
    voters: BTreeSet<HostId>,
    /// Those that have ever been final in it.
    finals: BTreeSet<HostId>,
}

impl OnlyTheLost {
    fn learn(&mut self, turn: &Turn) {
        let Some(member) = &turn.group else { return };
        self.group_of.insert(turn.host, member.id);
        let group = self.groups.entry(member.id).or_default();
        if member.applied >= group.applied {
            (group.applied, group.voters) = (member.applied, member.voters.clone());
        }
        if turn.stage == Stage::UsePostRaft {
            group.finals.insert(turn.host);
        }
    }

    /// It forgets its group.
    fn reset(&self, host: HostId) -> Verdict {
        let Some(group) = self.group_of.get(&host).and_then(|id| self.groups.get(id)) else { return Ok(()) };
        let going_on: Vec<_> = group.voters.iter().filter(|it| group.finals.contains(it) && !self.dead.contains(it)).collect();
        if going_on.len() * 2 > group.voters.len() {
            return Err(format!(
                "it forgets a group in which {going_on:?} of {} voters are final and not lost",
                group.voters.len()
            ));
        }
        Ok(())
    }
}

impl Invariant for OnlyTheLost {
    fn name(&self) -> &'static str {
        "a recovery gives up only who is lost"
    }

    fn on_act(&mut self, act: &Act, scene: &Scene<'_>, _: &mut Events) -> Verdict {
        if let Act::Wrote { .. } = act {
            let declared = scene.object.into_iter().flat_map(|object| &object.spec.recovery.confirm_dead);
            self.dead.extend(declared.filter_map(|dead| dead.host_id.parse::<HostId>().ok()).chain(scene.gone.iter().copied()));
        }
        Ok(())
    }

    fn on_turn(&mut self, turn: &Turn, events: &mut Events) -> Verdict {
        if turn.persist.points.is_empty() {
            return Ok(());
        }
        if let Some(stored) = turn.plan().filter(|stored| stored.state != PlanState::Withdrawn) {
            if let Some(host) = stored.plan.excluded.iter().find(|host| !self.dead.contains(host)) {
                return Err(format!("plan {} gives up {host}, which is neither lost nor declared dead", stored.plan.number));
            }
            if turn.resets() {
                events.count("group forgotten by a plan");
                self.reset(turn.host)?;
            }
        }
        self.learn(turn);
        Ok(())
    }
}
