//! Schema changes of whole nodes: races, clocks, limits, and what is torn by a crash.

use super::{KEYSPACE, agree, finish::rows_of_elsewhere, has_table, is_final, report, ring, upgrade, upgraded, world::World};
use crate::{
    io::{ClientReply, CqlError, PeerRequest, Point},
    raft::MAX_COMMAND_BYTES,
    schema::{Rows, SchemaTable},
    value::Value,
};
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(20);
const TEN_MINUTES: Duration = Duration::from_mins(10);

fn create(name: &str) -> String {
    format!("CREATE TABLE ks.{name} (a int PRIMARY KEY, b text)")
}

#[test]
fn of_two_coordinators_at_once_one_tries_again_and_sees_what_the_other_did() {
    let mut world = upgraded(3);
    let ids: Vec<_> = (0..3).map(|host| world.client(host, &create("same"))).collect();
    let others: Vec<_> = (0..3).map(|host| world.client(host, &create(&format!("own{host}")))).collect();
    let outcomes: Vec<_> = ids.into_iter().map(|id| world.outcome(id, LIMIT)).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(CqlError::AlreadyExists { .. }))).count(), 2);
    for id in others {
        world.outcome(id, LIMIT).unwrap();
    }
    agree(&mut world);
    assert_eq!(world.node(0).history.rows().count(), 4);
}

#[test]
fn many_changes_in_one_millisecond_have_an_order_and_times_of_their_own() {
    let mut world = upgraded(1);
    let ids: Vec<_> = (0..20).map(|number| world.client(0, &create(&format!("t{number}")))).collect();
    for id in ids {
        world.outcome(id, LIMIT).unwrap();
    }
    let states: Vec<_> = world.node(0).history.rows().map(|row| row.state).collect();
    assert_eq!(states.len(), 20);
    assert!(states.is_sorted_by(|one, next| one.micros() < next.micros()), "{states:?}");
}

#[test]
fn changes_of_one_instant_the_old_way_have_times_of_their_own() {
    let mut world = ring(1);
    world.execute(0, KEYSPACE);
    for number in 0..10 {
        world.client(0, &create("t"));
        world.client(0, "DROP TABLE ks.t");
        assert!(!has_table(&world, 0, "t"), "{number}");
    }
    world.client(0, &create("t"));
    assert!(has_table(&world, 0, "t"));
}

/// Whoever knows the table drops it, before the upgrade or after; the clock that made it has not come so far for ten minutes.
#[test]
fn a_drop_wins_over_what_a_fast_clock_has_created() {
    for drops_before in [true, false] {
        let mut world = ring(3);
        world.hosts[2].fast = TEN_MINUTES;
        world.execute(0, KEYSPACE);
        world.execute(2, &create("t"));
        if drops_before {
            world.execute(0, "DROP TABLE ks.t");
        }
        upgrade(&mut world);
        assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
        if !drops_before {
            world.execute(0, "DROP TABLE ks.t");
        }
        agree(&mut world);
        assert!((0..3).all(|host| !has_table(&world, host, "t")));
        world.execute(1, &create("t"));
        agree(&mut world);
        assert!((0..3).all(|host| has_table(&world, host, "t")));
    }
}

#[test]
fn a_table_that_arrives_before_its_keyspace_is_there_when_that_comes() {
    let rows = rows_of_elsewhere(&["early"], 0);
    let is_keyspace = |table: SchemaTable| table == SchemaTable::Keyspaces;
    let part = |of_keyspace: bool| Rows {
        cells: rows
            .cells
            .iter()
            .filter(|(key, _)| is_keyspace(key.table) == of_keyspace)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        deletions: rows
            .deletions
            .iter()
            .filter(|(key, _)| is_keyspace(key.table) == of_keyspace)
            .map(|(k, v)| (k.clone(), *v))
            .collect(),
    };
    let mut world = ring(2);
    let header = world.header(1, world.node(0).host);
    world.ask(0, header.clone(), PeerRequest::DefinitionsUpdate(part(false)));
    world.run(Duration::from_secs(2));
    for text in
        ["SELECT * FROM system_schema.tables", "DESCRIBE SCHEMA", "SELECT * FROM ks.early", "DROP TABLE IF EXISTS ks.early"]
    {
        let id = world.client(0, text);
        println!("{text}: {:?}", world.outcome(id, LIMIT));
    }
    world.execute(1, "CREATE KEYSPACE other WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    world.ask(0, header, PeerRequest::DefinitionsUpdate(rows.clone()));
    agree(&mut world);
    world.execute(1, "SELECT * FROM ks.early");
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    world.execute(0, "ALTER TABLE ks.early ADD c int");
}

#[test]
fn a_change_larger_than_a_command_may_be_is_refused_at_once_and_others_go_on() {
    let mut world = upgraded(3);
    let other = world.client(1, &create("other"));
    // Its text is none too large, but what comes of it is.
    let comment = "x".repeat(MAX_COMMAND_BYTES - 100);
    let large = world.client(0, &format!("CREATE TABLE ks.large (a int PRIMARY KEY) WITH comment = '{comment}'"));
    let Err(CqlError::Invalid(text)) = world.outcome(large, Duration::from_secs(1)) else {
        panic!("{:?}", world.replies[&large])
    };
    assert!(text.contains(&format!("at most {MAX_COMMAND_BYTES}")), "{text}");
    world.outcome(other, Duration::from_secs(1)).unwrap();
    world.execute(0, &create("next"));
    agree(&mut world);
}

/// DROP KEYSPACE changes rows of many tables: none or all of them, whenever the power fails.
#[test]
fn a_change_of_many_rows_is_whole_or_not_at_all_whenever_a_host_crashes() {
    let names = ["a", "b", "c"];
    for (victim, after) in (0..3).flat_map(|victim| [(victim, false), (victim, true)]) {
        let mut world = upgraded(3);
        for name in names {
            world.execute(0, &create(name));
        }
        world.execute(0, "CREATE INDEX ON ks.a (b)");
        world.execute(0, "CREATE TYPE ks.u (x int)");
        agree(&mut world);
        world.hosts[victim].crash_at = Some((Point::Command, after));
        world.client(0, "DROP KEYSPACE ks");
        assert!(world.run_until(LIMIT, |world| world.hosts[victim].node.is_none()));
        world.start(victim);
        let left: BTreeSet<_> = names.iter().map(|name| has_table(&world, victim, name)).collect();
        assert_eq!(left.len(), 1, "a part of the change is there");
        world.run(Duration::from_secs(5));
        world.execute(victim, "DROP KEYSPACE IF EXISTS ks");
        agree(&mut world);
        world.execute(victim, KEYSPACE);
        assert!(names.iter().all(|name| !has_table(&world, victim, name)));
    }
}

#[test]
fn whatever_a_select_looks_for_in_a_table_of_users_it_is_empty() {
    let mut world = ring(1);
    world.execute(0, KEYSPACE);
    world.execute(0, "CREATE TABLE ks.e (day date, at timestamp, n decimal, big varint, PRIMARY KEY (day, at))");
    for filter in [
        "day = '2024-01-15'",
        "day = '2024-01-15' AND at > '2024-01-15 10:00:00+0000'",
        "day = '2024-01-15' AND at < toTimestamp(now())",
        "n = 1.5 AND big = 123456789012345678901234567890 ALLOW FILTERING",
        "token(day) > -9223372036854775808 AND token(day) <= 0",
    ] {
        let id = world.client(0, &format!("SELECT * FROM ks.e WHERE {filter}"));
        assert!(
            matches!(&world.replies[&id], ClientReply::Rows(set) if set.rows.is_empty() && set.columns.len() == 4),
            "{filter}"
        );
    }
    for filter in ["nope = 1", "token(nope) > 1"] {
        let id = world.client(0, &format!("SELECT * FROM ks.e WHERE {filter}"));
        let unknown = CqlError::Invalid("Undefined column name nope in table ks.e".to_owned());
        assert_eq!(world.outcome(id, LIMIT), Err(unknown), "{filter}");
    }
}

#[test]
fn the_cluster_is_described_with_the_snitch_that_is_configured() {
    for (configured, told) in [
        ("GossipingPropertyFileSnitch", "org.apache.cassandra.locator.GossipingPropertyFileSnitch"),
        ("org.apache.cassandra.locator.SimpleSnitch", "org.apache.cassandra.locator.SimpleSnitch"),
    ] {
        let mut world = World::new(1);
        world.hosts[0].settings.config.insert("endpoint_snitch".to_owned(), configured.to_owned());
        world.start(0);
        let id = world.client(0, "DESCRIBE CLUSTER");
        let ClientReply::Rows(set) = &world.replies[&id] else { panic!("{:?}", world.replies[&id]) };
        assert_eq!(set.rows[0].last(), Some(&Some(Value::text(told))));
    }
}
