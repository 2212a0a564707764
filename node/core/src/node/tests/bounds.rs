//! What a statement leaves behind is bounded, however large its text.

use super::{upgraded, world::World};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn comment(world: &mut World, letter: &str, bytes: usize) {
    let id = world.client(0, &format!("ALTER TABLE ks.t WITH comment = '{}'", letter.repeat(bytes)));
    world.outcome(id, LIMIT).unwrap();
}

#[test]
fn the_history_keeps_the_beginning_of_a_long_statement() {
    let mut world = upgraded(1);
    world.execute(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    comment(&mut world, "ä", 10_000);
    let descriptions: Vec<_> = world.node(0).history.rows().map(|row| row.description.as_str()).collect();
    let [.., short, long] = descriptions.as_slice() else { panic!("{descriptions:?}") };
    assert_eq!(*short, "CQL DDL statement: \"CREATE TABLE ks.t (a int PRIMARY KEY)\"");
    assert!(long.starts_with("CQL DDL statement: \"ALTER TABLE ks.t WITH comment = 'ää"), "{long}");
    assert!(long.ends_with("ä…\"") && (1_000..1_100).contains(&long.len()), "{}", long.len());
}

#[test]
fn a_log_of_large_commands_is_cut_before_it_has_many() {
    let mut world = upgraded(3);
    world.execute(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    for letter in ["a", "b"].repeat(20) {
        comment(&mut world, letter, 900_000);
        assert!(world.all(|node| node.status().group.is_some_and(|group| group.log_length < 40)));
    }
    world.run(Duration::from_secs(1));
    assert!(world.all(|node| node.status().group.is_some_and(|group| (5..20).contains(&group.log_length))));
}
