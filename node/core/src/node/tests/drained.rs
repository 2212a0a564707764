//! A node that a person has drained: its process stays, and it takes part in nothing. And whose tokens are whose.

use super::{KEYSPACE, is_final, report, ring, upgrade, upgraded, world::World};
use crate::{
    ids::Now,
    io::{AdminReply, AdminRequest, Apply, Input, Order, PeerRequest, Refusal},
};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

/// The first of three, which leads them.
fn one_is_drained() -> World {
    let mut world = ring(3);
    upgrade(&mut world);
    assert!(world.run_until(LIMIT, is_final), "{}", report(&world));
    let id = world.admin(0, AdminRequest::Drain);
    assert!(matches!(world.admin_replies[&id], AdminReply::Done));
    world
}

fn last_words(world: &mut World, input: Input) -> Vec<Apply> {
    let now = Now { elapsed: world.now, ..Now::default() };
    world.hosts[0].node.as_mut().unwrap().step(now, input).apply
}

#[test]
fn who_is_drained_serves_nobody_and_the_others_go_on_without_it() {
    let mut world = one_is_drained();
    assert!(world.hosts[0].ready.as_ref().is_err_and(|why| why.contains("drained")));
    assert!(world.node(0).status().ready.is_err());
    let drained = world.node(0).host;
    let is_down = |world: &World| [1, 2].iter().all(|other| !world.node(*other).gossip.is_up(drained));
    assert!(world.run_until(Duration::from_secs(1), is_down), "nobody has to find out that it is silent");
    world.execute(1, KEYSPACE);
    let header = world.header(1, drained);
    let id = world.ask(0, header, PeerRequest::GetGroup0UpgradeState);
    assert!(matches!(&world.peer_replies[&id], Err(Refusal::NotNow(_))));
    let before = world.hosts[0].steps;
    world.run(Duration::from_mins(1));
    assert_eq!(world.node(0).wake_at(), None, "after {} steps", world.hosts[0].steps - before);
    world.crash(0);
    world.start(0);
    assert!(world.run_until(LIMIT, |world| world.all(|node| node.gossip.live().count() == 2)), "{}", report(&world));
    world.execute(0, "DROP KEYSPACE ks");
}

#[test]
fn who_is_drained_ends_at_once_when_it_is_told_to() {
    let mut world = one_is_drained();
    let id = world.admin(0, AdminRequest::Drain);
    assert!(matches!(world.admin_replies[&id], AdminReply::Done), "a second time too");
    assert_eq!(last_words(&mut world, Input::Shutdown), [Apply::Drained]);
    let mut world = one_is_drained();
    let generation = world.node(0).generation;
    let restart = AdminRequest::Restart { order: Order::default(), generation };
    let input = Input::Admin { id: crate::io::RequestId(u64::MAX), request: restart };
    assert_eq!(last_words(&mut world, input), [Apply::Restart]);
}

/// Whoever waits for what takes others is told, whether it asked before or after.
#[test]
fn who_waits_for_something_of_a_node_that_is_drained_is_told() {
    let mut world = upgraded(3);
    world.crash(1);
    world.crash(2);
    let leaves = world.admin(0, AdminRequest::Decommission { order: None });
    let barrier = world.admin(0, AdminRequest::ReadBarrier { within: None });
    world.admin(0, AdminRequest::Drain);
    let again = world.admin(0, AdminRequest::Decommission { order: None });
    world.run(Duration::from_mins(1));
    for id in [leaves, barrier, again] {
        let answer = world.admin_replies.get(&id);
        assert!(matches!(answer, Some(AdminReply::Refused(why)) if why.contains("drained")), "{answer:?}");
    }
}

#[test]
fn everyone_knows_whose_tokens_are_whose() {
    let mut world = ring(3);
    let told: Vec<_> = (0..3).map(|host| world.admin(host, AdminRequest::GetTokens)).collect();
    for id in told {
        let AdminReply::Tokens(tokens) = &world.admin_replies[&id] else { panic!("another answer") };
        for host in &world.hosts {
            let own = host.node.as_ref().unwrap().local.tokens();
            assert!(own.len() == 2 && own.iter().all(|token| tokens[token] == host.settings.broadcast_address));
        }
        assert_eq!(tokens.len(), 6);
    }
}
