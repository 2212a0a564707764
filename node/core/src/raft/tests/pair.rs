//! A few members that hear each other at once, for one rule at a time.

use super::{
    super::{Dropped, Group, MAX_COMMAND_BYTES, MAX_PART_BYTES, Output, RaftMessage, Stored},
    GROUP, TICK, member, start,
};
use crate::{ids::HostId, random::Random};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};

/// Members by number; what they put out is kept until it is asked for.
struct Members {
    groups: BTreeMap<HostId, Group>,
    seen: BTreeMap<HostId, Vec<Output>>,
    now: Duration,
}

impl Members {
    /// The first founds; the others wait to be added.
    fn new(count: u128) -> Self {
        let stored = |number| if number == 1 { Group::founding(member(1)) } else { Group::joining() };
        let seed = |number| u64::try_from(number).unwrap();
        let groups = (1..=count).map(|number| (HostId::of(number), start(number, stored(number), seed(number))));
        let mut members = Self { groups: groups.collect(), seen: BTreeMap::new(), now: Duration::ZERO };
        members.group(1).campaign();
        members.talk();
        members
    }

    fn group(&mut self, number: u128) -> &mut Group {
        self.groups.get_mut(&HostId::of(number)).unwrap()
    }

    /// Until nobody has anything to say.
    fn talk(&mut self) {
        loop {
            let outputs: Vec<_> = self.groups.iter_mut().map(|(host, group)| (*host, group.take())).collect();
            let mut quiet = true;
            for (from, output) in outputs {
                for message in output.send.clone() {
                    quiet = false;
                    let snapshot = message.snapshot.is_some().then_some(message.to);
                    if let Some(group) = self.groups.get_mut(&message.to) {
                        group.step(message);
                    }
                    if let Some(to) = snapshot {
                        self.groups.get_mut(&from).unwrap().report_snapshot(to, true);
                    }
                }
                self.seen.entry(from).or_default().push(output);
            }
            if quiet {
                return;
            }
        }
    }

    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.now += TICK;
            let now = self.now;
            self.groups.values_mut().for_each(|group| group.advance_time(now));
            self.talk();
        }
    }

    fn seen(&mut self, number: u128) -> Vec<Output> {
        self.seen.remove(&HostId::of(number)).unwrap_or_default()
    }

    fn trio() -> Self {
        let mut members = Self::new(3);
        members.group(1).change(&[(member(2), true), (member(3), true)], &[]).unwrap();
        members.ticks(5);
        members.seen.clear();
        members
    }
}

#[test]
fn waiting_changes_become_one_and_are_seen_applied() {
    let mut members = Members::new(4);
    let ids: Vec<_> = (2..=4).map(|number| members.group(1).change(&[(member(number), number < 4)], &[]).unwrap()).collect();
    let before = members.group(1).status().last_index;
    members.ticks(5);
    let outputs = members.seen(1);
    let changed: Vec<_> = outputs.iter().flat_map(|output| output.changed.clone()).collect();
    assert_eq!(changed, ids);
    assert_eq!(members.group(1).status().last_index, before + 2, "one change and the leaving of its joint configuration");
    for number in 1..=4 {
        let configuration = members.group(number).configuration().clone();
        assert!(!configuration.is_joint() && configuration.voters.len() == 3 && configuration.learners.len() == 1);
        assert_eq!(configuration.addresses[&HostId::of(4)], member(4).address);
    }
}

#[test]
fn a_change_that_is_so_already_is_reported_at_once() {
    let mut members = Members::trio();
    let id = members.group(1).change(&[(member(2), true)], &[HostId::of(9)]).unwrap();
    let output = members.group(1).take();
    assert!(output.changed == [id] && output.persist.is_empty());
}

#[test]
fn impossible_changes_are_refused() {
    let mut members = Members::new(1);
    let everyone: Vec<_> = (2..=101).map(|number| (member(number), true)).collect();
    assert_eq!(members.group(1).change(&[], &[HostId::of(1)]), Err(Dropped::Impossible));
    assert_eq!(members.group(1).change(&[(member(1), false)], &[]), Err(Dropped::Impossible));
    assert_eq!(members.group(1).change(&everyone, &[]), Err(Dropped::Impossible));
}

#[test]
fn a_leader_hands_over_before_it_is_demoted() {
    let mut members = Members::trio();
    assert_eq!(members.group(1).change(&[], &[HostId::of(1)]), Err(Dropped::Transferring));
    members.talk();
    assert!(!members.group(1).is_leader());
    let lost = members.seen(1).iter().any(|output| output.lost_leadership);
    assert!(lost && (members.group(2).is_leader() || members.group(3).is_leader()));
}

#[test]
fn a_leader_that_is_out_steps_down() {
    let mut members = Members::new(2);
    members.group(1).change(&[(member(2), true)], &[HostId::of(1)]).unwrap();
    members.ticks(4);
    assert!(!members.group(1).is_leader());
    members.ticks(30);
    assert!(members.group(2).is_leader());
    assert_eq!(members.group(1).read_index(1), Err(Dropped::NoLeader));
}

#[test]
fn proposals_of_one_turn_are_one_append_on_every_member() {
    let mut members = Members::trio();
    for number in 0..50_u8 {
        members.group(1).propose(Bytes::copy_from_slice(&[number])).unwrap();
    }
    members.talk();
    for number in 1..=3 {
        let outputs = members.seen(number);
        assert_eq!(outputs.iter().map(|output| output.committed.len()).sum::<usize>(), 50);
        let appends = outputs.iter().flat_map(|output| &output.persist);
        assert_eq!(appends.filter(|write| matches!(write, super::super::RaftWrite::Append(_))).count(), 1);
    }
}

#[test]
fn what_a_member_lacks_comes_in_messages_that_the_network_takes() {
    let mut members = Members::trio();
    let three = members.groups.remove(&HostId::of(3)).unwrap();
    for _ in 0..40 {
        members.group(1).propose(vec![0; MAX_COMMAND_BYTES].into()).unwrap();
        members.talk();
    }
    members.groups.insert(HostId::of(3), three);
    members.seen.clear();
    members.ticks(5);
    let outputs = members.seen(1);
    let sent = outputs.iter().flat_map(|output| &output.send);
    let sizes: Vec<usize> = sent.map(|message| message.entries.iter().map(|entry| entry.data.len()).sum()).collect();
    let (total, largest) = (sizes.iter().sum::<usize>(), sizes.into_iter().max());
    assert!(total == 40 * MAX_COMMAND_BYTES && largest == Some(MAX_PART_BYTES), "{total} in all, {largest:?} at once");
    assert_eq!(members.seen(3).iter().map(|output| output.committed.len()).sum::<usize>(), 40);
}

#[test]
fn followers_propose_and_read_through_the_leader() {
    let mut members = Members::trio();
    members.group(2).propose(Bytes::from_static(b"from two")).unwrap();
    members.talk();
    members.group(3).read_index(5).unwrap();
    members.talk();
    let commit = members.group(1).status().commit;
    assert_eq!(members.seen(3).iter().flat_map(|output| output.reads.clone()).collect::<Vec<_>>(), [(5, commit)]);
}

#[test]
fn a_read_waits_for_the_first_entry_of_a_new_leader() {
    let mut members = Members::trio();
    members.group(1).transfer_leadership(&[HostId::of(2)].into());
    while !members.group(2).is_leader() {
        let outputs: Vec<_> = members.groups.values_mut().map(Group::take).collect();
        for message in outputs.into_iter().flat_map(|output| output.send) {
            members.groups.get_mut(&message.to).unwrap().step(message);
        }
    }
    members.group(2).read_index(6).unwrap();
    members.talk();
    assert_eq!(members.seen(2).iter().flat_map(|output| output.reads.clone()).count(), 1);
}

/// The snapshot that the founder began with does not know the joiner, who must not take it, and is not stuck for that.
#[test]
fn a_joiner_is_offered_a_snapshot_that_knows_it() {
    let mut members = Members::new(2);
    members.group(1).change(&[(member(2), false)], &[]).unwrap();
    let mut offer = None;
    for _ in 0..4 {
        let outputs: Vec<_> = members.groups.values_mut().map(Group::take).collect();
        for message in outputs.into_iter().flat_map(|output| output.send) {
            match &message.snapshot {
                Some(_) => offer = Some(message),
                None => members.groups.get_mut(&message.to).unwrap().step(message),
            }
        }
    }
    let offer = offer.unwrap();
    let (founded, offered) = (Stored::founding(member(1)).snapshot, offer.snapshot.clone().unwrap());
    assert!(offered.index > founded.index && offered.configuration.contains(&HostId::of(2)));
    members.group(2).step(RaftMessage { index: founded.index, snapshot: Some(founded), ..offer.clone() });
    assert_eq!(members.group(2).take().snapshot, None);
    members.group(2).step(offer);
    assert_eq!(members.group(2).take().snapshot, Some(offered));
}

#[test]
fn nobody_is_offered_a_snapshot_that_it_would_refuse() {
    let mut members = Members::new(2);
    members.group(1).change(&[(member(2), true)], &[]).unwrap();
    members.ticks(5);
    let sent = members.seen(1).into_iter().flat_map(|output| output.send);
    let offers: Vec<_> = sent.filter_map(|message| Some((message.to, message.snapshot?))).collect();
    assert!(!offers.is_empty() && offers.iter().all(|(to, snapshot)| snapshot.configuration.contains(to)));
}

#[test]
fn a_lost_snapshot_is_offered_again() {
    let mut members = Members::new(2);
    members.group(1).change(&[(member(2), false)], &[]).unwrap();
    let mut offers = 0;
    for tick in 1..=200_u32 {
        let now = TICK * tick;
        members.groups.values_mut().for_each(|group| group.advance_time(now));
        for _ in 0..4 {
            let outputs: Vec<_> = members.groups.values_mut().map(Group::take).collect();
            for message in outputs.into_iter().flat_map(|output| output.send) {
                offers += u32::from(message.snapshot.is_some());
                if message.snapshot.is_none() {
                    members.groups.get_mut(&message.to).unwrap().step(message);
                }
            }
        }
    }
    assert!((3..=6).contains(&offers), "{offers} offers");
}

#[test]
fn a_pause_is_not_made_up_for_in_full() {
    let mut members = Members::trio();
    let late = members.now + TICK * 1_000;
    let group = members.group(2);
    group.advance_time(late);
    assert!(group.take().send.is_empty(), "no election before the waiting messages are read");
    assert!(group.next_tick() > late);
}

#[test]
fn a_state_that_contradicts_itself_does_not_start() {
    let stored = Stored { applied: 7, ..Stored::founding(member(1)) };
    assert!(Group::start(GROUP, HostId::of(1), stored, Random::seeded(1), Duration::ZERO, TICK).is_err());
}

/// Whoever asked for it did so before the host was out.
#[test]
fn an_addition_that_waits_while_its_host_is_removed_comes_to_nothing() {
    let mut members = Members::trio();
    members.group(1).change(&[], &[HostId::of(3)]).unwrap();
    let removal = members.group(1).take().send;
    members.group(1).change(&[(member(3), true)], &[]).unwrap();
    for message in removal {
        members.groups.get_mut(&message.to).unwrap().step(message);
    }
    members.ticks(5);
    assert!([1, 2].into_iter().all(|number| !members.group(number).configuration().contains(&HostId::of(3))));
}
