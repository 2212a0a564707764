//! Hosts on their first boot: when they may come in, what they get, and whom they hold up if they die.

use super::{
    KEYSPACE, agree, has_table, is_final, proceed,
    recovery::{ENTER, LEAVE, restart},
    report,
    rules::foreign_rows,
    upgraded,
    world::{Host, World},
};
use crate::{
    gossip::RingStatus,
    ids::{GroupId, HostId},
    io::{AdminReply, AdminRequest, JoinReply, Order, Point, RecoveryPlan, RecoveryStep, Table},
    node::{
        Node,
        boot::{Boot, Through},
        local::key,
    },
    upgrade::{Stage, Step, machine::Event},
};
use std::time::Duration;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn create(name: &str) -> String {
    format!("CREATE TABLE ks.{name} (a int PRIMARY KEY)")
}

/// Three hosts of before the upgrade with a table, and a fourth that has never run.
pub(super) fn three_and_a_fourth() -> World {
    let mut world = World::new(4);
    (0..3).for_each(|host| world.start(host));
    let meet = |world: &World| {
        world.hosts[..3].iter().all(|host| host.node.as_ref().is_some_and(|node| node.gossip.live().count() == 2))
    };
    assert!(world.run_until(LIMIT, |world| meet(world) && world.hosts[..3].iter().all(|host| host.ready.is_ok())));
    world.execute(0, KEYSPACE);
    world.execute(1, &create("before"));
    world.run(Duration::from_secs(1));
    world.hosts.iter_mut().for_each(|host| host.settings.flag = Some(true));
    world
}

/// The three start with the flag, all at once.
fn start_three(base: &World) -> World {
    let mut world = World::after(base);
    (0..3).for_each(|host| world.start(host));
    world
}

fn are(world: &World, hosts: &[usize], stage: Stage) -> bool {
    hosts.iter().all(|host| world.hosts[*host].node.as_ref().is_some_and(|node| node.stage() == stage))
}

/// Two wait in `synchronize` for the third, which had failed just before and then died.
pub(super) fn two_in_synchronize(base: &World) -> World {
    let mut world = start_three(base);
    assert!(world.run_until(LIMIT, |world| world.node(2).upgrade.step() >= Some(Step::PullSchema)), "{}", report(&world));
    world.hosts[2].node.as_mut().unwrap().upgrade_event(Event::Fatal("out of luck".into()));
    assert!(world.run_until(LIMIT, |world| are(world, &[0, 1], Stage::Synchronize)), "{}", report(&world));
    world.crash(2);
    world
}

/// Started with the flag, they have become final.
pub(super) fn three_final(base: &World) -> World {
    let mut world = start_three(base);
    assert!(world.run_until(LIMIT, |world| are(world, &[0, 1, 2], Stage::UsePostRaft)), "{}", report(&world));
    world
}

/// All four are in the ring, final and voters, with the same schema, in which these tables are.
pub(super) fn ends_with_four(world: &mut World, tables: &[&str]) {
    let is_in = |node: &Node| node.boot.is_completed() && node.stage() == Stage::UsePostRaft && voters(node) == 4;
    assert!(world.run_until(LIMIT, |world| world.all(is_in)), "{:?}\n{}", world.hosts[3].ready, report(world));
    world.execute(3, &create("after"));
    agree(world);
    assert!(tables.iter().chain(&["before", "after"]).all(|table| has_table(world, 3, table)));
    assert!(world.all(|node| node.joining.group() == world.node(0).joining.group()));
}

pub(super) fn voters(node: &Node) -> usize {
    node.group.as_ref().map_or(0, |(_, group)| group.configuration().voters.len())
}

pub(super) fn remove(world: &mut World, by: usize, gone: HostId) -> Result<(), String> {
    let id = world.admin(by, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)), "no answer");
    match &world.admin_replies[&id] {
        AdminReply::Done => Ok(()),
        AdminReply::Refused(why) => Err(why.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whenever_a_host_asks_while_the_others_are_upgraded_it_comes_in_and_gets_everything() {
    let base = three_and_a_fourth();
    for millis in (0..2_000).step_by(40) {
        let mut world = start_three(&base);
        world.run(Duration::from_millis(millis));
        let id = world.client(0, &create("meanwhile"));
        world.start(3);
        world.run(Duration::from_secs(1));
        let tables = if world.acknowledges(id) { vec!["meanwhile"] } else { vec![] };
        ends_with_four(&mut world, &tables);
    }
}

#[test]
fn who_asks_while_the_others_synchronize_waits_without_being_a_member_and_then_gets_the_whole_schema() {
    let mut world = two_in_synchronize(&three_and_a_fourth());
    world.start(3);
    world.run(Duration::from_secs(20));
    let waits = world.hosts[3].ready.clone().unwrap_err();
    assert!(waits.contains("upgrading: wait"), "{waits}");
    let newcomer = world.node(3).host;
    for host in [0, 1] {
        assert!(!world.node(host).peers.hosts().contains(&newcomer) && are(&world, &[host], Stage::Synchronize));
        assert_eq!(world.node(host).gossip.endpoints()[&newcomer].status, RingStatus::Waiting);
    }
    world.start(2);
    ends_with_four(&mut world, &[]);
}

/// A pod that waits is evicted: its host was taken for a member that has gone, and waited for.
#[test]
fn who_waits_is_no_member_when_it_is_shut_down_either() {
    let mut world = two_in_synchronize(&three_and_a_fourth());
    world.start(3);
    world.run(Duration::from_secs(20));
    let newcomer = world.node(3).host;
    assert!(world.shut_down(3));
    world.run(Duration::from_secs(10));
    assert!([0, 1].into_iter().all(|host| !world.node(host).peers.hosts().contains(&newcomer)));
    world.start(2);
    assert!(world.run_until(LIMIT, |world| are(world, &[0, 1, 2], Stage::UsePostRaft)), "{}", report(&world));
    world.start(3);
    ends_with_four(&mut world, &[]);
}

/// A node in recovery pushes what it changes to all that it knows; one that waits for its way in has it in no log (seed 218).
#[test]
fn what_a_newcomer_was_told_besides_is_not_in_its_schema() {
    for merges in [false, true] {
        let mut world = two_in_synchronize(&three_and_a_fourth());
        world.start(3);
        world.run(Duration::from_secs(5));
        let newcomer = world.hosts[3].node.as_mut().unwrap();
        // Either while it waits, or before, when it was about to come in the old way.
        if merges {
            newcomer.merge_rows(&foreign_rows());
        } else {
            newcomer.take_foreign_rows(&foreign_rows());
        }
        assert_eq!(has_table(&world, 3, "foreign"), merges);
        world.run(Duration::from_secs(1));
        world.start(2);
        ends_with_four(&mut world, &[]);
        assert!(!has_table(&world, 3, "foreign"));
        world.crash(3);
        world.start(3);
        assert!(!has_table(&world, 3, "foreign"), "nor on its disk");
    }
}

/// Further away than the time between two questions.
#[test]
fn a_newcomer_far_away_comes_in() {
    for mut world in [World::after(&three_and_a_fourth()), three_final(&three_and_a_fourth())] {
        (0..3)
            .filter(|host| world.hosts[*host].node.is_none())
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|host| world.start(host));
        world.run(Duration::from_secs(2));
        world.delay = Duration::from_millis(350);
        world.start(3);
        assert!(world.run_until(LIMIT, |world| world.node(3).boot.is_completed()), "{}", report(&world));
    }
}

/// The one that it would ask first has lost sight of the leader.
#[test]
fn a_newcomer_asks_another_final_member_where_one_cannot_help() {
    for cut in 0..3 {
        let mut world = three_final(&three_and_a_fourth());
        let others: Vec<_> = (0..3).filter(|host| *host != cut).collect();
        world.cut(cut, &others);
        world.run(Duration::from_secs(5));
        world.start(3);
        assert!(world.run_until(LIMIT, |world| world.node(3).boot.is_completed()), "{}", report(&world));
    }
}

#[test]
fn a_newcomer_with_a_hold_or_without_flag_comes_into_a_cluster_that_is_done() {
    let base = three_and_a_fourth();
    for (flag, hold) in [(Some(true), true), (None, false), (None, true)] {
        let mut world = three_final(&base);
        (world.hosts[3].settings.flag, world.hosts[3].settings.hold) = (flag, hold);
        world.start(3);
        ends_with_four(&mut world, &[]);
    }
}

#[test]
#[should_panic(expected = "was previously enabled in the cluster")]
fn a_newcomer_whose_flag_is_false_ends_in_a_cluster_that_is_done() {
    let mut world = three_final(&three_and_a_fourth());
    world.hosts[3].settings.flag = Some(false);
    world.start(3);
    world.run(LIMIT);
}

/// A recovery had sent it to its group; whom it hears after a restart are those that did not take part.
#[test]
fn a_newcomer_that_was_sent_to_a_group_goes_into_no_older_one() {
    let mut world = three_final(&three_and_a_fourth());
    world.start(3);
    let is_sent = |world: &World| matches!(world.node(3).boot, Boot::Joining(_, Through::Learner, _));
    assert!(world.run_until(LIMIT, is_sent), "{}", report(&world));
    world.cut(3, &[0, 1, 2]);
    restart(&mut world, 3);
    let (ours, other) = (world.node(3).joining.group().unwrap(), GroupId(Uuid::from_u128(7)));
    let address = world.hosts[0].settings.broadcast_address;
    let node = world.hosts[3].node.as_mut().unwrap();
    let reply = JoinReply::Final { group: other, incarnation: node.local.incarnation() };
    node.join_ring_answered(address, Ok(reply));
    world.run(Duration::from_millis(100));
    let expected = format!("a final member is in group 0 {other}, which is not newer than {ours}, to which this host was sent");
    assert!(world.hosts[3].ready.clone().unwrap_err().ends_with(&expected), "{:?}", world.hosts[3].ready);
    assert_eq!(world.node(3).joining.group(), Some(ours));
    world.cuts.clear();
    ends_with_four(&mut world, &[]);
}

/// The procedure of whoever leads has failed in `synchronize`; the others are final.
fn leader_is_not_final(base: &World) -> (World, usize) {
    let mut world = start_three(base);
    let leads = |world: &World, host: usize| {
        world.hosts[host].node.as_ref().unwrap().group.as_ref().is_some_and(|(_, group)| group.status().is_leader)
    };
    let synchronizes = |world: &World| (0..3).find(|host| leads(world, *host) && are(world, &[*host], Stage::Synchronize));
    assert!(world.run_until(LIMIT, |world| synchronizes(world).is_some()), "{}", report(&world));
    let leader = synchronizes(&world).unwrap();
    world.hosts[leader].node.as_mut().unwrap().upgrade_event(Event::Fatal("out of luck".into()));
    let others: Vec<_> = (0..3).filter(|host| *host != leader).collect();
    assert!(world.run_until(LIMIT, |world| are(world, &others, Stage::UsePostRaft)), "{}", report(&world));
    assert!(leads(&world, leader) && are(&world, &[leader], Stage::Synchronize));
    (world, leader)
}

#[test]
fn a_newcomer_takes_no_snapshot_of_a_leader_that_is_not_final() {
    let (mut world, leader) = leader_is_not_final(&three_and_a_fourth());
    world.start(3);
    world.run(Duration::from_secs(15));
    assert!(
        !world.node(3).boot.is_completed() && !world.hosts[3].points.contains(&Point::Snapshot),
        "{:?}",
        world.hosts[3].ready
    );
    world.admin(leader, AdminRequest::RetryUpgrade(Order::default()));
    ends_with_four(&mut world, &[]);
}

/// It is in neither ring nor group, and yet in gossip.
#[test]
fn a_host_that_never_came_in_can_be_removed() {
    let base = three_and_a_fourth();
    let mut world = three_final(&base);
    world.hosts[3].crash_at = Some((Point::FeatureEnabled, false));
    world.start(3);
    let lost = world.node(3).host;
    assert!(world.run_until(LIMIT, |world| world.hosts[3].node.is_none()));
    world.run(Duration::from_secs(10));
    remove(&mut world, 0, lost).unwrap();
    assert!((0..3).all(|host| world.node(host).local.removed().contains(&lost)));

    let mut world = two_in_synchronize(&base);
    world.start(3);
    world.run(Duration::from_secs(5));
    let (lost, away) = (world.node(3).host, base.node(2).host);
    world.crash(3);
    assert!(world.run_until(LIMIT, |world| !world.node(0).gossip.is_up(lost)));
    let id = world.admin(0, AdminRequest::RemoveNode { order: None, host: lost, ignore: vec![away] });
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)), "no answer");
    assert!(matches!(world.admin_replies[&id], AdminReply::Done), "{:?}", world.admin_replies[&id]);
    assert!((0..2).all(|host| world.node(host).local.removed().contains(&lost)));
}

/// S4: it took the group for a new one, and its log and vote were overwritten.
#[test]
fn a_newcomer_in_recovery_keeps_its_marker_and_its_log_and_goes_on_afterwards() {
    let base = three_and_a_fourth();
    let ways = [(Point::Snapshot, true), (Point::Joining, true)];
    for (point, after) in ways {
        let mut world = three_final(&base);
        world.hosts[3].crash_at = Some((point, after));
        world.start(3);
        assert!(world.run_until(LIMIT, |world| world.hosts[3].node.is_none()), "{point:?}");
        world.start(3);
        world.execute(3, ENTER);
        restart(&mut world, 3);
        let raft = |world: &World| {
            let rows = world.hosts[3]
                .store
                .clone()
                .into_iter()
                .filter(|((table, _), _)| matches!(table, Table::RaftLog | Table::RaftState));
            rows.collect::<Vec<_>>()
        };
        let before = raft(&world);
        world.run(Duration::from_secs(10));
        assert_eq!(world.hosts[3].stored(key::UPGRADE_STATE).as_deref(), Some(Stage::Recovery.name()));
        assert!(!before.is_empty() && raft(&world) == before, "{point:?}: its log was overwritten");
        assert!(world.hosts[3].ready.clone().unwrap_err().contains("remove the marker"), "{:?}", world.hosts[3].ready);
        refuses_a_plan(&mut world);
        world.execute(3, LEAVE);
        restart(&mut world, 3);
        ends_with_four(&mut world, &[]);
    }
}

fn refuses_a_plan(world: &mut World) {
    let plan = RecoveryPlan { number: 1, survivors: [world.node(3).host].into(), excluded: [].into(), text: String::new() };
    let step = RecoveryStep::PrepareFence(plan);
    let id = world.admin(3, AdminRequest::Recover { order: Order::default(), plan: 1, step });
    let AdminReply::Refused(why) = &world.admin_replies[&id] else { panic!("it takes part in a plan") };
    assert!(why.contains("not in the ring"), "{why}");
}

#[test]
fn no_step_of_the_way_in_overwrites_the_marker() {
    let base = three_and_a_fourth();
    for at in [Through::Learner, Through::Barrier] {
        let mut world = three_final(&base);
        world.start(3);
        let is_there = |world: &World| matches!(&world.node(3).boot, Boot::Joining(_, through, _) if *through == at);
        assert!(world.run_until(LIMIT, is_there), "{:?}", world.hosts[3].ready);
        world.execute(3, ENTER);
        world.run(Duration::from_secs(10));
        assert_eq!(world.hosts[3].stored(key::UPGRADE_STATE).as_deref(), Some(Stage::Recovery.name()), "{at:?}");
        restart(&mut world, 3);
        world.execute(3, LEAVE);
        restart(&mut world, 3);
        ends_with_four(&mut world, &[]);
    }
}

/// It has leave to join the old way, and dies before it is in.
fn dies_while_joining(base: &World) -> (World, HostId) {
    let mut world = World::after(base);
    world.hosts.iter_mut().for_each(|host| host.settings.hold = true);
    (0..3).for_each(|host| world.start(host));
    world.run(Duration::from_secs(5));
    world.hosts[3].settings.hold = false;
    world.hosts[3].crash_at = Some((Point::Bootstrapped, false));
    world.start(3);
    let dead = world.node(3).host;
    assert!(world.run_until(LIMIT, |world| world.hosts[3].node.is_none()));
    let knows = |host: &Host| host.node.as_ref().unwrap().peers.rows().get(&dead).map(|row| row.status);
    assert!(world.hosts[..3].iter().any(|host| knows(host) == Some(RingStatus::Joining)), "nobody has recorded it");
    (world, dead)
}

fn waits_for(world: &World, host: HostId) -> bool {
    world.hosts[..3].iter().filter_map(|it| it.node.as_ref()).any(|node| {
        let waits = node.procedure_waits_on();
        node.upgrade.step() == Some(Step::AskPeers) && waits.iter().any(|wait| wait.to_string().contains(&host.to_string()))
    })
}

#[test]
fn a_host_that_died_while_joining_is_waited_for_by_name_until_it_comes_back() {
    let (mut world, dead) = dies_while_joining(&three_and_a_fourth());
    proceed(&mut world);
    world.run(Duration::from_secs(20));
    assert!(waits_for(&world, dead) && are(&world, &[0, 1, 2], Stage::UsePreRaft), "{}", report(&world));
    world.start(3);
    ends_with_four(&mut world, &[]);
}

/// It would come into the ring and never into the group, and all would wait for it.
#[test]
fn a_host_without_the_feature_does_not_go_on_joining_once_that_is_enabled() {
    for (flag, hold) in [(Some(false), false), (None, false), (Some(true), true)] {
        let (mut world, _) = dies_while_joining(&three_and_a_fourth());
        proceed(&mut world);
        world.run(Duration::from_secs(20));
        (world.hosts[3].settings.flag, world.hosts[3].settings.hold) = (flag, hold);
        world.start(3);
        world.run(Duration::from_secs(5));
        let why = world.hosts[3].ready.clone().expect_err("it is in the ring");
        assert!(why.contains("does not advertise it"), "{why}");
        if hold {
            world.admin(3, AdminRequest::Proceed(Order::default()));
        } else {
            world.hosts[3].settings.flag = Some(true);
            restart(&mut world, 3);
        }
        ends_with_four(&mut world, &[]);
    }
}

#[test]
fn a_host_that_died_while_joining_is_removed_though_the_upgrade_waits_for_it() {
    let (mut world, dead) = dies_while_joining(&three_and_a_fourth());
    proceed(&mut world);
    world.run(Duration::from_secs(20));
    assert!(waits_for(&world, dead), "{}", report(&world));
    remove(&mut world, 0, dead).unwrap();
    assert!(world.run_until(LIMIT, |world| are(world, &[0, 1, 2], Stage::UsePostRaft)), "{}", report(&world));
    agree(&mut world);
}

#[test]
fn a_host_that_died_while_joining_blocks_nobody_who_comes_at_its_address() {
    let (mut world, dead) = dies_while_joining(&three_and_a_fourth());
    world.hosts[3].store.clear();
    world.start(3);
    assert!(world.run_until(LIMIT, |world| world.node(3).boot.is_completed()), "{:?}", world.hosts[3].ready);
    let newcomer = world.node(3).host;
    assert_ne!(newcomer, dead);
    assert!(world.run_until(LIMIT, |world| world.node(0).gossip.is_up(newcomer)));
    remove(&mut world, 0, dead).unwrap();
    proceed(&mut world);
    ends_with_four(&mut world, &[]);
}

/// Three that are held before the upgrade.
pub(super) fn three_held(base: &World) -> World {
    let mut world = World::after(base);
    world.hosts.iter_mut().for_each(|host| host.settings.hold = true);
    (0..3).for_each(|host| world.start(host));
    world.run(Duration::from_secs(3));
    world
}

#[test]
fn clients_of_all_are_told_of_a_newcomer_once() {
    let base = three_and_a_fourth();
    for mut world in [three_held(&base), three_final(&base)] {
        world.start(3);
        assert!(world.run_until(LIMIT, |world| world.hosts[3].ready.is_ok()));
        world.run(Duration::from_secs(5));
        world.shut_down(3);
        world.run(Duration::from_secs(5));
        world.start(3);
        world.run(Duration::from_secs(5));
        let address = world.hosts[3].settings.rpc_address;
        assert!(world.hosts[..3].iter().all(|host| host.joined == [address]), "{:?}", world.hosts[0].joined);
    }
}

#[test]
fn who_has_booted_is_up_for_all_others() {
    let base = three_and_a_fourth();
    for mut world in [three_held(&base), three_final(&base)] {
        world.start(3);
        let newcomer = world.node(3).host;
        assert!(world.run_until(LIMIT, |world| world.hosts[3].ready.is_ok()));
        let is_up = |host: usize| world.node(host).gossip.is_up(newcomer);
        assert!((0..3).all(is_up), "{:?}", (0..3).map(is_up).collect::<Vec<_>>());
    }
}

#[test]
fn a_member_that_restarts_while_another_host_joins_changes_nothing() {
    let base = three_and_a_fourth();
    for restarts in 0..3 {
        let mut world = three_final(&base);
        world.start(3);
        let joins = |world: &World| world.node(3).group.is_some();
        assert!(world.run_until(LIMIT, joins));
        world.crash(restarts);
        world.run(Duration::from_millis(200));
        world.start(restarts);
        ends_with_four(&mut world, &[]);
    }
}

/// It says what it waits for, whatever that is at the time.
#[test]
fn a_newcomer_of_a_group_without_quorum_says_who_seems_dead() {
    let mut world = upgraded(2);
    world.crash(1);
    let dead =
        world.node(0).group.as_ref().unwrap().1.configuration().voters.iter().copied().find(|host| *host != world.node(0).host);
    world.hosts.push(Host::new(3));
    world.start(2);
    world.run(Duration::from_secs(30));
    let waits = world.hosts[2].ready.clone().unwrap_err();
    assert!(waits.contains("2 voters, 1 alive") && waits.contains(&dead.unwrap().to_string()), "{waits}");
}

/// Seed 4334 of the simulator: each waited for the other. The one that was final waits for the newcomer, since that has the schema of before.
#[test]
fn a_newcomer_goes_on_from_its_snapshot_if_the_only_final_member_was_in_recovery_meanwhile() {
    for after in [false, true] {
        let mut world = upgraded(1);
        world.hosts.push(Host::new(2));
        world.hosts[1].crash_at = Some((Point::Synchronize, true));
        world.start(1);
        assert!(world.run_until(LIMIT, |world| world.hosts[1].node.is_none()));
        world.execute(0, ENTER);
        restart(&mut world, 0);
        if after {
            world.start(1);
            world.run(Duration::from_secs(5));
        }
        world.execute(0, &create("alone"));
        world.execute(0, LEAVE);
        restart(&mut world, 0);
        assert_eq!(world.node(0).stage(), Stage::Synchronize);
        if !after {
            world.start(1);
        }
        assert!(world.run_until(LIMIT, |world| is_final(world) && world.node(1).boot.is_completed()), "{}", report(&world));
        agree(&mut world);
        assert!(has_table(&world, 1, "alone"));
    }
}
