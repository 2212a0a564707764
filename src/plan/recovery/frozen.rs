//! The plan of a recovery: choices that never change once it is made. Whoever wants others makes another plan.

use crate::observe::HostId;
use std::collections::BTreeSet;

/// Who goes on and who is given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrozenPlan {
    /// Higher than that of any plan before it.
    pub number: u64,
    /// All that are left.
    pub survivors: BTreeSet<HostId>,
    /// All that are given up.
    pub excluded: BTreeSet<HostId>,
    /// The choices in a canonical form: what is approved, and what the survivors store.
    pub text: String,
}
