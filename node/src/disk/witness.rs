//! How many transactions were made durable, in a file beside the database.
//!
//! If the last transaction does not agree with its checksums, the database takes it for one that a crash has torn, and goes back to the one
//! before. Had it been confirmed to others, this node must not go on. The count is written after each transaction and nobody waits for
//! the disk over it: after a power failure it may be too low, and then less is noticed, but it is never too high.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// The name of the file in the work directory.
const FILE: &str = "group0.commits";
/// The count, and its complement, by which one that is damaged is known.
const BYTES: usize = 16;

/// The open file.
#[derive(Debug)]
pub struct Witness(File);

impl Witness {
    /// Opens it, or makes it, and says what it tells, unless it is new or damaged. While it is open, [`ErrorKind::WouldBlock`] tells every
    /// other process so: of two first starts one alone makes the database.
    pub fn open(workdir: &Path) -> io::Result<(Self, Option<u64>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(workdir.join(FILE))?;
        match file.try_lock() {
            // Some file systems have no such locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            locked => locked?,
        }
        let mut bytes = [0; BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok((Self(file), decode(bytes))),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok((Self(file), None)),
            Err(error) => Err(error),
        }
    }

    /// So many are durable.
    pub fn record(&self, count: u64) -> io::Result<()> {
        self.0.write_all_at(&encode(count), 0)
    }

    /// Waits for the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

fn encode(count: u64) -> [u8; BYTES] {
    (u128::from(count) | u128::from(!count) << 64).to_le_bytes()
}

fn decode(bytes: [u8; BYTES]) -> Option<u64> {
    let count = u64::from_le_bytes(bytes.first_chunk().copied()?);
    (encode(count) == bytes).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_what_was_recorded_last_and_nothing_when_it_is_damaged() {
        let workdir = tempfile::tempdir().expect("a directory");
        let told = || Witness::open(workdir.path()).expect("a file").1;
        let record = |count| Witness::open(workdir.path()).expect("a file").0.record(count).expect("written");
        assert_eq!(told(), None);
        for count in [7, u64::MAX, 300] {
            record(count);
            assert_eq!(told(), Some(count));
        }
        for place in 0..BYTES as u64 {
            Witness::open(workdir.path()).expect("a file").0.0.write_all_at(&[0xa5], place).expect("written");
            assert_eq!(told(), None, "byte {place}");
            record(300);
        }
    }

    #[test]
    fn it_is_open_once() {
        let workdir = tempfile::tempdir().expect("a directory");
        let (_first, _) = Witness::open(workdir.path()).expect("a file");
        assert_eq!(Witness::open(workdir.path()).expect_err("it is open").kind(), ErrorKind::WouldBlock);
    }
}
