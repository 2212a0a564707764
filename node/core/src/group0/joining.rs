//! Joining group 0, pure. "Joined" means: in the applied configuration, never: has a group id.
//!
//! No group id: discover, and found the group or adopt the one found. Group id: until the applied configuration contains us,
//! ask members of exactly this group to add us. Another group is an error, not a choice.

use crate::{
    discovery::{self, Discovery},
    ids::{GroupId, HostId, Incarnation},
    raft::Member,
};

#[cfg(test)]
mod tests;

/// How far joining has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Joining {
    /// The group, once persisted.
    group: Option<GroupId>,
    discovery: Discovery,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Searching,
    Adding(Member),
    Awaiting,
    Joined,
    Failed,
}

/// What happens to joining.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The procedure wants to be in group 0.
    Begin,
    /// For discovery, also while we are idle.
    Discovery(discovery::Event),
    /// We have founded this group, durably.
    Founded(GroupId),
    /// On our first boot we were sent to this group and have taken it for ours, durably.
    Adopted(GroupId),
    /// The member has added us, it says; or has not, for this reason.
    Modified(Result<(), ModifyFailure>),
    /// The applied configuration contains us.
    InConfiguration,
    /// The back-off has passed.
    Retry,
}

/// Why a member did not add us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModifyFailure {
    /// It may help to try again, here or elsewhere.
    Transient(String),
    /// It is of another group.
    OtherGroup(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make discovery's known set durable before anything else of this step.
    Persist(Vec<crate::io::DiscoveryPeer>),
    /// Send the known set to the host there.
    Exchange(std::net::SocketAddr, Option<HostId>),
    /// Found the group: id, role and bootstrap snapshot in one transaction; [`Event::Founded`] follows.
    Found,
    /// Persist the group id with the role of joiner, and start its Raft.
    Adopt {
        /// The group.
        group: GroupId,
        /// Of the group.
        incarnation: Incarnation,
    },
    /// Ask the member to add us.
    Modify {
        /// To exactly this group.
        group: GroupId,
        /// Whom.
        member: Member,
    },
    /// Give [`Event::Retry`] after a back-off: for this reason, or, if nothing has failed, unless the configuration arrives before.
    Backoff(Option<String>),
    /// We are in.
    Joined,
    /// No retry mends this.
    Fail(String),
}

impl Joining {
    /// With what is durable: the group id, if there is one, and the peers that discovery knows.
    pub fn new(group: Option<GroupId>, discovery: Discovery) -> Self {
        let discovery = if group.is_some() { discovery.seeking_members() } else { discovery };
        Self { group, discovery, phase: Phase::Idle }
    }

    /// The group, once persisted.
    pub const fn group(&self) -> Option<GroupId> {
        self.group
    }

    /// What discovery knows.
    pub const fn discovery(&self) -> &Discovery {
        &self.discovery
    }

    /// Whether it looks for a group, or for members of its own.
    pub const fn is_searching(&self) -> bool {
        matches!(self.phase, Phase::Searching)
    }

    /// Whether it is under way.
    pub const fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Searching | Phase::Adding(_) | Phase::Awaiting)
    }
}

/// The state after the event, and what is to be done, in order.
pub fn step(state: &Joining, event: Event) -> (Joining, Vec<Action>) {
    let mut next = state.clone();
    let mut actions = Vec::new();
    match event {
        Event::Begin => next.begin(&mut actions),
        Event::Discovery(event) => next.discover(event, &mut actions),
        Event::Founded(group) | Event::Adopted(group) => next.group = Some(group),
        Event::Modified(outcome) => next.modified(outcome, &mut actions),
        Event::InConfiguration => next.joined(&mut actions),
        Event::Retry => next.retry(&mut actions),
    }
    (next, actions)
}

impl Joining {
    fn begin(&mut self, actions: &mut Vec<Action>) {
        if self.phase == Phase::Joined {
            actions.push(Action::Joined);
        } else {
            self.search(actions);
        }
    }

    /// Asks everyone, anew if a group was found already: it may have other members than the one that told of it.
    fn search(&mut self, actions: &mut Vec<Action>) {
        self.phase = Phase::Searching;
        if self.group.is_some() {
            self.discovery = self.discovery.clone().seeking_members();
        }
        self.discover(discovery::Event::Ask, actions);
    }

    fn discover(&mut self, event: discovery::Event, actions: &mut Vec<Action>) {
        let (discovery, found) = discovery::step(&self.discovery, event);
        self.discovery = discovery;
        for action in found {
            match action {
                discovery::Action::Persist(known) => actions.push(Action::Persist(known)),
                discovery::Action::Ask(address, host) => actions.push(Action::Exchange(address, host)),
                discovery::Action::Lead => actions.push(Action::Found),
                discovery::Action::Join { group, incarnation, member } => self.found(group, incarnation, member, actions),
            }
        }
    }

    fn found(&mut self, group: GroupId, incarnation: Incarnation, member: Member, actions: &mut Vec<Action>) {
        if self.phase != Phase::Searching {
            return;
        }
        match self.group {
            Some(ours) if ours != group => {
                self.phase = Phase::Failed;
                actions.push(Action::Fail(format!("Group0Id mismatch: this node is in {ours}, {} is in {group}", member.host)));
            }
            Some(_) => self.ask(group, member, actions),
            None => {
                self.group = Some(group);
                self.discovery = self.discovery.clone().seeking_members();
                actions.push(Action::Adopt { group, incarnation });
                self.ask(group, member, actions);
            }
        }
    }

    fn ask(&mut self, group: GroupId, member: Member, actions: &mut Vec<Action>) {
        self.phase = Phase::Adding(member);
        actions.push(Action::Modify { group, member });
    }

    fn modified(&mut self, outcome: Result<(), ModifyFailure>, actions: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Adding(_)) {
            return;
        }
        match outcome {
            Ok(()) => {
                self.phase = Phase::Awaiting;
                actions.push(Action::Backoff(None));
            }
            Err(ModifyFailure::Transient(cause)) => actions.push(Action::Backoff(Some(cause))),
            Err(ModifyFailure::OtherGroup(cause)) => {
                self.phase = Phase::Failed;
                actions.push(Action::Fail(cause));
            }
        }
    }

    fn joined(&mut self, actions: &mut Vec<Action>) {
        if self.phase != Phase::Joined {
            let wanted = self.is_active();
            self.phase = Phase::Joined;
            if wanted {
                actions.push(Action::Joined);
            }
        }
    }

    fn retry(&mut self, actions: &mut Vec<Action>) {
        if self.is_active() {
            self.search(actions);
        }
    }
}
