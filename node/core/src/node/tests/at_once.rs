//! Two changes of the membership at once, asked for at different hosts: each comes to an end that says what to do, and those who stay agree.

use super::{
    agree, report, upgraded, with_keyspace,
    world::{Host, World},
};
use crate::{
    ids::HostId,
    io::{AdminReply, AdminRequest, RequestId},
    node::{Node, local::key},
    upgrade::Stage,
};
use std::{collections::BTreeSet, time::Duration};

/// A departure ends within the limit of an operation of the group, which is 10 s here.
const ANSWER: Duration = Duration::from_secs(11);
/// To come in, a host asks again and again.
const WAY_IN: Duration = Duration::from_secs(30);
/// The second is asked for so long after the first: in the same moment, while that is under way, and when it may be over.
const GAPS: [u64; 4] = [0, 1, 3, 10];
/// Before anybody else is there.
const HOSTS: u8 = 5;

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Of the first, that the other, which is down, be removed; the third may be down, too.
    Remove(usize, usize, Option<usize>),
    /// That it leave.
    Leave(usize),
    /// That it start, and come in.
    Come(usize),
}

impl Change {
    const fn gone(self) -> Option<usize> {
        match self {
            Self::Remove(_, gone, _) | Self::Leave(gone) => Some(gone),
            Self::Come(_) => None,
        }
    }

    fn ask(self, world: &mut World) -> Option<RequestId> {
        match self {
            Self::Remove(by, gone, ignored) => {
                let ignore = ignored.into_iter().map(|number| host(world, number)).collect();
                Some(world.admin(by, AdminRequest::RemoveNode { order: None, host: host(world, gone), ignore }))
            }
            Self::Leave(number) => Some(world.admin(number, AdminRequest::Decommission { order: None })),
            Self::Come(number) => {
                world.start(number);
                None
            }
        }
    }

    /// How it ends, and in time.
    fn end(self, world: &mut World, id: Option<RequestId>) -> Result<(), String> {
        match (self, id) {
            (Self::Come(number), _) => {
                world.run_until(WAY_IN, |world| world.hosts[number].ready.is_ok());
                world.hosts[number].ready.clone()
            }
            (_, Some(id)) => {
                let is_answered = world.run_until(ANSWER, |world| world.admin_replies.contains_key(&id));
                assert!(is_answered, "{self:?} hangs\n{}", report(world));
                match &world.admin_replies[&id] {
                    AdminReply::Done => Ok(()),
                    AdminReply::Refused(why) => Err(why.clone()),
                    other => panic!("{other:?}"),
                }
            }
            _ => unreachable!(),
        }
    }
}

fn host(world: &World, number: usize) -> HostId {
    world.hosts[number].stored(key::HOST_ID).unwrap().parse().unwrap()
}

/// With two more that have never run.
fn before() -> World {
    let mut base = with_keyspace(HOSTS);
    base.run(Duration::from_secs(1));
    with_newcomers(base)
}

fn after() -> World {
    with_newcomers(upgraded(HOSTS))
}

fn with_newcomers(mut base: World) -> World {
    base.hosts.extend([Host::new(HOSTS + 1), Host::new(HOSTS + 2)]);
    base
}

/// All have met, and then those who are to be removed have died, which everybody has noticed.
fn beginning(base: &World, changes: [Change; 2]) -> World {
    let mut world = World::after(base);
    let there = 0..usize::from(HOSTS);
    there.clone().for_each(|number| world.start(number));
    let see = |world: &World, hosts: &[usize]| hosts.iter().all(|it| world.node(*it).gossip.live().count() == hosts.len() - 1);
    let all: Vec<_> = there.collect();
    assert!(world.run_until(WAY_IN, |world| see(world, &all)), "{}", report(&world));
    world.run(Duration::from_secs(1));
    let leaves = |number: usize| changes.iter().any(|change| matches!(change, Change::Leave(it) if *it == number));
    let dies = |number: &usize| changes.iter().any(|change| matches!(change, Change::Remove(_, gone, _) if gone == number));
    let (down, up): (Vec<_>, Vec<_>) = all.into_iter().partition(|number| dies(number) && !leaves(*number));
    for number in down {
        world.crash(number);
    }
    assert!(world.run_until(WAY_IN, |world| see(world, &up)), "{}", report(&world));
    world.run(Duration::from_secs(2));
    world
}

/// Each of those who run has the same hosts in ring and group, those who are down and were not removed included, and nobody who is gone; all
/// of them change the schema.
fn end_in_agreement(world: &mut World, down: &[HostId], gone: &[HostId]) {
    world.run(Duration::from_secs(5));
    let is_in = |number: &usize| world.hosts[*number].node.as_ref().is_some_and(|node| node.boot.is_completed());
    let staying: Vec<_> = (0..world.hosts.len()).filter(is_in).collect();
    let hosts: BTreeSet<_> = staying.iter().map(|number| host(world, *number)).chain(down.iter().copied()).collect();
    assert!(gone.iter().all(|host| !hosts.contains(host)));
    for number in &staying {
        let node = world.node(*number);
        assert_eq!(node.ring(), hosts, "the ring of {number}\n{}", report(world));
        let was_there = *number < usize::from(HOSTS);
        assert!(gone.iter().all(|host| !node.gossip.is_up(*host)), "{number} hears one that is gone");
        assert!(!was_there || gone.iter().all(|host| node.local.removed().contains(host)), "{number} would hear it again");
        if node.stage() == Stage::UsePostRaft {
            let configuration = node.group.as_ref().unwrap().1.configuration();
            assert_eq!(configuration.voters, hosts, "group 0 of {number}");
            assert!(configuration.learners.is_empty() && !configuration.is_joint());
        }
    }
    for number in staying {
        world.execute(number, &format!("CREATE TABLE ks.by_{number}_{} (a int PRIMARY KEY)", world.now.as_micros()));
    }
    for number in 0..world.hosts.len() {
        if world.hosts[number].node.as_ref().is_some_and(Node::has_left) {
            world.crash(number);
        }
    }
    agree(world);
}

/// The ends of both, in each order and at each gap.
fn at_once(base: &World, changes: [Change; 2], is_right: impl Fn(&[Result<(), String>; 2]) -> bool) {
    for (is_reversed, gap) in [false, true].into_iter().flat_map(|is_reversed| GAPS.map(|gap| (is_reversed, gap))) {
        let mut world = beginning(base, changes);
        let (mut ids, order) = ([None, None], if is_reversed { [1, 0] } else { [0, 1] });
        for number in order {
            ids[number] = changes[number].ask(&mut world);
            world.run(Duration::from_millis(gap));
        }
        let ends = [0, 1].map(|number: usize| changes[number].end(&mut world, ids[number]));
        assert!(is_right(&ends), "{changes:?}, {gap} ms apart, reversed: {is_reversed}: {ends:?}");
        let hosts = |is_done: bool| -> Vec<_> {
            let of = changes.iter().zip(&ends).filter(|(_, end)| end.is_ok() == is_done);
            of.filter_map(|(change, _)| change.gone()).map(|number| host(&world, number)).collect()
        };
        let gone = hosts(true);
        let down: Vec<_> = hosts(false).into_iter().filter(|host| !gone.contains(host)).collect();
        end_in_agreement(&mut world, &down, &gone);
        if gap == 0 && down.is_empty() && !is_upgraded(&world) {
            are_upgraded(&mut world);
            end_in_agreement(&mut world, &[], &gone);
        }
    }
}

fn is_upgraded(world: &World) -> bool {
    world.hosts.iter().filter_map(|host| host.node.as_ref()).all(|node| node.stage() == Stage::UsePostRaft)
}

/// Whoever runs.
fn are_upgraded(world: &mut World) {
    for number in 0..world.hosts.len() {
        world.hosts[number].settings.flag = Some(true);
        if world.hosts[number].node.is_some() {
            world.crash(number);
            world.start(number);
        }
    }
    assert!(world.run_until(Duration::from_mins(1), is_upgraded), "{}", report(world));
}

const fn both_are_done(ends: &[Result<(), String>; 2]) -> bool {
    matches!(ends, [Ok(()), Ok(())])
}

#[test]
fn of_a_host_that_leaves_and_is_removed_by_another_one_at_once_the_former_counts() {
    for base in [before(), after()] {
        at_once(&base, [Change::Leave(4), Change::Remove(0, 4, None)], |ends| match ends {
            [Ok(()), Ok(())] => true,
            [Ok(()), Err(why)] => why.contains("is alive, maybe you should use decommission instead?"),
            _ => false,
        });
    }
}

#[test]
fn two_who_remove_the_same_host_at_once_both_find_it_done() {
    for base in [before(), after()] {
        at_once(&base, [Change::Remove(0, 4, None), Change::Remove(1, 4, None)], both_are_done);
    }
}

#[test]
fn two_hosts_are_removed_at_once_the_old_way_if_each_names_the_other() {
    at_once(&after(), [Change::Remove(0, 4, None), Change::Remove(1, 3, None)], both_are_done);
    let base = before();
    at_once(&base, [Change::Remove(0, 4, Some(3)), Change::Remove(1, 3, Some(4))], both_are_done);
    at_once(&base, [Change::Remove(0, 4, None), Change::Remove(1, 3, None)], |ends| {
        ends.iter().all(|end| end.as_ref().is_err_and(|why| why.contains("name them in ignore_nodes")))
    });
}

#[test]
fn two_hosts_leave_at_once() {
    for base in [before(), after()] {
        at_once(&base, [Change::Leave(4), Change::Leave(3)], both_are_done);
    }
}

#[test]
fn a_host_leaves_while_another_one_is_removed() {
    for base in [before(), after()] {
        at_once(&base, [Change::Leave(4), Change::Remove(0, 3, None)], both_are_done);
    }
}

#[test]
fn a_newcomer_comes_in_while_another_host_leaves() {
    for base in [before(), after()] {
        at_once(&base, [Change::Come(5), Change::Leave(4)], both_are_done);
    }
}

/// The old way a newcomer that has leave to come in, and is not seen up yet, has to agree like anybody else.
#[test]
fn a_newcomer_comes_in_while_another_host_is_removed() {
    let changes = [Change::Come(5), Change::Remove(0, 4, None)];
    at_once(&after(), changes, both_are_done);
    at_once(&before(), changes, |ends| match ends {
        [Ok(()), Ok(())] => true,
        [Ok(()), Err(why)] => why.contains("Bring them back, or name them in ignore_nodes; nothing was changed"),
        _ => false,
    });
}

#[test]
fn two_newcomers_come_in_at_once() {
    for base in [before(), after()] {
        at_once(&base, [Change::Come(5), Change::Come(6)], both_are_done);
    }
}

/// Both would, and nobody would be left.
#[test]
fn of_two_hosts_that_leave_at_once_one_stays() {
    for (base, gap) in [with_keyspace(2), upgraded(2)].iter().flat_map(|base| GAPS.map(|gap| (base, gap))) {
        let mut world = World::after(base);
        (0..2).for_each(|number| world.start(number));
        world.run(Duration::from_secs(4));
        let first = Change::Leave(0).ask(&mut world);
        world.run(Duration::from_millis(gap));
        let second = Change::Leave(1).ask(&mut world);
        let ends = [Change::Leave(0).end(&mut world, first), Change::Leave(1).end(&mut world, second)];
        let refusals: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
        assert!(!refusals.is_empty(), "nobody is left");
        assert!(refusals.iter().all(|why| why.contains("would be the last one that is whole")), "{gap} ms: {ends:?}");
        let gone: Vec<_> = (0..2).filter(|number| ends[*number].is_ok()).map(|number| host(&world, number)).collect();
        end_in_agreement(&mut world, &[], &gone);
    }
}
