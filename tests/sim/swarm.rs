//! What a seed draws before anything happens: which faults there are in its world, and how strong each is.
//!
//! Few faults at a time find more than all of them always: a world in which everything breaks never gets anywhere interesting.

use crate::{dice::Dice, node::Strike, operator::Kill};
use std::{collections::BTreeMap, fmt, time::Duration};

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What can go wrong in a world, or be unusual about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $variant,)* }
        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// As `WITHOUT` takes it.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
        }
    };
}
faults! {
    /// One-way messages get lost.
    Drop = "drop",
    /// They come twice.
    Duplicate = "duplicate",
    /// They overtake each other.
    Reorder = "reorder",
    /// Links are slow, each in its own way.
    Delay = "delay",
    /// Questions or their answers get lost.
    Silence = "silence",
    /// A link carries nothing in one direction for a while.
    Cut = "cut",
    /// A node hears nobody and nobody hears it for a while.
    Isolate = "isolate",
    /// The connections between two processes break.
    Reset = "reset",
    /// Processes die.
    Crash = "crash",
    /// They die at persisted steps of the procedure.
    CrashAtPoint = "crash-at-point",
    /// Processes are ended and started again, as an upgrade of the release would.
    Restart = "restart",
    /// Processes stand still for a while.
    Pause = "pause",
    /// A node comes back with another address.
    Address = "address",
    /// That may be the former address of another node.
    Reuse = "reuse",
    /// Wall clocks are set.
    Jump = "jump",
    /// Clocks go wrong slowly.
    Drift = "drift",
    /// Some disks are slow.
    SlowDisk = "slow-disk",
    /// Transactions fail.
    FailedCommit = "failed-commit",
    /// Nodes store in redb; what it has not synced is lost or torn by a crash.
    Torn = "torn",
    /// A node more comes while the others upgrade.
    Latecomer = "latecomer",
    /// Who restarts the nodes does not wait until all is well.
    Haste = "haste",
    /// The flag comes without the hold.
    Unheld = "unheld",
    /// Faults come at the moments at which something becomes durable.
    Aimed = "aimed",
    /// Operators die.
    OperatorCrash = "operator-crash",
    /// Operators stand still for a while.
    OperatorPause = "operator-pause",
    /// Operators hear nobody and nobody hears them for a while.
    OperatorCut = "operator-cut",
    /// Their wall clocks are set.
    OperatorJump = "operator-jump",
    /// Their caches lag, each part of what they see in its own way.
    Stale = "stale",
    /// A human must approve the point of no return.
    Supervised = "supervised",
    /// People set `spec.paused`.
    Halt = "halt",
    /// People set `spec.cancel`.
    Cancel = "cancel",
    /// People change `spec.pacing`.
    Pace = "pace",
    /// People delete pods.
    DeletePod = "delete-pod",
    /// People drain machines.
    Drain = "drain",
    /// People delete the object and make it again.
    Recreate = "recreate",
    /// People give the pods a template that they cannot run with.
    BadTemplate = "bad-template",
    /// A node is decommissioned.
    Leave = "leave",
    /// A machine is lost with its disk, after the upgrade, and its node replaced.
    Lose = "lose",
    /// People put a node into recovery, by CQL, and take it out again.
    Marker = "marker",
    /// Nodes are in two places far apart.
    Sites = "sites",
    /// Machines are lost for good with their disks: one in the middle of the upgrade, or a majority after it.
    Disaster = "disaster",
}

impl Fault {
    /// Whether there can be such a fault in a world with so many operators: some are those of a script's, others an operator's.
    fn fits(self, operators: usize) -> bool {
        if matches!(self, Self::Haste | Self::Unheld | Self::Leave | Self::Lose | Self::Marker) {
            operators == 0
        } else {
            operators > 0 || self < Self::OperatorCrash || self == Self::Sites
        }
    }
}

/// A strength from which on a fault is not weak.
const NOT_WEAK: u64 = 41;

/// The world of a seed.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// The seed.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How many schema changes each client makes.
    pub changes: u32,
    /// How long there are faults.
    pub trouble: Duration,
    /// How many StatefulSets the nodes are spread over.
    pub racks: usize,
    /// How many operators there are; with none, a script plays one.
    pub operators: usize,
    /// When the first operator is killed, if it is.
    pub kill: Option<Kill>,
    /// When a node is, likewise.
    pub strike: Option<Strike>,
    /// The disaster of a story, instead of one that is drawn.
    pub story: Option<Disaster>,
    /// Seconds between the restarts of two nodes, as people want it at first.
    pub between: u32,
    /// How strong each is, from 1 to 100.
    faults: BTreeMap<Fault, u64>,
}

/// Machines are lost, each with a node.
#[derive(Clone, Debug)]
pub struct Disaster {
    /// Which.
    pub lost: Vec<usize>,
    /// Whether in the middle of the upgrade; else after it.
    pub is_early: bool,
    /// So long after that another one is.
    pub another: Option<(Duration, usize)>,
    /// So long after that the first ones come back, although nobody thought that they would; else their disks are lost, too.
    pub returns: Option<Duration>,
}

/// What is taken out of a world to make it simpler, and what it must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// With these faults, not weak.
    pub with: Vec<Fault>,
    /// Without these faults.
    pub without: Vec<Fault>,
    /// At most so many nodes.
    pub nodes: Option<usize>,
    /// At most so many changes for each client.
    pub changes: Option<u32>,
}

impl Swarm {
    /// A world in which nothing goes wrong by itself: three nodes, so many operators, and what else there is to be about it.
    pub fn quiet(seed: u64, operators: usize, unusual: &[Fault], kill: Option<Kill>) -> Self {
        let faults = unusual.iter().map(|fault| (*fault, 1)).collect();
        let (trouble, strike, story) = (Duration::ZERO, None, None);
        Self { seed, nodes: 3, changes: 4, trouble, racks: 1, operators, kill, strike, story, between: 0, faults }
    }

    /// A quiet world of so many nodes in which these are lost, and nothing else goes wrong.
    pub fn story(seed: u64, nodes: usize, lost: Vec<usize>, is_early: bool) -> Self {
        let story = Some(Disaster { lost, is_early, another: None, returns: None });
        // Far from each other the nodes take long enough for people to come in the middle; with the other people have to approve.
        let unusual: &[Fault] = if is_early { &[Fault::Sites] } else { &[Fault::Disaster] };
        Self { nodes, story, ..Self::quiet(seed, 1, unusual, None) }
    }

    /// The world of that seed, within these limits.
    pub fn draw(seed: u64, limits: &Limits) -> Self {
        let mut dice = Dice::of(seed, 1);
        let nodes = dice.pick(&[3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 12]);
        let changes = dice.pick(&[6, 12, 12, 25]);
        let trouble = dice.time(Duration::from_secs(8)..Duration::from_secs(40));
        // How much of all that is possible: some worlds are nearly whole.
        let share = dice.pick(&[100_000, 250_000, 400_000, 600_000]);
        let (racks, operators) = (dice.pick(&[1, 1, 2, 3]), dice.pick(&[0, 0, 1, 1, 2]));
        let operators = if limits.with.iter().all(|fault| fault.fits(operators)) { operators } else { 1 };
        let mut faults = BTreeMap::new();
        for fault in Fault::ALL {
            let (is_there, strength) = (dice.chance(share), dice.within(1..101));
            if limits.with.contains(fault) {
                faults.insert(*fault, strength.max(NOT_WEAK));
            } else if is_there && fault.fits(operators) && !limits.without.contains(fault) {
                faults.insert(*fault, strength);
            }
        }
        Self {
            seed,
            nodes: limits.nodes.map_or(nodes, |most| nodes.min(most)),
            changes: limits.changes.map_or(changes, |most| changes.min(most)),
            trouble,
            racks,
            operators,
            kill: None,
            strike: None,
            story: None,
            between: 0,
            faults,
        }
    }

    /// Whether there is such a fault.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains_key(&fault)
    }

    /// Who leaves, if anybody does: never the first seed, never one of three, and not often, since much else ends with it.
    pub fn leaver(&self) -> Option<usize> {
        let may = self.up_to(Fault::Leave, 100) > 50 && self.may_lose_one();
        may.then(|| self.nodes - 1)
    }

    /// What becomes of the machines, if anything does.
    pub fn disaster(&self) -> Option<Disaster> {
        if self.story.is_some() {
            return self.story.clone();
        }
        let strength = self.up_to(Fault::Disaster, 100);
        if strength < NOT_WEAK || self.has(Fault::Latecomer) {
            return None;
        }
        let is_early = strength.is_multiple_of(2);
        let mut dice = Dice::of(self.seed, 9);
        let mut nodes: Vec<usize> = (0..self.nodes).collect();
        let count = if is_early { 1 } else { self.nodes / 2 + 1 };
        let mut lost: Vec<_> = (0..count).map(|_| nodes.remove(dice.index(nodes.len()))).collect();
        let more = dice.time(Duration::ZERO..Duration::from_secs(40));
        let another = (nodes.len() > 1 && dice.chance(300_000)).then(|| (more, nodes.remove(0)));
        let back = dice.time(Duration::ZERO..Duration::from_mins(1));
        let returns = dice.chance(300_000).then_some(back);
        lost.sort_unstable();
        Some(Disaster { lost, is_early, another, returns })
    }

    /// Whether the others can do without the last one.
    pub fn may_lose_one(&self) -> bool {
        self.nodes > 3 && !self.has(Fault::Latecomer)
    }

    /// From 0, if there is no such fault, to `most`.
    pub fn up_to(&self, fault: Fault, most: u64) -> u64 {
        self.faults.get(&fault).map_or(0, |strength| (most * strength).div_ceil(100))
    }

    /// Those that there are.
    pub fn faults(&self) -> impl Iterator<Item = Fault> {
        self.faults.keys().copied()
    }
}

impl fmt::Display for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, racks, operators, changes, trouble, .. } = self;
        write!(f, "{nodes} nodes in {racks} racks, {operators} operators, {changes} changes a client, trouble for {trouble:?}:")?;
        self.faults.iter().try_for_each(|(fault, strength)| write!(f, " {} {strength}%", fault.name()))
    }
}
