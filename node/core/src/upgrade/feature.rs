//! The cluster feature that opens the procedure, the hold in front of it, and until when others come in the old way.

use super::Stage;
use crate::gossip::Endpoint;
use std::collections::BTreeSet;

/// The one feature. A node advertises it once its flag is on and nothing holds it.
pub const SUPPORTS_RAFT_CLUSTER_MANAGEMENT: &str = "SUPPORTS_RAFT_CLUSTER_MANAGEMENT";

/// What decides whether a node advertises the feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flag {
    /// `consistent_cluster_management`; absent is off until the feature is enabled.
    pub configured: Option<bool>,
    /// `consistent_cluster_management_hold`
    pub hold: bool,
    /// Whether `Proceed` was received (durable).
    pub proceed: bool,
    /// Whether the feature is enabled (durable, never undone).
    pub enabled: bool,
}

/// A node that lacks an enabled feature must not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Feature '{SUPPORTS_RAFT_CLUSTER_MANAGEMENT}' was previously enabled in the cluster, but this node is configured with \
     consistent_cluster_management: false. The upgrade to group 0 cannot be undone: remove that line (or the variable \
     GROUP0_CONSISTENT_CLUSTER_MANAGEMENT) or set it to true, and start the node again"
)]
pub struct FeatureWithdrawn;

impl Flag {
    /// Whether a node with this flag may start at all.
    pub const fn check(self) -> Result<(), FeatureWithdrawn> {
        if self.enabled && matches!(self.configured, Some(false)) { Err(FeatureWithdrawn) } else { Ok(()) }
    }

    /// Whether the flag is on: an absent one counts as on once the feature is enabled.
    pub const fn is_on(self) -> bool {
        match self.configured {
            Some(on) => on,
            None => self.enabled,
        }
    }

    /// Whether only the hold keeps the feature from being advertised.
    pub const fn is_held(self) -> bool {
        self.is_on() && self.hold && !self.proceed && !self.enabled
    }

    /// Whether the node advertises the feature.
    pub const fn advertises(self) -> bool {
        self.is_on() && !self.is_held()
    }

    /// Whether a stored `proceed` must be erased at start: the flag was taken back before the feature was enabled.
    pub const fn erases_proceed(self) -> bool {
        self.proceed && !self.is_on() && !self.enabled
    }
}

/// Whether the feature can be enabled: we advertise it and so does every known member. A member of whom nothing is known
/// (`None`) does not.
pub fn can_enable<'a>(flag: Flag, members: impl IntoIterator<Item = Option<&'a Endpoint>>) -> bool {
    let advertised = |endpoint: Option<&Endpoint>| endpoint.is_some_and(|known| has(&known.features));
    flag.advertises() && members.into_iter().all(advertised)
}

/// What one that is in the ring says to a host that asks for leave to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// To come in the old way. It is recorded before that is said, which makes it a known member.
    OldWay,
    /// None, before it advertises the feature: it would come into the ring and never into the group.
    LacksFeature,
    /// To wait until somebody is final.
    Wait,
    /// To come in through the group.
    Group,
}

/// Which leave the asked one gives, being at that stage. Whom it recorded before the feature was enabled, its own step 0 waits for: that
/// one may come in although the feature is enabled meanwhile.
pub const fn leave(is_enabled: bool, stage: Stage, is_recorded: bool, advertises: bool) -> Leave {
    match (is_enabled, stage) {
        (_, Stage::UsePostRaft) => Leave::Group,
        (true, Stage::UsePreRaft) if is_recorded && advertises => Leave::OldWay,
        (true, Stage::UsePreRaft) if is_recorded => Leave::LacksFeature,
        (true, _) => Leave::Wait,
        (false, _) => Leave::OldWay,
    }
}

/// Whether the set names the feature.
pub fn has(features: &BTreeSet<String>) -> bool {
    features.contains(SUPPORTS_RAFT_CLUSTER_MANAGEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(configured: Option<bool>, hold: bool, proceed: bool, enabled: bool) -> Flag {
        Flag { configured, hold, proceed, enabled }
    }

    #[test]
    fn the_hold_ends_with_proceed_and_has_no_effect_once_enabled() {
        assert!(flag(Some(true), true, false, false).is_held());
        assert!(flag(Some(true), true, true, false).advertises());
        assert!(flag(Some(true), true, false, true).advertises());
        assert!(!flag(Some(false), false, false, false).advertises());
    }

    #[test]
    fn an_absent_flag_is_on_once_enabled_and_only_false_refuses() {
        assert!(!flag(None, false, false, false).is_on());
        assert!(flag(None, false, false, true).is_on());
        assert_eq!(flag(None, false, false, true).check(), Ok(()));
        assert_eq!(flag(Some(false), false, false, true).check(), Err(FeatureWithdrawn));
        assert_eq!(flag(Some(false), false, false, false).check(), Ok(()));
    }

    #[test]
    fn a_start_without_the_flag_erases_proceed() {
        assert!(flag(None, true, true, false).erases_proceed());
        assert!(!flag(Some(true), true, true, false).erases_proceed());
        assert!(!flag(None, true, true, true).erases_proceed());
    }

    #[test]
    fn a_member_of_whom_nothing_is_known_keeps_the_feature_from_being_enabled() {
        let on = flag(Some(true), false, false, false);
        assert!(can_enable(on, []));
        assert!(!can_enable(on, [None]));
    }
}
