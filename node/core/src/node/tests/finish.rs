//! The end of the upgrade: who fails shortly before and stays, whom nobody can wait for, and what arrives between a comparison and the end.

use super::{agree, has_table, is_final, recovery::ENTER, report, upgrade, with_keyspace, world::World};
use crate::{
    ids::HostId,
    io::{AdminRequest, Order, PeerReply, PeerRequest, Point, Strikes, Table},
    node::local::key,
    schema::Rows,
    upgrade::{Stage, WaitingOn, feature, machine::Phase},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing::{Level, Metadata, Subscriber, field, span};

const LIMIT: Duration = Duration::from_secs(30);

/// What was logged as a warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl field::Visit for &Warnings {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut &*self);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn host(world: &World, number: usize) -> HostId {
    world.node(number).host
}

/// Rows that no host of this world has: a cluster with the same keyspace made these tables, each with so long a comment.
pub(super) fn rows_of_elsewhere(tables: &[&str], comment: usize) -> Rows {
    let mut elsewhere = with_keyspace(1);
    for table in tables {
        let comment = "x".repeat(comment);
        elsewhere.execute(0, &format!("CREATE TABLE ks.{table} (a int PRIMARY KEY) WITH comment = '{comment}'"));
    }
    elsewhere.node(0).schema.rows().clone()
}

/// The second of three fails before `synchronize` and goes on serving.
fn one_fails_and_stays() -> World {
    let mut world = with_keyspace(3);
    upgrade(&mut world);
    world.admin(1, AdminRequest::FailBeforeSynchronize(Some(Strikes::Once)));
    let others_wait = |world: &World| [0, 2].iter().all(|other| world.node(*other).stage() == Stage::Synchronize);
    assert!(world.run_until(LIMIT, others_wait), "{}", report(&world));
    world
}

#[test]
fn who_is_final_on_disk_takes_schema_changes_at_once() {
    for host in 0..3 {
        let mut world = with_keyspace(3);
        upgrade(&mut world);
        let is_stored =
            |world: &World| world.hosts[host].stored(key::UPGRADE_STATE).as_deref() == Some(Stage::UsePostRaft.name());
        assert!(world.run_until(LIMIT, is_stored), "{}", report(&world));
        world.execute(host, "CREATE TABLE ks.t (a int PRIMARY KEY)");
        agree(&mut world);
        assert!(is_final(&world) && has_table(&world, host, "t"));
    }
}

#[test]
fn who_fails_before_synchronize_and_stays_is_waited_for_with_a_warning_that_names_it() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let mut world = one_fails_and_stays();
    world.run(Duration::from_secs(70));
    let failed = host(&world, 1);
    for other in [0, 2] {
        assert_eq!(world.node(other).stage(), Stage::Synchronize);
        assert!(world.node(other).procedure_waits_on().contains(&WaitingOn::Synchronize(failed)), "{}", report(&world));
    }
    let text = format!("waiting for: {failed} to enter synchronize");
    let warnings = warnings.0.lock().unwrap().clone();
    assert!(
        warnings.iter().filter(|warning| warning.contains("taking longer") && warning.contains(&text)).count() >= 2,
        "{warnings:?}"
    );
}

#[test]
fn who_failed_before_synchronize_finishes_with_all_others_after_a_restart_or_when_told_to_try_again() {
    for restarts in [true, false] {
        let mut world = one_fails_and_stays();
        world.run(Duration::from_secs(20));
        if restarts {
            world.crash(1);
            world.start(1);
        } else {
            world.admin(1, AdminRequest::RetryUpgrade(Order::default()));
        }
        assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
        agree(&mut world);
    }
}

#[test]
fn a_failure_that_is_injected_always_strikes_until_it_is_not_any_more() {
    let mut world = World::new(1);
    world.hosts[0].settings.flag = Some(true);
    world.hosts[0].settings.fails_before_synchronize = Some(Strikes::Always);
    world.start(0);
    let has_failed =
        |world: &World| matches!(&world.node(0).upgrade.phase, Phase::Failed(_, cause) if cause.contains("injection"));
    assert!(world.run_until(LIMIT, has_failed), "{}", report(&world));
    world.admin(0, AdminRequest::RetryUpgrade(Order::default()));
    assert!(has_failed(&world) && world.node(0).stage() == Stage::UsePreRaft);
    world.admin(0, AdminRequest::FailBeforeSynchronize(None));
    world.admin(0, AdminRequest::RetryUpgrade(Order::default()));
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
}

#[test]
fn hosts_that_are_stuck_can_be_put_into_recovery_and_change_the_schema_again() {
    let mut world = one_fails_and_stays();
    for host in 0..3 {
        world.execute(host, ENTER);
        world.crash(host);
        world.start(host);
    }
    world.run(Duration::from_secs(5));
    assert!(world.all(|node| node.stage() == Stage::Recovery));
    for host in 0..3 {
        world.execute(host, &format!("CREATE TABLE ks.t{host} (a int PRIMARY KEY)"));
    }
    agree(&mut world);
}

#[test]
fn a_host_without_the_feature_is_waited_for_by_name_though_the_others_have_enabled_it() {
    let mut world = with_keyspace(3);
    let without = host(&world, 2);
    for host in [0, 1] {
        world.hosts[host].settings.flag = Some(true);
        world.crash(host);
        let enabled = feature::SUPPORTS_RAFT_CLUSTER_MANAGEMENT.as_bytes().to_vec();
        world.hosts[host].store.insert((Table::Local, key::ENABLED_FEATURES.into()), enabled);
        world.start(host);
    }
    world.run(LIMIT);
    for host in [0, 1] {
        assert_eq!(world.node(host).stage(), Stage::UsePreRaft);
        let waits: Vec<_> = world.node(host).procedure_waits_on().iter().map(ToString::to_string).collect();
        assert!(waits.iter().any(|wait| wait.contains(&without.to_string())), "{waits:?}");
        world.execute(host, &format!("CREATE TABLE ks.t{host} (a int PRIMARY KEY)"));
    }
    world.hosts[2].settings.flag = Some(true);
    world.crash(2);
    world.start(2);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    agree(&mut world);
}

#[test]
fn a_thousand_schema_changes_a_second_do_not_hold_the_upgrade_up() {
    let mut world = with_keyspace(3);
    upgrade(&mut world);
    let mut asked = Vec::new();
    while !is_final(&world) {
        let name = format!("t{}", asked.len());
        let id = world.client(asked.len() % 3, &format!("CREATE TABLE ks.{name} (a int PRIMARY KEY)"));
        asked.push((id, name));
        world.run(Duration::from_millis(1));
        assert!(asked.len() < 5_000, "{}", report(&world));
    }
    agree(&mut world);
    let done: Vec<_> = asked.iter().filter(|(id, _)| world.acknowledges(*id)).collect();
    println!("{} of {} statements have succeeded", done.len(), asked.len());
    assert!(done.len() > asked.len() / 2);
    assert!(done.iter().all(|(_, name)| has_table(&world, 0, name)));
}

#[test]
fn a_push_between_the_comparison_and_the_end_waits_and_then_goes_through_the_log() {
    let rows = rows_of_elsewhere(&["late"], 0);
    for number in 0..3 {
        let mut world = with_keyspace(3);
        world.run(Duration::from_secs(1));
        upgrade(&mut world);
        let compares = |world: &World| matches!(world.node(number).upgrade.phase, Phase::Confirm(_));
        assert!(world.run_until(LIMIT, compares), "{}", report(&world));
        let header = world.header((number + 1) % 3, host(&world, number));
        let id = world.ask(number, header, PeerRequest::DefinitionsUpdate(rows.clone()));
        assert!(matches!(world.peer_replies[&id], Ok(PeerReply::Merged { .. })));
        assert!(!has_table(&world, number, "late"), "what was compared has changed");
        assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
        agree(&mut world);
        assert!(has_table(&world, number, "late"));
        let merges = world.node(0).history.rows().filter(|row| row.description.starts_with("merge: rows of a node")).count();
        assert_eq!(merges, 1, "{number}");
    }
}

#[test]
fn a_surplus_larger_than_a_command_becomes_several() {
    let names = ["a", "b", "c", "d", "e"];
    let rows = rows_of_elsewhere(&names, 300_000);
    let mut world = with_keyspace(3);
    world.hosts[2].crash_at = Some((Point::Final, false));
    upgrade(&mut world);
    let others_are_final = |world: &World| {
        world.hosts[2].node.is_none() && [0, 1].iter().all(|host| world.node(*host).stage() == Stage::UsePostRaft)
    };
    assert!(world.run_until(LIMIT, others_are_final), "{}", report(&world));
    world.start(2);
    let header = world.header(0, host(&world, 2));
    world.ask(2, header, PeerRequest::DefinitionsUpdate(rows));
    assert!(has_table(&world, 2, "a") && !has_table(&world, 0, "a"));
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    agree(&mut world);
    assert!(names.iter().all(|name| has_table(&world, 0, name)));
    let merges = world.node(0).history.rows().filter(|row| row.description.starts_with("merge: surplus")).count();
    assert!(merges >= 3, "{merges} commands");
}
