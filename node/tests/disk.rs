//! The store: what was committed is there after opening it again; what was damaged is noticed.

use group0_core::io::{Persist, Table, Write};
use group0_node::disk::{Disk, DiskError, FILE};
use redb::{StorageBackend, backends::InMemoryBackend};
use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{Arc, Mutex},
};

fn put(table: Table, key: &[u8], value: &[u8]) -> Write {
    Write::Put(table, key.to_vec(), value.to_vec())
}

fn commit(disk: &Disk, writes: Vec<Write>) {
    disk.commit(&Persist { writes, points: vec![] }).expect("a healthy disk");
}

fn filled(workdir: &Path) {
    let disk = Disk::open(workdir).expect("a new database");
    for number in 0..200_u8 {
        commit(&disk, vec![put(Table::RaftLog, &[1, number], &[number; 300]), put(Table::Local, b"last", &[number])]);
    }
}

#[test]
fn what_was_committed_is_loaded_again() {
    let workdir = tempfile::tempdir().expect("a directory");
    let disk = Disk::open(&workdir.path().join("new")).expect("a new database");
    assert!(disk.load().expect("empty").is_empty());
    commit(&disk, (0..5).map(|key| put(Table::RaftLog, &[key], &[key])).collect());
    commit(
        &disk,
        vec![
            Write::DeleteRange(Table::RaftLog, vec![1], vec![4]),
            Write::DeleteRange(Table::RaftLog, vec![4], vec![0]),
            Write::Delete(Table::RaftLog, vec![9]),
            put(Table::Local, b"key", b"old"),
            put(Table::Local, b"key", b"new"),
        ],
    );
    drop(disk);
    let again = Disk::open(&workdir.path().join("new")).expect("the same database");
    let expected = vec![
        (Table::Local, b"key".to_vec(), b"new".to_vec()),
        (Table::RaftLog, vec![0], vec![0]),
        (Table::RaftLog, vec![4], vec![4]),
    ];
    assert_eq!(again.load().expect("loads"), expected);
}

#[test]
fn what_a_first_start_left_that_was_killed_is_in_nobodys_way() {
    let workdir = tempfile::tempdir().expect("a directory");
    filled(workdir.path());
    // The database is gone, and beside what is told of it there is one that is half made.
    fs::rename(workdir.path().join(FILE), workdir.path().join("group0.redb.new")).expect("renamed");
    File::options().write(true).open(workdir.path().join("group0.redb.new")).and_then(|file| file.set_len(4096)).expect("cut");
    for _ in 0..2 {
        assert!(Disk::open(workdir.path()).and_then(|disk| disk.load()).expect("a new database").is_empty());
        assert!(!workdir.path().join("group0.redb.new").exists());
    }
}

/// Storage that counts the writes since the last sync, and syncs.
#[derive(Debug, Default)]
struct Counting {
    memory: InMemoryBackend,
    counts: Arc<Mutex<(usize, usize)>>,
}

impl StorageBackend for Counting {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.memory.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut counts = self.counts.lock().expect("no panic");
        *counts = (0, counts.1 + 1);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.counts.lock().expect("no panic").0 += 1;
        self.memory.write(offset, data)
    }
}

#[test]
fn a_transaction_is_synced_before_it_counts_as_made() {
    let storage = Counting::default();
    let counts = Arc::clone(&storage.counts);
    let disk = Disk::on(storage, Path::new("memory")).expect("a new database");
    for number in 0..3 {
        let before = counts.lock().expect("no panic").1;
        commit(&disk, vec![put(Table::Local, b"last", &[number])]);
        let (unsynced, syncs) = *counts.lock().expect("no panic");
        assert!(unsynced == 0 && syncs > before, "{unsynced} writes are not synced");
    }
}

#[test]
fn a_second_process_is_told_that_the_first_has_it() {
    let workdir = tempfile::tempdir().expect("a directory");
    let _first = Disk::open(workdir.path()).expect("a new database");
    let error = Disk::open(workdir.path()).expect_err("it is in use");
    assert!(matches!(error, DiskError::Locked { .. }), "{error}");
}

#[test]
fn damage_is_noticed_or_harmless_and_never_a_panic() {
    let workdir = tempfile::tempdir().expect("a directory");
    filled(workdir.path());
    let path = workdir.path().join(FILE);
    let whole = fs::read(&path).expect("the database");
    let image = Disk::open(workdir.path()).and_then(|disk| disk.load()).expect("undamaged");
    let mut noticed = 0;
    for place in (0..whole.len()).step_by(whole.len() / 60) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xff;
        fs::write(&path, &damaged).expect("written");
        match Disk::open(workdir.path()).and_then(|disk| disk.load()) {
            Ok(loaded) => assert!(loaded == image, "byte {place}: damage was not noticed"),
            Err(error) => {
                assert!(matches!(error, DiskError::Corrupt { .. } | DiskError::Format { .. }), "byte {place}: {error}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 0);
}

#[test]
fn a_truncated_or_foreign_file_is_corrupt() {
    let workdir = tempfile::tempdir().expect("a directory");
    filled(workdir.path());
    let path = workdir.path().join(FILE);
    let whole = fs::read(&path).expect("the database");
    for length in [1, 9, 64, 4096, whole.len() / 2] {
        fs::write(&path, &whole[..length]).expect("written");
        let error = Disk::open(workdir.path()).and_then(|disk| disk.load()).expect_err("it is cut short");
        assert!(matches!(error, DiskError::Corrupt { .. }), "{length} bytes: {error}");
        assert!(error.to_string().contains("replace this node"), "{error}");
    }
    fs::write(&path, "not a database, but a text that is longer than a header of one".repeat(100)).expect("written");
    let error = Disk::open(workdir.path()).expect_err("it is a text");
    assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
}
