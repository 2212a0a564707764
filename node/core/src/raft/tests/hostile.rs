//! Whatever a peer sends, nothing panics.

use super::{
    super::{Configuration, Entry, EntryKind, Group, MessageKind, RaftMessage, Snapshot},
    TICK, member, start,
};
use crate::ids::HostId;
use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};

fn host() -> impl Strategy<Value = HostId> {
    (1..5_u128).prop_map(HostId::of)
}

/// Mostly small, so that it collides with what the group has.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0..8_u64, 1 => any::<u64>()]
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![Just(EntryKind::Normal), Just(EntryKind::ConfChange), Just(EntryKind::ConfChangeV2)];
    let bytes = || vec(any::<u8>(), 0..24).prop_map(Bytes::from);
    (number(), number(), kind, bytes(), bytes()).prop_map(|(index, term, kind, data, context)| Entry {
        index,
        term,
        kind,
        data,
        context,
    })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let hosts = || proptest::collection::btree_set(host(), 0..3);
    (hosts(), hosts(), hosts(), hosts(), any::<bool>()).prop_map(|(voters, learners, outgoing, learners_next, auto_leave)| {
        Configuration { voters, learners, outgoing, learners_next, auto_leave, ..Configuration::default() }
    })
}

prop_compose! {
    fn message()(
        (kind, from, to) in (0..20_u8, host(), host()),
        (term, log_term, index, commit, commit_term) in (number(), number(), number(), number(), number()),
        (mut entries, aligned) in (vec(entry(), 0..3), any::<bool>()),
        snapshot in option::of((number(), number(), configuration())),
        (request_snapshot, reject, reject_hint) in (prop_oneof![Just(0), number()], any::<bool>(), number()),
        context in prop_oneof![Just(Bytes::new()), Just(Bytes::from_static(b"CampaignTransfer"))],
        priority in any::<i64>(),
    ) -> RaftMessage {
        if aligned {
            for (entry, index) in entries.iter_mut().zip(index.saturating_add(1)..) {
                (entry.index, entry.term) = (index, entry.term.min(term));
            }
        }
        let snapshot = snapshot.map(|(index, term, configuration)| Snapshot { index, term, configuration });
        RaftMessage {
            kind: MessageKind(kind), from, to, term, log_term, index, entries, commit, commit_term, snapshot,
            request_snapshot, reject, reject_hint, context, priority,
        }
    }
}

fn leader() -> Group {
    let mut group = start(1, Group::founding(member(1)), 1);
    group.campaign();
    group.change(&[(member(2), true), (member(3), true)], &[]).unwrap();
    drop(group.take());
    group
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_messages_make_a_group_panic(messages in vec((message(), any::<bool>()), 1..30), leads in any::<bool>()) {
        let mut group = if leads { leader() } else { start(1, Group::joining(), 1) };
        let mut now = group.next_tick();
        for (message, then) in messages {
            group.step(message);
            if then {
                now += TICK;
                group.advance_time(now);
                drop(group.take());
            }
        }
        drop(group.take());
    }
}
