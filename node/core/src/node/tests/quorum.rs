//! When too few are there: how long things wait, what they say, how often they try, and how soon a shutdown ends it all.

use super::{
    has_table, is_final,
    recovery::{ENTER, restart},
    report, ring, upgrade, upgraded,
    world::World,
};
use crate::{
    cql::parse::parse,
    io::{AdminReply, AdminRequest, ClientReply, ClientRequest, CqlError, Input, Point, Reply, RequestId},
    upgrade::{Stage, Step},
};
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// The last of three is down since before the upgrade could begin.
fn one_is_missing() -> World {
    let mut world = ring(3);
    world.hosts[2].crash_at = Some((Point::FeatureEnabled, false));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()));
    world
}

/// Two of three are down, after the upgrade.
fn quorum_is_lost() -> World {
    let mut world = upgraded(3);
    world.crash(1);
    world.crash(2);
    assert!(world.run_until(LIMIT, |world| world.node(0).gossip.live().count() == 0));
    world
}

fn leader(world: &World) -> Option<usize> {
    let leads = |host: &usize| {
        let node = world.hosts[*host].node.as_ref();
        node.and_then(|node| node.group.as_ref()).is_some_and(|(_, group)| group.status().is_leader)
    };
    (0..world.hosts.len()).find(leads)
}

#[test]
fn a_back_off_doubles_up_to_sixteen_seconds_and_ends_with_a_shutdown() {
    let mut world = one_is_missing();
    world.calls.clear();
    world.run(Duration::from_mins(2));
    let asked = world.calls.iter().filter(|(_, host, verb)| (*host, *verb) == (0, "GetGroup0UpgradeState"));
    let passes: Vec<_> = asked.map(|(at, ..)| at.as_secs()).collect::<BTreeSet<_>>().into_iter().collect();
    let waits: BTreeSet<_> = passes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16].into(), "{passes:?}");
    assert!(world.shut_down(0));
}

#[test]
fn without_quorum_a_change_fails_in_time_and_says_who_seems_dead_while_reads_go_on() {
    let mut world = quorum_is_lost();
    let limit = world.hosts[0].settings.raft_operation_timeout;
    let id = world.client(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    let read = world.client(0, "SELECT * FROM system_schema.keyspaces");
    assert!(matches!(world.replies[&read], ClientReply::Rows(_)));
    let Err(CqlError::Unavailable { message, required: 2, alive: 1 }) = world.outcome(id, limit + Duration::from_secs(1)) else {
        panic!("{:?}", world.replies[&id])
    };
    assert!(message.contains("3 voters, 1 alive"), "{message}");
    let members = world.node(0).group.as_ref().unwrap().1.configuration().members();
    let dead: Vec<_> = members.into_iter().filter(|host| *host != world.node(0).host).collect();
    assert!(dead.iter().all(|host| message.contains(&host.to_string())), "{message}");
    world.start(1);
    world.run(Duration::from_secs(5));
    world.execute(0, "CREATE TABLE IF NOT EXISTS ks.t (a int PRIMARY KEY)");
}

#[test]
fn who_is_up_and_takes_no_part_is_named_where_a_change_finds_no_quorum() {
    let mut world = upgraded(3);
    for host in [1, 2] {
        world.execute(host, ENTER);
        restart(&mut world, host);
    }
    world.run(Duration::from_secs(3));
    let limit = world.hosts[0].settings.raft_operation_timeout;
    let id = world.client(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    let why = world.outcome(id, limit + Duration::from_secs(1)).unwrap_err().to_string();
    let named = why.split("take no part in the group: [").nth(1).unwrap_or_else(|| panic!("{why}"));
    assert!([1, 2].iter().all(|host| named.contains(&world.node(*host).host.to_string())), "{why}");
}

#[test]
fn a_leader_that_is_shut_down_hands_over_so_that_changes_go_on_at_once() {
    let mut world = upgraded(3);
    let ends = leader(&world).unwrap();
    assert!(world.shut_down(ends));
    let other = (ends + 1) % 3;
    let id = world.client(other, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    world.outcome(id, Duration::from_millis(700)).unwrap();
    assert!(leader(&world).is_some() && has_table(&world, other, "t"));
}

/// The heir is told to call an election once it has all of the log, which it says in its answer.
#[test]
fn a_leader_that_is_shut_down_with_a_change_on_its_way_hands_over_too() {
    let mut world = upgraded(3);
    let ends = leader(&world).unwrap();
    let last = |world: &World| world.node(ends).group.as_ref().unwrap().1.status().last_index;
    let before = last(&world);
    world.client(ends, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    assert!(world.run_until(LIMIT, |world| last(world) > before));
    world.step(ends, Input::Shutdown);
    let moment = Duration::from_millis(200);
    assert!(world.run_until(moment, |world| !world.node(ends).takes_part()), "{}", report(&world));
    world.crash(ends);
    assert!(world.run_until(moment, |world| leader(world).is_some()), "{}", report(&world));
}

/// The only one that could lead does not hear of it at first; then there is another one.
#[test]
fn a_leader_whose_recovery_is_ordered_hands_over_as_soon_as_another_one_is_there() {
    let mut world = upgraded(3);
    let ordered = leader(&world).unwrap();
    let (heir, lost) = ((ordered + 1) % 3, (ordered + 2) % 3);
    world.crash(lost);
    world.run(Duration::from_secs(5));
    world.cut(ordered, &[heir]);
    world.execute(ordered, ENTER);
    world.run(Duration::from_millis(50));
    world.cuts.clear();
    world.run(Duration::from_secs(5));
    assert_eq!(leader(&world), Some(ordered));
    world.start(lost);
    let another = |world: &World| leader(world).is_some_and(|leads| leads != ordered);
    assert!(world.run_until(Duration::from_secs(5), another), "{}", report(&world));
}

/// That one is dead is seen by its silence to the leader, long before gossip is sure.
#[test]
fn a_leader_that_is_shut_down_does_not_hand_over_to_whoever_is_silent() {
    for number in 1..5 {
        let mut world = upgraded(5);
        for host in 0..5 {
            world.hosts[host].settings.failure_detector_timeout = Duration::from_secs(10);
            restart(&mut world, host);
        }
        world.run(Duration::from_secs(5));
        let ends = leader(&world).unwrap();
        let (silent, other) = ((ends + number) % 5, (ends + number % 4 + 1) % 5);
        world.crash(silent);
        world.run(Duration::from_millis(2500));
        assert!(world.node(ends).gossip.live().count() == 4, "gossip is sure already");
        assert!(world.shut_down(ends));
        let id = world.client(other, "CREATE TABLE ks.t (a int PRIMARY KEY)");
        world.outcome(id, Duration::from_millis(700)).unwrap();
    }
}

/// Worlds in which somebody waits for what does not come.
fn stuck_worlds() -> Vec<(&'static str, World)> {
    let in_synchronize = || {
        let mut world = ring(3);
        world.hosts[2].crash_at = Some((Point::Synchronize, false));
        upgrade(&mut world);
        let waits = |world: &World| world.hosts[2].node.is_none() && world.node(0).stage() == Stage::Synchronize;
        assert!(world.run_until(LIMIT, waits), "{}", report(&world));
        world
    };
    let unfounded = || {
        let mut world = ring(3);
        upgrade(&mut world);
        assert!(world.run_until(LIMIT, |world| world.all(|node| node.upgrade.step() >= Some(Step::AskPeers))));
        let founder = (0..3).min_by_key(|host| world.node(*host).host).unwrap();
        world.crash(founder);
        world.run(Duration::from_secs(5));
        world
    };
    let lonely = || {
        let mut world = World::new(2);
        world.start(1);
        world.run(Duration::from_secs(2));
        world
    };
    let undecided = || {
        let mut world = quorum_is_lost();
        world.client(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
        world
    };
    vec![
        ("step 0", one_is_missing()),
        ("discovery", unfounded()),
        ("synchronize", in_synchronize()),
        ("first boot", lonely()),
        ("a change without quorum", undecided()),
    ]
}

#[test]
fn a_shutdown_ends_every_wait_at_once() {
    for (name, mut world) in stuck_worlds() {
        for host in 0..world.hosts.len() {
            if world.hosts[host].node.is_some() {
                assert!(world.shut_down(host), "{name}");
            }
        }
        assert!(!world.has_waiting_clients(), "{name}");
    }
}

#[test]
fn who_waits_does_not_try_in_a_tight_loop() {
    for (name, mut world) in stuck_worlds() {
        world.run(Duration::from_secs(30));
        let before: Vec<_> = world.hosts.iter().map(|host| host.steps).collect();
        world.run(Duration::from_mins(1));
        for (host, before) in world.hosts.iter().zip(before) {
            let a_second = (host.steps - before) / 60;
            println!("{name}: {a_second} steps a second");
            assert!(a_second < 60, "{name}: {a_second} steps a second");
        }
    }
}

#[test]
fn a_node_whose_store_has_failed_says_so_and_answers_reads() {
    let world = upgraded(1);
    let read = |text: &str| {
        let request = ClientRequest { statement: parse(text).unwrap(), text: text.into(), keyspace: None };
        world.node(0).read(&Input::Client { id: RequestId(1), request }, "no space left")
    };
    let is_refused = |reply: Option<Reply>| matches!(reply, Some(Reply::Client { reply: ClientReply::Error(CqlError::Server(text)), .. }) if text.contains("no space left"));
    assert!(matches!(
        read("SELECT * FROM system_schema.keyspaces"),
        Some(Reply::Client { reply: ClientReply::Rows(rows), .. }) if !rows.rows.is_empty()
    ));
    assert!(is_refused(read("CREATE TABLE ks.t (a int PRIMARY KEY)")) && is_refused(read(super::recovery::ENTER)));
    let status = world.node(0).read(&Input::Admin { id: RequestId(1), request: AdminRequest::GetStatus }, "no space left");
    let Some(Reply::Admin { reply: AdminReply::Status(status), .. }) = status else { panic!("no status") };
    assert!(status.ready.unwrap_err().contains("no space left"));
}

#[test]
fn who_comes_back_to_a_lost_quorum_ends_the_wait() {
    let mut world = quorum_is_lost();
    let id = world.client(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
    world.run(Duration::from_secs(1));
    world.start(2);
    world.outcome(id, Duration::from_secs(9)).unwrap();
    world.start(1);
    assert!(world.run_until(LIMIT, is_final));
}

/// A round trip takes longer than the pause between two questions for a barrier, and the third of an election timeout.
#[test]
fn hosts_that_are_300_ms_apart_are_upgraded_and_their_leader_stays() {
    let mut world = World::new(3);
    world.delay = Duration::from_millis(150);
    world.hosts.iter_mut().for_each(|host| host.settings.flag = Some(true));
    for host in 0..3 {
        world.start(host);
        world.run(Duration::from_secs(2));
    }
    assert!(world.run_until(LIMIT, |world| is_final(world) && leader(world).is_some()), "{}", report(&world));
    world.run(Duration::from_secs(2));
    let term = |world: &World| world.node(0).group.as_ref().map(|(_, group)| group.status().term);
    let before = (term(&world), leader(&world));
    world.run(Duration::from_mins(2));
    assert_eq!((term(&world), leader(&world)), before);
    for host in 0..3 {
        world.execute(
            host,
            &format!("CREATE KEYSPACE of_{host} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"),
        );
    }
}
