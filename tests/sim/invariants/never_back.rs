//! S4: what Raft stored never goes back, over restarts too: the group, the term, the vote in it, what is decided and applied.

use super::{Invariant, Member, Turn, Verdict};
use crate::{events::Events, process::Pid};
use group0_core::{
    ids::{GroupId, HostId},
    io::Point,
    upgrade::Stage,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct NeverBack {
    last: BTreeMap<Pid, (HostId, Option<Member>)>,
    /// The groups that each host was told to forget, and with them its votes there.
    forgotten: BTreeSet<(HostId, GroupId)>,
}

fn compare(before: &Member, after: &Member) -> Verdict {
    if before.id != after.id {
        return Err(format!("it was in group {} and is in {}", before.id, after.id));
    }
    let grows = [
        ("term", before.term, after.term),
        ("commit index", before.commit, after.commit),
        ("applied index", before.applied, after.applied),
    ];
    for (what, before, after) in grows {
        if after < before {
            return Err(format!("its {what} went from {before} back to {after}"));
        }
    }
    if before.term == after.term && before.vote.is_some() && before.vote != after.vote {
        return Err(format!("in term {} it voted for {:?} and then for {:?}", after.term, before.vote, after.vote));
    }
    Ok(())
}

impl Invariant for NeverBack {
    fn name(&self) -> &'static str {
        "S4 what Raft stored never goes back"
    }

    fn on_turn(&mut self, turn: &Turn, _: &mut Events) -> Verdict {
        if turn.passes(Point::GroupForgotten) {
            let former = self.last.insert(turn.pid, (turn.host, None)).and_then(|(_, group)| group);
            self.forgotten.extend(former.map(|group| (turn.host, group.id)));
        }
        if let Some(group) = turn.group.as_ref().filter(|group| self.forgotten.contains(&(turn.host, group.id))) {
            return Err(format!("it is again in group {}, which it had forgotten", group.id));
        }
        // A group that is not started in recovery is on disk as it was.
        let kept = || self.last.get(&turn.pid).filter(|(host, _)| *host == turn.host).and_then(|(_, group)| group.clone());
        let group = if turn.stage == Stage::Recovery { turn.group.clone().or_else(kept) } else { turn.group.clone() };
        let now = (turn.host, group.clone());
        match (self.last.insert(turn.pid, now), &group) {
            (Some((host, _)), _) if turn.replaces == Some(host) && host != turn.host => Ok(()),
            (Some((host, _)), _) if host != turn.host => Err(format!("it was host {host} and is {}", turn.host)),
            (Some((_, Some(before))), Some(after)) => compare(&before, after),
            (Some(_), None) if turn.has_left => Ok(()),
            (Some((_, Some(before))), None) => Err(format!("it has forgotten its group {}", before.id)),
            _ => Ok(()),
        }
    }
}
