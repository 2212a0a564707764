//! Tests of the group as its caller sees it.
#![allow(clippy::unwrap_used)]

use super::{Dropped, Group, Member, Stored};
use crate::{
    ids::{GroupId, HostId},
    random::Random,
};
use bytes::Bytes;
use std::time::Duration;

const GROUP: GroupId = GroupId::of(77);
const TICK: Duration = Duration::from_millis(100);

fn member(number: u128) -> Member {
    Member { host: HostId::of(number), address: ([127, 0, 0, u8::try_from(number % 250).unwrap()], 7000).into() }
}

fn start(number: u128, stored: Stored, seed: u64) -> Group {
    Group::start(GROUP, HostId::of(number), stored, Random::seeded(seed), Duration::ZERO, TICK).unwrap()
}

#[test]
fn a_founder_elects_itself_and_commits_in_one_turn() {
    let mut group = start(1, Group::founding(member(1)), 1);
    assert_eq!(group.propose(Bytes::from_static(b"early")), Err(Dropped::NoLeader));
    group.campaign();
    group.propose(Bytes::from_static(b"one")).unwrap();
    group.propose(Bytes::from_static(b"two")).unwrap();
    group.read_index(9).unwrap();
    let output = group.take();
    let committed: Vec<_> = output.committed.iter().map(|(index, _, data)| (*index, data.as_ref())).collect();
    assert_eq!(committed, [(3, b"one".as_slice()), (4, b"two".as_slice())]);
    assert_eq!(output.reads, [(9, 4)]);
    assert!(output.role.unwrap().is_leader && output.send.is_empty());
    assert_eq!(output.persist.len(), 3, "one append, one hard state, one applied index: {:?}", output.persist);
}
