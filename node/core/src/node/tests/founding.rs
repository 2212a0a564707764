//! Who founds the ring, and who does not: there is one already, or there may be.

use super::{
    newcomers::{ends_with_four, three_and_a_fourth, three_final, two_in_synchronize},
    proceed, report,
    world::World,
};
use crate::{
    gossip::RingStatus,
    ids::HostId,
    io::{Point, Table},
    node::{Node, local::key},
    upgrade::Stage,
};
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// The first seed begins anew, and is restarted while the others are away (seed 2230 with disasters).
#[test]
fn who_was_told_of_a_ring_founds_none_when_nobody_answers_later() {
    let mut base = three_and_a_fourth();
    base.hosts[3].settings.is_first_seed = true;
    let mut world = two_in_synchronize(&base);
    world.start(3);
    world.run(Duration::from_secs(5));
    (0..4).for_each(|host| world.crash(host));
    world.start(3);
    world.run(Duration::from_secs(20));
    assert!(!world.node(3).boot.is_completed());
    (0..3).for_each(|host| world.start(host));
    ends_with_four(&mut world, &[]);
}

/// All but one have lost their data, and that one is being restarted while the first seed asks (seed 7068 with disasters).
#[test]
fn a_first_seed_founds_no_ring_while_somebody_is_silent_for_a_moment() {
    let mut base = three_and_a_fourth();
    base.hosts[3].settings.is_first_seed = true;
    let mut world = three_final(&base);
    (0..3).for_each(|host| world.crash(host));
    world.start(3);
    world.run(Duration::from_secs(2));
    let why = world.hosts[3].ready.clone().expect_err("nobody has answered");
    assert!(why.ends_with("may know a ring; if it stays silent, this node founds one 4 s after its start"), "{why}");
    (0..3).for_each(|host| world.start(host));
    ends_with_four(&mut world, &[]);
}

/// Their pods are being started anew, and until then their names have no address.
#[test]
fn a_first_seed_founds_no_ring_while_names_of_seeds_have_no_address() {
    let mut base = three_and_a_fourth();
    base.hosts[3].settings.is_first_seed = true;
    let mut world = three_final(&base);
    (0..3).for_each(|host| world.crash(host));
    world.has_names = false;
    world.start(3);
    world.run(Duration::from_secs(2));
    let why = world.hosts[3].ready.clone().expect_err("nobody could be asked");
    assert!(why.contains("of the configured seeds 1 cannot be resolved now"), "{why}");
    world.has_names = true;
    (0..3).for_each(|host| world.start(host));
    ends_with_four(&mut world, &[]);
}

#[test]
fn a_first_seed_does_not_wait_for_ever_for_a_silent_one() {
    let mut world = World::after(&three_and_a_fourth());
    world.hosts[3].settings.is_first_seed = true;
    world.start(3);
    world.run(Duration::from_millis(3_900));
    assert!(!world.node(3).boot.is_completed());
    assert!(world.run_until(Duration::from_secs(1), |world| world.node(3).boot.is_completed()));
}

/// A machine that is off, or a packet filter, answers nothing at all, and the others all the while.
#[test]
fn a_first_seed_founds_a_ring_though_one_answers_nothing() {
    let mut world = World::new(3);
    world.hosts[0].settings.seeds = (0..3).map(|host| world.hosts[host].settings.broadcast_address).collect();
    world.cut(2, &[0, 1]);
    for host in [2, 1, 0] {
        world.start(host);
    }
    world.run(Duration::from_millis(4_900));
    assert!(!world.node(0).boot.is_completed());
    assert!(world.run_until(Duration::from_secs(2), |world| world.node(0).boot.is_completed()), "{}", report(&world));
    assert!(world.run_until(LIMIT, |world| world.node(1).boot.is_completed()), "{}", report(&world));
}

#[test]
fn a_first_seed_founds_no_ring_beside_one_of_which_another_newcomer_was_told() {
    let mut base = three_and_a_fourth();
    base.hosts[3].settings.seeds = vec![base.hosts[2].settings.broadcast_address];
    base.hosts[3].settings.is_first_seed = true;
    let mut world = two_in_synchronize(&base);
    world.hosts[2].store.clear();
    world.start(2);
    world.run(Duration::from_secs(5));
    (0..2).for_each(|host| world.crash(host));
    world.start(3);
    world.run(Duration::from_secs(20));
    assert!(!world.node(3).boot.is_completed() && !world.node(2).boot.is_completed());
}

/// It has the smallest id and is the first configured seed, and the others are on their way or there.
#[test]
fn a_first_boot_with_the_smallest_id_founds_nothing_beside_others() {
    let base = three_and_a_fourth();
    for mut world in [two_in_synchronize(&base), three_final(&base)] {
        world.hosts[3].store.insert((Table::Local, key::HOST_ID.into()), HostId::of(1).to_string().into_bytes());
        world.hosts[3].settings.is_first_seed = true;
        world.start(3);
        assert!((0..2).all(|host| world.node(host).host > world.node(3).host));
        world.run(Duration::from_secs(3));
        if world.hosts[2].node.is_none() {
            world.start(2);
        }
        ends_with_four(&mut world, &[]);
        assert!(!world.hosts[3].points.contains(&Point::Founded));
    }
}

/// Leave to join comes before the word that whoever gives it is in a ring (seed 71797).
#[test]
fn who_has_leave_to_join_is_not_alone_in_the_ring() {
    let mut world = World::new(2);
    world.hosts.iter_mut().for_each(|host| host.settings.flag = Some(true));
    world.hosts[0].settings.hold = true;
    (0..2).for_each(|host| world.start(host));
    let have_met = |world: &World| (0..2).all(|host| world.node(host).gossip.endpoints().len() == 2);
    assert!(world.run_until(LIMIT, have_met));
    world.run(Duration::from_millis(2_500));
    world.loses_gossip = true;
    assert!(world.run_until(LIMIT, |world| world.node(0).boot.is_completed()));
    world.run(LIMIT);
    assert!(!world.node(1).boot.is_completed(), "it is in a ring of its own");
    world.loses_gossip = false;
    assert!(world.run_until(LIMIT, |world| world.node(1).boot.is_completed()));
    proceed(&mut world);
    let is_final = |node: &Node| node.stage() == Stage::UsePostRaft && node.ring().len() == 2;
    assert!(world.run_until(LIMIT, |world| world.all(is_final)), "{}", report(&world));
    let groups: BTreeSet<_> = (0..2).map(|host| world.node(host).local.group().unwrap()).collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
}

/// By a host that is restarted while a newcomer asks it (seed 71797).
#[test]
fn the_first_word_of_a_host_of_the_ring_is_that_it_is_one() {
    let mut world = World::after(&three_and_a_fourth());
    world.hosts[0].settings.seeds = vec![world.hosts[3].settings.broadcast_address];
    world.start(3);
    world.run(Duration::from_secs(1));
    world.start(0);
    let host = world.node(0).host;
    let heard = |world: &World| world.node(3).gossip.endpoints().get(&host).map(|endpoint| endpoint.status);
    assert!(world.run_until(LIMIT, |world| heard(world).is_some()));
    assert_eq!(heard(&world), Some(RingStatus::Normal));
}
