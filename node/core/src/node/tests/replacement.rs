//! A new host takes the place of one that is lost.

use super::{is_final, report, upgrade, upgraded, with_keyspace, world::World};
use crate::{ids::HostId, io::Replacement};
use std::{net::SocketAddr, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// The machine is gone with its disk; who comes there has nothing but its configuration.
fn lose(world: &mut World, number: usize) -> HostId {
    let lost = world.node(number).host;
    world.crash(number);
    world.hosts[number].store.clear();
    lost
}

fn come_instead(world: &mut World, number: usize, lost: HostId, address: Option<SocketAddr>, ignore: Vec<HostId>) {
    let settings = &mut world.hosts[number].settings;
    settings.replaces = Some(Replacement { host: lost, ignore });
    settings.broadcast_address = address.unwrap_or(settings.broadcast_address);
    settings.seeds = vec![([127, 0, 0, 1], 7000).into(), ([127, 0, 0, 2], 7000).into()];
    world.start(number);
}

fn is_replaced(world: &World, lost: HostId) -> bool {
    let knows = |node: &crate::node::Node| {
        let members = node.group.as_ref().map(|(_, group)| group.configuration().voters.clone());
        let is_member =
            |members: std::collections::BTreeSet<HostId>| members.len() == world.hosts.len() && !members.contains(&lost);
        members.is_none_or(is_member)
            && node.boot.is_completed()
            && node.local.removed().contains(&lost)
            && node.peers.hosts().len() == world.hosts.len() - 1
    };
    // Who comes later needs no memory of whom it never knew.
    let others = || world.hosts.iter().filter(|host| host.settings.replaces.is_none());
    others().all(|host| host.node.as_ref().is_some_and(knows)) && world.all(|node| node.boot.is_completed())
}

fn goes_on(world: &mut World, lost: HostId) {
    let replaced = world.run_until(LIMIT, |world| is_replaced(world, lost));
    assert!(replaced, "{:?}\n{}", world.hosts.iter().map(|host| &host.ready).collect::<Vec<_>>(), report(world));
    for number in 0..world.hosts.len() {
        world.execute(number, &format!("CREATE TABLE ks.by_{number} (a int PRIMARY KEY)"));
    }
    world.run(Duration::from_secs(1));
    let rows = world.node(0).schema.rows();
    assert!(world.all(|node| node.schema.rows() == rows));
}

/// At the same address the messages for the lost one reach the new one, which refuses them.
#[test]
fn a_lost_member_is_replaced_at_its_address_and_elsewhere() {
    for (number, address) in [(2, None), (1, None), (2, Some(([127, 0, 0, 99], 7000).into()))] {
        let mut world = upgraded(3);
        let lost = lose(&mut world, number);
        come_instead(&mut world, number, lost, address, vec![]);
        goes_on(&mut world, lost);
        assert!(is_final(&world));
    }
}

/// The first seed founds no second ring when it is to take a place in the first one.
#[test]
fn a_lost_first_seed_is_replaced() {
    let mut world = upgraded(3);
    let lost = lose(&mut world, 0);
    come_instead(&mut world, 0, lost, None, vec![]);
    goes_on(&mut world, lost);
}

/// It has nobody to ask, and the others knock at its address.
#[test]
fn a_lost_first_seed_founds_no_second_ring() {
    let mut world = upgraded(3);
    lose(&mut world, 0);
    world.start(0);
    assert!(world.run_until(LIMIT, |world| world.hosts[0].ready.is_ok()), "{:?}", world.hosts[0].ready);
    world.run(Duration::from_secs(5));
    assert!(is_final(&world) && world.all(|node| node.joining.group() == world.node(1).joining.group()), "{}", report(&world));

    let mut world = with_keyspace(3);
    let lost = lose(&mut world, 0);
    world.start(0);
    world.run(Duration::from_secs(10));
    let waits = world.hosts[0].ready.clone().expect_err("it has founded a ring of its own");
    assert!(waits.contains(&format!("replace_node_first_boot: {lost}")), "{waits}");
}

#[test]
fn before_the_upgrade_a_lost_host_is_replaced_and_the_ring_is_upgraded() {
    let mut world = with_keyspace(4);
    let (one, other) = (lose(&mut world, 2), lose(&mut world, 3));
    let are_down = |world: &World| (0..2).all(|number| world.node(number).gossip.live().count() == 1);
    assert!(world.run_until(LIMIT, are_down));
    come_instead(&mut world, 2, one, None, vec![]);
    world.run(Duration::from_secs(10));
    let waits = world.hosts[2].ready.clone().unwrap_err();
    assert!(waits.contains("ignore_nodes") && waits.contains(&other.to_string()), "{waits}");
    world.crash(2);
    come_instead(&mut world, 2, one, None, vec![other]);
    assert!(world.run_until(LIMIT, |world| world.hosts[2].ready.is_ok()), "{:?}", world.hosts[2].ready);
    come_instead(&mut world, 3, other, None, vec![]);
    goes_on(&mut world, other);
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
}

#[test]
fn who_is_to_take_a_place_is_told_why_that_is_not_free_yet() {
    let mut world = upgraded(3);
    let lost = lose(&mut world, 2);
    world.crash(1);
    world.run(Duration::from_secs(5));
    come_instead(&mut world, 2, lost, None, vec![]);
    world.run(LIMIT);
    let waits = world.hosts[2].ready.clone().unwrap_err();
    assert!(waits.contains("is being removed first; the last try has failed") && waits.contains("seem dead"), "{waits}");
    world.start(1);
    goes_on(&mut world, lost);
}

#[test]
fn who_is_alive_or_unknown_is_not_replaced() {
    let mut world = upgraded(3);
    lose(&mut world, 2);
    let alive = world.node(1).host;
    for (host, why) in [(alive, "is alive"), (HostId::of(77), "no host")] {
        come_instead(&mut world, 2, host, None, vec![]);
        world.run(Duration::from_secs(5));
        let waits = world.hosts[2].ready.clone().unwrap_err();
        assert!(waits.contains("cannot be replaced") && waits.contains(why), "{waits}");
        world.crash(2);
        world.hosts[2].store.clear();
    }
    assert!(world.node(0).peers.hosts().contains(&alive));
}

/// It may die in any of its transactions, before that is durable or after, and comes back as whom it was.
#[test]
fn a_replacement_survives_a_crash_in_each_of_its_transactions() {
    for (transaction, after) in (1..).flat_map(|transaction| [(transaction, false), (transaction, true)]) {
        let mut world = upgraded(3);
        let lost = lose(&mut world, 2);
        world.hosts[2].crash_in = Some((transaction, after));
        come_instead(&mut world, 2, lost, None, vec![]);
        world.run_until(Duration::from_secs(10), |world| world.hosts[2].node.is_none());
        if world.hosts[2].crash_in.is_some() {
            assert!(transaction > 3, "it is in after {transaction} transactions");
            break;
        }
        world.start(2);
        goes_on(&mut world, lost);
    }
}
