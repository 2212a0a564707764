//! What a recovery is planned from: how far this node's log goes, and when each other host gave a sign of life.

use super::{super::Node, Mode};
use crate::{
    gossip::HOSTS_MAX,
    ids::{HostId, Incarnation},
    raft::Stored,
    status::{Evidence, Position},
};
use std::{collections::BTreeMap, time::Duration};

/// When each other host was heard last, itself and not by hearsay.
#[derive(Clone, Debug, Default)]
pub struct Life {
    heard: BTreeMap<HostId, Duration>,
    /// The highest incarnation that anybody has told of.
    incarnation: Incarnation,
}

impl Life {
    /// Something came from that host at that time, whether it is believed or not.
    pub fn heard(&mut self, host: HostId, at: Duration) {
        if self.heard.insert(host, at).is_none() && self.heard.len() > HOSTS_MAX {
            let longest_silent = self.heard.iter().min_by_key(|(_, at)| **at).map(|(host, _)| *host);
            longest_silent.map(|host| self.heard.remove(&host));
        }
    }

    /// Somebody who is believed knows of that one.
    pub fn told_of(&mut self, incarnation: Incarnation) {
        self.incarnation = self.incarnation.max(incarnation);
    }
}

impl Node {
    /// The highest incarnation that this node knows of.
    pub(in crate::node) fn highest_incarnation(&self) -> Incarnation {
        let gossiped = self.gossip.endpoints().values().map(|endpoint| endpoint.incarnation).max().unwrap_or_default();
        self.local.incarnation().max(gossiped).max(self.life.incarnation)
    }

    /// Of the group that this node founds now: higher than any that it knows of, and than those that former plans may have led to. A
    /// founder that was lost before it told anybody of its group leaves no other trace than that its plan has a successor.
    pub(in crate::node) fn next_incarnation(&self) -> Incarnation {
        let by_plans = self.plans.last_number().and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
        Incarnation(self.highest_incarnation().0.max(by_plans).saturating_add(1))
    }

    /// The last entry of the log, or its start if it is empty.
    pub(super) fn last_position(&self) -> Position {
        match (&self.group, &self.dormant) {
            (Some((_, group)), _) => {
                let status = group.status();
                Position { term: status.last_term, index: status.last_index }
            }
            (None, Some((_, stored))) => end_of(stored),
            (None, None) => Position::default(),
        }
    }

    fn commit_index(&self) -> u64 {
        let running = self.group.as_ref().map(|(_, group)| group.status().commit);
        running.or_else(|| self.dormant.as_ref().map(|(_, stored)| stored.hard.commit)).unwrap_or_default()
    }

    /// All of it.
    pub(in crate::node) fn evidence(&self) -> Evidence {
        Evidence {
            group: self.local.group().ok().flatten(),
            incarnation: self.highest_incarnation(),
            last: self.last_position(),
            commit: self.commit_index(),
            in_recovery: self.recovery == Mode::Yes,
            recovery_stored: self.has_marker(),
            heard: self.life.heard.iter().map(|(host, at)| (*host, self.now.elapsed.saturating_sub(*at))).collect(),
            removed: self.local.removed().clone(),
            plan: self.plans.stored(),
            forward_only: self.plans.goes_only_forward(),
        }
    }
}

fn end_of(stored: &Stored) -> Position {
    let start = Position { term: stored.snapshot.term, index: stored.snapshot.index };
    stored.entries.last().map_or(start, |entry| Position { term: entry.term, index: entry.index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_silent_longest_makes_room() {
        let mut life = Life::default();
        for number in 0..=HOSTS_MAX {
            let number = u32::try_from(number).expect("few");
            life.heard(HostId(uuid::Uuid::from_u128(number.into())), Duration::from_secs(1) * number);
        }
        assert_eq!(life.heard.len(), HOSTS_MAX);
        assert!(!life.heard.values().any(Duration::is_zero));
    }
}
