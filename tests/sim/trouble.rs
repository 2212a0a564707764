//! What goes wrong, and when: some of it at any time, some of it just after something has become durable.

use crate::{
    dice::{CERTAIN, Dice},
    process::Pid,
    swarm::{Fault, Swarm},
};
use std::{ops::Range, time::Duration};

/// Things that go wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing goes from the one to the other for so long.
    Cut(Pid, Pid, Duration),
    /// Nothing goes to the process or from it for so long.
    Isolate(Pid, Duration),
    /// What the two have under way between them breaks.
    Reset(Pid, Pid),
    /// It dies.
    Crash(Pid),
    /// It is asked to end, and started again.
    Restart(Pid),
    /// It stands still for so long.
    Pause(Pid, Duration),
    /// The wall clock of its host is set.
    Jump(Pid, i64),
    /// The nodes from this one on reach nobody but each other for so long, and nobody else reaches them.
    Part(Pid, Duration),
    /// No schema gets from a node to another for so long, as where a network loses what is large; all else does.
    LoseSchemas(Duration),
}

/// Kinds of trouble that come once, with how many of them a world has at most.
const KINDS: [(Fault, u64); 11] = [
    (Fault::Cut, 12),
    (Fault::Isolate, 4),
    (Fault::Reset, 20),
    (Fault::Crash, 8),
    (Fault::Restart, 4),
    (Fault::Pause, 6),
    (Fault::Jump, 6),
    (Fault::OperatorCrash, 8),
    (Fault::OperatorPause, 6),
    (Fault::OperatorCut, 6),
    (Fault::OperatorJump, 4),
];

/// How many aftershocks of a disaster there are at most, and how likely each is when something has become durable.
const AFTERSHOCKS_MAX: u64 = 8;
const AFTERSHOCK: u64 = CERTAIN / 8;

/// How far a clock is set at most: an hour, as when a time zone was taken for another.
const JUMP_MICROS: u64 = 3_600_000_000;

/// Draws the trouble of a world.
#[derive(Clone, Debug)]
pub struct Trouble {
    dice: Dice,
    nodes: usize,
    operators: Range<Pid>,
    kinds: Vec<Fault>,
    aimed: u64,
    /// How many aftershocks may still come.
    aftershocks: u64,
}

impl Trouble {
    /// Of that world, in which these are the operators.
    pub fn new(swarm: &Swarm, operators: Range<Pid>) -> Self {
        let kinds = KINDS.iter().map(|(fault, _)| *fault).filter(|fault| swarm.has(*fault)).collect();
        let aimed = swarm.up_to(Fault::Aimed, CERTAIN / 3);
        let aftershocks = if swarm.story.is_some() { 0 } else { swarm.up_to(Fault::Disaster, AFTERSHOCKS_MAX) };
        Self { dice: Dice::of(swarm.seed, 3), nodes: swarm.nodes, operators, kinds, aimed, aftershocks }
    }

    /// What comes at any time, with its times.
    pub fn schedule(&mut self, swarm: &Swarm) -> Vec<(Duration, Action)> {
        let mut schedule = Vec::new();
        for (fault, most) in KINDS {
            let mut dice = Dice::of(swarm.seed, 100 + fault as u64);
            for _ in 0..swarm.up_to(fault, most) {
                let at = dice.time(Duration::ZERO..swarm.trouble);
                schedule.push((at, self.action(fault, &mut dice)));
            }
        }
        schedule
    }

    /// Maybe something, with its delay: a step of the procedure has just become durable at that node.
    pub fn aim(&mut self, at: Pid) -> Option<(Duration, Action)> {
        if self.kinds.is_empty() || !self.dice.chance(self.aimed) {
            return None;
        }
        let mut dice = self.dice.clone();
        let fault = dice.pick(&self.kinds);
        let delay = dice.short_time(Duration::from_millis(300));
        let mut action = self.action(fault, &mut dice);
        if fault < Fault::OperatorCrash && dice.coin() {
            action = action.at(at);
        }
        self.dice = dice;
        Some((delay, action))
    }

    /// Maybe something, while a disaster is recovered from and nothing else goes wrong any more.
    pub fn aftershock(&mut self, at: Pid) -> Option<(Duration, Action)> {
        if self.aftershocks == 0 || !self.dice.chance(AFTERSHOCK) {
            return None;
        }
        self.aftershocks -= 1;
        let mut dice = self.dice.clone();
        let kinds = [Fault::Crash, Fault::Restart, Fault::Pause, Fault::OperatorCrash, Fault::OperatorPause];
        let fault = dice.pick(&kinds[..if self.operators.is_empty() { 3 } else { 5 }]);
        let delay = dice.short_time(Duration::from_millis(300));
        let action = self.action(fault, &mut dice);
        self.dice = dice;
        Some((delay, if fault < Fault::OperatorCrash { action.at(at) } else { action }))
    }

    fn action(&self, fault: Fault, dice: &mut Dice) -> Action {
        let node = match fault {
            Fault::OperatorCrash | Fault::OperatorPause | Fault::OperatorCut | Fault::OperatorJump => {
                self.operators.start + dice.index(self.operators.len())
            }
            _ => dice.index(self.nodes),
        };
        let other = (node + 1 + dice.index(self.nodes - 1)) % self.nodes;
        let long = dice.short_time(Duration::from_secs(12));
        match fault {
            Fault::Cut => Action::Cut(node, other, long),
            Fault::Isolate | Fault::OperatorCut => Action::Isolate(node, long),
            Fault::Reset => Action::Reset(node, other),
            Fault::Restart => Action::Restart(node),
            Fault::Pause | Fault::OperatorPause => Action::Pause(node, long),
            Fault::Jump | Fault::OperatorJump => {
                let micros = dice.within(0..JUMP_MICROS).cast_signed() >> dice.within(0..16);
                Action::Jump(node, if dice.coin() { micros } else { -micros })
            }
            _ => Action::Crash(node),
        }
    }
}

impl Action {
    /// The same, at that node.
    fn at(self, node: Pid) -> Self {
        match self {
            Self::Cut(_, other, long) if other != node => Self::Cut(node, other, long),
            Self::Reset(_, other) if other != node => Self::Reset(node, other),
            Self::Isolate(_, long) => Self::Isolate(node, long),
            Self::Crash(_) => Self::Crash(node),
            Self::Restart(_) => Self::Restart(node),
            Self::Pause(_, long) => Self::Pause(node, long),
            Self::Jump(_, micros) => Self::Jump(node, micros),
            other @ (Self::Cut(..) | Self::Reset(..) | Self::Part(..) | Self::LoseSchemas(..)) => other,
        }
    }
}
