//! The guards before the first restart.
//!
//! One node may be unhealthy: it is rolled first, and the gates ask of it later what it could not answer now.

use super::{Given, Plan, WaitingFor, health::Member, rolling};
use crate::{
    crd::Phase,
    observe::{HostId, UpgradeState},
};
use k8s_openapi::jiff::SignedDuration;
use std::collections::BTreeSet;

/// A clock may be off by so much: timestamps of schema changes are compared between nodes.
const MAX_CLOCK_OFFSET: SignedDuration = SignedDuration::from_secs(1);

/// Asks every guard; when all pass, the roll begins.
pub(super) fn ask(given: &Given<'_>) -> Plan {
    let waiting = refused_by(given);
    if !waiting.is_empty() {
        return given.wait(Phase::Preflight, waiting);
    }
    let mut journal = given.journal.clone();
    journal.preflight_passed_at = Some(given.now);
    rolling::next(&Given { journal: &journal, ..*given })
}

fn refused_by(given: &Given<'_>) -> Vec<WaitingFor> {
    let mut waiting = Vec::new();
    let mut members = Vec::new();
    for (name, view) in &given.seen.nodes {
        match given.healthy(name, view) {
            Ok(member) => members.push(member),
            Err(why) => waiting.push((why, given.needs_restart(name, view))),
        }
    }
    let one_to_roll_first = waiting.len() == 1 && waiting.iter().all(|(_, needs_restart)| *needs_restart);
    let mut refused: Vec<_> = if one_to_roll_first { Vec::new() } else { waiting.into_iter().map(|(why, _)| why).collect() };
    refused.extend(members.iter().filter_map(state_refused));
    refused.extend(members.iter().filter_map(clock_refused));
    refused.extend(members.windows(2).filter_map(release_refused));
    if members.len() == given.seen.nodes.len() {
        refused.extend(foreign_members(&members));
    }
    refused
}

fn state_refused(member: &Member<'_>) -> Option<WaitingFor> {
    let node = member.name.clone();
    match &member.node.state {
        UpgradeState::PreRaft => None,
        UpgradeState::Recovery => Some(WaitingFor::InRecovery { node }),
        state => Some(WaitingFor::UnexpectedState { node, state: state.clone() }),
    }
}

fn clock_refused(member: &Member<'_>) -> Option<WaitingFor> {
    let offset = member.node.clock_offset;
    let millis = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
    (offset.abs() > MAX_CLOCK_OFFSET).then(|| WaitingFor::ClockOff { node: member.name.clone(), millis })
}

fn release_refused(pair: &[Member<'_>]) -> Option<WaitingFor> {
    let [other, node] = pair else { return None };
    (node.node.release != other.node.release).then(|| WaitingFor::ReleaseDiffers {
        node: node.name.clone(),
        other: other.name.clone(),
        releases: Box::new([node.node.release.clone(), other.node.release.clone()]),
    })
}

fn foreign_members(members: &[Member<'_>]) -> Vec<WaitingFor> {
    let ours: BTreeSet<HostId> = members.iter().map(|m| m.node.host).collect();
    let foreign = |m: &Member<'_>| {
        let by = m.name.clone();
        let host = m.node.peers.keys().find(|host| !ours.contains(host)).copied();
        host.map(|host| WaitingFor::ForeignMember { by, host })
    };
    members.iter().filter_map(foreign).collect()
}
