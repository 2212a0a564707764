//! The gate between two restarts, over all pairs: each sees each other up, in its present start, with schemas exchanged.
//!
//! A restarted node that says it is ready is not enough: its peers must have noticed, and no schema change may live only on
//! the node that is about to go.

use super::{Given, WaitingFor, health::Member};
use crate::observe::{PodName, UpgradeState};

/// What keeps the gate closed for taking `next`; for the last gate, `None`.
pub(super) fn closed_by(given: &Given<'_>, next: Option<&PodName>, allowed: &[UpgradeState]) -> Vec<WaitingFor> {
    let mut waiting = Vec::new();
    let mut open = Vec::new();
    let mut taken = None;
    for (name, view) in &given.seen.nodes {
        match (given.healthy(name, view), Some(name) == next) {
            (Ok(member), false) => open.push(member),
            (Ok(member), true) => taken = Some(member),
            (Err(_), true) => {}
            (Err(why), false) => waiting.push(why),
        }
    }
    waiting.extend(open.iter().chain(&taken).filter_map(|member| wrong_state(member, allowed)));
    for a in &open {
        waiting.extend(open.iter().filter(|b| b.name != a.name).filter_map(|b| apart(a, b)));
    }
    for (a, b) in taken.iter().flat_map(|t| open.iter().flat_map(move |a| [(a, t), (t, a)])) {
        waiting.extend(if sees_up(a, b) { unexchanged(a, b) } else { None });
    }
    waiting
}

fn wrong_state(member: &Member<'_>, allowed: &[UpgradeState]) -> Option<WaitingFor> {
    let node = || member.name.clone();
    match &member.node.state {
        UpgradeState::Recovery => Some(WaitingFor::InRecovery { node: node() }),
        state if allowed.contains(state) => None,
        state => Some(WaitingFor::UnexpectedState { node: node(), state: state.clone() }),
    }
}

fn sees_up(a: &Member<'_>, b: &Member<'_>) -> bool {
    a.node.peers.get(&b.node.host).is_some_and(|peer| peer.up)
}

/// What `a` lacks of `b`.
fn apart(a: &Member<'_>, b: &Member<'_>) -> Option<WaitingFor> {
    let (by, of) = (a.name.clone(), b.name.clone());
    match a.node.peers.get(&b.node.host) {
        None => Some(WaitingFor::PeerSeesNodeDown { by, of }),
        Some(peer) if !peer.up => Some(WaitingFor::PeerSeesNodeDown { by, of }),
        Some(peer) if peer.generation != b.node.generation => Some(WaitingFor::PeerKnowsEarlierStart { by, of }),
        Some(_) => unexchanged(a, b),
    }
}

fn unexchanged(a: &Member<'_>, b: &Member<'_>) -> Option<WaitingFor> {
    let pulled = a.node.peers.get(&b.node.host).map(|peer| peer.pulled_from_generation);
    let exchanged = pulled == Some(b.node.generation);
    (!exchanged).then(|| WaitingFor::SchemaNotExchanged { by: a.name.clone(), from: b.name.clone() })
}
