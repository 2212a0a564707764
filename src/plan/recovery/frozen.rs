//! The plan of a recovery: choices that never change once it is made. Whoever wants others makes another plan.

use super::Step;
use crate::observe::HostId;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt::Write as _};

/// What the survivors store: a plan of a hundred hosts is a tenth of it.
pub(super) const MAX_TEXT_BYTES: usize = 64 << 10;
/// How the log donor will be chosen, once no log grows any more.
const DONOR_RULE: &str =
    "donor: the largest (term, index) of the last log entry, or of the snapshot if the log is empty; ties: the smallest host id";

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

impl FrozenPlan {
    /// The plan with this number, for these.
    pub fn new(number: u64, survivors: BTreeSet<HostId>, excluded: BTreeSet<HostId>) -> Self {
        let mut text = format!("plan: {number}\n");
        for (role, hosts) in [("survivor", &survivors), ("excluded", &excluded)] {
            for host in hosts {
                let _ = writeln!(text, "{role}: {host}");
            }
        }
        let steps: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
        let _ = writeln!(text, "{DONOR_RULE}\nsteps: {}", steps.join(" "));
        Self { number, survivors, excluded, text }
    }

    /// What a human approves: SHA-256 of the text, in hexadecimal digits.
    pub fn hash(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn host(number: u128) -> HostId {
        HostId(Uuid::from_u128(number))
    }

    #[test]
    fn the_same_choices_have_the_same_hash_and_others_another() {
        let plan = |number, excluded| FrozenPlan::new(number, [host(2), host(1)].into(), [host(excluded)].into());
        assert_eq!(plan(1, 3).hash(), FrozenPlan::new(1, [host(1), host(2)].into(), [host(3)].into()).hash());
        assert_ne!(plan(1, 3).hash(), plan(2, 3).hash());
        assert_ne!(plan(1, 3).hash(), plan(1, 4).hash());
    }

    #[test]
    fn a_plan_of_a_hundred_hosts_is_far_below_the_limit() {
        let hosts = |from: u128| (from..from + 50).map(host).collect();
        assert!(FrozenPlan::new(u64::MAX, hosts(1), hosts(51)).text.len() * 10 < MAX_TEXT_BYTES);
    }
}
