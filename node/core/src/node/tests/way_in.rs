//! Every moment of a newcomer's way in: what its clients see meanwhile, and what is left of it if it is lost there for good.

use super::{
    agree, has_table, is_final,
    newcomers::{create, ends_with_four, remove, three_and_a_fourth, three_final, three_held, voters},
    proceed, recovery, report, upgrade, with_keyspace,
    world::{Host, World},
};
use crate::{
    gossip::RingStatus,
    ids::HostId,
    io::{CqlError, Point},
    node::{Node, local::key},
    upgrade::{Stage, Step},
};
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// At each of its steps; the stages that it has on its way are its own, `synchronize` too.
#[test]
fn a_newcomer_serves_nobody_before_it_is_in_and_nobody_else_is_held_up() {
    let mut world = three_final(&three_and_a_fourth());
    world.start(3);
    let (mut seen, mut others) = (BTreeSet::new(), Vec::new());
    while !world.node(3).boot.is_completed() {
        let (stage, steps) = (world.node(3).stage(), world.hosts[3].steps);
        let waits = world.hosts[3].ready.clone().expect_err("it says that it can be used");
        if seen.insert((stage, waits.clone())) {
            let refused = world.client(3, &create("refused"));
            let Err(CqlError::Server(text)) = world.outcome(refused, Duration::ZERO) else { panic!("{stage}: not refused") };
            assert_eq!(text, format!("no schema change is possible here now: {waits}"));
            for host in 0..3 {
                assert_eq!((world.hosts[host].ready.clone(), world.node(host).stage()), (Ok(()), Stage::UsePostRaft));
                let id = world.client(host, &create(&format!("during_{}_{host}", seen.len())));
                others.push((id, world.now, stage));
            }
        }
        let is_late = |(id, since, _): &(_, Duration, _)| !world.acknowledges(*id) && world.now > *since + Duration::from_secs(1);
        assert!(!others.iter().any(is_late), "a change waits for the newcomer: {others:?}");
        assert!(world.run_until(LIMIT, |world| world.hosts[3].steps > steps), "{waits}");
    }
    world.run(Duration::from_secs(1));
    assert!(others.iter().all(|(id, ..)| world.acknowledges(*id)));
    let stages: BTreeSet<_> = seen.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::UsePreRaft, Stage::Synchronize, Stage::UsePostRaft].into(), "{seen:?}");
    ends_with_four(&mut world, &["during_1_0"]);
}

/// As where a network loses what is large: nothing else tells whoever asks why nothing happens.
#[test]
fn who_does_not_get_the_schema_that_it_needs_says_that() {
    let mut world = three_held(&three_and_a_fourth());
    world.loses.insert("MigrationRequest");
    proceed(&mut world);
    world.run(LIMIT);
    let founder =
        (0..3).find(|host| world.node(*host).upgrade.step() != Some(Step::JoinGroup0)).expect("one has founded the group");
    let leader = world.node(founder).host;
    for host in (0..3).filter(|host| *host != founder) {
        let waits: Vec<_> = world.node(host).procedure_waits_on().iter().map(ToString::to_string).collect();
        assert!(waits[0].ends_with("to add this host, and its snapshot"), "{waits:?}");
        assert!(waits[1].ends_with(&format!("pulling the snapshot from {leader} has failed: timed out")), "{waits:?}");
    }
    world.loses.clear();
    assert!(
        world.run_until(LIMIT, |world| (0..3).all(|host| world.node(host).stage() == Stage::UsePostRaft)),
        "{}",
        report(&world)
    );

    let mut world = three_held(&three_and_a_fourth());
    world.loses.insert("MigrationRequest");
    world.start(3);
    let says =
        |world: &World| world.hosts[3].ready.as_ref().is_err_and(|why| why.contains("pulling the schema of a member has failed"));
    assert!(world.run_until(LIMIT, says), "{:?}", world.hosts[3].ready);
    world.run(LIMIT);
    world.loses.clear();
    assert!(world.run_until(LIMIT, |world| world.hosts[3].ready.is_ok()), "{}", report(&world));
}

/// It has lost its way when it got its snapshot. The member from which it has that is put into recovery, and changes the schema there (seed
/// 74164). The same when it had got as far as `synchronize` (seed 95294).
#[test]
fn a_newcomer_gets_what_was_made_in_recovery_after_its_snapshot() {
    for stage in [Stage::UsePreRaft, Stage::Synchronize] {
        let mut world = with_keyspace(1);
        upgrade(&mut world);
        assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
        world.hosts.push(Host::new(2));
        world.hosts[1].settings.flag = Some(true);
        world.loses.insert("MigrationRequest");
        world.start(1);
        let newcomer = world.node(1).host;
        let is_added = |world: &World| world.node(0).consensus().unwrap().1.configuration.contains(&newcomer);
        assert!(world.run_until(LIMIT, is_added));
        if stage == Stage::UsePreRaft {
            world.crash(1);
            world.loses = ["JoinRing"].into();
            world.start(1);
            assert!(world.run_until(LIMIT, |world| world.hosts[1].points.contains(&Point::Snapshot)));
        } else {
            world.hosts[1].crash_at = Some((Point::Synchronize, true));
            world.loses.clear();
            assert!(world.run_until(LIMIT, |world| world.hosts[1].node.is_none()));
        }
        world.execute(0, recovery::ENTER);
        recovery::restart(&mut world, 0);
        world.execute(0, &create("in_recovery"));
        if stage == Stage::Synchronize {
            world.start(1);
            world.run(Duration::from_secs(2));
        }
        assert_eq!(world.node(1).stage(), stage);
        world.execute(0, recovery::LEAVE);
        recovery::restart(&mut world, 0);
        world.loses.clear();
        let are_in = |world: &World| is_final(world) && world.all(|node| node.boot.is_completed());
        assert!(world.run_until(LIMIT, are_in), "{}", report(&world));
        agree(&mut world);
        assert!(has_table(&world, 1, "in_recovery"));
    }
}

/// Where a host is known that others may never hear of again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Nowhere,
    /// In gossip only.
    Waiting,
    /// In `system.peers`, before it is in the ring.
    Joining,
    /// In group 0 without a vote, and in nobody's ring.
    NonVoter,
    /// In group 0 with a vote, and in nobody's ring.
    Voter,
    /// In the ring.
    InRing,
}

fn known_to(node: &Node, host: HostId) -> Known {
    let configuration = node.group.as_ref().map(|(_, group)| group.configuration());
    match node.peers.rows().get(&host).map(|row| row.status) {
        Some(RingStatus::Joining) => Known::Joining,
        Some(_) => Known::InRing,
        None if configuration.is_some_and(|it| it.voters.contains(&host)) => Known::Voter,
        None if configuration.is_some_and(|it| it.contains(&host)) => Known::NonVoter,
        None if node.gossip.endpoints().contains_key(&host) => Known::Waiting,
        None => Known::Nowhere,
    }
}

/// The fourth is lost for good. The others go on at once, and can be rid of it by its id, whichever of them is asked.
fn is_lost(world: &mut World, by: usize, at: &str) -> Known {
    let lost: Option<HostId> = world.hosts[3].stored(key::HOST_ID).map(|text| text.parse().unwrap());
    for host in 0..3 {
        world.execute(host, &create(&format!("t{host}")));
    }
    let Some(lost) = lost else { return Known::Nowhere };
    assert!(world.run_until(LIMIT, |world| (0..3).all(|host| !world.node(host).gossip.is_up(lost))), "{at}");
    // Who is not alive is told of in rounds, and whoever is asked is to know of it.
    world.run(Duration::from_secs(8));
    let known = (0..3).map(|host| known_to(world.node(host), lost)).max().unwrap();
    match remove(world, by, lost) {
        Ok(()) => assert_ne!(known, Known::Nowhere, "{at}"),
        Err(why) => assert!(known == Known::Nowhere && why.contains("no host"), "{at}: {known:?}, and yet refused: {why}"),
    }
    world.run(Duration::from_secs(2));
    let is_gone = |host: usize| known_to(world.node(host), lost) == Known::Nowhere;
    assert!((0..3).all(is_gone), "{at}: {known:?} before, and there still\n{}", report(world));
    known
}

fn the_others_go_on(world: &mut World, at: &str) {
    for host in 0..3 {
        world.execute(host, &create(&format!("after_{host}")));
    }
    agree(world);
    assert!((0..3).all(|host| voters(world.node(host)) == 3), "{at}");
}

/// A world before or after the upgrade, in which the three run.
fn started(base: &World) -> World {
    let mut world = World::after(base);
    (0..3).for_each(|host| world.start(host));
    let have_met = |world: &World| (0..3).all(|host| world.node(host).gossip.live().count() == 2);
    assert!(world.run_until(LIMIT, have_met));
    world.run(Duration::from_secs(1));
    world
}

/// It is lost in each of its transactions, before that is durable and after, and then after each of its steps.
fn is_lost_at_each_moment(base: &World, mut go_on: impl FnMut(&mut World, &str)) -> BTreeSet<Known> {
    let mut known = BTreeSet::new();
    let moments = (1..).flat_map(|transaction| [(transaction, false), (transaction, true)]);
    for (number, (transaction, after)) in moments.enumerate() {
        let mut world = started(base);
        world.hosts[3].crash_in = Some((transaction, after));
        world.start(3);
        let is_over = |world: &World| world.hosts[3].node.as_ref().is_none_or(|node| node.boot.is_completed());
        assert!(world.run_until(LIMIT, is_over), "{}", report(&world));
        if world.hosts[3].node.is_some() {
            break;
        }
        let at = format!("transaction {transaction}, after: {after}");
        known.insert(is_lost(&mut world, number % 3, &at));
        go_on(&mut world, &at);
    }
    for steps in 1.. {
        let mut world = started(base);
        world.start(3);
        let is_over = |world: &World| world.hosts[3].steps >= steps || world.node(3).boot.is_completed();
        assert!(world.run_until(LIMIT, is_over), "{}", report(&world));
        if world.node(3).boot.is_completed() {
            break;
        }
        world.crash(3);
        let at = format!("{steps} steps");
        known.insert(is_lost(&mut world, usize::try_from(steps).unwrap() % 3, &at));
        go_on(&mut world, &at);
    }
    known
}

#[test]
fn a_newcomer_that_is_lost_for_good_on_its_way_holds_nobody_up_and_can_be_removed() {
    let base = three_final(&three_and_a_fourth());
    let known = is_lost_at_each_moment(&base, the_others_go_on);
    assert!([Known::Waiting, Known::NonVoter, Known::Voter].iter().all(|way| known.contains(way)), "{known:?}");
}

/// Before the upgrade the same, which then takes place.
#[test]
fn a_newcomer_that_is_lost_on_its_way_before_the_upgrade_does_not_hold_that_up() {
    let mut base = three_and_a_fourth();
    base.hosts.iter_mut().for_each(|host| host.settings.hold = true);
    let known = is_lost_at_each_moment(&base, |world, at| {
        proceed(world);
        let are_final = |world: &World| (0..3).all(|host| world.node(host).stage() == Stage::UsePostRaft);
        assert!(world.run_until(LIMIT, are_final), "{at}\n{}", report(world));
        the_others_go_on(world, at);
    });
    assert!(known.contains(&Known::Joining), "{known:?}");
}
