//! A recovery by hand, as the documentation tells people to: `cqlsh` on every live node, and restarts.

use super::{
    KEYSPACE, agree, has_table,
    plans::with_an_entry_that_nobody_left_knows_to_be_committed,
    recovery::{ENTER, LEAVE, refusal, restart},
    report, upgrade, upgraded, with_keyspace,
    world::World,
};
use crate::{
    ids::{HostId, Incarnation},
    io::{AdminReply, AdminRequest, ClientReply, CqlError, DiscoveryPeer, Point, Table},
    upgrade::Stage,
    value::Value,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
pub(super) const FORGET_DISCOVERY: &str = "TRUNCATE system.discovery";
const FORGET_HISTORY: &str = "TRUNCATE system.group0_history";
pub(super) const FORGET_GROUP: &str = "DELETE value FROM system.scylla_local WHERE key = 'raft_group0_id'";

fn host(world: &World, number: usize) -> HostId {
    world.hosts[number].stored(crate::node::local::key::HOST_ID).unwrap().parse().unwrap()
}

fn destroy(world: &mut World, lost: &[usize]) {
    for number in lost {
        world.crash(*number);
    }
    world.run(Duration::from_secs(4));
}

/// One survivor asks, the others agree; of several lost each is removed with the others named.
fn remove(world: &mut World, by: usize, lost: &[usize]) {
    let hosts: Vec<_> = lost.iter().map(|number| host(world, *number)).collect();
    for lost in &hosts {
        let id = world.admin(by, AdminRequest::RemoveNode { order: None, host: *lost, ignore: hosts.clone() });
        assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)), "{lost}: no answer");
        assert!(matches!(&world.admin_replies[&id], AdminReply::Done), "{:?}", world.admin_replies[&id]);
    }
}

fn on_each(world: &mut World, live: &[usize], statements: &[&str]) {
    for number in live {
        for statement in statements {
            world.execute(*number, statement);
        }
    }
}

fn restart_each(world: &mut World, live: &[usize]) {
    for number in live {
        restart(world, *number);
        world.run(Duration::from_secs(3));
    }
}

fn by_hand(world: &mut World, live: &[usize], lost: &[usize]) {
    on_each(world, live, &[ENTER]);
    restart_each(world, live);
    remove(world, live[0], lost);
    on_each(world, live, &[FORGET_DISCOVERY, FORGET_HISTORY, FORGET_GROUP]);
    on_each(world, live, &[LEAVE]);
    restart_each(world, live);
}

fn incarnations(world: &World, live: &[usize]) -> Vec<Incarnation> {
    live.iter().map(|number| world.node(*number).local.incarnation()).collect()
}

fn are_final(world: &World, live: &[usize]) -> bool {
    live.iter().all(|number| world.node(*number).stage() == Stage::UsePostRaft)
}

/// Scenario 46, and 50: the dead in discovery must not block.
#[test]
fn a_stalled_upgrade_goes_on_without_the_node_that_was_lost() {
    let mut world = with_keyspace(3);
    world.hosts[2].crash_at = Some((Point::Synchronize, false));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()), "{}", report(&world));
    world.run(Duration::from_secs(4));
    by_hand(&mut world, &[0, 1], &[2]);
    assert!(world.run_until(LIMIT, |world| are_final(world, &[0, 1])), "{}", report(&world));
    assert_eq!(incarnations(&world, &[0, 1]), [Incarnation(2); 2]);
    world.execute(0, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);

    world.hosts[2].crash_at = None;
    world.start(2);
    world.run(Duration::from_secs(10));
    assert!(!are_final(&world, &[2]) && !has_table(&world, 2, "after"), "a removed host is heard by nobody");
    assert!(world.node(0).peers.hosts().len() == 1);
}

/// A majority is lost after the upgrade; of three lost each is removed with the others named (scenario 49).
#[test]
fn two_of_five_form_a_new_group() {
    let mut world = upgraded(5);
    world.execute(4, "CREATE TABLE ks.before (a int PRIMARY KEY)");
    world.run(Duration::from_secs(1));
    destroy(&mut world, &[0, 3, 4]);
    by_hand(&mut world, &[1, 2], &[0, 3, 4]);
    assert!(world.run_until(LIMIT, |world| are_final(world, &[1, 2])), "{}", report(&world));
    world.execute(1, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);
    assert!(["before", "after"].iter().all(|table| has_table(&world, 2, table)));
}

/// The newer form: the named host leads, the others roll forward to what it has, and nobody is in recovery for a moment. In between
/// some are in the new group and some in the former one (scenario 47).
#[test]
fn the_named_leader_founds_the_group_and_the_others_come_to_it() {
    let mut world = upgraded(5);
    let (leader, behind) = (1, 2);
    let others: Vec<usize> = (0..5).filter(|number| *number != behind).collect();
    world.cut(behind, &others);
    world.run(Duration::from_secs(4));
    world.execute(leader, "CREATE TABLE ks.ahead (a int PRIMARY KEY)");
    destroy(&mut world, &[0, 3, 4]);
    world.cuts.clear();
    world.run(Duration::from_secs(4));
    assert!(has_table(&world, leader, "ahead") && !has_table(&world, behind, "ahead"));
    let live = [leader, behind];
    on_each(&mut world, &live, &[FORGET_DISCOVERY, FORGET_GROUP]);
    for number in live {
        world.hosts[number].settings.recovery_leader = Some(host(&world, leader));
        restart(&mut world, number);
        world.run(Duration::from_secs(10));
        let voters = |number: usize| world.node(number).group.as_ref().map(|(_, group)| group.configuration().voters.len());
        if number == leader {
            assert_eq!((voters(leader), voters(behind)), (Some(1), Some(5)), "the two groups have nothing to do with each other");
        }
    }
    let are_together = |world: &World| {
        live.iter().all(|number| {
            let group = world.node(*number).group.as_ref();
            group.is_some_and(|(_, group)| group.configuration().voters.len() == 2)
        })
    };
    assert!(world.run_until(LIMIT, are_together), "{}", report(&world));
    world.run(Duration::from_secs(1));
    assert!(has_table(&world, behind, "ahead"), "it rolls forward to what the leader has");
    remove(&mut world, leader, &[0, 3, 4]);
    world.execute(behind, "CREATE TABLE ks.after (a int PRIMARY KEY)");
    agree(&mut world);
    assert_eq!(incarnations(&world, &live), [Incarnation(2); 2]);
    assert!(live.iter().all(|number| world.node(*number).peers.hosts().len() == 1));
}

#[test]
fn the_id_of_a_group_that_lives_is_not_deleted() {
    let mut world = upgraded(3);
    let CqlError::Invalid(why) = refusal(&mut world, 0, FORGET_GROUP) else { panic!("it is deleted") };
    assert!(why.contains("group 0 lives: 3 of its 3 voters are up"), "{why}");
    let CqlError::Invalid(why) = refusal(&mut world, 0, FORGET_HISTORY) else { panic!("it is deleted") };
    assert!(why.contains("takes part in group 0"), "{why}");
    let id = world.node(0).joining.group().unwrap();
    let CqlError::Invalid(why) = refusal(&mut world, 0, &format!("DELETE FROM system.raft WHERE group_id = {id}")) else {
        panic!("it is deleted")
    };
    assert!(why.contains("vote must not be forgotten"), "{why}");
    world.execute(0, "CREATE TABLE ks.t (a int PRIMARY KEY)");
}

/// Whoever has lost its group id alone waits for people: into the former group it must not come, since it forgets how it voted.
#[test]
fn one_whose_group_id_is_deleted_does_not_come_back_into_that_group() {
    let mut world = upgraded(3);
    destroy(&mut world, &[1, 2]);
    world.execute(0, FORGET_GROUP);
    for number in [1, 2] {
        world.start(number);
    }
    restart(&mut world, 0);
    world.run(Duration::from_secs(10));
    assert!(world.node(0).group.is_none() && world.node(0).status().recovery.unwrap().contains("recovery_leader"));
    world.hosts[0].settings.recovery_leader = Some(host(&world, 1));
    restart(&mut world, 0);
    world.run(Duration::from_secs(10));
    assert!(world.node(0).group.is_none(), "host 1 is in the former group still");
}

/// Nor into one before that: it remembers by name only the last group that it was in.
#[test]
fn one_that_has_forgotten_two_groups_does_not_come_back_into_the_first() {
    let mut world = upgraded(3);
    let former = world.node(1).joining.group();
    destroy(&mut world, &[1, 2]);
    world.hosts[0].settings.recovery_leader = Some(host(&world, 0));
    world.execute(0, FORGET_GROUP);
    restart(&mut world, 0);
    let leads = |world: &World| world.node(0).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    assert!(world.run_until(LIMIT, leads), "{}", report(&world));
    world.execute(0, FORGET_GROUP);
    for number in [1, 2] {
        world.start(number);
    }
    world.hosts[0].settings.recovery_leader = Some(host(&world, 1));
    restart(&mut world, 0);
    world.run(Duration::from_secs(10));
    assert!(world.node(1).joining.group() == former && world.node(0).group.is_none(), "{}", report(&world));
    assert_eq!(incarnations(&world, &[0]), [Incarnation(2)]);
}

/// Trace 74: whoever has founded the group as the leader that people named has been final in it, too.
#[test]
fn the_named_leader_goes_on_from_where_it_was_after_a_visit_to_recovery() {
    let mut world = upgraded(5);
    destroy(&mut world, &[2, 3, 4]);
    led_by_the_first(&mut world, [0, 1]);
    for statement in [ENTER, LEAVE] {
        world.execute(0, statement);
        restart(&mut world, 0);
        world.run(Duration::from_secs(3));
    }
    assert!(world.run_until(LIMIT, |world| are_final(world, &[0, 1])), "{}", report(&world));
    world.execute(0, ENTER);
    restart(&mut world, 0);
    world.crash(1);
    world.execute(0, LEAVE);
    restart(&mut world, 0);
    world.run(Duration::from_secs(3));
    assert_eq!(world.node(0).stage(), Stage::Synchronize);
}

/// Without the marker it would begin anew, the old way, beside a group that lives.
#[test]
fn in_recovery_the_id_of_a_group_in_which_others_are_is_not_deleted() {
    let mut world = upgraded(3);
    world.execute(0, ENTER);
    restart(&mut world, 0);
    world.run(Duration::from_secs(3));
    for statement in [FORGET_HISTORY, FORGET_GROUP] {
        let CqlError::Invalid(why) = refusal(&mut world, 0, statement) else { panic!("it is deleted") };
        assert!(why.contains("takes part in group 0 still"), "{why}");
    }
    world.execute(0, LEAVE);
    restart(&mut world, 0);
    assert!(world.run_until(LIMIT, |world| are_final(world, &[0, 1, 2])), "{}", report(&world));
    agree(&mut world);
}

/// It would skip what the others apply.
#[test]
fn who_has_truncated_the_history_does_not_go_on_in_its_group() {
    let mut world = upgraded(3);
    let all = [0, 1, 2];
    on_each(&mut world, &all, &[ENTER]);
    restart_each(&mut world, &all);
    on_each(&mut world, &all, &[FORGET_DISCOVERY, FORGET_HISTORY]);
    for number in all {
        let CqlError::Invalid(why) = refusal(&mut world, number, LEAVE) else { panic!("it goes on in its group") };
        assert!(why.contains("group0_history was truncated") && why.contains("raft_group0_id"), "{why}");
    }
    on_each(&mut world, &all, &[FORGET_GROUP, LEAVE]);
    restart_each(&mut world, &all);
    assert!(world.run_until(LIMIT, |world| are_final(world, &all)), "{}", report(&world));
    assert_eq!(incarnations(&world, &all), [Incarnation(2); 3]);
    agree(&mut world);
}

/// One in recovery asks the others the old way; they have a group, which has to be asked.
#[test]
fn a_final_member_says_who_can_remove_a_member_of_its_group() {
    let mut world = upgraded(4);
    world.execute(0, ENTER);
    restart(&mut world, 0);
    let gone = host(&world, 3);
    destroy(&mut world, &[3]);
    let id = world.admin(0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)));
    let AdminReply::Refused(why) = &world.admin_replies[&id] else { panic!("{:?}", world.admin_replies[&id]) };
    let is_told = |number: usize| why.contains(&format!("is final: ask {} to remove it", world.node(number).host));
    assert!(is_told(1) || is_told(2), "{why}");
}

/// It would wait for ever for those whom it does not hear any more.
#[test]
fn who_has_removed_a_half_of_its_group_does_not_go_on_in_it() {
    let mut world = upgraded(4);
    let (ours, theirs) = ([0, 1], [2, 3]);
    for host in ours {
        world.cut(host, &theirs);
    }
    world.run(Duration::from_secs(5));
    on_each(&mut world, &ours, &[ENTER]);
    restart_each(&mut world, &ours);
    let removed: Vec<_> = theirs.iter().map(|number| host(&world, *number)).collect();
    remove(&mut world, 0, &theirs);
    world.cuts.clear();
    world.run(Duration::from_secs(5));
    for number in ours {
        let CqlError::Invalid(why) = refusal(&mut world, number, LEAVE) else { panic!("it goes on in its group") };
        assert!(why.contains("has no majority") && removed.iter().all(|host| why.contains(&host.to_string())), "{why}");
    }
    on_each(&mut world, &ours, &[FORGET_DISCOVERY, FORGET_HISTORY, FORGET_GROUP, LEAVE]);
    restart_each(&mut world, &ours);
    assert!(world.run_until(LIMIT, |world| are_final(world, &ours)), "{}", report(&world));
}

/// However little it has reached in the group: it has voted there.
#[test]
fn whoever_has_forgotten_a_group_before_it_was_final_does_not_come_back_into_it() {
    let mut world = with_keyspace(4);
    world.hosts[3].crash_at = Some((Point::Joining, false));
    upgrade(&mut world);
    let is_formed = |world: &World| {
        (0..3).all(|number| world.node(number).group.as_ref().is_some_and(|(_, group)| group.configuration().voters.len() == 3))
    };
    assert!(world.run_until(LIMIT, is_formed), "{}", report(&world));
    let group = world.node(2).joining.group();
    destroy(&mut world, &[0, 1]);
    world.execute(2, FORGET_GROUP);
    world.hosts[3].crash_at = None;
    for number in [0, 1, 3] {
        if world.hosts[number].node.is_none() {
            world.start(number);
        }
    }
    restart(&mut world, 2);
    world.run(Duration::from_secs(10));
    assert!(world.node(0).joining.group() == group && world.node(2).joining.group() != group, "{}", report(&world));
}

/// A founder takes one more than anybody remembers, itself or not.
#[test]
fn the_incarnation_grows_also_if_the_founder_was_in_no_group() {
    let mut world = super::ring(3);
    world.execute(0, KEYSPACE);
    let mut numbers: Vec<usize> = vec![0, 1, 2];
    numbers.sort_by_key(|number| host(&world, *number));
    // Of those that are left the smallest leads, and that one was in no group.
    let (founder, outside, member) = (numbers[0], numbers[1], numbers[2]);
    for number in [founder, member] {
        world.hosts[number].crash_at = Some((Point::Synchronize, true));
    }
    world.hosts[outside].crash_at = Some((Point::Joining, false));
    upgrade(&mut world);
    let all_down = |world: &World| world.hosts.iter().all(|host| host.node.is_none());
    world.run_until(LIMIT, all_down);
    for number in [member, outside] {
        world.hosts[number].crash_at = None;
        if world.hosts[number].node.is_none() {
            world.start(number);
        }
    }
    destroy(&mut world, &[founder]);
    by_hand(&mut world, &[member, outside], &[founder]);
    assert!(world.run_until(LIMIT, |world| are_final(world, &[member, outside])), "{}", report(&world));
    assert!(incarnations(&world, &[member, outside]).iter().all(|incarnation| *incarnation >= Incarnation(2)));
}

#[test]
fn discovery_that_is_truncated_while_it_runs_goes_on() {
    let mut world = with_keyspace(3);
    world.hosts[2].crash_at = Some((Point::DiscoveryPeers, false));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.hosts[2].node.is_none()), "{}", report(&world));
    world.run(Duration::from_secs(1));
    assert!([0, 1].iter().all(|number| world.node(*number).joining.is_active()));
    on_each(&mut world, &[0, 1], &[FORGET_DISCOVERY]);
    world.start(2);
    assert!(world.run_until(LIMIT, super::is_final), "{}", report(&world));
}

/// Scenario 50. Those who are left remember the lost one from the discovery of the former group, and nobody has cleared that.
#[test]
fn whom_discovery_remembers_and_who_is_lost_is_in_nobodys_way() {
    for (lost, point) in [0, 2].into_iter().flat_map(|lost| [(lost, Point::Joining), (lost, Point::Synchronize)]) {
        let mut world = with_keyspace(3);
        let live: Vec<_> = (0..3).filter(|number| *number != lost).collect();
        world.hosts[lost].crash_at = Some((point, false));
        upgrade(&mut world);
        if !world.run_until(LIMIT, |world| world.hosts[lost].node.is_none()) {
            world.crash(lost); // it founds, and joins nobody
        }
        world.run(Duration::from_secs(4));
        let gone = host(&world, lost);
        assert!(live.iter().all(|number| discovery_remembers(&world, *number, gone)), "{lost} at {point:?}");
        on_each(&mut world, &live, &[ENTER]);
        restart_each(&mut world, &live);
        remove(&mut world, live[0], &[lost]);
        on_each(&mut world, &live, &[FORGET_HISTORY, FORGET_GROUP, LEAVE]);
        restart_each(&mut world, &live);
        assert!(world.run_until(LIMIT, |world| are_final(world, &live)), "{lost} at {point:?}: {}", report(&world));
        assert!(!live.iter().any(|number| discovery_remembers(&world, *number, gone)));
        world.execute(live[0], "CREATE TABLE ks.after (a int PRIMARY KEY)");
        agree(&mut world);
    }
}

fn discovery_remembers(world: &World, number: usize, host: HostId) -> bool {
    let rows = world.hosts[number].store.iter().filter(|((table, _), _)| *table == Table::Discovery);
    let mut peers = rows.map(|(_, value)| postcard::from_bytes::<DiscoveryPeer>(value).unwrap());
    peers.any(|peer| peer.host == Some(host))
}

/// People compare logs by it: a term in which a node has only voted says nothing of what its log has.
#[test]
fn system_raft_tells_the_term_of_the_last_entry() {
    let mut world = upgraded(3);
    let leads = |number: &usize| world.node(*number).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    let leader = (0..3).find(leads).unwrap();
    let follower = (leader + 1) % 3;
    let terms = |world: &World| {
        let group = world.node(follower).group.as_ref().map(|(_, group)| group.status()).unwrap();
        [group.term, group.last_term]
    };
    world.crash(leader);
    assert!(world.run_until(LIMIT, |world| terms(world)[0] > terms(world)[1]), "{}", report(&world));
    let has_voted = terms(&world);
    let id = world.client(follower, "SELECT vote_term, term FROM system.raft");
    assert!(world.outcome(id, LIMIT).is_ok());
    let ClientReply::Rows(rows) = &world.replies[&id] else { panic!("rows") };
    assert_eq!(rows.rows, [has_voted.map(|term| Some(Value::Bigint(i64::try_from(term).unwrap())))]);
}

/// As in the shorter way of the documentation: the first founds the group, and the other comes to it.
fn led_by_the_first(world: &mut World, live: [usize; 2]) {
    on_each(world, &live, &[FORGET_DISCOVERY, FORGET_GROUP]);
    for number in live {
        world.hosts[number].settings.recovery_leader = Some(host(world, live[0]));
        restart(world, number);
        world.run(Duration::from_secs(10));
        if world.hosts[number].node.is_none() {
            world.start(number);
        }
    }
    let are_together = |world: &World| {
        let voters =
            |number: &usize| world.node(*number).group.as_ref().map_or(0, |(_, group)| group.configuration().voters.len());
        are_final(world, &live) && live.iter().all(|number| voters(number) == 2)
    };
    assert!(world.run_until(LIMIT, are_together), "{}", report(world));
}

/// Scenario 48: people name the one that is behind, which leads, since it cannot know. What the other has applied is everybody's all the
/// same, whenever that one crashes.
#[test]
fn if_the_one_that_is_behind_is_named_what_the_other_has_applied_is_kept() {
    for crash in [None, Some((Point::Joining, false)), Some((Point::Joining, true)), Some((Point::Final, false))] {
        let mut world = upgraded(5);
        let (ahead, behind) = (1, 2);
        world.cut(behind, &[0, 1, 3, 4]);
        world.run(Duration::from_secs(4));
        world.execute(ahead, "CREATE TABLE ks.ahead (a int PRIMARY KEY)");
        destroy(&mut world, &[0, 3, 4]);
        world.cuts.clear();
        world.run(Duration::from_secs(4));
        assert!(has_table(&world, ahead, "ahead") && !has_table(&world, behind, "ahead"));
        world.hosts[ahead].crash_at = crash;
        led_by_the_first(&mut world, [behind, ahead]);
        assert!(world.hosts[ahead].crash_at.is_none(), "it has not crashed");
        assert!(has_table(&world, behind, "ahead"), "{crash:?}: it is lost");
        remove(&mut world, behind, &[0, 3, 4]);
        world.execute(ahead, "CREATE TABLE ks.after (a int PRIMARY KEY)");
        agree(&mut world);
        assert_eq!(incarnations(&world, &[ahead, behind]), [Incarnation(2); 2]);
    }
}

/// An acknowledged change is in the log of one, which does not know that it is committed: if that one is named it is kept, as the
/// documentation promises; if people name the other one, against it, it is given up, and the log of the first says so.
#[test]
fn what_only_the_log_of_the_named_leader_has_is_applied() {
    for (is_named, stage) in
        [true, false].into_iter().flat_map(|named| [(named, Stage::UsePostRaft), (named, Stage::Synchronize)])
    {
        let (mut world, plan) = with_an_entry_that_nobody_left_knows_to_be_committed();
        let (has_it, behind) = (plan.live[0], plan.live[1]);
        // A voter of the group may be on its way to the final state still.
        let row = (Table::Local, crate::node::local::key::UPGRADE_STATE.into());
        plan.live.iter().for_each(|number| drop(world.hosts[*number].store.insert(row.clone(), stage.name().into())));
        led_by_the_first(&mut world, if is_named { [has_it, behind] } else { [behind, has_it] });
        remove(&mut world, has_it, &plan.lost);
        world.execute(behind, "CREATE TABLE ks.after (a int PRIMARY KEY)");
        agree(&mut world);
        let keeps_it = |number: &usize| has_table(&world, *number, "acknowledged") == is_named;
        assert!(plan.live.iter().all(keeps_it), "{is_named} {stage}");
    }
}
