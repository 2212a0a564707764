//! The state that the checker explores: a few nodes, the atomic log that stands for Raft, and what is under way between them.
//!
//! Schemas are sets of statements, a bit each. Nothing here acts; see `moves` for what may happen and `glue` for what follows.

use crate::old_way::Ring;
use group0_core::{
    discovery::Discovery,
    group0::{joining::Joining, operation::Operation},
    ids::{Generation, GroupId, HostId},
    io::DiscoveryPeer,
    raft::{Configuration, Member},
    upgrade::{Stage, machine::Upgrade},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The number of a node, from 0. Its host id is one more.
pub type Place = u8;

/// A set of statements, or of nodes.
pub type Bits = u8;

/// The statement that goes through the log; the bits below it are of the old style.
pub const LOGGED_DDL: Bits = 1 << 2;

/// What is explored.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Whom each node has in `system.peers`, in gossip and as seeds.
    pub peers: Vec<BTreeSet<Place>>,
    /// How many old-style statements there are, at most two.
    pub old_ddls: u32,
    /// Nodes that no client sends old-style statements to.
    pub without_clients: Bits,
    /// Whether there is a statement through the log, too.
    pub logged_ddl: bool,
    /// How often a node may crash.
    pub crashes: u8,
    /// Nodes that do not crash.
    pub unbreakable: Bits,
    /// Nodes that do not come back from a crash. The others can do without them.
    pub lost: Bits,
    /// How often a person puts a node into recovery, and takes it out again.
    pub recoveries: u8,
    /// Which nodes that may be.
    pub recoverable: Bits,
    /// Nodes that are in recovery from the beginning.
    pub in_recovery: Bits,
    /// Nodes that have never been in the cluster, and want to.
    pub fresh: Bits,
    /// The feature is not enabled yet, and nodes may come into the ring the old way.
    pub enabling: bool,
    /// Nodes that hold the feature back until they are told to proceed.
    pub held: Bits,
    /// How often a call may time out although the peer lives.
    pub timeouts: u8,
    /// Whether an answer may be as old as its question. Otherwise it is given and arrives at one moment.
    pub stale_answers: bool,
    /// Leaves orders out that make no difference by argument; setups without it check the argument. Answers to the calls of one
    /// kind arrive in the order of hosts, and during most back-offs nothing reaches the procedure: the retry forgets it anyhow.
    pub lean: bool,
    /// Step 0 has passed everywhere.
    pub asked: bool,
    /// The same, and everyone is in the group: it begins with step 3.
    pub joined: bool,
    /// The same, and everyone is final.
    pub finished: bool,
    /// The goal is that everyone is in the group, and nothing is looked at after that.
    pub until_joined: bool,
    /// Some node is in nobody's `system.peers`: then S2 and S6 are out of reach, and the early finish mends what follows.
    pub strangers: bool,
    /// The rule that is switched off, to prove that the checker notices.
    pub off: Option<Rule>,
    /// Names of `sometimes` properties that this setup must reach.
    pub reaches: Vec<&'static str>,
}

/// Rules that whoever carries the machines' actions out must obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A read barrier waits until everything logged before it is applied.
    BarrierWaits,
    /// Versions are really compared in step 7.
    VersionsAreCompared,
    /// A peer before `synchronize` is reported as such.
    StagesAreTrue,
    /// Whoever has a group id, and is not in its applied configuration, does not answer with the list.
    LeaderIsSilent,
    /// A stage is durable once entered.
    StageIsDurable,
    /// A surplus over the final member is noticed.
    SurplusIsNoticed,
    /// Old-style statements are refused from `synchronize` on.
    OldDdlIsRefused,
    /// A failed pass is tried again.
    BackoffEnds,
    /// What is pushed after schemas were compared is set aside.
    PushesAreSetAside,
    /// That a member is final is believed.
    FinalIsBelieved,
    /// Who has a group id and is in no configuration asks to be added.
    MembershipIsAsked,
    /// Group id and bootstrap snapshot of a founder become durable together.
    FoundingIsWhole,
    /// A node that has never been in the cluster waits until somebody is final.
    FirstBootWaits,
    /// Only who is final adds such a node.
    FinalOnesAdd,
    /// Only who is final makes the snapshot for it.
    FinalOnesMakeSnapshots,
    /// Who gives leave to come in the old way records it before.
    LeaveIsRecorded,
    /// Who has enabled the feature gives no such leave any more.
    LeaveEndsWithTheFeature,
    /// But to those whom it had recorded before.
    RecordedMayComeIn,
    /// Who is lost before it has come in can be removed.
    LostAreRemoved,
    /// A hold has no effect once the feature is enabled in the cluster.
    HoldEndsWithTheFeature,
    /// A stored `recovery` ends the procedure.
    MarkerEndsProcedure,
    /// That a command had no effect is told to whom it is of.
    LostIsNoticed,
    /// How far a node had come is stored apart from the state that a person may remove.
    ReachedIsKept,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The nodes, shared between states that differ elsewhere.
    pub nodes: Vec<Arc<Node>>,
    /// The log of group 0, from its founding.
    pub log: Vec<Entry>,
    /// The group that the log is of.
    pub group: Option<GroupId>,
    /// Statements acknowledged to a client.
    pub acknowledged: Bits,
    /// Crashes to come.
    pub crashes: u8,
    /// Timeouts to come.
    pub timeouts: u8,
    /// Recoveries to come.
    pub recoveries: u8,
    /// What went wrong in a single move; nothing follows it.
    pub broken: Option<Breach>,
}

/// What only the moment of a move can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breach {
    /// S1: an old-style statement ran on a node beyond `use_pre_raft_procedures`.
    OldDdlLate,
    /// S2: final without grounds.
    FinalTooEarly,
    /// S3: a second group was founded or adopted.
    SecondGroup,
    /// The procedure stored a state over `recovery`.
    MarkerOverwritten,
}

/// A node. All but `process` and `incoming` is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// `group0_upgrade_state`
    pub stage: Stage,
    /// `group0_reached`
    pub reached: Stage,
    /// It has never been in the cluster: `bootstrapped` is not `COMPLETED`.
    pub is_fresh: bool,
    /// What it knows of the others, and of the feature.
    pub ring: Ring,
    /// `raft_group0_id`
    pub group: Option<GroupId>,
    /// How many entries are applied, and with them the configuration.
    pub applied: usize,
    /// The schema tables.
    pub schema: Bits,
    /// Nodes in `system.discovery`.
    pub known: Bits,
    /// Pushed rows on their way to it.
    pub incoming: Bits,
    /// What a crash loses; absent while it is down.
    pub process: Option<Process>,
}

/// The volatile part of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// The real procedure.
    pub upgrade: Upgrade,
    /// The real joining, with discovery.
    pub joining: Joining,
    /// Calls without an answer yet.
    pub calls: BTreeMap<(Verb, Place), Call>,
    /// A read barrier runs, and ends once so many entries are applied.
    pub barrier: Option<usize>,
    /// The surplus over the reconciled member, until it is submitted.
    pub surplus: Bits,
    /// The surplus is submitted, and committed once so many entries are applied.
    pub submitted: Option<usize>,
    /// Rows set aside.
    pub aside: Bits,
    /// The procedure's back-off runs.
    pub backoff: bool,
    /// Joining's back-off runs.
    pub join_backoff: bool,
    /// What each watch has said last.
    pub told: Vec<Stage>,
    /// A statement through the log.
    pub statement: Option<Statement>,
    /// It was started in recovery, without the group.
    pub recovers: bool,
    /// It has founded a group and has not stored its bootstrap snapshot.
    pub is_founding: bool,
    /// Who has given it leave to come in the old way.
    pub leave: Option<Place>,
}

/// What a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// `GetGroup0UpgradeState`
    Ask,
    /// `SchemaCheck`, and the pull if versions differ.
    Compare,
    /// `MigrationRequest` to a final member.
    Reconcile,
    /// `Group0PeerExchange`
    Exchange,
    /// `Group0ModifyConfig`
    Modify,
}

/// What has become of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Every answer that the peer could have given since.
    Sampled(Samples),
    /// The reply to an exchange, once given.
    Exchange(Option<Exchanged>),
    /// Whether the member has asked the leader.
    Modify(bool),
}

/// A reply to `Group0PeerExchange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exchanged {
    /// The peer has a group id, and is not in.
    Nothing,
    /// These nodes are known.
    Peers(Bits),
    /// There is this group.
    Group(GroupId),
}

/// A set of possible answers: a bit for each pair of stage and schema, and one for silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Samples(pub u64);

/// An answer: the stage and schema of a peer, or silence.
pub type Sample = Option<(Stage, Bits)>;

/// A statement through the log on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Statement {
    /// The real machine.
    pub operation: Operation,
    /// The last state when it took the guard.
    pub upon: usize,
    /// Whether its command was submitted.
    pub is_submitted: bool,
}

/// An entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A voter was added.
    Add(Place),
    /// A non-voter was added.
    AddLearner(Place),
    /// A `merge` command.
    Merge(Bits),
    /// The statement through the log, effective only upon that last state.
    Ddl {
        /// That state.
        upon: usize,
        /// Whose it is.
        by: Place,
    },
}

const SILENT: u32 = 63;

impl Samples {
    /// With that answer, too.
    pub fn with(self, sample: Sample) -> Self {
        let bit = sample.map_or(SILENT, |(stage, schema)| stage as u32 * 8 + u32::from(schema));
        Self(self.0 | 1 << bit)
    }

    /// All of them.
    pub fn list(self) -> Vec<Sample> {
        let bits = (0..64).filter(|bit| self.0 & 1 << bit != 0);
        bits.map(|bit| (bit != SILENT).then(|| (Stage::ALL[bit as usize / 8], (bit % 8) as Bits))).collect()
    }
}

/// The host id of a node.
pub fn host(place: Place) -> HostId {
    HostId::of(u128::from(place) + 1)
}

/// The node of a host id.
pub fn place(host: HostId) -> Place {
    u8::try_from(host.0.as_u128() - 1).expect("a host of the model")
}

/// A node as a member of the group.
pub fn member(at: Place) -> Member {
    Member { host: host(at), address: peer(at).address }
}

/// A node as discovery tells of it.
pub fn peer(at: Place) -> DiscoveryPeer {
    DiscoveryPeer { host: Some(host(at)), address: ([127, 0, 0, at + 1], 7000).into(), generation: Generation(1) }
}

/// The nodes of a set.
pub fn places(bits: Bits) -> impl Iterator<Item = Place> {
    (0..8).filter(move |place| bits & 1 << place != 0)
}

impl Statement {
    /// Its command, of that node.
    pub const fn entry(&self, by: Place) -> Entry {
        Entry::Ddl { upon: self.upon, by }
    }
}

impl Setup {
    /// That many nodes who know each other.
    pub fn of(nodes: Place) -> Self {
        let others = |me| (0..nodes).filter(|other| *other != me).collect();
        Self { peers: (0..nodes).map(others).collect(), ..Self::default() }
    }

    /// Whether that rule is obeyed.
    pub fn obeys(&self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    /// Nodes that are or may come into recovery.
    pub fn may_recover(&self) -> Bits {
        self.recoverable | self.in_recovery
    }

    /// Everyone's number.
    pub fn places(&self) -> std::ops::Range<Place> {
        0..Place::try_from(self.peers.len()).expect("a handful of nodes")
    }
}

impl Node {
    /// A node of a cluster that has not begun, and is down.
    pub fn new(seeds: &BTreeSet<Place>) -> Self {
        let known = seeds.iter().fold(0, |known, seed| known | 1 << seed);
        Self {
            stage: Stage::UsePreRaft,
            reached: Stage::UsePreRaft,
            is_fresh: false,
            group: None,
            applied: 0,
            schema: 0,
            ring: Ring { peers: known, is_enabled: true, proceeds: false },
            known,
            incoming: 0,
            process: None,
        }
    }

    /// What a call finds at this moment.
    pub fn sample(&self, verb: Verb) -> Sample {
        let schema = if verb == Verb::Ask { 0 } else { self.schema };
        self.process.as_ref().map(|_| (self.stage, schema))
    }
}

impl Process {
    /// As it starts from what is durable.
    pub fn new(at: Place, node: &Node, nodes: usize) -> Self {
        let known: Vec<_> = places(node.known).map(peer).collect();
        Self {
            upgrade: Upgrade::default(),
            joining: Joining::new(node.group, Discovery::new(peer(at), host(at), &known)),
            calls: BTreeMap::new(),
            barrier: None,
            surplus: 0,
            submitted: None,
            aside: 0,
            backoff: false,
            join_backoff: false,
            told: vec![Stage::UsePreRaft; nodes],
            statement: None,
            recovers: node.stage == Stage::Recovery,
            is_founding: false,
            leave: None,
        }
    }
}

impl World {
    /// The node there.
    pub fn node(&self, at: Place) -> &Node {
        &self.nodes[usize::from(at)]
    }

    /// The same, to change it.
    pub fn node_mut(&mut self, at: Place) -> &mut Node {
        Arc::make_mut(&mut self.nodes[usize::from(at)])
    }

    /// The process there, which must run.
    pub fn process(&self, at: Place) -> &Process {
        self.node(at).process.as_ref().expect("a running node")
    }

    /// The same, to change it.
    pub fn process_mut(&mut self, at: Place) -> &mut Process {
        self.node_mut(at).process.as_mut().expect("a running node")
    }

    /// Whether the node runs.
    pub fn is_up(&self, at: Place) -> bool {
        self.node(at).process.is_some()
    }

    /// Whether the node runs and takes part in the group.
    pub fn is_in_service(&self, at: Place) -> bool {
        self.node(at).process.as_ref().is_some_and(|process| !process.recovers)
    }

    /// Members after so many entries.
    pub fn members(&self, applied: usize) -> Bits {
        self.log[..applied].iter().fold(0, |members, entry| match entry {
            Entry::Add(at) | Entry::AddLearner(at) => members | 1 << at,
            Entry::Merge(_) | Entry::Ddl { .. } => members,
        })
    }

    /// Of these, who votes.
    fn voters(&self, applied: usize) -> Bits {
        let added = self.log[..applied].iter().filter_map(|entry| if let Entry::Add(at) = entry { Some(1 << at) } else { None });
        added.fold(0, |members, member: Bits| members | member)
    }

    /// Members in the applied configuration of a node.
    pub fn applied_members(&self, at: Place) -> Bits {
        self.members(self.node(at).applied)
    }

    /// The applied configuration of a node.
    pub fn configuration(&self, at: Place) -> Configuration {
        let applied = self.node(at).applied;
        let (members, voters) = (self.members(applied), self.voters(applied));
        let hosts = |bits: Bits| places(bits).map(host).collect();
        Configuration { voters: hosts(voters), learners: hosts(members & !voters), ..Configuration::default() }
    }

    /// The last state id after so many entries: one more than the index of the last effective command.
    pub fn last_state(&self, applied: usize) -> usize {
        (0..applied).rev().find(|index| self.rows(*index) != 0).map_or(0, |index| index + 1)
    }

    /// What the entry of that index brings into the schema.
    pub fn rows(&self, index: usize) -> Bits {
        match self.log[index] {
            Entry::Merge(rows) => rows,
            Entry::Ddl { upon, .. } if upon == self.last_state(index) => LOGGED_DDL,
            Entry::Add(_) | Entry::AddLearner(_) | Entry::Ddl { .. } => 0,
        }
    }

    /// What the whole log brings into the schema.
    pub fn logged_rows(&self) -> Bits {
        (0..self.log.len()).fold(0, |rows, index| rows | self.rows(index))
    }
}
