//! Storage for redb that keeps for sure only what was synced: of the rest a crash of the machine leaves any sectors.

use crate::dice::Dice;
use redb::StorageBackend;
use std::{
    io::{Error, ErrorKind, Result},
    sync::{Arc, Mutex, PoisonError},
};

/// A disk writes so much at once, or not at all.
const SECTOR: usize = 512;

/// The storage; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Platter(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// As the process sees it.
    seen: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    since: Vec<Change>,
    /// After so many more syncs there is nobody any more.
    syncs_left: Option<u64>,
    dead: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Platter {
    /// Everything fails from that sync on.
    pub fn die_at_sync(&self, number: u64) {
        self.state(|state| state.syncs_left = Some(number));
    }

    /// Everything fails from here on.
    pub fn die(&self) {
        self.state(|state| state.dead = true);
    }

    /// The machine is there again. Where only the process had died, all that was written is there; else what happened to be.
    pub fn revive(&self, dice: &mut Dice) {
        let lost_power = dice.coin();
        self.state(|state| {
            let since = std::mem::take(&mut state.since);
            for change in since {
                match change {
                    Change::Length(length) if !lost_power || dice.coin() => state.synced.resize(length, 0),
                    Change::Length(_) => {}
                    Change::Bytes(offset, bytes) => write_some(&mut state.synced, offset, &bytes, |_| !lost_power || dice.coin()),
                }
            }
            state.seen = state.synced.clone();
            (state.dead, state.syncs_left) = (false, None);
        });
    }

    fn state<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn alive<T>(&self, use_it: impl FnOnce(&mut State) -> T) -> Result<T> {
        self.state(|state| if state.dead { Err(Error::other("the process is gone")) } else { Ok(use_it(state)) })
    }
}

/// Those sectors that `is_written` says, of which the file may have to become longer.
fn write_some(file: &mut Vec<u8>, offset: usize, bytes: &[u8], mut is_written: impl FnMut(usize) -> bool) {
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
        if is_written(offset + at) {
            file.resize(file.len().max(offset + end), 0);
            file[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
        }
        at = end;
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl StorageBackend for Platter {
    fn len(&self) -> Result<u64> {
        self.alive(|state| state.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let offset = place(offset);
        self.alive(|state| {
            let found = state.seen.get(offset..offset + out.len());
            found.map(|found| out.copy_from_slice(found)).ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))
        })?
    }

    fn set_len(&self, length: u64) -> Result<()> {
        self.alive(|state| {
            state.seen.resize(place(length), 0);
            state.since.push(Change::Length(place(length)));
        })
    }

    fn sync_data(&self) -> Result<()> {
        self.alive(|state| {
            if state.syncs_left == Some(0) {
                state.dead = true;
                return Err(Error::other("the process is gone"));
            }
            state.syncs_left = state.syncs_left.map(|left| left - 1);
            for change in std::mem::take(&mut state.since) {
                match change {
                    Change::Length(length) => state.synced.resize(length, 0),
                    Change::Bytes(offset, bytes) => write_some(&mut state.synced, offset, &bytes, |_| true),
                }
            }
            Ok(())
        })?
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let offset = place(offset);
        self.alive(|state| {
            write_some(&mut state.seen, offset, data, |_| true);
            state.since.push(Change::Bytes(offset, data.to_vec()));
        })
    }
}
