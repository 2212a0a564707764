//! Leaving the cluster, and removing a host that is down from it.
//!
//! Once final, ring and group change together: whoever applies a configuration that lacks a former member forgets that host for good in
//! the same transaction. So a removal is one change of the configuration: it has taken place or it has not, and a second try finds it
//! done.
//!
//! The old way, while no node has a group or in recovery, each live node first says whether it agrees, and none stores anything before all
//! have: what one has recorded all others hear of by gossip, and nobody takes it back. Then each records the removal in the transaction in
//! which it finds that it has no group, and who was down hears of it later. A node that leaves says so by gossip, too.

use super::{
    Node, Purpose, Timer,
    barrier::Waiter,
    boot::Boot,
    local::{BootstrapState, key},
};
use crate::{
    discovery,
    gossip::{Endpoint, GossipInput, RingStatus},
    group0::joining,
    ids::HostId,
    io::{AdminReply, Apply, CallError, PeerReply, PeerRequest, Point, Replacement, RequestId},
    schema::Rows,
    upgrade::Stage,
};
use std::{collections::BTreeSet, time::Duration};

/// A change whose outcome is unknown is asked for again after this, doubling to a second.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LAST: Duration = Duration::from_secs(1);

/// Rows that are handed over in one message: half of what that holds.
const PIECE_BYTES: usize = 8 << 20;

/// What a host that has left says to all who ask.
pub(super) const LEFT: &str =
    "this host has left the cluster for good. Stop it; to let it join again as a new host, delete its workdir";

/// What is said of a host that is up.
const ALIVE: &str = "the node being removed is alive, maybe you should use decommission instead?";

/// A host on its way out by this node's doing.
#[derive(Debug)]
pub struct Departure {
    host: HostId,
    /// Who asked for it.
    waiting: Vec<RequestId>,
    way: Way,
    /// Why the change was refused last.
    refusal: Option<String>,
    retry: Duration,
    until: Duration,
}

/// How it is taken out.
#[derive(Debug)]
enum Way {
    /// By a change of the configuration, once the read barrier has passed.
    Group { may_change: bool },
    /// Of these each does its part of the round, and then comes the next one.
    Old { round: Round, missing: BTreeSet<HostId> },
}

/// What everybody does, the old way.
#[derive(Debug)]
enum Round {
    /// Takes the schema of the host that leaves, piece by piece; these are left.
    Schema(Vec<Rows>),
    /// Says whether it agrees to the removal: it may see the host alive.
    Ask,
    /// Records that the host is gone. A host that leaves is out before: it must not come into a group while others take it for gone.
    Record,
}

impl Node {
    /// Removes a host that is down; the old way these others need not agree. Without a reply it is under way.
    pub(super) fn remove_node(&mut self, id: RequestId, host: HostId, ignore: &[HostId]) -> Option<AdminReply> {
        if host == self.host {
            return Some(AdminReply::Refused(format!("{host} is this node itself: use decommission")));
        }
        self.depart(Some(id), host, ignore)
    }

    /// A host that is down makes room for a new one. What hinders that, or that it is under way.
    pub(super) fn make_room(&mut self, replaced: &Replacement) -> Result<(), String> {
        let host = replaced.host;
        if host == self.host {
            return Err(format!("host {host} cannot be replaced: it is alive, and it is who says so"));
        }
        match self.depart(None, host, &replaced.ignore) {
            Some(AdminReply::Refused(why)) => Err(format!("host {host} cannot be replaced: {why}")),
            _ if self.has_departed(host) => Ok(()),
            _ => {
                let failed = self.failed_departure.as_ref().filter(|(failed, _)| *failed == host);
                let failed = failed.map(|(_, why)| format!("; the last try has failed: {why}")).unwrap_or_default();
                Err(format!("host {host}, whose place is to be taken, is being removed first{failed}"))
            }
        }
    }

    /// Leaves the cluster. Likewise.
    pub(super) fn decommission(&mut self, id: RequestId) -> Option<AdminReply> {
        self.depart(Some(id), self.host, &[])
    }

    /// Whether this node is leaving.
    pub(super) fn is_leaving(&self) -> bool {
        self.departure.as_ref().is_some_and(|departure| departure.host == self.host)
    }

    fn depart(&mut self, id: Option<RequestId>, host: HostId, ignore: &[HostId]) -> Option<AdminReply> {
        if self.has_departed(host) {
            return Some(AdminReply::Done);
        }
        if self.is_stopping() {
            return Some(AdminReply::Refused(super::boot::DRAINED.into()));
        }
        let way = match self.may_depart(host).and_then(|()| self.way(host, ignore)) {
            Ok(way) => way,
            Err(why) => return Some(AdminReply::Refused(why)),
        };
        match &mut self.departure {
            Some(departure) if departure.host == host => departure.waiting.extend(id),
            Some(departure) => {
                let why = format!("host {} is leaving by this node's doing: try again when that is over", departure.host);
                return Some(AdminReply::Refused(why));
            }
            None => {
                tracing::info!(target: "raft_group0", %host, itself = host == self.host, "a host is to leave the cluster");
                let until = self.now.elapsed + self.settings.raft_operation_timeout;
                self.departure =
                    Some(Departure { host, waiting: id.into_iter().collect(), way, refusal: None, retry: RETRY_FIRST, until });
                self.begin_departure();
            }
        }
        None
    }

    /// A host that was removed and is a member all the same has still to leave.
    fn has_departed(&self, host: HostId) -> bool {
        if host == self.host { self.boot == Boot::Left } else { self.local.removed().contains(&host) && !self.is_member(host) }
    }

    /// Whether the applied configuration has it.
    fn is_member(&self, host: HostId) -> bool {
        self.group.as_ref().is_some_and(|(_, group)| group.configuration().contains(&host))
    }

    fn may_depart(&self, host: HostId) -> Result<(), String> {
        let members = self.group.as_ref().map(|(_, group)| group.configuration().members()).unwrap_or_default();
        let is_gossiped = self.gossip.endpoints().contains_key(&host);
        let is_known = host == self.host || members.contains(&host) || self.peers.hosts().contains(&host) || is_gossiped;
        if !is_known {
            let hosts: Vec<_> = self.peers.hosts().iter().map(ToString::to_string).collect();
            return Err(format!("no host {host} is in this cluster; its other hosts are [{}]", hosts.join(", ")));
        }
        if host != self.host && self.gossip.is_up(host) {
            return Err(ALIVE.into());
        }
        if host == self.host && self.stage() == Stage::Recovery {
            self.nobody_is_in_a_group()?;
        }
        if !self.boot.is_completed() {
            return Err(format!("this node is not in the ring: {}", self.boot.waiting().unwrap_or_default()));
        }
        match self.stage() {
            Stage::UsePostRaft => self.somebody_stays(host, |endpoint| endpoint.is_final),
            _ if self.goes_the_old_way(host) => self.somebody_stays(host, |_| true),
            _ => Err(format!(
                "the cluster moves to group 0, and that waits for every host, {host} too: bring it back, or if it is lost for good use the \
                 procedure of recovery; after the upgrade a majority is enough"
            )),
        }
    }

    /// In the group this host would vote for ever, and the others could not take leave of it the old way.
    fn nobody_is_in_a_group(&self) -> Result<(), String> {
        let others = self.gossip.endpoints().values().filter(|it| it.host != self.host && it.status.is_member());
        match others.filter(|it| it.group.is_some()).map(|it| it.host).next() {
            Some(other) => Err(format!(
                "host {} is in recovery, and host {other} in group 0, which it could not leave from there: leave recovery first, by the \
                 marker and a restart. Nothing was changed",
                self.host
            )),
            None => Ok(()),
        }
    }

    /// Before anything of a group, or in recovery, which does without; and whoever has come into neither ring nor group.
    fn goes_the_old_way(&self, host: HostId) -> bool {
        let is_before = self.joining.group().is_none() && !self.flag().enabled;
        self.stage() == Stage::Recovery || is_before || self.died_while_joining(host) || self.died_while_leaving(host)
    }

    /// It was about to leave, the old way, and is maybe out, which it has told nobody: then it never comes back (seed 84239).
    fn died_while_leaving(&self, host: HostId) -> bool {
        let said = self.gossip.endpoints().get(&host).or_else(|| self.peers.rows().get(&host));
        let is_leaving = host != self.host && said.is_some_and(|it| it.status == RingStatus::Leaving);
        is_leaving && self.stage() == Stage::UsePreRaft && self.joining.group().is_none()
    }

    /// It had leave to join, and nobody has told us that it came in: the upgrade waits for it in step 0, and would for ever. Or it never had.
    fn died_while_joining(&self, host: HostId) -> bool {
        let has_begun = match self.peers.rows().get(&host) {
            Some(row) => self.stage() == Stage::UsePreRaft && row.status == RingStatus::Joining,
            None => self.gossip.endpoints().get(&host).is_none_or(|it| it.status == RingStatus::Waiting),
        };
        // Whoever is final takes the way of the group, whose read barrier says whether it has come in meanwhile.
        has_begun && self.stage() != Stage::UsePostRaft && !self.is_member(host)
    }

    /// In the ring and not in the group, once that is final: it was in the group before, which was lost.
    fn is_outside_group(&self, host: HostId) -> bool {
        self.stage() == Stage::UsePostRaft && self.group.is_some() && !self.is_member(host)
    }

    /// A host leaves only while another one is whole, and stays.
    fn somebody_stays(&self, host: HostId, is_whole: impl Fn(&Endpoint) -> bool) -> Result<(), String> {
        let is_normal = |other: &HostId| {
            let endpoint = self.gossip.endpoints().get(other);
            endpoint.is_some_and(|it| it.status == RingStatus::Normal && is_whole(it))
        };
        if host != self.host || self.gossip.live().any(|other| is_normal(&other)) {
            return Ok(());
        }
        Err(format!("host {host} would be the last one that is whole: no other host is up, in the ring and not leaving itself"))
    }

    fn way(&self, host: HostId, ignore: &[HostId]) -> Result<Way, String> {
        if !self.goes_the_old_way(host) {
            return Ok(Way::Group { may_change: false });
        }
        if host == self.host {
            let pieces = self.schema.rows().clone().split(PIECE_BYTES);
            return Ok(Way::Old { round: Round::Schema(pieces), missing: self.live_peers() });
        }
        let others = self.peers.hosts().iter().filter(|other| **other != host);
        let (up, down): (BTreeSet<_>, BTreeSet<_>) = others.partition(|other| self.gossip.is_up(**other));
        // One that is up is asked though it is named.
        let down: Vec<_> = down.iter().filter(|other| !ignore.contains(other)).map(ToString::to_string).collect();
        if down.is_empty() {
            return Ok(Way::Old { round: Round::Ask, missing: up });
        }
        Err(format!(
            "other hosts are down, too: [{}]. Bring them back, or name them in ignore_nodes; nothing was changed",
            down.join(", ")
        ))
    }

    fn live_peers(&self) -> BTreeSet<HostId> {
        self.gossip.live().filter(|other| self.peers.hosts().contains(other)).collect()
    }

    fn begin_departure(&mut self) {
        let Some(departure) = &mut self.departure else { return };
        let host = departure.host;
        match &mut departure.way {
            Way::Group { .. } => {
                self.barrier(Waiter::Departure);
                self.change_for_departure();
            }
            Way::Old { missing, .. } if missing.is_empty() => self.end_old_round(),
            Way::Old { round, missing } => {
                let request = match round {
                    Round::Schema(pieces) => PeerRequest::DefinitionsUpdate(pieces.pop().unwrap_or_default()),
                    Round::Ask => PeerRequest::RemoveHost { host, agreed: false },
                    Round::Record => PeerRequest::RemoveHost { host, agreed: true },
                };
                let missing = missing.clone();
                self.call_for_departure(&missing, &request);
                self.change_for_departure();
            }
        }
    }

    fn call_for_departure(&mut self, peers: &BTreeSet<HostId>, request: &PeerRequest) {
        for peer in peers {
            if !self.calls.any(|purpose| matches!(purpose, Purpose::RemoveHost(asked) if asked == peer)) {
                self.call(*peer, request.clone(), Purpose::RemoveHost(*peer));
            }
        }
    }

    fn why_departure_takes_long(&self) -> String {
        match &self.departure {
            Some(Departure { way: Way::Old { missing, .. }, .. }) => {
                let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
                format!("these hosts have not taken leave: [{}]", missing.join(", "))
            }
            Some(Departure { refusal: Some(why), .. }) => format!("the change was refused: {why}"),
            _ => self.quorum_report(),
        }
    }

    /// The old way: a peer has done its part, or has not. Each that is missing stops it; what is done is found so next time.
    pub(super) fn removal_recorded(&mut self, peer: HostId, outcome: &Result<(), String>) {
        let Some(departure) = &mut self.departure else { return };
        let host = departure.host;
        let Way::Old { round, missing } = &mut departure.way else { return };
        match outcome {
            Ok(()) => {
                missing.remove(&peer);
                if missing.is_empty() {
                    self.end_old_round();
                }
            }
            // It is told again.
            Err(_) if self.boot == Boot::Left => {}
            Err(why) if matches!(round, Round::Ask) => {
                self.end_departure(&Err(format!(
                    "host {peer} does not agree that {host} is removed: {why}. Nothing was changed"
                )));
            }
            Err(why) => {
                self.end_departure(&Err(format!("host {peer} has not taken leave of {host}: {why}. Ask again")));
            }
        }
    }

    fn end_old_round(&mut self) {
        let Some(Departure { host, way: Way::Old { round, .. }, .. }) = &mut self.departure else { return };
        let (host, round) = (*host, std::mem::replace(round, Round::Record));
        if !self.goes_the_old_way(host) && !self.is_outside_group(host) && self.boot != Boot::Left {
            return self.end_departure(&Err("the cluster has begun to move to group 0".into()));
        }
        if !matches!(round, Round::Record)
            && let Err(why) = self.may_depart(host)
        {
            return self.end_departure(&Err(why)); // it has changed since
        }
        let others = self.live_peers();
        match round {
            Round::Schema(pieces) if !pieces.is_empty() && !others.is_empty() => {
                self.depart_by(Way::Old { round: Round::Schema(pieces), missing: others });
            }
            Round::Schema(_) => {
                self.be_out();
                self.depart_by(Way::Old { round: Round::Record, missing: others });
            }
            Round::Ask => self.depart_by(Way::Old { round: Round::Record, missing: others }),
            Round::Record if host == self.host => self.end_departure(&Ok(())),
            Round::Record => {
                if let Err(why) = self.record_removal(host) {
                    self.end_departure(&Err(why));
                }
            }
        }
    }

    /// A peer asks, the old way, whether this host agrees to a removal, or to record it, since all do.
    pub(super) fn remove_as_asked(&mut self, host: HostId, agreed: bool, from: HostId) -> Result<(), String> {
        if host != from && (host == self.host || !agreed && self.gossip.is_up(host)) {
            return Err(ALIVE.into());
        }
        if agreed { self.record_removal(host) } else { self.may_record_removal(host) }
    }

    /// The old way, on each live node. That the host may be up by now does not count: others have recorded it already.
    fn record_removal(&mut self, host: HostId) -> Result<(), String> {
        self.may_record_removal(host)?;
        if !self.has_departed(host) {
            self.forget_host(host);
        }
        Ok(())
    }

    fn may_record_removal(&self, host: HostId) -> Result<(), String> {
        if !self.has_departed(host) && !self.goes_the_old_way(host) && !self.is_outside_group(host) {
            let me = self.host;
            return Err(match self.stage() {
                Stage::UsePostRaft => format!("it is a member of the group in which {me} is final: ask {me} to remove it"),
                _ => "the cluster moves to group 0".into(),
            });
        }
        Ok(())
    }

    /// Somebody says that a host is gone for good. Where there is a group, its configuration says who is a member.
    pub(super) fn heard_of_removal(&mut self, host: HostId) {
        if host == self.host {
            self.told_to_be_removed();
        } else if !self.has_departed(host) && !self.is_member(host) {
            self.forget_host(host);
        }
    }

    /// The read barrier has passed, or not: what is known of the members now is as new as it can be.
    pub(super) fn departure_barrier(&mut self, outcome: &Result<(), String>) {
        let Some(host) = self.departure.as_ref().map(|departure| departure.host) else { return };
        match outcome.clone().and_then(|()| self.may_depart(host)) {
            Ok(()) if self.is_outside_group(host) => {
                self.depart_by(Way::Old { round: Round::Ask, missing: self.live_peers() });
            }
            Ok(()) => self.depart_by(Way::Group { may_change: true }),
            Err(why) => self.end_departure(&Err(why)),
        }
    }

    fn depart_by(&mut self, way: Way) {
        let is_old = matches!(way, Way::Old { .. });
        if let Some(departure) = &mut self.departure {
            departure.way = way;
        }
        if is_old { self.begin_departure() } else { self.change_for_departure() }
    }

    /// Asks the leader, which may be this node, for the change; again and again, since neither an answer nor its absence says enough.
    pub(super) fn change_for_departure(&mut self) {
        let Some(departure) = &mut self.departure else { return };
        let host = departure.host;
        if self.now.elapsed >= departure.until {
            let why = self.why_departure_takes_long();
            return self.end_departure(&Err(format!("{why}. Ask again: what has taken place already is found done")));
        }
        self.timers.set(Timer::DepartureRetry, (self.now.elapsed + departure.retry).min(departure.until));
        departure.retry = (departure.retry * 2).min(RETRY_LAST);
        if let Way::Old { round: Round::Record, missing } = &departure.way
            && self.boot == Boot::Left
        {
            let missing = missing.clone();
            return self.call_for_departure(&missing, &PeerRequest::RemoveHost { host, agreed: true });
        }
        let may_change = matches!(departure.way, Way::Group { may_change: true });
        let Some((id, group)) = self.group.as_mut().filter(|_| may_change) else { return };
        let (id, status) = (*id, group.status());
        let (is_leader, leader) = (status.is_leader, status.leader);
        if is_leader && host == self.host {
            // One that is gone cannot tell the others that its own removal was committed: another one leads it.
            self.hand_over_leadership(|_| true);
        } else if is_leader {
            // What is dropped is asked for again.
            departure.refusal = group.change(&[], &[host]).err().map(|dropped| dropped.to_string());
        } else if let Some(leader) = leader.filter(|_| !self.calls.any(|purpose| matches!(purpose, Purpose::Departure(_)))) {
            let request = PeerRequest::Group0ModifyConfig { group: id, add: vec![], remove: vec![host] };
            self.call(leader, request, Purpose::Departure(host));
        }
    }

    /// A leader tells whom it has removed only by its answer: a host that is no member any more is sent nothing.
    /// What comes late may be about a host that was to leave before.
    pub(super) fn departure_answered(&mut self, host: HostId, outcome: &Result<PeerReply, CallError>) {
        let Some(departure) = self.departure.as_mut().filter(|departure| departure.host == host) else { return };
        if let Err(error) = outcome {
            departure.refusal = Some(error.to_string());
        }
        let is_out = outcome.as_ref().map_or_else(|error| error.is_removal_of(self.host), |_| true);
        if is_out && self.is_leaving() {
            self.leave();
        }
    }

    /// The applied configuration has lost these members.
    pub(super) fn members_gone(&mut self, gone: &BTreeSet<HostId>) {
        for host in gone {
            if *host == self.host { self.leave() } else { self.forget_host(*host) }
        }
    }

    /// For good: nothing that it says is heard any more.
    pub(super) fn forget_host(&mut self, host: HostId) {
        tracing::info!(target: "raft_group0", %host, "has left the cluster for good");
        self.local.add_removed(&mut self.effects.persist, host);
        self.effects.persist.points.push(Point::HostRemoved);
        if let Some(row) = self.peers.remove(&mut self.effects.persist, host) {
            self.effects.apply.push(Apply::RingChanged { joined: false, address: row.rpc_address });
        }
        self.gossip_step(GossipInput::Remove(host));
        self.joining_event(joining::Event::Discovery(discovery::Event::Removed(self.local.removed().clone())));
        self.procedure.view_changed = true;
        self.watchers.touch();
        self.try_enable_feature();
        if self.departure.as_ref().is_some_and(|departure| departure.host == host) {
            self.end_departure(&Ok(()));
        }
    }

    /// This host is out of group and ring, for good.
    fn leave(&mut self) {
        if self.boot != Boot::Left {
            self.be_out();
            self.end_departure(&Ok(()));
        }
    }

    fn be_out(&mut self) {
        self.local.set(&mut self.effects.persist, key::BOOTSTRAPPED, BootstrapState::Decommissioned.name());
        self.effects.persist.points.push(Point::Left);
        self.be_outside();
    }

    /// A peer says that we were removed. It knows: nobody ever takes that back.
    pub(super) fn told_to_be_removed(&mut self) {
        if self.boot != Boot::Left && !self.is_leaving() {
            tracing::error!(target: "raft_group0", host = %self.host, "this host was removed from the cluster by its other hosts");
            self.be_outside();
        }
    }

    fn be_outside(&mut self) {
        tracing::info!(target: "raft_group0", host = %self.host, "{LEFT}");
        self.boot = Boot::Left;
        self.group = None;
        self.end_operations(LEFT);
    }

    pub(super) fn end_departure(&mut self, outcome: &Result<(), String>) {
        let Some(departure) = self.departure.take() else { return };
        self.timers.unset(Timer::DepartureRetry);
        // A late answer is none to the next try, which may begin with another piece.
        self.forget_calls(|purpose| matches!(purpose, Purpose::RemoveHost(_) | Purpose::Departure(_)));
        self.forget_barrier(Waiter::Departure);
        self.watchers.touch();
        if let Err(why) = outcome {
            tracing::warn!(target: "raft_group0", host = %departure.host, why, "the host has not left the cluster");
        }
        let untold = outcome.as_ref().err().filter(|_| departure.waiting.is_empty());
        self.failed_departure = untold.map(|why| (departure.host, why.clone()));
        for id in departure.waiting {
            let reply = outcome.clone().map_or_else(AdminReply::Refused, |()| AdminReply::Done);
            self.reply_admin(id, reply);
        }
    }
}
