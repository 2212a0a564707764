//! Addresses are hints: they change, go to other hosts, and what a former owner had sent comes late.

use super::{agree, is_final, proceed, report, ring, roll, upgraded, world::World};
use crate::{
    ids::HostId,
    io::{AdminReply, AdminRequest, CallError, Header, Message, PeerRequest, Refusal},
    upgrade::Step,
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn host(world: &World, number: usize) -> HostId {
    world.node(number).host
}

/// Restarts it there.
fn move_to(world: &mut World, host: usize, last: u8) {
    world.crash(host);
    world.hosts[host].settings.broadcast_address = ([127, 0, 0, last], 7000).into();
    world.start(host);
}

fn all_know(world: &World, host: usize) -> bool {
    let (id, address) = (world.node(host).host, world.hosts[host].settings.broadcast_address);
    world.all(|node| node.host == id || node.address_of(id) == Some(address))
}

#[test]
fn a_host_that_moves_is_found_though_others_still_tell_of_its_former_address() {
    let mut world = upgraded(3);
    world.cut(1, &[2]);
    world.cut(0, &[2]);
    move_to(&mut world, 2, 33);
    world.run(Duration::from_millis(500));
    world.cuts.clear();
    world.cut(1, &[2]);
    assert!(world.run_until(LIMIT, |world| all_know(world, 2)), "one is told by the other");
    world.cuts.clear();
    for number in 0..30 {
        world.run(Duration::from_millis(300));
        assert!(all_know(&world, 2), "the former address has come back");
        if number % 10 == 0 {
            world.execute(2, &format!("CREATE TABLE ks.t{number} (a int PRIMARY KEY)"));
        }
    }
    agree(&mut world);
}

/// In step 1 of the first, the other two are started elsewhere.
fn moved_in_step_1(addresses: [u8; 2]) -> World {
    let mut world = ring(3);
    roll(&mut world);
    proceed(&mut world);
    let joins = |world: &World| (0..3).any(|host| world.node(host).upgrade.step() == Some(Step::JoinGroup0));
    assert!(world.run_until(LIMIT, joins), "{}", report(&world));
    for (host, last) in [1, 2].into_iter().zip(addresses) {
        world.crash(host);
        world.hosts[host].settings.broadcast_address = ([127, 0, 0, last], 7000).into();
    }
    world.start(1);
    world.start(2);
    world
}

#[test]
fn addresses_that_change_while_hosts_join_are_followed() {
    let mut world = moved_in_step_1([22, 33]);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    assert!(all_know(&world, 1) && all_know(&world, 2));
}

#[test]
fn addresses_that_go_to_another_host_while_both_join_are_followed() {
    let mut world = moved_in_step_1([3, 2]);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    assert!(all_know(&world, 1) && all_know(&world, 2));
    let members = world.node(0).group.as_ref().unwrap().1.configuration().members();
    assert_eq!(members, (0..3).map(|number| host(&world, number)).collect());
}

#[test]
fn what_is_meant_for_a_former_owner_of_the_address_is_refused() {
    let mut world = ring(2);
    let other = HostId::of(99);
    let header = Header { to: Some(other), ..world.header(1, other) };
    let id = world.ask(0, header, PeerRequest::GetGroup0UpgradeState);
    let ours = host(&world, 0);
    assert_eq!(world.peer_replies[&id].as_ref().err(), Some(&Refusal::WrongDestination { ours, meant: other }));
}

#[test]
fn what_a_removed_host_had_sent_is_refused_when_it_arrives_late() {
    let mut world = upgraded(3);
    let gone = host(&world, 2);
    let header = world.header(2, host(&world, 0));
    let late = world.overhear(2, 0, Duration::from_secs(1));
    assert!(
        late.iter().any(|message| matches!(message, Message::Raft(..))) && late.iter().any(|m| matches!(m, Message::Gossip(_)))
    );
    world.crash(2);
    assert!(world.run_until(LIMIT, |world| !world.node(0).gossip.is_up(gone)));
    let removal = world.admin(0, AdminRequest::RemoveNode { order: None, host: gone, ignore: vec![] });
    assert!(world.run_until(LIMIT, |world| world.admin_replies.contains_key(&removal)));
    assert!(matches!(world.admin_replies[&removal], AdminReply::Done));
    let term = world.node(0).group.as_ref().unwrap().1.status().term;
    for message in late {
        world.tell(0, header.clone(), message);
    }
    for request in
        [PeerRequest::GetGroup0UpgradeState, PeerRequest::SchemaCheck, PeerRequest::MigrationRequest { snapshot_of: None }]
    {
        let id = world.ask(0, header.clone(), request);
        let refusal = world.peer_replies[&id].as_ref().unwrap_err();
        assert!(CallError::Refused(refusal.clone()).is_removal_of(gone), "{refusal}");
    }
    world.run(Duration::from_secs(2));
    assert_eq!(world.node(0).group.as_ref().unwrap().1.status().term, term);
    assert!(!world.node(0).gossip.is_up(gone) && !world.node(0).peers.hosts().contains(&gone));
    assert!(!world.node(0).joining.discovery().known().iter().any(|peer| peer.host == Some(gone)));
}
