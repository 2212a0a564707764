//! One rule a test, where a whole run would seldom show that it is broken. `tests/mutants` breaks each.

use super::{KEYSPACE, has_table, is_final, report, ring, upgrade, upgraded, world::World};
use crate::{
    cql,
    ids::{GroupId, HostId, Incarnation, Now},
    io::{
        AdminReply, AdminRequest, ClientRequest, Effects, Input, Message, Migration, PeerRequest, Point, Reply, RequestId, Send,
        StateReply, Table,
    },
    node::{Node, boot::Boot, local::key},
    raft::{Member, MessageKind, RaftMessage, Snapshot},
    schema::Rows,
    upgrade::{Stage, Step},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// Of three, the first is in `synchronize` and waits for the third, which has died.
fn waiting_for_the_third() -> World {
    let mut world = ring(3);
    world.hosts[2].crash_at = Some((Point::Synchronize, false));
    upgrade(&mut world);
    let waits = |world: &World| world.hosts[2].node.is_none() && world.node(0).upgrade.step() == Some(Step::AwaitMembers);
    assert!(world.run_until(LIMIT, waits), "{}", report(&world));
    world
}

fn node(world: &mut World, host: usize) -> &mut Node {
    world.hosts[host].node.as_mut().unwrap()
}

/// The effects, which nobody carries out.
fn step(world: &mut World, host: usize, input: Input) -> Effects {
    let now = Now { elapsed: world.now, ..Now::default() };
    node(world, host).step(now, input)
}

fn client(text: &str) -> Input {
    let request = ClientRequest { statement: cql::parse::parse(text).unwrap(), text: text.into(), keyspace: None };
    Input::Client { id: RequestId(u64::MAX / 2), request }
}

/// What a host asks another one.
fn ask(world: &mut World, host: usize, by: usize, request: PeerRequest) -> Effects {
    let header = world.node(by).header(Some(world.node(host).host));
    step(world, host, Input::Request { id: RequestId(u64::MAX / 2), header, request })
}

fn peer_replies(effects: &Effects) -> usize {
    effects.reply.iter().filter(|reply| matches!(reply, Reply::Peer { .. })).count()
}

fn raft_messages(effects: Effects, kind: u8) -> Vec<RaftMessage> {
    let raft = |send| match send {
        Send::Message { message: Message::Raft(_, message), .. } if message.kind == MessageKind(kind) => Some(message),
        _ => None,
    };
    effects.send.into_iter().filter_map(raft).collect()
}

/// Rows that nobody has.
pub(super) fn foreign_rows() -> Rows {
    let mut other = ring(1);
    other.execute(0, KEYSPACE);
    other.execute(0, "CREATE TABLE ks.foreign (a int PRIMARY KEY)");
    other.node(0).schema.rows().clone()
}

fn leader(world: &World) -> usize {
    let leads = |host: &usize| world.node(*host).group.as_ref().is_some_and(|(_, group)| group.status().is_leader);
    (0..world.hosts.len()).find(leads).unwrap()
}

fn says(node: &Node, stage: Stage, group: Option<GroupId>, incarnation: Incarnation) -> StateReply {
    StateReply { stage, host: node.host, group, incarnation }
}

#[test]
fn a_recovery_that_a_person_writes_is_not_overwritten() {
    let mut world = ring(3);
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.node(0).upgrade.step() == Some(Step::SynchronizeSchema)));
    let mut persist = crate::io::Persist::default();
    node(&mut world, 0).local.set_stage(&mut persist, Stage::Recovery);
    world.run(LIMIT);
    assert_eq!(world.node(0).stage(), Stage::Recovery, "{}", report(&world));
}

#[test]
fn who_is_of_another_group_or_an_older_incarnation_is_not_believed() {
    let mut world = waiting_for_the_third();
    let (group, incarnation) = (world.node(0).joining.group(), world.node(0).local.incarnation());
    let said = |group, incarnation| says(world.node(1), Stage::UsePostRaft, group, incarnation);
    let (other, older) = (said(Some(GroupId::of(9)), incarnation), said(group, Incarnation(incarnation.0 - 1)));
    let (own, host) = (said(group, incarnation), world.node(1).host);
    node(&mut world, 0).told_stage(host, other);
    node(&mut world, 0).told_stage(host, older);
    assert_eq!(world.node(0).upgrade.step(), Some(Step::AwaitMembers));
    node(&mut world, 0).told_stage(host, own);
    assert_eq!(world.node(0).upgrade.step(), Some(Step::EarlyFinish));
}

#[test]
fn a_read_barrier_waits_until_this_member_has_applied() {
    for (ahead, passes) in [(5, false), (0, true)] {
        let mut world = upgraded(3);
        let leader = leader(&world);
        let host = (leader + 1) % 3;
        let effects = step(&mut world, host, client("CREATE TABLE ks.t (a int PRIMARY KEY)"));
        let question = raft_messages(effects, 15).pop().unwrap();
        let (id, group) = world.node(host).group.as_ref().unwrap();
        let (id, term, index) = (*id, group.status().term, group.status().applied + ahead);
        let (from, to) = (question.to, question.from);
        let answer = RaftMessage { kind: MessageKind(16), from, to, term, index, ..question };
        let header = world.node(leader).header(Some(to));
        let effects = step(&mut world, host, Input::Message { header, message: Message::Raft(id, answer) });
        assert_eq!(raft_messages(effects, 2).len(), usize::from(passes), "the command is proposed after the barrier");
    }
}

#[test]
fn a_change_of_the_members_is_reported_when_it_is_applied() {
    let mut world = upgraded(2);
    let leader = leader(&world);
    let (group, raft) = world.node(leader).group.as_ref().unwrap();
    let (group, commit) = (*group, raft.status().commit);
    let add = vec![(Member { host: HostId::of(7), address: ([127, 0, 0, 7], 7000).into() }, false)];
    let effects = ask(&mut world, leader, 1 - leader, PeerRequest::Group0ModifyConfig { group, add, remove: vec![] });
    assert_eq!(world.node(leader).group.as_ref().unwrap().1.status().last_index, commit + 1, "it is proposed");
    assert_eq!(peer_replies(&effects), 0);
}

#[test]
fn who_may_lead_discovery_and_who_is_not_a_member_yet_answers_nothing() {
    let mut world = ring(2);
    let smaller = usize::from(world.node(1).host < world.node(0).host);
    let exchange = || PeerRequest::Group0PeerExchange { peers: vec![], bootstrapped: true };
    assert_eq!(peer_replies(&ask(&mut world, smaller, 1 - smaller, exchange())), 0);
    assert_eq!(peer_replies(&ask(&mut world, 1 - smaller, smaller, exchange())), 1);
    world.hosts[1 - smaller].crash_at = Some((Point::Joining, true));
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, |world| world.hosts[1 - smaller].node.is_none()));
    world.start(1 - smaller);
    assert!(world.node(1 - smaller).joining.group().is_some());
    assert_eq!(peer_replies(&ask(&mut world, 1 - smaller, smaller, exchange())), 0);
}

#[test]
fn a_member_that_is_down_keeps_the_feature_from_being_enabled() {
    let mut world = ring(3);
    world.crash(2);
    upgrade_two(&mut world);
    world.run(LIMIT);
    assert!(!world.node(0).flag().enabled && !world.node(1).flag().enabled);
}

fn upgrade_two(world: &mut World) {
    for host in 0..2 {
        world.hosts[host].settings.flag = Some(true);
        world.crash(host);
        world.start(host);
    }
}

#[test]
fn a_final_node_proposes_rows_that_did_not_come_through_the_log() {
    let mut world = upgraded(3);
    let rows = foreign_rows();
    node(&mut world, 0).take_foreign_rows(&rows);
    assert!(!has_table(&world, 0, "foreign"));
    world.run(Duration::from_secs(2));
    assert!((0..3).all(|host| has_table(&world, host, "foreign")), "{}", report(&world));
}

#[test]
fn a_final_member_takes_a_snapshot_of_a_final_one_only() {
    for (stage, taken) in [(Stage::Synchronize, false), (Stage::UsePostRaft, true)] {
        let mut world = upgraded(2);
        let host = 1 - leader(&world);
        let (id, message, migration) = snapshot_of(world.node(1 - host), world.node(host), stage);
        node(&mut world, host).snapshot_pulled(id, message, migration);
        drop(step(&mut world, host, Input::Wake));
        assert_eq!(has_table(&world, host, "foreign"), taken, "{stage}");
    }
}

/// Of more than the other has, with rows that nobody has.
fn snapshot_of(leader: &Node, to: &Node, stage: Stage) -> (GroupId, RaftMessage, Migration) {
    let (id, group) = leader.group.as_ref().unwrap();
    let status = group.status();
    let (index, term, configuration) = (status.last_index + 9, status.term, status.configuration.clone());
    let snapshot = Some(Snapshot { index, term, configuration });
    let message = RaftMessage {
        kind: MessageKind(7),
        from: leader.host,
        to: to.host,
        term,
        log_term: 0,
        index,
        entries: vec![],
        commit: 0,
        commit_term: 0,
        snapshot: snapshot.clone(),
        request_snapshot: 0,
        reject: false,
        reject_hint: 0,
        context: bytes::Bytes::new(),
        priority: 0,
    };
    let migration = Migration {
        rows: foreign_rows(),
        state: says(leader, stage, Some(*id), leader.local.incarnation()),
        version: uuid::Uuid::nil(),
        snapshot,
        history: vec![],
    };
    (*id, message, migration)
}

#[test]
fn a_final_host_does_not_leave_before_another_one_is_final() {
    let mut world = ring(2);
    upgrade(&mut world);
    let is_final = |world: &World, host: usize| world.node(host).stage() == Stage::UsePostRaft;
    assert!(world.run_until(LIMIT, |world| is_final(world, 0) != is_final(world, 1)));
    let host = usize::from(is_final(&world, 1));
    let id = world.admin(host, AdminRequest::Decommission { order: None });
    assert!(matches!(&world.admin_replies[&id], AdminReply::Refused(why) if why.contains("would be the last one that is whole")));
}

/// A person sets `recovery` on one node of a final cluster, DDL is acknowledged there, and the marker is removed.
#[test]
fn a_surplus_over_the_bound_of_a_command_is_committed_before_its_node_is_final() {
    let mut world = upgraded(3);
    restart_in(&mut world, Some(Stage::Recovery));
    world.loses_pushes = true;
    let comment = "x".repeat(300_000);
    for name in ["one", "two", "three"] {
        world.execute(2, &format!("CREATE TABLE ks.{name} (a int PRIMARY KEY) WITH comment = '{comment}'"));
    }
    world.loses_pushes = false;
    restart_in(&mut world, None);
    assert!(world.node(2).stage() == Stage::Synchronize && !has_table(&world, 0, "one"));
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    world.crash(2);
    world.run(Duration::from_secs(5));
    for name in ["one", "two", "three"] {
        assert!((0..2).all(|host| has_table(&world, host, name)), "{name} is lost");
    }
}

fn restart_in(world: &mut World, stage: Option<Stage>) {
    world.crash(2);
    let key = (Table::Local, key::UPGRADE_STATE.as_bytes().to_vec());
    match stage {
        Some(stage) => drop(world.hosts[2].store.insert(key, stage.name().into())),
        None => drop(world.hosts[2].store.remove(&key)),
    }
    world.start(2);
    world.run(Duration::from_millis(1));
}

/// The first host is the first seed of three; that member is in a ring, and the other one in none.
fn ring_beside_the_first_seed(member: usize) -> World {
    let mut world = World::new(3);
    let addresses: Vec<_> = world.hosts.iter().map(|host| host.settings.broadcast_address).collect();
    world.hosts[member].settings.is_first_seed = true;
    for host in [1, 2] {
        world.hosts[host].settings.seeds = vec![addresses[host]];
        world.start(host);
    }
    world.hosts[0].settings.seeds = addresses;
    world.run(Duration::from_secs(5));
    assert!(world.node(member).boot == Boot::Completed && world.node(3 - member).boot != Boot::Completed);
    world
}

#[test]
fn a_first_seed_founds_no_ring_beside_one_because_somebody_is_in_none() {
    let mut world = ring_beside_the_first_seed(2);
    world.execute(2, KEYSPACE);
    let member = world.node(2).host;
    world.cut(2, &[0, 1]);
    world.start(0);
    world.run(Duration::from_secs(1));
    // It hears of the member, which then answers to nothing until long after it might have founded a ring.
    world.cuts.remove(&(0, 2));
    assert!(world.run_until(LIMIT, |world| world.node(0).gossip.endpoints().contains_key(&member)));
    world.cut(2, &[0]);
    world.run(Duration::from_secs(6));
    world.cuts.clear();
    assert!(world.run_until(LIMIT, |world| world.node(0).boot == Boot::Completed));
    assert_eq!(world.node(0).schema.rows(), world.node(2).schema.rows(), "it pulls the schema before it is in the ring");
}

#[test]
fn a_first_seed_whom_the_ring_refuses_founds_none_of_its_own() {
    let mut world = ring_beside_the_first_seed(1);
    world.start(0);
    assert!(world.run_until(LIMIT, |world| world.node(0).boot == Boot::Completed));
    world.crash(0);
    world.hosts[0].store.clear();
    world.start(0);
    world.run(Duration::from_millis(100));
    let why = world.hosts[0].ready.clone().unwrap_err();
    assert!(why.contains("belongs to host"), "{why}");
}
