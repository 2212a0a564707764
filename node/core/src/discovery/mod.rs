//! Discovery: which host founds group 0, or which group exists already.
//!
//! A pure machine after the idea of persistent discovery in Scylla's Raft. Everyone tells everyone whom it knows; the host
//! with the smallest id founds the group once every host that it knows has responded. It holds no time and no random ids, and
//! performs nothing: [`step`] returns what is to be done. The known set is durable before anything that derives from it leaves;
//! [`Action::Persist`] always comes first.

use crate::{
    ids::{Generation, GroupId, HostId, Incarnation},
    io::{DiscoveryPeer, ExchangeReply},
    raft::Member,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

#[cfg(test)]
mod tests;

/// What one host knows of the others. Peers are known by host id; an address is a hint, the newer generation's wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Discovery {
    me: HostId,
    known: BTreeMap<HostId, Hint>,
    nameless: BTreeSet<SocketAddr>,
    responded: BTreeSet<HostId>,
    /// Gone for good: others may still tell of them.
    removed: BTreeSet<HostId>,
    outcome: Outcome,
    /// Off once the host has a group id: then it looks for members of that group and founds none.
    may_found: bool,
}

#[cfg(test)]
impl Discovery {
    /// Whether an answer to the others must be neither list nor group: we decided to lead.
    pub fn is_leading(&self) -> bool {
        self.outcome == Outcome::Leading
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hint {
    address: SocketAddr,
    generation: Generation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Outcome {
    Passive,
    Searching,
    Leading,
    Found(GroupId),
}

/// What happens to discovery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Begin to ask, or ask again those who have not responded.
    Ask,
    /// Someone asked us, and told whom it knows.
    Asked(Vec<DiscoveryPeer>),
    /// A host answered.
    Answered {
        /// Where we had asked.
        address: SocketAddr,
        /// Who answered.
        from: HostId,
        /// What.
        reply: ExchangeReply,
    },
    /// These hosts were removed from the cluster: they are not waited for, whoever still knows them.
    Removed(BTreeSet<HostId>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make the known set durable before anything else of this step.
    Persist(Vec<DiscoveryPeer>),
    /// Ask the host at this address.
    Ask(SocketAddr, Option<HostId>),
    /// Found the group: one durable effect with the decision.
    Lead,
    /// Join this group through that member.
    Join {
        /// The group.
        group: GroupId,
        /// Of the group.
        incarnation: Incarnation,
        /// The member who answered.
        member: Member,
    },
}

impl Discovery {
    /// Of a host that knows itself and these peers, which are durable already.
    pub fn new(me: DiscoveryPeer, host: HostId, peers: &[DiscoveryPeer]) -> Self {
        let hint = Hint { address: me.address, generation: me.generation };
        let mut discovery = Self {
            me: host,
            known: BTreeMap::from([(host, hint)]),
            nameless: BTreeSet::new(),
            responded: BTreeSet::from([host]),
            removed: BTreeSet::new(),
            outcome: Outcome::Passive,
            may_found: true,
        };
        let _ = discovery.learn(peers);
        discovery
    }

    /// The same, of a host that has a group id already: it only looks for that group's members.
    pub fn seeking_members(self) -> Self {
        Self { may_found: false, outcome: Outcome::Passive, ..self }
    }

    /// Everyone known, oneself included: what is stored, asked with and answered.
    pub fn known(&self) -> Vec<DiscoveryPeer> {
        let named = self.known.iter().map(|(host, hint)| DiscoveryPeer {
            host: Some(*host),
            address: hint.address,
            generation: hint.generation,
        });
        let nameless = self.nameless.iter().map(|address| DiscoveryPeer {
            host: None,
            address: *address,
            generation: Generation::default(),
        });
        named.chain(nameless).collect()
    }

    /// Who has not responded; the nameless by address.
    pub fn missing(&self) -> Vec<(SocketAddr, Option<HostId>)> {
        let named = self.known.iter().filter(|(host, _)| !self.responded.contains(host));
        let named = named.map(|(host, hint)| (hint.address, Some(*host)));
        named.chain(self.nameless.iter().map(|address| (*address, None))).collect()
    }

    /// Whether this host would found the group if all others respond: its answers wait for that decision.
    pub fn may_lead(&self) -> bool {
        self.may_found && self.nameless.is_empty() && self.known.keys().next() == Some(&self.me)
    }

    /// Adds what is new; whether anything was.
    fn learn(&mut self, peers: &[DiscoveryPeer]) -> bool {
        peers.iter().filter(|peer| self.learn_one(peer)).count() > 0
    }

    fn learn_one(&mut self, peer: &DiscoveryPeer) -> bool {
        let Some(host) = peer.host else {
            let named = self.known.values().any(|hint| hint.address == peer.address);
            return !named && self.nameless.insert(peer.address);
        };
        let hint = Hint { address: peer.address, generation: peer.generation };
        let newer = !self.removed.contains(&host)
            && self.known.get(&host).is_none_or(|old| host != self.me && old.generation < hint.generation);
        if newer {
            self.known.insert(host, hint);
            self.nameless.remove(&peer.address);
        }
        newer
    }

    fn forget(&mut self, removed: BTreeSet<HostId>) -> bool {
        let before = self.known.len();
        self.removed.extend(removed.into_iter().filter(|host| *host != self.me));
        self.known.retain(|host, _| !self.removed.contains(host));
        self.responded.retain(|host| !self.removed.contains(host));
        self.known.len() != before
    }

    fn is_complete(&self) -> bool {
        self.nameless.is_empty() && self.known.keys().all(|host| self.responded.contains(host))
    }
}

/// The state after the event, and what is to be done, in order.
pub fn step(state: &Discovery, event: Event) -> (Discovery, Vec<Action>) {
    let mut next = state.clone();
    let mut actions = Vec::new();
    match event {
        Event::Ask => begin(&mut next, &mut actions),
        Event::Asked(peers) => hear(&mut next, &peers, &mut actions),
        Event::Answered { address, from, reply } => answered(&mut next, address, from, reply, &mut actions),
        Event::Removed(hosts) => {
            if next.forget(hosts) {
                actions.push(Action::Persist(next.known()));
            }
            decide(&mut next, &mut actions);
        }
    }
    (next, actions)
}

fn begin(state: &mut Discovery, actions: &mut Vec<Action>) {
    match state.outcome {
        Outcome::Passive => {
            state.outcome = Outcome::Searching;
            actions.push(Action::Persist(state.known()));
        }
        Outcome::Searching => {}
        Outcome::Leading | Outcome::Found(_) => return,
    }
    // The group may have been founded by a host that responded with its list before: ask everyone again.
    let everyone = state.known.iter().filter(|(host, _)| **host != state.me).map(|(host, hint)| (hint.address, Some(*host)));
    let everyone = everyone.chain(state.nameless.iter().map(|address| (*address, None)));
    actions.extend(everyone.map(|(address, host)| Action::Ask(address, host)));
    decide(state, actions);
}

fn hear(state: &mut Discovery, peers: &[DiscoveryPeer], actions: &mut Vec<Action>) {
    let before: BTreeSet<_> = state.known().iter().map(|peer| (peer.host, peer.address)).collect();
    if !state.learn(peers) {
        return;
    }
    actions.push(Action::Persist(state.known()));
    if state.outcome == Outcome::Searching {
        let fresh = state.missing().into_iter().filter(|(address, host)| !before.contains(&(*host, *address)));
        actions.extend(fresh.map(|(address, host)| Action::Ask(address, host)));
    }
}

fn answered(state: &mut Discovery, address: SocketAddr, from: HostId, reply: ExchangeReply, actions: &mut Vec<Action>) {
    if state.outcome != Outcome::Searching {
        return;
    }
    match reply {
        ExchangeReply::Nothing | ExchangeReply::Upgrading => {}
        ExchangeReply::Group { group, incarnation, member, .. } => {
            state.outcome = Outcome::Found(group);
            actions.push(Action::Join { group, incarnation, member });
        }
        ExchangeReply::Peers(peers) => {
            let renamed = state.nameless.remove(&address);
            let named = DiscoveryPeer { host: Some(from), address, generation: Generation::default() };
            let learnt = state.learn(&[named]) || renamed;
            hear(state, &peers, actions);
            if learnt && !matches!(actions.first(), Some(Action::Persist(_))) {
                actions.insert(0, Action::Persist(state.known()));
            }
            state.responded.insert(from);
            decide(state, actions);
        }
    }
}

fn decide(state: &mut Discovery, actions: &mut Vec<Action>) {
    if state.outcome == Outcome::Searching && state.is_complete() && state.may_lead() {
        state.outcome = Outcome::Leading;
        actions.push(Action::Lead);
    }
}
