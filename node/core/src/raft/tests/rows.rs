//! Disk: what is written is what is loaded, whatever else is there.

use super::{
    super::{Configuration, Corrupt, Entry, EntryKind, HardState, MessageKind, RaftMessage, RaftWrite, Snapshot, Stored},
    GROUP, member, start,
    world::Disk,
};
use crate::ids::{GroupId, HostId};
use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

const OTHER: GroupId = GroupId::of(78);

fn entry(index: u64, term: u64) -> Entry {
    Entry { index, term, kind: EntryKind::Normal, data: Bytes::new(), context: Bytes::new() }
}

fn stored() -> impl Strategy<Value = Stored> {
    let log = vec((0..3_u64, vec(any::<u8>(), 0..40)), 0..20);
    (2..1_000_u64, log, 0..=20_u64, 0..=20_u64, proptest::option::of(1..9_u128)).prop_map(
        |(start, log, commit, applied, vote)| {
            let configuration = Stored::founding(member(1)).configuration;
            let mut term = 1;
            let entries: Vec<_> = log
                .into_iter()
                .zip(start + 1..)
                .map(|((later, data), index)| {
                    term += later;
                    Entry { index, term, kind: EntryKind::Normal, data: Bytes::from(data), context: Bytes::new() }
                })
                .collect();
            let commit = start + commit.min(entries.len() as u64);
            Stored {
                snapshot: Snapshot { index: start, term: 1, configuration: configuration.clone() },
                hard: HardState { term, vote: vote.map(HostId::of), commit },
                entries,
                configuration,
                applied: commit - applied.min(commit - start),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn a_group_is_loaded_as_it_was_written(ours in stored(), theirs in stored()) {
        let mut disk = Disk::default();
        disk.write_all(ours.writes(GROUP));
        disk.write_all(theirs.writes(OTHER));
        prop_assert_eq!(disk.load_group(GROUP), Ok(Some(ours)));
        disk.write_all(Stored::erase(GROUP));
        prop_assert_eq!(disk.load_group(GROUP), Ok(None));
        prop_assert_eq!(disk.load_group(OTHER), Ok(Some(theirs)));
    }

    #[test]
    fn writes_change_rows_as_they_change_the_log(mut stored in stored(), keep in 0..20_usize, cut in 0..20_u64) {
        let mut disk = Disk::default();
        disk.write_all(stored.writes(GROUP));
        stored.entries.truncate(keep.max(usize::try_from(stored.hard.commit - stored.snapshot.index).unwrap()));
        let next = stored.snapshot.index + 1 + stored.entries.len() as u64;
        let entry = entry(next, stored.hard.term);
        stored.entries.push(entry.clone());
        let through = (stored.snapshot.index + cut).min(stored.applied);
        stored.entries.retain(|entry| entry.index > through);
        stored.snapshot.index = through;
        let writes = [
            RaftWrite::Truncate { from: next },
            RaftWrite::Append(vec![entry]),
            RaftWrite::Compact { start: stored.snapshot.clone() },
        ];
        disk.write_all(writes.into_iter().flat_map(|write| write.into_writes(GROUP)).collect());
        prop_assert_eq!(disk.load_group(GROUP), Ok(Some(stored)));
    }

    #[test]
    fn no_rows_make_loading_panic(rows in vec((any::<bool>(), vec(any::<u8>(), 0..12), vec(any::<u8>(), 0..60)), 0..6)) {
        let names = [b"hard".as_slice(), b"snapshot", b"applied", b"configuration"];
        let key = |rest: &[u8]| {
            let name = rest.first().map_or(rest, |first| names[usize::from(*first) % 4]);
            [GROUP.0.as_bytes().as_slice(), name].concat()
        };
        let table = |log| if log { crate::io::Table::RaftLog } else { crate::io::Table::RaftState };
        let image: Vec<_> = rows.into_iter().map(|(log, rest, value)| (table(log), key(&rest), value)).collect();
        let _ = Stored::load(GROUP, &image);
    }
}

#[test]
fn parts_that_do_not_fit_together_are_corrupt() {
    let good = Stored::founding(member(1));
    let bad = [
        Stored { entries: vec![entry(3, 1)], ..good.clone() },
        Stored { entries: vec![entry(2, 9)], ..good.clone() },
        Stored { hard: HardState { commit: 2, ..good.hard }, ..good.clone() },
        Stored { applied: 0, ..good.clone() },
        Stored { applied: 2, ..good.clone() },
        Stored { configuration: Configuration::default(), ..good.clone() },
    ];
    assert_eq!(good.check(GROUP), Ok(()));
    for stored in bad {
        let mut disk = Disk::default();
        disk.write_all(stored.writes(GROUP));
        assert!(matches!(disk.load_group(GROUP), Err(Corrupt { group: GROUP, .. })), "{stored:?}");
    }
}

#[test]
fn entries_that_give_way_leave_no_rows() {
    let append = |from, term, count| RaftMessage {
        kind: MessageKind(3),
        from: HostId::of(from),
        to: HostId::of(1),
        term,
        log_term: 0,
        index: 0,
        entries: (1..=count).map(|index| entry(index, term)).collect(),
        commit: 0,
        commit_term: 0,
        snapshot: None,
        request_snapshot: 0,
        reject: false,
        reject_hint: 0,
        context: Bytes::new(),
        priority: 0,
    };
    let (mut group, mut disk) = (start(1, Stored::joining(), 1), Disk::default());
    disk.write_all(Stored::joining().writes(GROUP));
    for message in [append(2, 2, 3), append(3, 3, 1)] {
        group.step(message);
        disk.write_all(group.take().persist.into_iter().flat_map(|write| write.into_writes(GROUP)).collect());
    }
    assert_eq!(disk.load_group(GROUP).unwrap().unwrap().entries, [entry(1, 3)]);
}
