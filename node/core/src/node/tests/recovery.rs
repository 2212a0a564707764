//! Recovery as people order it by CQL, on one node of a cluster and on several.

use super::{is_final, report, upgrade, upgraded, with_keyspace, world::World};
use crate::{
    io::{ClientReply, CqlError, Point},
    node::recovery::RESTART_FIRST,
    upgrade::Stage,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
pub(super) const ENTER: &str = "UPDATE system.scylla_local SET value = 'recovery' WHERE key = 'group0_upgrade_state'";
pub(super) const LEAVE: &str = "DELETE value FROM system.scylla_local WHERE key = 'group0_upgrade_state'";

pub(super) fn restart(world: &mut World, host: usize) {
    world.crash(host);
    world.start(host);
}

fn advice(world: &World, host: usize) -> Option<&'static str> {
    world.node(host).status().recovery
}

pub(super) fn refusal(world: &mut World, host: usize, text: &str) -> CqlError {
    let id = world.client(host, text);
    assert!(world.run_until(LIMIT, |world| world.replies.contains_key(&id)), "no reply to {text}");
    match &world.replies[&id] {
        ClientReply::Error(error) => error.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

fn have_equal_rows(world: &World) -> bool {
    let rows = world.node(0).schema.rows();
    world.all(|node| node.schema.rows() == rows)
}

fn ends_final_with(world: &mut World, tables: &[&str]) {
    let done = |world: &World| is_final(world) && have_equal_rows(world);
    assert!(world.run_until(LIMIT, done), "{}", report(world));
    for table in tables {
        assert!(world.all(|node| node.schema.table("ks", table).is_some()), "{table} is lost");
    }
}

/// Trace 57, and 35: what the one did alone is everybody's afterwards, and never is it in `pre` again (trace 74).
#[test]
fn one_of_a_final_cluster_goes_into_recovery_and_comes_back_with_what_it_did_there() {
    let mut world = upgraded(3);
    world.execute(1, ENTER);
    let refused = refusal(&mut world, 1, "CREATE TABLE ks.too_early (a int PRIMARY KEY)");
    assert_eq!(refused, CqlError::Server(RESTART_FIRST.into()));
    assert!(advice(&world, 1).unwrap().contains("restart it"));
    restart(&mut world, 1);
    assert_eq!((world.node(1).stage(), world.node(1).group.is_none()), (Stage::Recovery, true));
    assert!(advice(&world, 1).unwrap().contains("remove the marker"));
    world.loses_pushes = true;
    world.execute(1, "CREATE TABLE ks.alone (a int PRIMARY KEY)");
    world.loses_pushes = false;
    world.execute(0, "CREATE TABLE ks.others (a int PRIMARY KEY)");
    world.execute(1, LEAVE);
    assert_eq!(world.node(1).stage(), Stage::Recovery, "until the restart");
    assert!(advice(&world, 1).unwrap().contains("the marker is removed"));
    restart(&mut world, 1);
    assert_eq!(advice(&world, 1), None);
    assert_eq!(world.node(1).stage(), Stage::Synchronize);
    ends_final_with(&mut world, &["alone", "others"]);
}

/// A node in recovery tells its peers of what it does, and these put it into the log.
#[test]
fn what_a_node_in_recovery_pushes_goes_through_the_log_of_the_others() {
    let mut world = upgraded(3);
    world.execute(1, ENTER);
    restart(&mut world, 1);
    world.run(Duration::from_secs(2));
    world.execute(1, "CREATE TABLE ks.pushed (a int PRIMARY KEY)");
    let known = |world: &World| [0, 2].into_iter().all(|host| world.node(host).schema.table("ks", "pushed").is_some());
    assert!(world.run_until(LIMIT, known), "{}", report(&world));
    let merges = |host: usize| world.node(host).history.rows().filter(|row| row.description.starts_with("merge: ")).count();
    assert!(merges(0) > 0 && merges(0) == merges(2));
}

/// Trace 58.
#[test]
fn it_comes_back_while_another_member_is_dead() {
    let mut world = upgraded(3);
    world.execute(1, ENTER);
    restart(&mut world, 1);
    world.loses_pushes = true;
    world.execute(1, "CREATE TABLE ks.alone (a int PRIMARY KEY)");
    world.loses_pushes = false;
    world.crash(2);
    world.execute(1, LEAVE);
    restart(&mut world, 1);
    let final_and_told = |world: &World| {
        [0, 1]
            .into_iter()
            .all(|host| world.node(host).stage() == Stage::UsePostRaft && world.node(host).schema.table("ks", "alone").is_some())
    };
    assert!(world.run_until(LIMIT, final_and_told), "{}", report(&world));
    world.start(2);
    ends_final_with(&mut world, &["alone"]);
}

/// Trace 65: two wait for a third in the middle, a person gives up on it, and then it comes back.
#[test]
fn no_step_overwrites_the_marker() {
    let mut world = with_keyspace(3);
    world.hosts[2].crash_at = Some((Point::Synchronize, false));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()), "{}", report(&world));
    world.run(Duration::from_secs(1));
    assert_eq!(world.node(0).stage(), Stage::Synchronize);
    for host in [0, 1] {
        world.execute(host, ENTER);
    }
    world.start(2);
    world.run(Duration::from_secs(40));
    assert!([0, 1].into_iter().all(|host| world.node(host).stage() == Stage::Recovery), "{}", report(&world));
    for host in [0, 1] {
        restart(&mut world, host);
        world.execute(host, &format!("CREATE TABLE ks.in_recovery_{host} (a int PRIMARY KEY)"));
    }
    for host in [0, 1] {
        world.execute(host, LEAVE);
        restart(&mut world, host);
    }
    ends_final_with(&mut world, &["in_recovery_0", "in_recovery_1"]);
}

/// The marker is on disk before the client is told, and a crash leaves it there or not.
#[test]
fn the_marker_is_durable_before_the_answer() {
    for after in [false, true] {
        let mut world = upgraded(1);
        world.hosts[0].crash_at = Some((Point::Recovery, after));
        let id = world.client(0, ENTER);
        assert!(!world.replies.contains_key(&id) && world.hosts[0].node.is_none());
        world.start(0);
        assert_eq!(world.node(0).stage() == Stage::Recovery, after);
    }
}

#[test]
fn no_other_write_is_taken() {
    let mut world = upgraded(1);
    let state = "UPDATE system.scylla_local SET value = 'synchronize' WHERE key = 'group0_upgrade_state'";
    for text in [state, "TRUNCATE system.scylla_local", "DELETE FROM system.local WHERE key = 'local'"] {
        assert!(matches!(refusal(&mut world, 0, text), CqlError::Unauthorized(_)), "{text}");
    }
    let CqlError::Invalid(why) = refusal(&mut world, 0, LEAVE) else { panic!("there is nothing to leave") };
    assert!(why.contains("no recovery was ordered"), "{why}");
    world.execute(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
}

/// Whoever is final already ends its wait as soon as there is a majority, not with the next back-off.
#[test]
fn it_comes_back_alone_and_finishes_with_the_first_that_follows() {
    let mut world = upgraded(3);
    world.execute(0, ENTER);
    restart(&mut world, 0);
    world.crash(1);
    world.crash(2);
    world.execute(0, LEAVE);
    restart(&mut world, 0);
    world.run(Duration::from_mins(1));
    assert_eq!(world.node(0).stage(), Stage::Synchronize);
    world.start(1);
    let is_done = |world: &World| world.node(0).stage() == Stage::UsePostRaft;
    assert!(world.run_until(Duration::from_secs(4), is_done), "{}", report(&world));
}
