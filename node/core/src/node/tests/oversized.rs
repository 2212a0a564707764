//! Values that no command of group 0 holds: not made the old way, and of those that are there all the same none is lost without a word.

use super::{
    agree, finish::rows_of_elsewhere, has_table, is_final, recovery, report, upgrade, upgraded, with_keyspace, world::World,
};
use crate::{
    ids::Micros,
    io::{CqlError, PeerReply, PeerRequest, Point},
    schema::{Cell, RowKey, Rows, SchemaTable},
    upgrade::Stage,
    value::Value,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const GIANT: usize = 1_200_000;

fn giant_table(comment: usize) -> String {
    format!("CREATE TABLE ks.giant (a int PRIMARY KEY) WITH comment = '{}'", "x".repeat(comment))
}

/// As a former release made them.
fn giant_rows(others: &[&str]) -> Rows {
    let mut rows = rows_of_elsewhere(&[&["giant"], others].concat(), 300_000);
    let key = RowKey::new(SchemaTable::Tables, ["ks", "giant"]);
    let at = Micros(rows.newest().unwrap().0 + 1);
    rows.put(&key, "comment", Cell::of(at, Value::Text("x".repeat(GIANT))));
    rows
}

fn push(world: &mut World, from: usize, to: usize, rows: &Rows) {
    let header = world.header(from, world.node(to).host);
    let id = world.ask(to, header, PeerRequest::DefinitionsUpdate(rows.clone()));
    assert!(matches!(world.peer_replies[&id], Ok(PeerReply::Merged { .. })));
}

#[test]
fn what_group_0_would_never_take_over_is_not_made_the_old_way() {
    let mut world = upgraded(3);
    world.execute(1, recovery::ENTER);
    recovery::restart(&mut world, 1);
    world.run(Duration::from_secs(2));
    let CqlError::Invalid(why) = recovery::refusal(&mut world, 1, &giant_table(GIANT)) else { panic!("another error") };
    assert!(why.contains("column comment of system_schema.tables, row ks.giant"), "{why}");
    assert!(!has_table(&world, 1, "giant"));
    world.execute(1, &giant_table(400_000));
    world.execute(1, recovery::LEAVE);
    recovery::restart(&mut world, 1);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    agree(&mut world);
    assert!(has_table(&world, 0, "giant"));
}

/// S5, S7: the other parts of a surplus do not make final whoever could not submit this one.
#[test]
fn who_has_a_surplus_that_no_command_holds_is_not_final_and_says_why() {
    for others in [&["a", "b", "z"][..], &[]] {
        let mut world = with_keyspace(3);
        world.hosts[2].crash_at = Some((Point::Final, false));
        upgrade(&mut world);
        assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()), "{}", report(&world));
        world.start(2);
        push(&mut world, 0, 2, &giant_rows(others));
        world.run(LIMIT);
        assert_eq!(world.node(2).stage(), Stage::Synchronize);
        let waits = world.node(2).procedure_waits_on();
        assert!(waits.iter().any(|it| it.to_string().contains("row ks.giant")), "{waits:?}");
        assert!(others.iter().all(|table| has_table(&world, 0, table)), "the rest goes through");

        world.execute(2, recovery::ENTER);
        recovery::restart(&mut world, 2);
        world.execute(2, "ALTER TABLE ks.giant WITH comment = 'short'");
        world.execute(2, recovery::LEAVE);
        recovery::restart(&mut world, 2);
        assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
        agree(&mut world);
        assert!(has_table(&world, 0, "giant"));
    }
}

#[test]
fn a_push_that_no_command_holds_is_not_proposed_for_ever() {
    let mut world = upgraded(3);
    push(&mut world, 0, 1, &giant_rows(&["b"]));
    world.run(Duration::from_secs(2));
    assert!(has_table(&world, 1, "b"), "the rest goes through");
    let steps = world.hosts[1].steps;
    world.run(Duration::from_secs(2));
    assert!(world.hosts[1].steps - steps < 500, "{}", world.hosts[1].steps - steps);
    agree(&mut world);
}

/// It would be held while it waits for a majority that may never come.
#[test]
fn a_statement_that_no_command_holds_is_refused_at_once() {
    let mut world = upgraded(3);
    world.crash(1);
    world.crash(2);
    let id = world.client(0, &giant_table(GIANT));
    let CqlError::Invalid(why) = world.outcome(id, Duration::ZERO).unwrap_err() else { panic!("another error") };
    assert!(why.contains("as a command; at most 1048576 are allowed"), "{why}");
}
