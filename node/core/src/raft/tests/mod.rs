//! Tests of the group as its caller sees it.
#![allow(clippy::unwrap_used)]

mod hostile;
mod oracle;
mod pair;
mod rows;
mod world;

use super::{Dropped, Group, Member, Stored};
use crate::{
    ids::{GroupId, HostId},
    random::Random,
};
use bytes::Bytes;
use oracle::Seen;
use std::{ops::Range, panic::catch_unwind, time::Duration};
use world::World;

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

#[test]
fn members_agree_in_a_random_world() {
    let seen = run(0..5, 1_000);
    assert!(seen.reads > 100 && seen.changes > 20 && seen.snapshots > 5 && seen.crashes > 10 && seen.terms > 10, "{seen:?}");
}

#[test]
#[ignore = "takes minutes"]
fn members_agree_in_many_random_worlds() {
    println!("{:?}", run(1_000..1_500, 3_000));
}

fn run(seeds: Range<u64>, steps: u64) -> Seen {
    let mut seen = Seen::default();
    for seed in seeds {
        let world = catch_unwind(|| {
            let mut world = World::new(seed);
            (0..steps).for_each(|_| world.step());
            world.heal();
            world.oracle.seen
        });
        seen = seen.and(world.unwrap_or_else(|_| panic!("seed {seed}")));
    }
    seen
}

#[test]
fn a_seed_gives_the_same_world_byte_for_byte() {
    let run = || {
        let mut world = World::new(42);
        world.traced = true;
        (0..300).for_each(|_| world.step());
        world.oracle.digest()
    };
    assert_eq!(run(), run());
}
