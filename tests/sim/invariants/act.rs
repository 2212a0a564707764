//! What operators do, once it has taken place, and what there is to see at that moment.

use crate::process::Pid;
use group0_core::ids::HostId;
use group0_operator::crd::Group0Upgrade;
use std::{collections::BTreeSet, fmt, time::Duration};

/// An act that has taken place.
#[derive(Clone, Debug)]
pub enum Act {
    /// The object has another status.
    Wrote {
        /// The object before it.
        before: Option<Box<Group0Upgrade>>,
    },
    /// A pod was evicted by an operator.
    Evicted {
        /// Whose.
        node: Pid,
        /// Its name.
        name: String,
        /// Which one.
        uid: String,
        /// In which version.
        version: u64,
        /// Whether it served until now.
        served: bool,
        /// Whether it is as its template has it.
        is_right: bool,
    },
    /// Volume and pod of a lost member were given up by an operator.
    Replaced {
        /// The name of the pod.
        name: String,
        /// Which one.
        uid: String,
    },
    /// Flag and hold were put into a template by an operator, or taken out.
    Templated {
        /// Whose.
        set: String,
        /// Of which version.
        version: u64,
        /// Whether they are in it now.
        flag: bool,
    },
    /// A node ends its process to begin another, as it was told to.
    Restarted {
        /// Which.
        node: Pid,
        /// Its pod.
        name: String,
        /// The start that ends.
        generation: u64,
    },
    /// A node has stored that its hold is lifted.
    Proceeded {
        /// Which.
        node: Pid,
    },
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrote { .. } => write!(f, "a status is written"),
            Self::Evicted { name, uid, served, .. } => write!(f, "{name} ({uid}) is evicted, served {served}"),
            Self::Replaced { name, uid } => write!(f, "{name} ({uid}) is given up with its volume"),
            Self::Templated { set, flag, .. } => write!(f, "the template of {set} has the flag: {flag}"),
            Self::Restarted { name, generation, .. } => write!(f, "{name} ends its start {generation}"),
            Self::Proceeded { node } => write!(f, "the hold of n{} is lifted", node + 1),
        }
    }
}

/// What there is to see after an act.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// When.
    pub now: Duration,
    /// The object as it is stored.
    pub object: Option<&'a Group0Upgrade>,
    /// How often it was made.
    pub made: u64,
    /// Of each pod whether it serves.
    pub serving: &'a [bool],
    /// Whose machine is lost.
    pub lost: &'a BTreeSet<Pid>,
    /// Who was ever lost with a machine.
    pub gone: &'a BTreeSet<HostId>,
}
