//! Operators come and go: an order of one that was replaced changes nothing, and a restart ends only the start that it names.

use super::world::{World, settings};
use crate::{
    ids::{Generation, Now},
    io::{AdminReply, AdminRequest, Apply, Effects, Image, Input, Order, Reply, RequestId, Table},
    node::{Node, StartError},
};
use std::{num::NonZeroU64, time::Duration};

/// One node that has booted, with flag and hold.
fn held() -> World {
    let mut world = World::new(1);
    world.hosts[0].settings.flag = Some(true);
    world.hosts[0].settings.hold = true;
    world.start(0);
    assert!(world.run_until(Duration::from_secs(20), |world| world.all(|node| node.boot.is_completed())));
    world
}

fn claim(epoch: u64) -> AdminRequest {
    AdminRequest::ClaimEpoch(NonZeroU64::new(epoch).unwrap())
}

fn order(epoch: u64) -> Order {
    Order { run_id: "run".into(), epoch }
}

fn restart(generation: u64) -> AdminRequest {
    AdminRequest::Restart { order: order(0), generation: Generation(generation) }
}

/// The refusal, if it is one.
fn ask(world: &mut World, request: AdminRequest) -> Result<(), String> {
    let id = world.admin(0, request);
    match &world.admin_replies[&id] {
        AdminReply::Done => Ok(()),
        AdminReply::Refused(why) => Err(why.clone()),
        other => panic!("{other:?}"),
    }
}

/// The effects, which nobody carries out.
fn step(world: &mut World, input: Input) -> Effects {
    let now = Now { elapsed: world.now, ..Now::default() };
    world.hosts[0].node.as_mut().unwrap().step(now, input)
}

fn step_admin(world: &mut World, request: AdminRequest) -> (Effects, Result<(), String>) {
    let effects = step(world, Input::Admin { id: RequestId(u64::MAX), request });
    let reply = match effects.reply.as_slice() {
        [Reply::Admin { reply: AdminReply::Done, .. }] => Ok(()),
        [Reply::Admin { reply: AdminReply::Refused(why), .. }] => Err(why.clone()),
        other => panic!("{other:?}"),
    };
    (effects, reply)
}

fn epoch(world: &World) -> u64 {
    world.node(0).status().operator_epoch
}

#[test]
fn a_claimed_epoch_outlives_the_process_and_never_goes_back() {
    let mut world = held();
    assert_eq!(epoch(&world), 0);
    ask(&mut world, claim(5)).unwrap();
    let why = ask(&mut world, claim(3)).unwrap_err();
    assert!(why.starts_with("epoch 3 is older than 5, which another operator has claimed; nothing was changed"), "{why}");
    assert_eq!(epoch(&world), 5);
    for flag in [Some(true), Some(false), None] {
        world.crash(0);
        world.hosts[0].settings.flag = flag;
        world.start(0);
        assert_eq!(epoch(&world), 5);
        ask(&mut world, claim(4)).unwrap_err();
    }
    ask(&mut world, claim(6)).unwrap();
    assert_eq!(epoch(&world), 6);
}

#[test]
fn the_same_claim_is_written_once_and_told_once() {
    let mut world = held();
    let (effects, reply) = step_admin(&mut world, claim(5));
    assert_eq!((effects.persist.writes.len(), reply), (1, Ok(())));
    let before = world.node(0).status().sequence;
    let (effects, reply) = step_admin(&mut world, claim(5));
    assert_eq!((effects.persist.writes.len(), reply), (0, Ok(())));
    assert_eq!(world.node(0).status().sequence, before);
}

#[test]
fn a_watcher_is_told_of_a_claim() {
    let mut world = held();
    let id = world.admin(0, AdminRequest::WatchStatus);
    ask(&mut world, claim(5)).unwrap();
    assert!(matches!(&world.admin_replies[&id], AdminReply::Status(status) if status.operator_epoch == 5));
}

#[test]
fn orders_of_an_older_epoch_change_nothing() {
    let mut world = held();
    ask(&mut world, claim(5)).unwrap();
    let (host, generation) = (world.node(0).host, world.node(0).generation);
    let stale = [
        AdminRequest::Proceed(order(4)),
        AdminRequest::RetryUpgrade(order(0)),
        AdminRequest::Restart { order: order(4), generation },
    ];
    for request in stale {
        let (effects, reply) = step_admin(&mut world, request);
        let why = reply.unwrap_err();
        assert!(why.contains("is older than 5, which another operator has claimed; nothing was changed"), "{why}");
        assert!(effects.persist.writes.is_empty() && effects.send.is_empty() && effects.apply.is_empty(), "{effects:?}");
    }
    let status = world.node(0).status();
    assert_eq!((status.host, status.held, status.proceed), (host, true, false));
    ask(&mut world, AdminRequest::Proceed(order(6))).unwrap();
    assert!(world.node(0).status().proceed);
    assert_eq!(epoch(&world), 5, "an order claims nothing");
}

#[test]
fn a_person_needs_no_epoch_before_an_operator_comes() {
    let mut world = held();
    ask(&mut world, AdminRequest::Proceed(Order::default())).unwrap();
    ask(&mut world, AdminRequest::RetryUpgrade(Order::default())).unwrap();
    assert!(world.node(0).status().proceed);
}

#[test]
fn a_restart_ends_only_the_start_that_it_names() {
    let mut world = held();
    let generation = world.node(0).generation.0;
    let (effects, reply) = step_admin(&mut world, restart(generation - 1));
    assert_eq!((effects.apply, reply), (vec![], Ok(())), "that start has ended already");
    let (effects, reply) = step_admin(&mut world, restart(generation + 1));
    assert!(effects.apply.is_empty() && reply.unwrap_err().contains("nothing was changed"));
    let (effects, reply) = step_admin(&mut world, restart(generation));
    assert_eq!((effects.apply, reply), (vec![Apply::Restart], Ok(())));
    assert_eq!(effects.wake_at, None);
    let (effects, reply) = step_admin(&mut world, restart(generation));
    assert_eq!((effects.apply, reply), (vec![], Ok(())), "repeated while it drains");
    assert!(step(&mut world, Input::Shutdown).apply.is_empty(), "the shutdown is announced once");
}

#[test]
fn who_is_told_to_shut_down_does_not_promise_to_restart() {
    let mut world = held();
    let generation = world.node(0).generation.0;
    assert_eq!(step(&mut world, Input::Shutdown).apply, [Apply::Drained]);
    let (effects, reply) = step_admin(&mut world, restart(generation));
    assert!(effects.apply.is_empty() && reply.unwrap_err().contains("told to shut down already"));
}

#[test]
fn a_damaged_epoch_is_no_start() {
    let image: Image = vec![(Table::Local, b"operator_epoch".to_vec(), b"many".to_vec())];
    let refused = Node::new(settings(1), &image, Now::default()).err();
    assert!(matches!(&refused, Some(StartError::Setting(_))), "{refused:?}");
}
