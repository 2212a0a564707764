//! What a node is asked and does not do, or does for people: it says why, and nothing has changed.

use super::{report, ring, upgraded, world::World};
use crate::{
    ids::GroupId,
    io::{AdminReply, AdminRequest, Input, Order, PeerRequest, Refusal},
    node::{StartError, local::key},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn ask(world: &mut World, host: usize, request: AdminRequest) -> Result<(), String> {
    let id = world.admin(host, request);
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&id)), "no answer");
    match &world.admin_replies[&id] {
        AdminReply::Done => Ok(()),
        AdminReply::Refused(why) => Err(why.clone()),
        other => panic!("{other:?}"),
    }
}

/// The first has the flag and is held; the second has none.
fn one_is_held() -> World {
    let mut world = ring(2);
    world.hosts[0].settings.flag = Some(true);
    world.hosts[0].settings.hold = true;
    world.crash(0);
    world.start(0);
    world.run(Duration::from_secs(4));
    world
}

#[test]
fn another_cluster_is_refused_from_outside_and_in_the_store() {
    let mut world = ring(2);
    let to = world.node(0).host;
    let mut header = world.header(1, to);
    header.cluster = "another".into();
    let id = world.ask(0, header, PeerRequest::GetGroup0UpgradeState);
    assert!(matches!(&world.peer_replies[&id], Err(Refusal::ForeignCluster { theirs, .. }) if theirs == "another"));
    world.crash(0);
    world.hosts[0].settings.cluster_name = "another".into();
    assert!(matches!(world.try_start(0), Err(StartError::OtherCluster { stored, .. }) if stored == "test"));
}

#[test]
fn without_the_flag_nothing_proceeds_and_what_was_said_before_is_forgotten() {
    let mut world = one_is_held();
    assert_eq!(ask(&mut world, 0, AdminRequest::Proceed(Order::default())), Ok(()));
    assert!(world.hosts[0].stored(key::PROCEED).is_some());
    world.crash(0);
    world.hosts[0].settings.flag = None;
    world.start(0);
    assert_eq!(world.hosts[0].stored(key::PROCEED), None);
    let why = ask(&mut world, 0, AdminRequest::Proceed(Order::default())).unwrap_err();
    assert!(why.contains("start the node with the flag"), "{why}");
}

#[test]
fn a_read_barrier_needs_a_group_and_a_majority() {
    let why = ask(&mut ring(2), 0, AdminRequest::ReadBarrier { within: None }).unwrap_err();
    assert!(why.contains("no group 0"), "{why}");
    let mut world = upgraded(3);
    assert_eq!(ask(&mut world, 0, AdminRequest::ReadBarrier { within: None }), Ok(()));
    world.crash(1);
    world.crash(2);
    let within = Some(Duration::from_secs(2));
    let why = ask(&mut world, 0, AdminRequest::ReadBarrier { within }).unwrap_err();
    assert!(why.contains('3') && world.now < Duration::from_mins(2), "{why}");
}

/// The group is told how far, and then nothing of what comes before that.
#[test]
fn a_read_barrier_whose_log_does_not_come_ends_in_its_time() {
    let mut world = upgraded(3);
    let follower = (0..3).find(|host| !world.node(*host).group.as_ref().unwrap().1.status().is_leader).unwrap();
    let others: Vec<_> = (0..3).filter(|host| *host != follower).collect();
    world.cut(follower, &others);
    let id = world.admin(follower, AdminRequest::ReadBarrier { within: Some(Duration::from_secs(2)) });
    world.run(Duration::from_millis(10));
    let node = world.hosts[follower].node.as_mut().unwrap();
    let applied = node.group.as_ref().unwrap().1.status().applied;
    (0..100).for_each(|question| node.read_index_known(question, applied + 3));
    world.run(Duration::from_secs(3));
    let Some(AdminReply::Refused(why)) = world.admin_replies.get(&id) else { panic!("{:?}", world.admin_replies.get(&id)) };
    assert_eq!(
        *why,
        format!("after 2s this node has applied the log up to {applied} of {}: see its log for what it waits for", applied + 3)
    );
}

#[test]
fn a_barrier_that_nobody_waits_for_any_more_is_forgotten() {
    let mut world = upgraded(3);
    world.crash(1);
    world.crash(2);
    let id = world.admin(0, AdminRequest::ReadBarrier { within: Some(Duration::from_hours(1)) });
    world.run(LIMIT);
    assert!(world.node(0).barriers.is_awaited_by(id));
    world.step(0, Input::Gone(id));
    assert!(!world.node(0).barriers.is_awaited_by(id));
}

#[test]
fn whoever_leads_lets_another_one_lead_if_there_is_one() {
    let mut world = upgraded(3);
    let leads = |world: &World, host: usize| world.node(host).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    let leader = (0..3).find(|host| leads(&world, *host)).unwrap();
    let others: Vec<_> = (0..3).filter(|host| *host != leader).collect();
    assert_eq!(ask(&mut world, others[0], AdminRequest::StepDown), Ok(()), "it does not lead");
    assert_eq!(ask(&mut world, leader, AdminRequest::StepDown), Ok(()));
    assert!(world.run_until(LIMIT, |world| others.iter().any(|host| leads(world, *host))), "{}", report(&world));
    let why = ask(&mut upgraded(1), 0, AdminRequest::StepDown).unwrap_err();
    assert!(why.contains("nobody could lead it"), "{why}");
}

#[test]
fn the_log_of_its_own_group_is_cut_and_of_no_other() {
    let mut world = upgraded(3);
    let why = ask(&mut world, 0, AdminRequest::TriggerSnapshot(GroupId::of(9))).unwrap_err();
    assert!(why.contains("in no group"), "{why}");
    let own = world.node(0).group.as_ref().unwrap().0;
    assert_eq!(ask(&mut world, 0, AdminRequest::TriggerSnapshot(own)), Ok(()));
    assert_eq!(world.node(0).status().group.unwrap().log_length, 0);
    world.execute(0, super::KEYSPACE.replace("ks", "other").as_str());
}
