//! Whole clusters of gossips in a small deterministic world.
#![allow(clippy::unwrap_used)]

mod world;

use super::{Endpoint, GossipEvent, GossipInput, RingStatus, packet::Packet};
use crate::{ids::Generation, random::Random};
use bytes::Bytes;
use std::{collections::BTreeSet, time::Duration};
use world::{LIMIT, World, address, endpoint, host};

const SEEDS: u64 = 20;

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn each_seed(check: impl Fn(u64)) {
    (0..SEEDS).for_each(check);
}

fn changed(world: &World, number: u128, version: u64) -> Endpoint {
    Endpoint {
        is_final: true,
        incarnation: crate::ids::Incarnation(u32::try_from(version).unwrap()),
        ..world.node(number).me().clone()
    }
}

#[test]
fn a_cluster_meets_within_a_second_or_two() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        (1..=5).for_each(|number| world.start(endpoint(number, 1), &[1]));
        let time = world.run_until(LIMIT, World::all_meet);
        assert!(time < millis(1_500), "seed {seed}: {time:?}");
        let time = world.run_until(LIMIT, |world| world.nodes.values().all(|node| node.gossip.seen_by().count() == 4));
        assert!(time < millis(5_000), "seed {seed}: {time:?}");
    });
}

#[test]
fn a_lossy_cluster_meets_and_hears_of_changes() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        (world.loss, world.duplicates, world.delay) = (20, 10, 1..150);
        (1..=5).for_each(|number| world.start(endpoint(number, 1), &[1, 2]));
        world.run_until(LIMIT, World::all_meet);
        world.give(3, GossipInput::Update(changed(&world, 3, 1)));
        let me = world.node(3).me().clone();
        let time = world.run_until(LIMIT, |world| world.nodes.values().all(|it| it.gossip.endpoints()[&me.host] == me));
        assert!(time < millis(15_000), "seed {seed}: {time:?}");
    });
}

#[test]
fn seeds_that_start_late_are_tried_each_second() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        world.start(endpoint(2, 1), &[1, 2]);
        world.run(millis(30_000));
        assert!(world.nodes[&host(2)].sent >= 30);
        world.start(endpoint(1, 1), &[1]);
        let time = world.run_until(LIMIT, World::all_meet);
        assert!(time < millis(1_200), "seed {seed}: {time:?}");
    });
}

/// It may have lost its data, and would found a ring of its own if it heard of nobody.
#[test]
fn whoever_comes_at_the_address_of_a_seed_hears_of_the_ring_at_once_whomever_else_it_has_lost() {
    each_seed(|seed| {
        let mut world = World::new(seed);
        (1..=8).for_each(|number| world.start(endpoint(number, 1), &[1]));
        world.run_until(LIMIT, World::all_meet);
        (1..=8).filter(|number| *number != 2).for_each(|number| world.kill(number));
        world.start(endpoint(8, 2), &[1]);
        world.run(millis(5_000));
        world.start(Endpoint { host: host(9), ..endpoint(1, 1) }, &[1]);
        let time = world.run_until(LIMIT, |world| world.node(9).endpoints().len() > 1);
        assert!(time < millis(1_200), "seed {seed}: {time:?}");
    });
}

#[test]
fn a_dead_host_is_down_within_the_failure_timeout() {
    each_seed(|seed| {
        for count in [2, 3, 5] {
            let mut world = World::of(seed, count);
            world.run(millis(3_000 + seed * 37));
            world.kill(2);
            let time = world.run_until(LIMIT, |world| world.nobody_else_sees(2));
            assert!(time > millis(500) && time < millis(2_600), "seed {seed}, {count} nodes: {time:?}");
        }
    });
}

#[test]
fn peers_remembered_from_before_do_for_seeds() {
    each_seed(|seed| {
        let mut world = World::of(seed, 3);
        world.kill(2);
        world.kill(3);
        world.start_with(endpoint(3, 2), &[3], &[1, 2, 3], BTreeSet::new());
        let time = world.run_until(LIMIT, World::all_meet);
        assert!(time < millis(1_200), "seed {seed}: {time:?}");
        world.run_until(millis(2_600), |world| world.nobody_else_sees(2));
    });
}

#[test]
fn healthy_hosts_stay_up() {
    (0..2).for_each(|seed| {
        let mut world = World::of(seed, 5);
        world.delay = 100..150;
        world.run(millis(1_000));
        (1..=5).for_each(|number| drop(world.events(number)));
        world.run(millis(8_000));
        (1..=5).for_each(|number| assert_eq!(world.events(number), [], "seed {seed}, node {number}"));
    });
}

#[test]
fn a_shutdown_is_seen_at_once() {
    each_seed(|seed| {
        let mut world = World::of(seed, 5);
        world.give(2, GossipInput::Shutdown);
        world.run(millis(20));
        assert!(world.nobody_else_sees(2), "seed {seed}");
        assert_eq!(world.node(4).endpoints()[&host(2)].status, RingStatus::Shutdown);
        world.run(millis(3_000));
        assert!(world.nobody_else_sees(2), "seed {seed}");
        world.start(endpoint(2, 2), &[1]);
        assert!(world.run_until(LIMIT, World::all_meet) < millis(1_500));
    });
}

#[test]
fn a_change_reaches_all_live_peers_in_one_hop() {
    each_seed(|seed| {
        let mut world = World::of(seed, 5);
        let version = world.node(3).me().version;
        world.give(3, GossipInput::Update(changed(&world, 3, 7)));
        let me = world.node(3).me().clone();
        assert_eq!(me.version, version + 1);
        world.run(millis(20));
        assert!(world.nodes.values().all(|it| it.gossip.endpoints()[&me.host] == me), "seed {seed}");
        world.give(3, GossipInput::Update(Endpoint { version: 99, ..me.clone() }));
        assert_eq!(*world.node(3).me(), me, "nothing new, nothing told");
    });
}

#[test]
fn a_restart_is_seen_quickly_and_does_not_flap() {
    each_seed(|seed| {
        for moved_to in [2, 9] {
            let mut world = World::of(seed, 4);
            drop(world.events(4));
            world.kill(2);
            world.run(millis(100));
            world.start(Endpoint { address: address(moved_to), ..endpoint(2, 2) }, &[1]);
            let time = world.run_until(LIMIT, World::all_meet);
            assert!(time < millis(1_200), "seed {seed}: {time:?}");
            world.run(millis(4_000));
            assert_eq!(world.node(4).endpoints()[&host(2)].generation, Generation(2));
            assert_eq!(world.node(4).host_at(address(moved_to)), Some(host(2)));
            assert_eq!(world.events(4), [GossipEvent::Changed(host(2))], "seed {seed}");
        }
    });
}

#[test]
fn hosts_cut_off_go_down_and_come_back_by_themselves() {
    each_seed(|seed| {
        let mut world = World::of(seed, 5);
        world.cut(2, &[1, 3, 4, 5]);
        world.run_until(LIMIT, |world| world.nobody_else_sees(2) && world.node(2).live().count() == 0);
        world.run(millis(3_000));
        world.give(1, GossipInput::Update(changed(&world, 1, 5)));
        world.cuts.clear();
        let time = world.run_until(LIMIT, World::all_meet);
        assert!(time < millis(4_000), "seed {seed}: {time:?}");
        world.start(endpoint(2, 2), &[1]);
        assert!(world.run_until(LIMIT, World::all_meet) < millis(1_500), "a restart wins over renewals");
    });
}

#[test]
fn two_halves_unite() {
    each_seed(|seed| {
        let mut world = World::of(seed, 6);
        (1..=3).for_each(|one| world.cut(one, &[4, 5, 6]));
        world.run_until(LIMIT, |world| world.nodes.values().all(|node| node.gossip.live().count() == 2));
        world.run(millis(3_000));
        world.cuts.clear();
        let time = world.run_until(LIMIT, World::all_meet);
        assert!(time < millis(5_000), "seed {seed}: {time:?}");
    });
}

#[test]
fn a_cut_between_two_takes_neither_down() {
    each_seed(|seed| {
        let mut world = World::of(seed, 4);
        (1..=4).for_each(|number| drop(world.events(number)));
        world.cut(2, &[3]);
        world.run(millis(3_000));
        world.give(2, GossipInput::Update(changed(&world, 2, 5)));
        let me = world.node(2).me().clone();
        world.run_until(millis(6_000), |world| world.node(3).endpoints()[&host(2)] == me);
        for number in 1..=4 {
            assert!(world.events(number).iter().all(|event| matches!(event, GossipEvent::Changed(_))), "seed {seed}");
        }
    });
}

#[test]
fn a_removed_host_stays_out_of_those_who_removed_it() {
    each_seed(|seed| {
        let mut world = World::of(seed, 4);
        world.give(1, GossipInput::Remove(host(2)));
        assert_eq!(world.events(1).last(), Some(&GossipEvent::Down(host(2))));
        world.run(millis(2_000));
        world.kill(2);
        world.start(endpoint(2, 2), &[1, 3]);
        world.start_with(endpoint(5, 1), &[3], &[2], BTreeSet::from([host(2)]));
        world.run(millis(3_000));
        for number in [1, 5] {
            assert!(!world.node(number).endpoints().contains_key(&host(2)) && !world.node(number).is_up(host(2)));
            assert_eq!(world.node(number).live().count(), 3, "seed {seed}");
            assert!(world.node(number).ignored().removed > 0);
        }
        assert!(world.node(3).is_up(host(2)), "3 has not removed it");
        assert!(
            world
                .events(1)
                .iter()
                .all(|event| !matches!(event, GossipEvent::Changed(id) | GossipEvent::Up(id) if *id == host(2)))
        );
    });
}

#[test]
fn another_host_takes_over_the_address_of_a_dead_one() {
    each_seed(|seed| {
        let mut world = World::of(seed, 3);
        world.kill(2);
        world.start(Endpoint { address: address(2), ..endpoint(7, 1) }, &[1]);
        world.run_until(millis(4_000), |world| world.nobody_else_sees(2) && world.all_meet());
        assert_eq!(world.node(1).host_at(address(2)), Some(host(7)), "seed {seed}");
        assert!(world.node(1).endpoints().contains_key(&host(2)), "known, but not alive");
    });
}

#[test]
fn a_host_whose_past_is_remembered_better_than_by_itself_outdoes_it() {
    each_seed(|seed| {
        let mut world = World::of(seed, 3);
        world.kill(2);
        world.start(endpoint(2, 8), &[1]);
        world.run_until(LIMIT, World::all_meet);
        world.kill(2);
        world.run(millis(3_000));
        world.start(endpoint(2, 3), &[1]);
        let time = world.run_until(LIMIT, World::all_meet);
        assert!(time < millis(4_000), "seed {seed}: {time:?}");
        assert_eq!(world.node(2).me().generation, Generation(9));
        assert!(world.events(2).contains(&GossipEvent::Changed(host(2))));
    });
}

#[test]
fn two_processes_of_one_host_do_not_storm() {
    each_seed(|seed| {
        let mut world = World::of(seed, 3);
        let zombie = world.nodes.remove(&host(2)).unwrap();
        world.nodes.insert(host(99), zombie);
        world.start(Endpoint { address: address(9), ..endpoint(2, 2) }, &[1]);
        world.run(millis(3_000));
        let before: usize = world.nodes.values().map(|node| node.sent).sum();
        world.run(millis(3_000));
        let sent = world.nodes.values().map(|node| node.sent).sum::<usize>() - before;
        assert!(sent < 400, "seed {seed}: {sent} datagrams in 3 s");
        assert!(world.node(1).is_up(host(2)));
    });
}

#[test]
fn junk_is_counted_and_ignored() {
    let mut world = World::of(1, 2);
    let mut random = Random::seeded(7);
    let good = Packet::Foca(Bytes::from_static(&[1, 2, 3])).encode().unwrap();
    let before = world.node(1).ignored().malformed;
    for length in 0..400_u64 {
        let mut bytes: Vec<u8> = (0..length).map(|_| u8::try_from(random.within(0..256)).unwrap()).collect();
        if length % 2 == 0 {
            bytes.insert(0, u8::try_from(random.within(0..3)).unwrap());
        }
        world.give(1, GossipInput::Datagram { from: host(2), from_address: address(2), bytes: bytes.into() });
    }
    world.give(1, GossipInput::Datagram { from: host(2), from_address: address(2), bytes: good });
    assert!(world.node(1).ignored().malformed > before + 300);
    world.run(millis(5_000));
    assert!(world.all_meet());
}

#[test]
fn a_large_cluster_with_many_tokens_meets() {
    let mut world = World::new(3);
    for number in 1..=12 {
        let tokens = (0..256).map(|token| i64::MAX / (token + i64::from(number) * 1_000)).collect();
        world.start(Endpoint { tokens, ..endpoint(number, 1) }, &[1, 2, 3]);
    }
    assert!(world.run_until(LIMIT, World::all_meet) < millis(4_000));
    assert_eq!(world.node(1).ignored().oversized, 0);
}

#[test]
fn who_waits_for_its_way_in_and_is_silent_for_an_hour_is_forgotten_by_all_until_it_speaks_again() {
    let mut world = World::of(1, 2);
    let waiting = |generation| Endpoint { status: RingStatus::Waiting, ..endpoint(3, generation) };
    world.start(waiting(1), &[1]);
    world.run_until(LIMIT, World::all_meet);
    let knows = |world: &World, number| world.node(number).endpoints().contains_key(&host(3));
    world.kill(3);
    world.run(Duration::from_mins(50));
    assert!(knows(&world, 1) && knows(&world, 2));
    world.run(Duration::from_mins(15));
    assert!(!knows(&world, 1) && !knows(&world, 2), "one has it from the other again");
    world.start(waiting(2), &[1]);
    world.run_until(LIMIT, World::all_meet);
    world.kill(3);
    world.kill(2);
    world.run(Duration::from_mins(65));
    assert!(!knows(&world, 1));
    world.start(waiting(2), &[1]);
    world.run_until(LIMIT, World::all_meet);
}

#[test]
fn a_member_that_is_silent_is_never_forgotten() {
    let mut world = World::of(1, 3);
    world.kill(3);
    world.run(Duration::from_mins(65));
    assert!(world.node(1).endpoints().contains_key(&host(3)));
}
