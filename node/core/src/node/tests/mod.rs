#![allow(clippy::unwrap_used, clippy::panic)]
//! Whole nodes in one deterministic world: from the first boot to group 0, and through a crash at each persisted step.

mod addresses;
mod at_once;
mod bounds;
mod by_hand;
mod crashes;
mod departure;
mod drained;
mod durable;
mod epochs;
mod finish;
mod founding;
mod groups;
mod newcomers;
mod outsiders;
mod oversized;
mod plans;
mod quorum;
mod recovery;
mod refusals;
mod replacement;
mod rules;
mod schema;
mod way_in;
mod world;

use crate::{
    io::{AdminRequest, ClientReply, CqlError, Order, Point},
    schema::{RowKey, SchemaTable},
    upgrade::Stage,
};
use std::time::Duration;
use world::World;

const KEYSPACE: &str = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}";

fn ring(hosts: u8) -> World {
    let mut world = World::new(hosts);
    for host in 0..usize::from(hosts) {
        world.start(host);
    }
    let booted = world.run_until(Duration::from_secs(20), |world| {
        let expected = world.hosts.len() - 1;
        world.all(|node| {
            node.boot.is_completed() && node.peers.hosts().len() == expected && node.gossip.live().count() == expected
        })
    });
    assert!(booted, "{:?}", world.hosts.iter().map(|host| &host.ready).collect::<Vec<_>>());
    world
}

/// They are restarted one after the other, with flag and hold.
fn roll(world: &mut World) {
    for host in 0..world.hosts.len() {
        world.hosts[host].settings.flag = Some(true);
        world.hosts[host].settings.hold = true;
        world.crash(host);
        world.start(host);
        world.run(Duration::from_secs(4));
    }
}

/// Whoever runs is told to.
fn proceed(world: &mut World) {
    for host in 0..world.hosts.len() {
        if world.hosts[host].node.is_some() {
            world.admin(host, AdminRequest::Proceed(Order::default()));
        }
    }
}

fn upgrade(world: &mut World) {
    roll(world);
    proceed(world);
}

fn is_final(world: &World) -> bool {
    world.all(|node| node.stage() == Stage::UsePostRaft)
}

fn with_keyspace(hosts: u8) -> World {
    let mut world = ring(hosts);
    world.execute(0, KEYSPACE);
    world
}

/// All are final, there is a keyspace, and nothing is under way.
fn upgraded(hosts: u8) -> World {
    let mut world = with_keyspace(hosts);
    upgrade(&mut world);
    assert!(world.run_until(Duration::from_secs(30), is_final), "{}", report(&world));
    world.run(Duration::from_secs(1));
    world
}

fn has_table(world: &World, host: usize, name: &str) -> bool {
    world.node(host).schema.rows().is_live(&RowKey::new(SchemaTable::Tables, ["ks", name]))
}

/// When all is quiet, whoever runs has the same schema, row by row.
fn agree(world: &mut World) {
    world.run(Duration::from_secs(2));
    let mut running = world.hosts.iter().filter_map(|host| host.node.as_ref());
    let first = running.next().unwrap();
    assert!(running.all(|node| node.schema.rows() == first.schema.rows()), "{}", report(world));
}

fn report(world: &World) -> String {
    let one = |host: &world::Host| host.node.as_ref().map(|node| (node.stage(), node.upgrade.clone(), node.procedure_waits_on()));
    format!("{:#?}", world.hosts.iter().map(one).collect::<Vec<_>>())
}

#[test]
fn nodes_that_have_all_moved_find_each_other_by_the_name_of_a_seed() {
    let mut world = ring(2);
    for host in 0..2 {
        world.crash(host);
    }
    for (host, last) in [(0, 11), (1, 12)] {
        world.hosts[host].settings.broadcast_address = ([127, 0, 0, last], 7000).into();
        world.start(host);
    }
    let found = world.run_until(Duration::from_secs(20), |world| world.all(|node| node.gossip.live().count() == 1));
    assert!(found, "nobody has found anybody");
}

#[test]
fn three_nodes_are_upgraded_and_schema_goes_on() {
    let mut world = ring(3);
    world.execute(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    world.execute(1, "CREATE TABLE ks.before (a int PRIMARY KEY)");
    upgrade(&mut world);
    let begun = world.now;
    assert!(world.run_until(Duration::from_secs(30), is_final), "{}", report(&world));
    println!("upgrade took {:?} of virtual time", world.now.saturating_sub(begun));
    for host in 0..3 {
        println!("{:?}", world.node(host).figures);
        world.execute(host, &format!("CREATE TABLE ks.after{host} (a int PRIMARY KEY)"));
    }
    world.run(Duration::from_secs(2));
    let rows = world.node(0).schema.rows().clone();
    assert!(world.all(|node| *node.schema.rows() == rows && node.joining.group() == world.node(0).joining.group()));
    assert_eq!(world.node(0).history.rows().count(), 3);
}

#[test]
fn a_cluster_of_one_or_two_is_upgraded_too() {
    for hosts in [1, 2] {
        let mut world = ring(hosts);
        upgrade(&mut world);
        assert!(world.run_until(Duration::from_secs(30), is_final), "{hosts}: {}", report(&world));
        world.execute(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    }
}

/// Whoever asks the one that founds the group before it has is answered once it has, not asked to try again.
#[test]
fn a_group_is_told_of_to_whoever_has_asked_before_it_was_there() {
    for (hosts, early) in [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)] {
        let mut world = ring(hosts);
        roll(&mut world);
        world.admin(early, AdminRequest::Proceed(Order::default()));
        world.run(Duration::from_millis(300));
        proceed(&mut world);
        assert!(world.run_until(Duration::from_secs(1), is_final), "{hosts}, {early} first: {}", report(&world));
    }
}

#[test]
fn a_cluster_of_one_survives_a_crash_at_each_persisted_step() {
    for (point, after) in
        Point::ALL.iter().filter(|point| point.is_of_upgrade()).flat_map(|point| [(*point, false), (*point, true)])
    {
        let mut world = ring(1);
        world.hosts[0].crash_at = Some((point, after));
        upgrade(&mut world);
        world.run(Duration::from_secs(5));
        if world.hosts[0].node.is_none() {
            world.start(0);
            world.run(Duration::from_secs(2));
            world.admin(0, AdminRequest::Proceed(Order::default()));
        }
        assert!(world.run_until(Duration::from_mins(1), is_final), "crash at {point:?}, after: {after}\n{}", report(&world));
    }
}

#[test]
fn a_crash_at_each_persisted_step_is_survived() {
    let points =
        Point::ALL.iter().filter(|point| point.is_of_upgrade() && !matches!(point, Point::FirstBoot | Point::Bootstrapped));
    for (point, after) in points.flat_map(|point| [(*point, false), (*point, true)]) {
        let mut reached = 0;
        for victim in 0..3 {
            let mut world = ring(3);
            world.execute(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
            world.hosts[victim].crash_at = Some((point, after));
            upgrade(&mut world);
            world.run(Duration::from_secs(5));
            if world.hosts[victim].node.is_none() {
                world.start(victim);
                world.run(Duration::from_secs(2));
                world.admin(victim, AdminRequest::Proceed(Order::default()));
            }
            let finished = world.run_until(Duration::from_mins(2), is_final);
            assert!(finished, "crash of {victim} at {point:?}, after: {after}\n{}", report(&world));
            world.client(victim, "CREATE TABLE ks.t (a int PRIMARY KEY)");
            world.run(Duration::from_secs(2));
            if world.hosts[victim].node.is_none() {
                world.start(victim);
                world.run(Duration::from_secs(2));
            }
            world.execute(victim, "CREATE TABLE IF NOT EXISTS ks.t (a int PRIMARY KEY)");
            world.run(Duration::from_secs(2));
            let rows = world.node(0).schema.rows().clone();
            assert!(world.all(|node| *node.schema.rows() == rows));
            reached += usize::from(world.hosts[victim].crash_at.is_none());
        }
        assert!(reached > 0, "{point:?} was never persisted");
    }
}

#[test]
fn a_new_node_comes_in_through_a_final_member() {
    let mut world = World::new(4);
    for host in 0..3 {
        world.start(host);
    }
    world.run(Duration::from_secs(5));
    world.execute(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    for host in 0..3 {
        world.hosts[host].settings.flag = Some(true);
        world.crash(host);
        world.start(host);
        world.run(Duration::from_secs(4));
    }
    let three = |world: &World| {
        world.hosts[..3].iter().all(|host| host.node.as_ref().is_some_and(|node| node.stage() == Stage::UsePostRaft))
    };
    assert!(world.run_until(Duration::from_secs(30), three), "{}", report(&world));
    world.start(3);
    let joined = world.run_until(Duration::from_secs(30), |world| world.all(|node| node.boot.is_completed()));
    assert!(joined, "{:?} {}", world.hosts[3].ready, report(&world));
    assert_eq!(world.node(3).stage(), Stage::UsePostRaft);
    let incarnation = world.node(0).local.incarnation();
    assert!(world.all(|node| node.local.incarnation() == incarnation), "the word of whoever has an older one does not count");
    world.execute(3, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    world.run(Duration::from_secs(2));
    let rows = world.node(0).schema.rows().clone();
    assert!(world.all(|node| *node.schema.rows() == rows && node.group.as_ref().unwrap().1.configuration().voters.len() == 4));
}

#[test]
fn schema_changes_in_synchronize_are_refused_with_the_reason() {
    let mut world = ring(3);
    upgrade(&mut world);
    assert!(world.run_until(Duration::from_secs(10), |world| {
        world.hosts.iter().any(|h| h.node.as_ref().unwrap().stage() == Stage::Synchronize)
    }));
    let host = world.hosts.iter().position(|host| host.node.as_ref().unwrap().stage() == Stage::Synchronize).unwrap();
    let id = world.client(host, "DROP KEYSPACE IF EXISTS nosuchkeyspace");
    assert!(
        matches!(&world.replies[&id], ClientReply::Error(CqlError::Server(text)) if text.starts_with("Cannot perform schema"))
    );
}

#[test]
fn who_has_said_good_bye_wants_no_more_waking() {
    let mut world = ring(2);
    let now = crate::ids::Now { elapsed: world.now, ..Default::default() };
    let effects = world.hosts[0].node.as_mut().unwrap().step(now, crate::io::Input::Shutdown);
    assert!(effects.apply.contains(&crate::io::Apply::Drained));
    assert_eq!(effects.wake_at, None);
}
