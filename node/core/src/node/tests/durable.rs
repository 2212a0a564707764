//! What a node has in memory is what a restart would find, after every single step.

use super::{is_final, report, ring, upgrade, upgraded, world::World};
use crate::{
    group0::History,
    io::{AdminRequest, Image, Table},
    node::{Node, local::Local, peers::Peers},
    raft::{Group, Stored},
    schema::Schema,
};
use std::time::Duration;

fn image(world: &World, host: usize) -> Image {
    world.hosts[host].store.iter().map(|((table, key), value)| (*table, key.clone(), value.clone())).collect()
}

fn assert_durable(node: &Node, image: &Image) {
    let rows = |table| {
        let of = image.iter().filter(move |(of, ..)| *of == table);
        of.map(|(_, key, value)| (key.as_slice(), value.as_slice()))
    };
    assert_eq!(node.local.entries(), Local::load(rows(Table::Local)).entries());
    assert_eq!(node.peers.hosts(), Peers::load(rows(Table::Peers)).hosts());
    assert_eq!(node.schema.rows(), Schema::load(rows(Table::Schema)).unwrap().rows());
    assert!(node.history.rows().eq(History::load(rows(Table::History)).unwrap().rows()));
    if let Some((id, group)) = &node.group {
        assert_group_durable(group, &Stored::load(*id, image).unwrap().unwrap());
    }
}

fn assert_group_durable(group: &Group, stored: &Stored) {
    let status = group.status();
    assert_eq!((status.term, status.vote), (stored.hard.term, stored.hard.vote));
    assert_eq!((status.commit, status.applied), (stored.hard.commit, stored.applied));
    assert_eq!(status.configuration, &stored.configuration);
    let last = stored.entries.last().map_or(stored.snapshot.index, |entry| entry.index);
    assert_eq!(status.last_index, last);
}

/// Looks at all nodes after each step, until that is so.
fn watch_until(world: &mut World, condition: impl Fn(&World) -> bool) {
    let durable = |world: &World| {
        for (host, this) in world.hosts.iter().enumerate() {
            this.node.iter().for_each(|node| assert_durable(node, &image(world, host)));
        }
        condition(world)
    };
    assert!(world.run_until(Duration::from_secs(30), durable), "{}", report(world));
}

fn watch(world: &mut World, time: Duration) {
    let until = world.now + time;
    watch_until(world, |world| world.now >= until);
}

/// A volume is restored, or a copy of it started: the leader knows better how far the log went.
#[test]
#[should_panic(expected = "has lost what it had confirmed")]
fn a_member_whose_data_is_of_an_earlier_time_says_so_and_ends() {
    let mut world = upgraded(3);
    let leads = |number: &usize| world.node(*number).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    let leader = (0..3).find(leads).unwrap();
    let member = (leader + 1) % 3;
    let earlier = world.hosts[member].store.clone();
    world.execute(leader, "CREATE TABLE ks.later (a int PRIMARY KEY)");
    world.run(Duration::from_secs(1));
    world.crash(member);
    world.hosts[member].store = earlier;
    world.start(member);
    world.run(Duration::from_secs(5));
}

#[test]
fn memory_is_what_a_restart_would_find() {
    let mut world = ring(3);
    world.client(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    watch(&mut world, Duration::from_secs(1));
    upgrade(&mut world);
    watch_until(&mut world, is_final);
    world.client(1, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    watch(&mut world, Duration::from_secs(1));
    world.admin(2, AdminRequest::Decommission { order: None });
    watch_until(&mut world, |world| world.node(0).local.removed().len() == 1);
    world.crash(2);
    world.hosts[2].store.clear();
    world.start(2);
    watch_until(&mut world, |world| world.node(2).boot.is_completed());
    assert_eq!(world.node(2).history.rows().count(), 1, "it came with the snapshot");
}
