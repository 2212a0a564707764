//! The persisted state of the upgrade.

use serde::{Deserialize, Serialize};
use std::fmt;

/// `group0_upgrade_state`. The legal order is pre → synchronize → post, one way, across restarts; `Recovery` is set by people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// `recovery`: the old way, and group 0 is not started.
    Recovery,
    /// `use_pre_raft_procedures`, also when nothing is stored: the old way.
    UsePreRaft,
    /// `synchronize`: schema changes are refused.
    Synchronize,
    /// `use_post_raft_procedures`: through group 0. Final.
    UsePostRaft,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Recovery, Self::UsePreRaft, Self::Synchronize, Self::UsePostRaft];

    /// As stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::UsePreRaft => "use_pre_raft_procedures",
            Self::Synchronize => "synchronize",
            Self::UsePostRaft => "use_post_raft_procedures",
        }
    }

    /// From the stored text; `None` if it is none of the four names.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == text)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
