//! The state that the checker explores: three nodes, the log of their group on each, and one operator after the other.
//!
//! Schemas are sets of changes, a bit each. Nothing here acts; see `moves` for what may happen.

use crate::person::Person;
use group0_core::{
    ids::HostId,
    recovery::{Mode, Record, View},
    upgrade::Stage,
};
use group0_operator::plan::{Action, FrozenPlan, Journal};
use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// The number of a node, from 0. Its host id is one more.
pub type Place = usize;

/// A set of changes, or of nodes.
pub type Bits = u8;

/// How many nodes there are.
pub const NODES: Place = 3;

/// The group that all were in.
pub const FORMER: Group = Group { number: 0, incarnation: 1 };

/// What is explored.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Nodes that are lost, all at one moment.
    pub lost: Bits,
    /// Survivors of that, of which one is lost for good later, at any moment.
    pub lost_later: Bits,
    /// Nodes that are final at the beginning; the others are in `synchronize`.
    pub is_final: Bits,
    /// There is no group yet: all are in `use_pre_raft_procedures`, and form it.
    pub is_forming: bool,
    /// Nothing is done before a person has approved the plan.
    pub approves: bool,
    /// There is somebody who approves plans where that is needed.
    pub has_person: bool,
    /// What may happen, and how often.
    pub left: Left,
    /// The highest term.
    pub terms: u8,
    /// The rule that is switched off, to prove that the checker notices.
    pub off: Option<Rule>,
    /// Names of `sometimes` properties that this setup must reach.
    pub reaches: Vec<&'static str>,
}

/// What may happen, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// The lost can no longer be reached by anyone else.
    pub losses: u8,
    /// They had been away only, and are back.
    pub returns: u8,
    /// A survivor is lost, too.
    pub later_losses: u8,
    /// A person approves what is not the plan.
    pub mistakes: u8,
    /// A node that is not lost crashes.
    pub crashes: u8,
    /// The operator hangs with what it was about to do, and another one takes over.
    pub successors: u8,
    /// Schema changes through the group.
    pub changes: u8,
    /// Schema changes in recovery, the old way.
    pub old_changes: u8,
}

/// Rules that keep a recovery safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No survivor is told to forget its group before all are in recovery.
    ResetWaits,
    /// A survivor that has forgotten its group goes only forward.
    NoWayBack,
    /// The log is applied to its end, not to what is known to be committed.
    LogToItsEnd,
    /// Nodes tell how far their log goes, not how much of it is committed.
    PositionsOfLogs,
    /// A new group has an incarnation of its own.
    NewIncarnation,
    /// That is higher than those that former plans may have led to, too.
    PlansAreIncarnations,
    /// A plan is approved by its own hash only.
    HashIsOfThePlan,
    /// Who is removed is not believed.
    RemovedAreRefused,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The nodes.
    pub nodes: [Arc<Node>; NODES],
    /// Whether the lost cannot be reached.
    pub is_cut: bool,
    /// Survivors that are lost since, for good.
    pub gone: Bits,
    /// How often that has changed: it is the time, too.
    pub phase: u8,
    /// What a person approves.
    pub person: Person,
    /// What the object says.
    pub journal: Hashed<Journal>,
    /// What the operator is about to do, in this order.
    pub orders: Vec<Hashed<Order>>,
    /// What operators before it were about to do.
    pub late: Vec<Hashed<Order>>,
    /// Changes that a client was told had succeeded.
    pub acknowledged: Bits,
    /// Of all changes, what each survivor had when it forgot its group.
    pub saved: Bits,
    /// What may still happen.
    pub left: Left,
    /// What went wrong in a single move; nothing follows it.
    pub broken: Option<Breach>,
}

/// A large value whose hash is remembered.
#[derive(Clone, Debug)]
pub struct Hashed<T>(Arc<(u64, T)>);

/// What only the moment of a move can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// A survivor forgot its group while another one took part in it.
    ResetBesideTheGroup,
    /// The audit has found something in a plan.
    Audit,
    /// Something was ordered by a plan that nobody has approved.
    Unapproved,
}

/// What an operator orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// The act.
    pub action: Action,
    /// The epoch of who orders it.
    pub epoch: u64,
    /// The plan in force.
    pub plan: Option<FrozenPlan>,
}

/// A node. All but `process` is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// `operator_plan`
    pub plan: Option<Hashed<Record>>,
    /// `group0_upgrade_state`
    pub stage: Stage,
    /// `group0_reached`
    pub reached: Stage,
    /// `raft_group0_id`, and the incarnation with it.
    pub group: Option<Group>,
    /// `group0_incarnation`
    pub incarnation: u8,
    /// `removed_host_ids`
    pub removed: Bits,
    /// Its term in the former group.
    pub term: u8,
    /// Its log of the former group, without what was before all this.
    pub log: Vec<Entry>,
    /// How much of that it knows to be committed, and has applied.
    pub commit: u8,
    /// The schema tables.
    pub schema: Bits,
    /// `operator_epoch`
    pub epoch: u64,
    /// How often it was started.
    pub generation: u8,
    /// What a crash loses; absent while it is down.
    pub process: Option<Process>,
}

/// The volatile part of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Whether it is in recovery.
    pub mode: Mode,
    /// Whether it leads the former group.
    pub leads: bool,
    /// How much of its log another voter has stored, too, since it leads.
    pub stored: u8,
    /// The start of each other node from which it has pulled the schema.
    pub pulled: [u8; NODES],
    /// When each other node was heard last, whatever was made of it.
    pub heard: [Option<u8>; NODES],
}

/// A group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Its id: one more than the number of who founded it.
    pub number: u8,
    /// Its incarnation.
    pub incarnation: u8,
}

/// An entry of a log: one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its term.
    pub term: u8,
    /// The change.
    pub row: Bits,
}

impl<T: Hash> From<T> for Hashed<T> {
    fn from(value: T) -> Self {
        Self(Arc::new((BuildHasherDefault::<DefaultHasher>::default().hash_one(&value), value)))
    }
}

impl<T> Deref for Hashed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T: PartialEq> PartialEq for Hashed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0 && self.0.1 == other.0.1
    }
}

impl<T: Eq> Eq for Hashed<T> {}

impl<T> Hash for Hashed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0);
    }
}

/// The nodes of a set.
pub fn places(bits: Bits) -> impl Iterator<Item = Place> {
    (0..NODES).filter(move |place| bits & 1 << place != 0)
}

/// All nodes but that one.
pub fn others(at: Place) -> impl Iterator<Item = Place> {
    (0..NODES).filter(move |other| *other != at)
}

/// The host id of a node.
pub fn host(place: Place) -> HostId {
    HostId::of(place as u128 + 1)
}

/// The node of a host id.
pub fn place(host: HostId) -> Place {
    Place::try_from(host.0.as_u128() - 1).unwrap()
}

impl Setup {
    /// Whether that rule is obeyed.
    pub fn obeys(&self, rule: Rule) -> bool {
        self.off != Some(rule)
    }
}

impl Order {
    /// Which node it is for.
    pub fn at(&self) -> Place {
        let pod = self.action.pod().expect("all that is done here is about a node");
        usize::try_from(pod.ordinal).unwrap()
    }
}

impl Node {
    /// A member of a cluster that has no group yet.
    pub fn of_no_group() -> Self {
        let (stage, group) = (Stage::UsePreRaft, None);
        Self { stage, reached: stage, group, incarnation: 0, ..Self::new(false) }
    }

    /// A member of the former group, which has elected its leader.
    pub fn new(is_final: bool) -> Self {
        let stage = if is_final { Stage::UsePostRaft } else { Stage::Synchronize };
        Self {
            plan: None,
            stage,
            reached: stage,
            group: Some(FORMER),
            incarnation: FORMER.incarnation,
            removed: 0,
            term: 1,
            log: vec![],
            commit: 0,
            schema: 0,
            epoch: 1,
            generation: 1,
            process: Some(Process::default()),
        }
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Where its process stands.
    pub fn mode(&self) -> Option<Mode> {
        self.process.as_ref().map(|process| process.mode)
    }

    /// Whether it runs outside recovery, and none was ordered.
    pub fn is_in_service(&self) -> bool {
        self.mode() == Some(Mode::No)
    }

    /// Whether it takes part in its group.
    pub fn takes_part(&self) -> bool {
        self.group.is_some() && self.is_up() && self.mode() != Some(Mode::Yes)
    }

    /// The process, which must run.
    pub fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running node")
    }

    /// The changes in its log.
    pub fn logged(&self) -> Bits {
        self.log.iter().fold(0, |rows, entry| rows | entry.row)
    }

    /// Of these, what it knows to be committed.
    pub fn committed(&self) -> Bits {
        self.log[..usize::from(self.commit)].iter().fold(0, |rows, entry| rows | entry.row)
    }

    /// The end of its log, as Raft compares it.
    pub fn last(&self) -> (u8, usize) {
        (self.log.last().map_or(1, |entry| entry.term), self.log.len())
    }

    /// Whether it hears that host, by what it has stored.
    pub fn admits(&self, other: Place) -> bool {
        self.removed & 1 << other == 0 && !self.plan.as_ref().is_some_and(|record| record.fences(host(other)))
    }
}

impl World {
    /// Those who are not lost, whatever becomes of the others.
    pub fn survivors(&self, setup: &Setup) -> impl Iterator<Item = Place> + use<> {
        places(!(setup.lost | self.gone))
    }

    /// Whether the others are a majority without the lost.
    pub fn loses_a_minority(&self, setup: &Setup) -> bool {
        (setup.lost | self.gone).is_power_of_two()
    }

    /// The node there, to change it.
    pub fn node_mut(&mut self, at: Place) -> &mut Node {
        Arc::make_mut(&mut self.nodes[at])
    }

    /// Whether messages of the second reach the first, whatever it makes of them.
    pub fn reaches(&self, setup: &Setup, at: Place, from: Place) -> bool {
        let are_together = (setup.lost >> at ^ setup.lost >> from) & 1 == 0;
        self.nodes[at].is_up() && self.nodes[from].is_up() && (are_together || !self.is_cut)
    }

    /// Whether the first hears the second.
    pub fn hears(&self, setup: &Setup, at: Place, from: Place) -> bool {
        let is_admitted = self.nodes[at].admits(from) || !setup.obeys(Rule::RemovedAreRefused) && self.nodes[at].removed != 0;
        self.reaches(setup, at, from) && is_admitted
    }

    /// Whether they hear each other.
    pub fn talk(&self, setup: &Setup, a: Place, b: Place) -> bool {
        self.hears(setup, a, b) && self.hears(setup, b, a)
    }

    /// What the machine of a survivor looks at.
    pub fn with_view<T>(&self, setup: &Setup, at: Place, use_it: impl FnOnce(&View<'_>) -> T) -> T {
        let node = &self.nodes[at];
        let is_up = |other| self.hears(setup, at, place(other));
        use_it(&View {
            me: host(at),
            mode: node.mode().unwrap_or_default(),
            is_marked: node.stage == Stage::Recovery,
            cannot_go_on: None,
            is_up: &is_up,
        })
    }
}
