#![allow(clippy::unwrap_used)]
//! Joining, with answers given by hand.

use super::*;
use crate::{
    ids::Generation,
    io::{DiscoveryPeer, ExchangeReply},
};

fn peer(number: u8) -> DiscoveryPeer {
    let host = Some(HostId::of(number.into()));
    DiscoveryPeer { host, address: ([127, 0, 0, number], 7000).into(), generation: Generation(1) }
}

fn member(number: u8) -> Member {
    Member { host: HostId::of(number.into()), address: peer(number).address }
}

fn new(me: u8, others: &[u8], group: Option<GroupId>) -> Joining {
    let others: Vec<_> = others.iter().map(|n| peer(*n)).collect();
    Joining::new(group, Discovery::new(peer(me), HostId::of(me.into()), &others))
}

fn answer(state: &Joining, from: u8, reply: ExchangeReply) -> (Joining, Vec<Action>) {
    let event = discovery::Event::Answered { address: peer(from).address, from: HostId::of(from.into()), reply };
    step(state, Event::Discovery(event))
}

fn group_reply(group: u128, from: u8) -> ExchangeReply {
    ExchangeReply::Group { group: GroupId::of(group), incarnation: Incarnation(1), member: member(from), is_final: false }
}

#[test]
fn a_joiner_persists_before_it_asks_to_be_added() {
    let (state, _) = step(&new(2, &[1], None), Event::Begin);
    let (state, actions) = answer(&state, 1, group_reply(7, 1));
    let group = GroupId::of(7);
    assert_eq!(actions, [Action::Adopt { group, incarnation: Incarnation(1) }, Action::Modify { group, member: member(1) }]);
    let (state, _) = step(&state, Event::Modified(Ok(())));
    assert_eq!(step(&state, Event::InConfiguration).1, [Action::Joined]);
}

#[test]
fn a_restarted_joiner_asks_again_and_founds_nothing() {
    let (state, _) = step(&new(1, &[2], Some(GroupId::of(7))), Event::Begin);
    let (state, actions) = answer(&state, 2, ExchangeReply::Peers(vec![peer(1), peer(2)]));
    assert_eq!(actions, [], "the smallest id, and yet no second group");
    let (state, _) = step(&state, Event::Retry);
    let (_, actions) = answer(&state, 2, group_reply(7, 2));
    assert_eq!(actions, [Action::Modify { group: GroupId::of(7), member: member(2) }]);
}

#[test]
fn another_group_is_an_error() {
    let (state, _) = step(&new(1, &[2], Some(GroupId::of(7))), Event::Begin);
    let (state, actions) = answer(&state, 2, group_reply(8, 2));
    assert!(matches!(actions.as_slice(), [Action::Fail(cause)] if cause.contains("Group0Id mismatch")));
    let (state, actions) = step(&state, Event::Begin);
    assert!(matches!(actions.as_slice(), [Action::Persist(_), Action::Exchange(..)]), "whoever is told to try again does");
    let (_, actions) = answer(&state, 2, group_reply(7, 2));
    assert_eq!(actions, [Action::Modify { group: GroupId::of(7), member: member(2) }]);
}

#[test]
fn added_by_someone_else_before_the_wait() {
    let (state, actions) = step(&new(2, &[1], Some(GroupId::of(7))), Event::InConfiguration);
    assert_eq!(actions, []);
    assert_eq!(step(&state, Event::Begin).1, [Action::Joined]);
}

#[test]
fn a_failed_request_is_tried_again_from_the_start() {
    let (state, _) = step(&new(2, &[1], None), Event::Begin);
    let (state, _) = answer(&state, 1, group_reply(7, 1));
    let (state, actions) = step(&state, Event::Modified(Err(ModifyFailure::Transient("closed".into()))));
    assert_eq!(actions, [Action::Backoff(Some("closed".into()))]);
    let (_, actions) = step(&state, Event::Retry);
    assert!(matches!(actions.as_slice(), [Action::Persist(_), Action::Exchange(..)]));
}

#[test]
fn a_member_of_another_group_ends_it_for_good() {
    let (state, _) = step(&new(2, &[1], None), Event::Begin);
    let (state, _) = answer(&state, 1, group_reply(7, 1));
    let (state, actions) = step(&state, Event::Modified(Err(ModifyFailure::OtherGroup("Group0Id mismatch".into()))));
    assert_eq!(actions, [Action::Fail("Group0Id mismatch".into())]);
    assert_eq!(step(&state, Event::Retry).1, [], "no retry mends it");
}
