#![allow(clippy::unwrap_used)]
//! One host at a time, then a few hosts over a queue of messages in random order.

use super::*;
use crate::random::Random;

fn peer(number: u8) -> DiscoveryPeer {
    DiscoveryPeer { host: Some(id(number)), address: address(number), generation: Generation(1) }
}

fn id(number: u8) -> HostId {
    HostId::of(number.into())
}

fn address(number: u8) -> SocketAddr {
    ([127, 0, 0, number], 7000).into()
}

fn answer(state: &Discovery, number: u8, reply: ExchangeReply) -> (Discovery, Vec<Action>) {
    step(state, Event::Answered { address: address(number), from: id(number), reply })
}

#[test]
fn the_smallest_leads_when_all_have_responded_and_persists_first() {
    let (state, actions) = step(&Discovery::new(peer(1), id(1), &[peer(2), peer(3)]), Event::Ask);
    assert!(matches!(actions.as_slice(), [Action::Persist(_), Action::Ask(..), Action::Ask(..)]));
    let (state, actions) = answer(&state, 2, ExchangeReply::Peers(vec![peer(1), peer(2)]));
    assert_eq!(actions, []);
    let (_, actions) = answer(&state, 3, ExchangeReply::Peers(vec![peer(3)]));
    assert_eq!(actions, [Action::Lead]);
}

#[test]
fn nothing_is_no_response() {
    let (state, _) = step(&Discovery::new(peer(1), id(1), &[peer(2)]), Event::Ask);
    let (state, actions) = answer(&state, 2, ExchangeReply::Nothing);
    assert_eq!(actions, []);
    assert_eq!(state.missing().len(), 1);
}

#[test]
fn an_address_without_a_name_keeps_everyone_from_leading() {
    let seed = DiscoveryPeer { host: None, ..peer(9) };
    let (state, _) = step(&Discovery::new(peer(1), id(1), &[seed]), Event::Ask);
    assert!(!state.may_lead());
    let (_, actions) = answer(&state, 9, ExchangeReply::Peers(vec![peer(9)]));
    assert!(matches!(actions.as_slice(), [Action::Persist(_), Action::Lead]));
}

#[test]
fn a_removed_host_does_not_come_back_by_what_others_tell() {
    let (state, _) = step(&Discovery::new(peer(1), id(1), &[peer(2), peer(3)]), Event::Removed(BTreeSet::from([id(2)])));
    let (state, actions) = step(&state, Event::Asked(vec![peer(2), peer(3)]));
    assert_eq!((state.known(), actions), (vec![peer(1), peer(3)], vec![]));
}

#[test]
fn own_address_among_the_seeds_and_duplicates_change_nothing() {
    let own = DiscoveryPeer { host: None, ..peer(1) };
    let state = Discovery::new(peer(1), id(1), &[own, peer(2), peer(2)]);
    assert_eq!(state.known().len(), 2);
}

#[test]
fn the_newer_address_wins() {
    let moved = DiscoveryPeer { address: address(77), generation: Generation(2), ..peer(2) };
    let state = Discovery::new(peer(1), id(1), &[moved, peer(2)]);
    assert_eq!(state.known(), [peer(1), moved]);
}

#[test]
fn a_removed_host_is_not_waited_for() {
    let (state, _) = step(&Discovery::new(peer(1), id(1), &[peer(2)]), Event::Ask);
    let (_, actions) = step(&state, Event::Removed(BTreeSet::from([id(2)])));
    assert!(matches!(actions.as_slice(), [Action::Persist(_), Action::Lead]));
}

/// Whatever the order of messages, and whoever knows whom (connected), exactly one host leads.
#[test]
fn exactly_one_leads_in_any_order() {
    for seed in 0..500 {
        let mut random = Random::seeded(seed);
        let hosts = u8::try_from(random.within(2..6)).unwrap();
        let mut states: Vec<_> = (1..=hosts)
            .map(|n| Discovery::new(peer(n), id(n), &[peer(u8::try_from(random.within(1..u64::from(n) + 1)).unwrap())]))
            .collect();
        let mut asks: Vec<(usize, usize)> = Vec::new();
        let mut leaders = 0;
        let run = |n: usize, event, states: &mut Vec<Discovery>, asks: &mut Vec<(usize, usize)>, leaders: &mut i32| {
            let (next, actions) = step(&states[n], event);
            states[n] = next;
            for action in actions {
                match action {
                    Action::Ask(to, _) => asks.push((n, (1..=hosts).position(|m| address(m) == to).unwrap())),
                    Action::Lead => *leaders += 1,
                    Action::Persist(_) | Action::Join { .. } => {}
                }
            }
        };
        // Each host but the first knows a smaller one or only itself: link everyone to the first.
        for n in 1..usize::from(hosts) {
            run(n, Event::Asked(vec![peer(1)]), &mut states, &mut asks, &mut leaders);
        }
        for _ in 0..4 {
            for n in 0..usize::from(hosts) {
                run(n, Event::Ask, &mut states, &mut asks, &mut leaders);
            }
            while !asks.is_empty() {
                let pick = usize::try_from(random.within(0..asks.len() as u64)).unwrap();
                let (from, to) = asks.swap_remove(pick);
                let list = states[from].known();
                run(to, Event::Asked(list), &mut states, &mut asks, &mut leaders);
                if !states[to].is_leading() {
                    let reply = ExchangeReply::Peers(states[to].known());
                    let event = Event::Answered {
                        address: address(u8::try_from(to + 1).unwrap()),
                        from: id(u8::try_from(to + 1).unwrap()),
                        reply,
                    };
                    run(from, event, &mut states, &mut asks, &mut leaders);
                }
            }
        }
        // A host that knows only itself may lead alone before it hears of others only if nobody knows it: here all are linked.
        assert_eq!(leaders, 1, "leaders of seed {seed}");
    }
}
