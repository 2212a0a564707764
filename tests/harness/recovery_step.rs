//! What the operator orders in a recovery, as the node takes it, where no Admin service is between the two.

use group0_core::{
    ids::HostId,
    io::{RecoveryPlan, RecoveryStep},
};
use group0_operator::{
    observe,
    plan::{FrozenPlan, RecoveryVerb},
};
use std::collections::BTreeSet;

/// The step that the verb comes to; `None` if it wants the plan and there is none.
pub fn of(verb: RecoveryVerb, plan: Option<&FrozenPlan>) -> Option<RecoveryStep> {
    Some(match verb {
        RecoveryVerb::PrepareFence => {
            let FrozenPlan { number, survivors, excluded, text } = plan?.clone();
            let hosts = |hosts: BTreeSet<observe::HostId>| hosts.into_iter().map(|host| HostId(host.0)).collect();
            let (survivors, excluded) = (hosts(survivors), hosts(excluded));
            RecoveryStep::PrepareFence(RecoveryPlan { number, survivors, excluded, text })
        }
        RecoveryVerb::Fence => RecoveryStep::Fence,
        RecoveryVerb::LiftFence => RecoveryStep::LiftFence,
        RecoveryVerb::EnterRecovery => RecoveryStep::EnterRecovery,
        RecoveryVerb::RollForward { donor } => RecoveryStep::RollForward { donor: HostId(donor.0) },
        RecoveryVerb::ResetGroup0 => RecoveryStep::ResetGroup0,
        RecoveryVerb::LeaveRecovery => RecoveryStep::LeaveRecovery,
        RecoveryVerb::CloseRecovery => RecoveryStep::CloseRecovery,
    })
}
