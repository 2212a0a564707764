//! Members that are lost for good and that the others can do without: while there is no group, or once one goes on without them. No
//! recovery: they are removed from the ring, and fresh members boot in their places.
//!
//! Without being asked only with the standing permission of `recovery.mode: Automatic`, and of hosts whose loss Kubernetes proves.

use super::{Action, Given, Plan, evidence, recovery::hosts, stall::is_free};
use crate::{
    crd::RecoveryMode,
    observe::{NodeSeen, UpgradeState},
};
use std::fmt;

/// Who removes the lost from the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remover {
    /// The operator, with standing permission.
    Operator,
    /// A human, or the operator if it had that permission.
    HumanOrOperator,
    /// A human: that they are lost is a human's word.
    Human,
}

impl fmt::Display for Remover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operator => "the operator removes from the ring what is proven to be lost, once nobody else is in recovery or on the way to the end",
            Self::HumanOrOperator => "remove from the ring by hand, or set spec.recovery.mode to Automatic",
            Self::Human => "remove from the ring by hand; the operator does that only where the loss is proven",
        })
    }
}

/// Has one of the lost removed from the ring, the others named as dead: the next when this one is gone.
pub(super) fn remove(given: &Given<'_>, plan: &mut Plan) {
    let dead = hosts::removable(given);
    let proven = dead.iter().find(|dead| dead.is_proven);
    // Somebody may be at work by hand; or the others are on their way to the end, which needs none of the lost.
    let is_at_work = |node: &NodeSeen| node.evidence.in_recovery || node.evidence.recovery_stored;
    let is_under_way = |node: &NodeSeen| evidence::voters(given).is_some() && node.state != UpgradeState::PostRaft;
    if evidence::nodes(given).any(|(_, node)| is_at_work(node) || is_under_way(node)) {
        return;
    }
    let mut by = evidence::nodes(given).filter(|(name, _)| given.healthy(name, &given.seen.nodes[*name]).is_ok());
    if let (Some(lost), Some((node, _)), true) = (proven, by.next(), may_act(given, plan)) {
        let ignore = dead.iter().map(|dead| dead.host).filter(|host| *host != lost.host).collect();
        plan.actions.push(Action::RemoveHost { node: node.clone(), host: lost.host, ignore });
    }
}

/// Who is to remove the lost.
pub(super) fn remover(given: &Given<'_>) -> Remover {
    let is_automatic = given.spec.recovery.mode == RecoveryMode::Automatic;
    match hosts::removable(given).iter().any(|dead| dead.is_proven) {
        true if is_automatic => Remover::Operator,
        true => Remover::HumanOrOperator,
        false => Remover::Human,
    }
}

/// Gives up what is left of those that are removed, once: fresh members boot there.
pub(super) fn replace(given: &Given<'_>, plan: &mut Plan) {
    if !given.spec.recovery.replace_lost_nodes || !may_act(given, plan) {
        return;
    }
    let places = hosts::given_up(given).into_iter().filter_map(|node| Some((node, given.pod(node)?.uid.clone())));
    plan.actions.extend(places.map(|(node, uid)| Action::Replace { node: node.clone(), uid }));
}

fn may_act(given: &Given<'_>, plan: &Plan) -> bool {
    let spec = given.spec;
    spec.recovery.mode == RecoveryMode::Automatic && !spec.paused && !spec.dry_run && is_free(given, plan)
}
