//! Leaving, and removing a host that is down.

use super::{
    has_table,
    recovery::{ENTER, LEAVE, restart},
    report, ring, roll, upgrade, upgraded, with_keyspace,
    world::World,
};
use crate::{
    ids::HostId,
    io::{AdminReply, AdminRequest, JoinReply, Order, PeerReply, PeerRequest, Persist, Point, Refusal, RequestId},
    node::{Node, StartError, departure::LEFT},
    raft::Member,
    upgrade::{Stage, Step},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn host(world: &World, number: usize) -> HostId {
    world.node(number).host
}

fn answer(world: &mut World, id: RequestId) -> Result<(), String> {
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)), "no answer\n{}", report(world));
    match &world.admin_replies[&id] {
        AdminReply::Done => Ok(()),
        AdminReply::Refused(why) => Err(why.clone()),
        other => panic!("{other:?}"),
    }
}

fn remove(world: &mut World, by: usize, gone: HostId) -> Result<(), String> {
    let id = world.admin(by, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
    answer(world, id)
}

fn decommission(world: &mut World, number: usize) -> Result<(), String> {
    let id = world.admin(number, AdminRequest::Decommission { order: None });
    answer(world, id)
}

fn has_forgotten(node: &Node, gone: HostId) -> bool {
    let members = node.group.as_ref().map(|(_, group)| group.configuration().members()).unwrap_or_default();
    node.local.removed().contains(&gone)
        && !node.peers.hosts().contains(&gone)
        && !members.contains(&gone)
        && !node.gossip.is_up(gone)
}

/// Those who stay agree that it is gone, and go on.
fn goes_on_without(world: &mut World, gone: HostId, staying: &[usize]) {
    let forgotten = |world: &World| staying.iter().all(|number| has_forgotten(world.node(*number), gone));
    assert!(world.run_until(LIMIT, forgotten), "{}", report(world));
    for number in staying {
        let name = format!("after_{}_{number}", world.now.as_micros());
        world.execute(*number, &format!("CREATE TABLE ks.{name} (a int PRIMARY KEY)"));
    }
    world.run(Duration::from_secs(1));
    let rows = world.node(staying[0]).schema.rows().clone();
    assert!(staying.iter().all(|number| *world.node(*number).schema.rows() == rows));
}

fn wait_until_down(world: &mut World, number: usize, by: usize) {
    let host = host(world, number);
    world.crash(number);
    assert!(world.run_until(LIMIT, |world| !world.node(by).gossip.is_up(host)), "it is not noticed to be down");
}

/// These are, and nobody else is waited for.
fn are_upgraded(world: &mut World, hosts: &[usize]) {
    for number in hosts {
        world.hosts[*number].settings.flag = Some(true);
        world.crash(*number);
        world.start(*number);
        world.run(Duration::from_secs(4));
    }
    let are_final = |world: &World| hosts.iter().all(|number| world.node(*number).stage() == Stage::UsePostRaft);
    assert!(world.run_until(Duration::from_secs(30), are_final), "{}", report(world));
}

#[test]
fn each_of_three_may_leave_the_leader_too_until_one_is_left() {
    let mut world = upgraded(3);
    let leads =
        |world: &World, number: usize| world.node(number).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    let leader = (0..3).find(|number| leads(&world, *number)).unwrap();
    let mut staying: Vec<_> = (0..3).filter(|number| *number != leader).collect();
    let gone = host(&world, leader);
    decommission(&mut world, leader).unwrap();
    goes_on_without(&mut world, gone, &staying);
    assert_eq!(world.hosts[leader].ready, Err(LEFT.to_owned()));
    let next = staying.pop().unwrap();
    let gone = host(&world, next);
    decommission(&mut world, next).unwrap();
    goes_on_without(&mut world, gone, &staying);
    let why = decommission(&mut world, staying[0]).unwrap_err();
    assert!(why.contains("would be the last one"), "{why}");
    assert_eq!(decommission(&mut world, leader), Ok(()), "asked again it is done");
}

#[test]
fn a_host_that_has_left_does_not_start_again() {
    let mut world = upgraded(2);
    decommission(&mut world, 1).unwrap();
    world.crash(1);
    assert_eq!(world.try_start(1), Err(StartError::Left));
}

#[test]
fn a_host_that_is_down_is_removed_and_hears_of_it_when_it_comes_back() {
    let mut world = upgraded(3);
    let gone = host(&world, 2);
    let why = remove(&mut world, 0, gone).unwrap_err();
    assert!(why.contains("is alive, maybe you should use decommission instead?"), "{why}");
    wait_until_down(&mut world, 2, 0);
    remove(&mut world, 0, gone).unwrap();
    goes_on_without(&mut world, gone, &[0, 1]);
    remove(&mut world, 1, gone).unwrap();
    world.start(2);
    let knows = |world: &World| world.hosts[2].ready == Err(LEFT.to_owned());
    assert!(world.run_until(LIMIT, knows), "{:?}", world.hosts[2].ready);
    goes_on_without(&mut world, gone, &[0, 1]);
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let mut world = upgraded(3);
    let (me, nobody) = (host(&world, 0), HostId::of(99));
    assert!(remove(&mut world, 0, me).unwrap_err().contains("use decommission"));
    assert!(remove(&mut world, 0, nobody).unwrap_err().contains("no host"));
    let others = [host(&world, 1), host(&world, 2)];
    wait_until_down(&mut world, 1, 0);
    wait_until_down(&mut world, 2, 0);
    let first = world.admin(0, AdminRequest::RemoveNode { order: None, host: others[0], ignore: vec![] });
    let why = remove(&mut world, 0, others[1]).unwrap_err();
    assert!(why.contains("is leaving by this node's doing"), "{why}");
    let why = answer(&mut world, first).unwrap_err();
    assert!(why.contains("3 voters, 1 alive"), "{why}");
}

#[test]
fn during_the_upgrade_nobody_is_removed() {
    let mut world = ring(3);
    let gone = host(&world, 2);
    world.hosts[2].crash_at = Some((Point::FeatureEnabled, false));
    upgrade(&mut world);
    let is_stuck =
        |world: &World| world.hosts[2].node.is_none() && !world.node(0).gossip.is_up(gone) && world.node(0).flag().enabled;
    assert!(world.run_until(LIMIT, is_stuck), "{}", report(&world));
    let why = remove(&mut world, 0, gone).unwrap_err();
    assert!(why.contains("procedure of recovery"), "{why}");
}

#[test]
fn before_the_upgrade_a_host_leaves_and_the_others_are_upgraded_without_it() {
    let mut world = ring(3);
    world.execute(0, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    world.run(Duration::from_secs(1));
    world.loses_pushes = true;
    world.client(2, "CREATE TABLE ks.of_who_leaves (a int PRIMARY KEY)");
    world.loses_pushes = false;
    let rows = world.node(2).schema.rows().clone();
    decommission(&mut world, 2).unwrap();
    assert!((0..2).all(|number| *world.node(number).schema.rows() == rows));
    world.run(Duration::from_secs(1));
    assert!((0..2).all(|number| has_forgotten(world.node(number), world.node(2).host)));
    are_upgraded(&mut world, &[0, 1]);
}

#[test]
fn before_the_upgrade_a_dead_host_is_removed_and_who_was_down_hears_of_it_later() {
    let mut world = ring(4);
    let (gone, away) = (host(&world, 3), host(&world, 2));
    wait_until_down(&mut world, 3, 0);
    wait_until_down(&mut world, 2, 0);
    world.run(Duration::from_secs(3));
    let why = remove(&mut world, 0, gone).unwrap_err();
    assert!(why.contains(&format!("[{away}]")) && why.contains("ignore_nodes"), "{why}");
    let id = world.admin(0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![away] });
    answer(&mut world, id).unwrap();
    assert!([0, 1].into_iter().all(|number| has_forgotten(world.node(number), gone)));
    world.start(2);
    assert!(world.run_until(LIMIT, |world| has_forgotten(world.node(2), gone)), "it has not heard of it");
    are_upgraded(&mut world, &[0, 1, 2]);
}

/// Four of which the last was away, and is back; only the second one sees that.
fn one_is_back_and_seen_by_one() -> (World, HostId) {
    let mut world = ring(4);
    let back = host(&world, 3);
    world.crash(3);
    let sees = |world: &World, number: usize| world.node(number).gossip.is_up(back);
    assert!(world.run_until(LIMIT, |world| (0..3).all(|number| !sees(world, number))));
    world.cut(3, &[0, 2]);
    world.start(3);
    assert!(world.run_until(LIMIT, |world| sees(world, 1)));
    assert!(!sees(&world, 0) && !sees(&world, 2));
    (world, back)
}

/// Whoever had not seen it yet had recorded the removal, and all others heard of that by gossip.
#[test]
fn before_the_upgrade_a_host_whose_removal_is_refused_stays() {
    let (mut world, back) = one_is_back_and_seen_by_one();
    let why = remove(&mut world, 0, back).unwrap_err();
    assert!(why.contains("is alive"), "{why}");
    world.cuts.clear();
    world.run(Duration::from_secs(5));
    assert!((0..4).all(|number| world.node(number).local.removed().is_empty()), "it is removed all the same");
    assert_eq!(world.hosts[3].ready, Ok(()));
}

/// One that is up is asked though it is named, and sees that the host is alive.
#[test]
fn before_the_upgrade_only_who_is_down_is_left_out() {
    let (mut world, back) = one_is_back_and_seen_by_one();
    let named = host(&world, 1);
    let id = world.admin(0, AdminRequest::RemoveNode { order: None, host: back, ignore: vec![named] });
    let why = answer(&mut world, id).unwrap_err();
    assert!(why.contains("is alive"), "{why}");
    world.run(Duration::from_secs(5));
    assert!((0..4).all(|number| world.node(number).local.removed().is_empty()), "it is removed all the same");
}

#[test]
fn before_the_upgrade_a_removed_host_that_comes_back_hears_of_it() {
    let mut world = ring(3);
    let gone = host(&world, 2);
    wait_until_down(&mut world, 2, 0);
    world.run(Duration::from_secs(3));
    remove(&mut world, 0, gone).unwrap();
    world.start(2);
    let knows = |world: &World| world.hosts[2].ready == Err(LEFT.to_owned());
    assert!(world.run_until(LIMIT, knows), "{:?}", world.hosts[2].ready);
}

#[test]
fn a_removal_is_finished_by_a_second_try_wherever_the_first_was_broken_off() {
    for (victim, after) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut world = upgraded(4);
        let gone = host(&world, 3);
        wait_until_down(&mut world, 3, 0);
        world.run(Duration::from_secs(3));
        world.hosts[victim].crash_at = Some((Point::Configuration, after));
        world.admin(0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
        world.run(Duration::from_secs(5));
        assert!(world.hosts[victim].node.is_none(), "{victim} has not crashed");
        world.start(victim);
        world.run(Duration::from_secs(5));
        remove(&mut world, 0, gone).unwrap();
        goes_on_without(&mut world, gone, &[0, 1, 2]);
    }
}

#[test]
fn a_decommission_is_finished_by_a_second_try_wherever_a_host_crashed() {
    for (victim, after) in [(0, false), (0, true), (1, false), (1, true), (2, false), (2, true)] {
        let mut world = upgraded(3);
        let gone = host(&world, 2);
        world.hosts[victim].crash_at = Some((Point::Configuration, after));
        world.admin(2, AdminRequest::Decommission { order: None });
        world.run(Duration::from_secs(5));
        if world.hosts[victim].node.is_none() && world.try_start(victim) == Err(StartError::Left) {
            assert_eq!(victim, 2);
        }
        world.run(Duration::from_secs(5));
        if world.hosts[2].node.is_some() {
            assert_eq!(decommission(&mut world, 2), Ok(()), "{victim} crashed, after: {after}");
        }
        goes_on_without(&mut world, gone, &[0, 1]);
    }
}

/// It was handed over in memory only, answered as done, and the host voted on in the group.
#[test]
fn in_recovery_nobody_leaves_a_group_in_which_others_are() {
    let mut world = upgraded(3);
    let gone = host(&world, 1);
    world.execute(1, ENTER);
    restart(&mut world, 1);
    world.run(Duration::from_secs(3));
    for _ in 0..2 {
        let why = decommission(&mut world, 1).unwrap_err();
        assert!(why.contains("leave recovery first"), "{why}");
    }
    world.execute(1, LEAVE);
    restart(&mut world, 1);
    let is_final = |world: &World| world.node(1).stage() == Stage::UsePostRaft;
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    decommission(&mut world, 1).unwrap();
    world.execute(0, "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    goes_on_without(&mut world, gone, &[0, 2]);
}

#[test]
fn where_all_are_in_recovery_a_host_leaves_the_old_way() {
    let mut world = upgraded(3);
    let gone = host(&world, 1);
    (0..3).for_each(|number| world.execute(number, ENTER));
    (0..3).for_each(|number| restart(&mut world, number));
    world.run(Duration::from_secs(5));
    decommission(&mut world, 1).unwrap();
    world.run(Duration::from_secs(2));
    assert!([0, 2].into_iter().all(|number| has_forgotten(world.node(number), gone)));
}

#[test]
fn a_leader_of_which_recovery_is_requested_hands_over_and_the_others_change_the_membership() {
    let mut world = upgraded(4);
    let leads = |world: &World, number: usize| world.node(number).group.as_ref().unwrap().1.status().is_leader;
    let leader = (0..4).find(|number| leads(&world, *number)).unwrap();
    let others: Vec<_> = (0..4).filter(|number| *number != leader).collect();
    world.execute(leader, ENTER);
    let other_leads = |world: &World| others.iter().any(|number| leads(world, *number));
    assert!(world.run_until(Duration::from_secs(1), other_leads), "nobody has taken it over");

    let (group, header) = (world.node(leader).group.as_ref().unwrap().0, world.header(others[0], host(&world, leader)));
    let id = world.ask(leader, header, PeerRequest::Group0ModifyConfig { group, add: vec![], remove: vec![] });
    let name = host(&world, leader).to_string();
    assert!(matches!(&world.peer_replies[&id], Err(Refusal::NotNow(why)) if why.contains(&name)));

    let gone = host(&world, others[0]);
    decommission(&mut world, others[0]).unwrap();
    goes_on_without(&mut world, gone, &others[1..]);
}

/// A member that has not heard of the removal passes on what the host asks for.
#[test]
fn a_host_that_was_removed_is_not_added_again_by_the_word_of_another() {
    let mut world = upgraded(3);
    let gone = Member { host: host(&world, 2), address: world.hosts[2].settings.broadcast_address };
    wait_until_down(&mut world, 2, 0);
    remove(&mut world, 0, gone.host).unwrap();
    goes_on_without(&mut world, gone.host, &[0, 1]);
    let leads = |number: &usize| world.node(*number).group.as_ref().unwrap().1.status().is_leader;
    let leader = (0..2).find(leads).unwrap();
    let last_index = |world: &World| world.node(leader).group.as_ref().unwrap().1.status().last_index;
    let (before, group) = (last_index(&world), world.node(leader).group.as_ref().unwrap().0);
    let header = world.header(1 - leader, host(&world, leader));
    let id = world.ask(leader, header, PeerRequest::Group0ModifyConfig { group, add: vec![(gone, true)], remove: vec![] });
    world.run(Duration::from_secs(1));
    assert!(
        matches!(&world.peer_replies[&id], Err(Refusal::RemovedHost(host)) if *host == gone.host),
        "{:?}",
        world.peer_replies
    );
    assert_eq!(last_index(&world), before);
}

/// As a former release may have left it behind: removed, and added again after that.
#[test]
fn a_host_that_is_a_member_in_spite_of_its_removal_is_removed() {
    let mut world = upgraded(3);
    let gone = host(&world, 2);
    wait_until_down(&mut world, 2, 0);
    for number in 0..2 {
        world.hosts[number].node.as_mut().unwrap().local.add_removed(&mut Persist::default(), gone);
    }
    remove(&mut world, 0, gone).unwrap();
    goes_on_without(&mut world, gone, &[0, 1]);
}

#[test]
fn nobody_asks_for_leave_to_join_in_the_name_of_another() {
    let mut world = ring(2);
    let header = world.header(1, host(&world, 0));
    let endpoint = crate::gossip::Endpoint { host: HostId::of(9), ..world.node(1).gossip.me().clone() };
    let id = world.ask(0, header, PeerRequest::JoinRing { endpoint, replaces: None });
    let Ok(PeerReply::JoinRing(JoinReply::Refused(why))) = &world.peer_replies[&id] else { panic!("{:?}", world.peer_replies) };
    assert!(why.contains("in the name of"), "{why}");
    assert!(!world.node(0).peers.hosts().contains(&HostId::of(9)));
}

/// A message between nodes holds 16 MiB.
#[test]
fn the_schema_of_a_host_that_leaves_the_old_way_is_handed_over_in_pieces() {
    let mut world = with_keyspace(3);
    for table in 0..24 {
        world.execute(2, &format!("CREATE TABLE ks.t{table} (a int PRIMARY KEY) WITH comment = '{}'", "x".repeat(400_000)));
    }
    world.calls.clear();
    decommission(&mut world, 2).unwrap();
    let handed = world.calls.iter().filter(|(_, from, verb)| (*from, *verb) == (2, "DefinitionsUpdate")).count();
    assert_eq!(handed, 4, "two pieces to each of two");
    assert!((0..24).all(|table| has_table(&world, 0, &format!("t{table}")) && has_table(&world, 1, &format!("t{table}"))));
}

/// The removal of another host may have been known before the answer to it came.
#[test]
fn a_late_answer_about_another_host_is_none_to_a_host_that_leaves() {
    let mut world = upgraded(4);
    let gone = host(&world, 3);
    let number = (0..3).find(|number| !leads(&world, *number)).unwrap();
    wait_until_down(&mut world, 3, number);
    remove(&mut world, number, gone).unwrap();
    let id = world.admin(number, AdminRequest::Decommission { order: None });
    assert!(world.run_until(LIMIT, |world| world.node(number).is_leaving()));
    world.hosts[number].node.as_mut().unwrap().departure_answered(gone, &Ok(PeerReply::Modified));
    assert!(world.node(number).group.is_some(), "it takes the answer for one about itself");
    answer(&mut world, id).unwrap();
    let staying: Vec<usize> = (0..3).filter(|other| *other != number).collect();
    let me = world.hosts[number].stored(crate::node::local::key::HOST_ID).unwrap().parse().unwrap();
    goes_on_without(&mut world, me, &staying);
}

fn leads(world: &World, number: usize) -> bool {
    world.node(number).group.as_ref().is_some_and(|(_, group)| group.status().is_leader)
}

/// A voter in recovery is up, and takes part in nothing; that the leader has heard it lately says nothing yet.
#[test]
fn leadership_is_handed_to_one_that_takes_part() {
    for after in 1..4 {
        let mut world = upgraded(4);
        let leader = (0..4).find(|number| leads(&world, *number)).unwrap();
        let idle = (leader + after) % 4;
        world.execute(idle, ENTER);
        restart(&mut world, idle);
        let told = |world: &World| world.node(leader).gossip.endpoints()[&host(world, idle)].group.is_none();
        assert!(world.run_until(LIMIT, |world| told(world) && world.node(leader).gossip.is_up(host(world, idle))));
        world.admin(leader, AdminRequest::StepDown);
        world.run(Duration::from_secs(1));
        let heir = (0..4).find(|number| leads(&world, *number)).unwrap();
        assert!(heir != leader && heir != idle, "{heir} leads after {leader}, and {idle} takes no part");
    }
}

/// It is out, which nobody but itself knows, and never starts again; meanwhile the others move to group 0 (seed 84239).
#[test]
fn who_left_without_a_last_word_is_removed_though_the_upgrade_waits_for_it() {
    let mut world = with_keyspace(4);
    roll(&mut world);
    let gone = host(&world, 3);
    world.admin(3, AdminRequest::Proceed(Order::default()));
    world.run(Duration::from_secs(2));
    world.hosts[3].crash_at = Some((Point::Left, true));
    world.admin(3, AdminRequest::Decommission { order: None });
    assert!(world.run_until(LIMIT, |world| world.hosts[3].node.is_none()), "{}", report(&world));
    assert!(matches!(world.try_start(3), Err(StartError::Left)));
    for number in 0..3 {
        world.admin(number, AdminRequest::Proceed(Order::default()));
    }
    world.run(LIMIT);
    let waits = |node: &Node| node.upgrade.step() == Some(Step::AskPeers);
    assert!((0..3).all(|number| waits(world.node(number))), "{}", report(&world));
    remove(&mut world, 0, gone).unwrap();
    let are_final = |world: &World| (0..3).all(|number| world.node(number).stage() == Stage::UsePostRaft);
    assert!(world.run_until(LIMIT, are_final), "{}", report(&world));
    goes_on_without(&mut world, gone, &[0, 1, 2]);
}
