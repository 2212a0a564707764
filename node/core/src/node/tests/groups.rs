//! One group, whoever asks for another: members that were removed, strangers, snapshots that come at odd moments, a founder that is lost.

use super::{KEYSPACE, agree, has_table, is_final, proceed, report, ring, roll, upgrade, upgraded, world::World};
use crate::{
    ids::{GroupId, HostId},
    io::{AdminReply, AdminRequest, CqlError, ExchangeReply, Message, PeerReply, PeerRequest, Point, Refusal},
    node::{calls::Purpose, departure::LEFT, local::key},
    upgrade::Stage,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn create(name: &str) -> String {
    format!("CREATE TABLE ks.{name} (a int PRIMARY KEY)")
}

fn host(world: &World, number: usize) -> HostId {
    world.node(number).host
}

fn group(world: &World, number: usize) -> Option<GroupId> {
    world.node(number).joining.group()
}

#[test]
fn a_removed_host_that_still_runs_proposes_in_vain_and_is_told_why() {
    let mut world = upgraded(4);
    let gone = host(&world, 3);
    world.cut(3, &[0, 1, 2]);
    assert!(world.run_until(LIMIT, |world| !world.node(0).gossip.is_up(gone)));
    let removal = world.admin(0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| matches!(world.admin_replies.get(&removal), Some(AdminReply::Done))));
    let proposed = world.client(3, &create("in_vain"));
    world.run(Duration::from_secs(1));
    world.cuts.clear();
    assert!(world.outcome(proposed, LIMIT).is_err());
    assert!(world.run_until(LIMIT, |world| world.hosts[3].ready == Err(LEFT.to_owned())), "{:?}", world.hosts[3].ready);
    let again = world.client(3, &create("in_vain"));
    let Err(CqlError::Server(text)) = world.outcome(again, Duration::ZERO) else { panic!("not refused") };
    assert!(text.contains(LEFT), "{text}");
    world.execute(0, &create("after"));
    world.crash(3);
    agree(&mut world);
    assert!(!has_table(&world, 0, "in_vain"));
}

/// Two clusters of one name, each with a group of its own; then one host is told of the other.
#[test]
fn two_groups_that_hear_of_each_other_do_not_merge() {
    let mut world = World::new(2);
    world.hosts[1].settings.seeds = vec![world.hosts[1].settings.broadcast_address];
    world.hosts[1].settings.is_first_seed = true;
    for host in 0..2 {
        world.hosts[host].settings.flag = Some(true);
        world.start(host);
    }
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    world.execute(0, KEYSPACE);
    let groups = [group(&world, 0), group(&world, 1)];
    assert!(groups[0] != groups[1] && groups.iter().all(Option::is_some));
    world.crash(1);
    world.hosts[1].settings.seeds = vec![world.hosts[0].settings.broadcast_address];
    world.start(1);
    world.run(Duration::from_secs(10));
    assert!(world.all(|node| node.gossip.live().count() == 1), "they have not met");
    world.execute(0, &create("ours"));
    world.execute(1, "CREATE KEYSPACE theirs WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    world.run(Duration::from_secs(10));
    assert_eq!([group(&world, 0), group(&world, 1)], groups);
    assert!(world.all(|node| node.group.as_ref().unwrap().1.configuration().members().len() == 1));
    assert!(has_table(&world, 0, "ours") && !has_table(&world, 1, "ours"));
    let header = world.header(1, host(&world, 0));
    let request = PeerRequest::Group0ModifyConfig { group: groups[1].unwrap(), add: vec![], remove: vec![host(&world, 0)] };
    let id = world.ask(0, header, request);
    assert!(matches!(world.peer_replies[&id], Err(Refusal::OtherGroup { .. })));
}

#[test]
fn who_has_no_group_yet_answers_requests_about_one_and_changes_nothing() {
    let mut world = ring(2);
    let header = world.header(1, host(&world, 0));
    let theirs = GroupId::of(5);
    let members = PeerRequest::Group0ModifyConfig { group: theirs, add: vec![], remove: vec![host(&world, 1)] };
    for request in [members, PeerRequest::MigrationRequest { snapshot_of: Some(theirs) }] {
        let id = world.ask(0, header.clone(), request);
        assert_eq!(world.peer_replies[&id].as_ref().err(), Some(&Refusal::OtherGroup { ours: None, theirs }));
    }
    let mut grouped = upgraded(2);
    for message in grouped.overhear(1, 0, Duration::from_secs(1)) {
        if matches!(message, Message::Raft(..)) {
            world.tell(0, header.clone(), message);
        }
    }
    assert_eq!((group(&world, 0), world.hosts[0].stored(key::GROUP_ID)), (None, None));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
}

/// The last of three was away while the log grew and was cut behind it.
fn one_needs_a_snapshot() -> World {
    let mut world = upgraded(3);
    world.crash(2);
    for number in 0..5 {
        world.execute(number % 2, &create(&format!("t{number}")));
    }
    world.run(Duration::from_secs(1));
    for host in 0..2 {
        let (_, group) = world.hosts[host].node.as_mut().unwrap().group.as_mut().unwrap();
        group.compact(group.status().applied);
    }
    world.run(Duration::from_secs(1));
    world.hosts[2].points.clear();
    world
}

#[test]
fn a_log_that_was_cut_still_says_who_is_a_member() {
    let mut world = one_needs_a_snapshot();
    let members = world.node(0).group.as_ref().unwrap().1.configuration().clone();
    for number in 0..2 {
        assert_eq!(world.node(number).group.as_ref().unwrap().1.status().log_length, 0);
        world.crash(number);
    }
    (0..2).for_each(|number| world.start(number));
    for number in 0..2 {
        assert_eq!(*world.node(number).group.as_ref().unwrap().1.configuration(), members);
    }
    world.execute(0, &create("after"));
}

#[test]
fn a_snapshot_that_comes_while_a_host_starts_is_taken_over() {
    for crash in [None, Some(false), Some(true)] {
        let mut world = one_needs_a_snapshot();
        world.hosts[2].crash_at = crash.map(|after| (Point::Snapshot, after));
        world.start(2);
        world.client(0, &create("meanwhile"));
        if crash.is_some() {
            assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()), "no snapshot");
            world.start(2);
        }
        world.run(Duration::from_secs(5));
        world.execute(2, &create("after"));
        agree(&mut world);
        assert!(world.hosts[2].points.contains(&Point::Snapshot) || crash == Some(true));
        assert!(has_table(&world, 2, "t4") && has_table(&world, 2, "meanwhile"));
    }
}

/// The message that announced the snapshot which a host is pulling.
fn announced(world: &World, number: usize) -> Option<(HostId, Message)> {
    world.node(number).calls.purposes().find_map(|purpose| match purpose {
        Purpose::Snapshot(group, message) => Some((message.from, Message::Raft(*group, (**message).clone()))),
        _ => None,
    })
}

#[test]
fn a_snapshot_that_is_sent_again_while_it_is_taken_over_or_by_a_new_leader_does_no_harm() {
    for leader_dies in [false, true] {
        let mut world = one_needs_a_snapshot();
        world.start(2);
        assert!(world.run_until(LIMIT, |world| announced(world, 2).is_some()));
        let (from, message) = announced(&world, 2).unwrap();
        let leader = (0..2).find(|number| host(&world, *number) == from).unwrap();
        let header = world.header(leader, host(&world, 2));
        world.calls.clear();
        world.tell(2, header.clone(), message.clone());
        assert!(!world.calls.iter().any(|(_, host, verb)| (*host, *verb) == (2, "MigrationRequest")), "pulled twice at once");
        if leader_dies {
            world.crash(leader);
            assert!(world.run_until(LIMIT, |world| world.hosts[2].points.contains(&Point::Snapshot)), "{}", report(&world));
            world.start(leader);
        }
        world.run(Duration::from_secs(5));
        world.tell(2, header, message);
        world.execute(2, &create("after"));
        agree(&mut world);
        assert!(has_table(&world, 2, "t4"));
    }
}

/// The founder is lost for good when one other host, and nobody else, has heard of its group. The rest neither founds another one nor
/// removes it behind the back of who is in the first.
#[test]
fn a_founder_that_is_lost_after_one_host_has_found_it_leaves_one_group() {
    let mut world = ring(4);
    roll(&mut world);
    let founder = (0..4).min_by_key(|number| host(&world, *number)).unwrap();
    let others: Vec<_> = (0..4).filter(|number| *number != founder).collect();
    let (first, rest) = others.split_first().unwrap();
    for number in rest {
        world.hosts[*number].crash_at = Some((Point::Joining, false));
    }
    proceed(&mut world);
    let adopted = |world: &World| world.hosts[*first].stored(key::GROUP_ID).is_some();
    assert!(world.run_until(LIMIT, |world| adopted(world) && rest.iter().all(|other| world.hosts[*other].node.is_none())));
    let (lost, id) = (host(&world, founder), group(&world, *first));
    world.crash(founder);
    world.cut(*first, rest);
    for number in rest {
        world.start(*number);
    }
    assert!(rest.iter().all(|number| group(&world, *number).is_none()), "the others have heard of it");
    world.run(Duration::from_secs(20));
    world.cuts.clear();
    for number in &others {
        let removal = world.admin(*number, AdminRequest::RemoveNode { order: None, host: lost, ignore: vec![] });
        assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&removal)));
        let AdminReply::Refused(why) = &world.admin_replies[&removal] else { panic!("removed by {number}") };
        assert!(why.contains("procedure of recovery") || why.contains("alive"), "{why}");
    }
    world.run(Duration::from_secs(20));
    assert!(rest.iter().all(|number| group(&world, *number).is_none() || group(&world, *number) == id), "a second group");
    assert!(others.iter().all(|number| world.node(*number).stage() == Stage::UsePreRaft));
    world.start(founder);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    assert!((0..4).all(|number| group(&world, number) == id));
}

/// While a host may come to lead, or has a group that it may not name yet, its answer is neither list nor group: it waits.
#[test]
fn who_may_lead_answers_discovery_only_when_the_group_is_there() {
    let mut world = ring(2);
    roll(&mut world);
    let founder = (0..2).min_by_key(|number| host(&world, *number)).unwrap();
    let other = 1 - founder;
    let header = world.header(other, host(&world, founder));
    let request = PeerRequest::Group0PeerExchange { peers: vec![], bootstrapped: true };
    let id = world.ask(founder, header, request);
    world.run(Duration::from_secs(1));
    assert!(!world.peer_replies.contains_key(&id), "{:?}", world.peer_replies[&id]);
    proceed(&mut world);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    let Ok(PeerReply::Exchange { reply: ExchangeReply::Group { group: found, .. }, .. }) = &world.peer_replies[&id] else {
        panic!("{:?}", world.peer_replies.get(&id))
    };
    assert_eq!(Some(*found), group(&world, other));
}
