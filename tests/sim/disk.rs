//! What survives a node's process: transactions, each wholly or not at all.
//!
//! The usual store is a map. The other is redb, as the real node has it, over storage that a crash robs of what was not synced; a
//! map beside it says what must be found there.

use crate::{dice::Dice, platter::Platter};
use group0_core::io::{Image, Persist, Table, Write};
use group0_node::disk::Disk;
use std::{collections::BTreeMap, path::Path};

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A node's store.
#[derive(Debug, Default)]
pub struct Store {
    rows: Rows,
    redb: Option<Redb>,
}

#[derive(Debug)]
struct Redb {
    platter: Platter,
    disk: Option<Disk>,
}

impl Store {
    /// An empty one of redb.
    pub fn redb() -> Self {
        Self { rows: Rows::new(), redb: Some(Redb { platter: Platter::default(), disk: None }) }
    }

    /// All that is there, for a process that starts.
    pub fn open(&mut self) -> Result<Image, String> {
        if let Some(redb) = &mut self.redb {
            let found = redb.open()?;
            if found != self.rows {
                return Err(format!("the store has {} rows, {} were durable", found.len(), self.rows.len()));
            }
        }
        Ok(self.image())
    }

    /// All that is durable.
    pub fn image(&self) -> Image {
        self.rows.iter().map(|((table, key), value)| (*table, key.clone(), value.clone())).collect()
    }

    /// Makes a transaction durable.
    pub fn commit(&mut self, persist: &Persist) -> Result<(), String> {
        if let Some(Redb { disk: Some(disk), .. }) = &self.redb {
            disk.commit(persist).map_err(|error| error.to_string())?;
        }
        apply(&mut self.rows, persist);
        Ok(())
    }

    /// The process is gone, maybe in the middle of a transaction. Whether that one is durable.
    pub fn crash(&mut self, during: Option<&Persist>, dice: &mut Dice) -> Result<bool, String> {
        let Some(redb) = &mut self.redb else {
            let durable = during.is_some() && dice.coin();
            during.filter(|_| durable).into_iter().for_each(|persist| apply(&mut self.rows, persist));
            return Ok(durable);
        };
        redb.crash(during, dice);
        let found = redb.open()?;
        redb.disk = None;
        let mut after = self.rows.clone();
        if let Some(persist) = during {
            apply(&mut after, persist);
        }
        let durable = found == after;
        if !durable && found != self.rows {
            return Err("half a transaction is durable, or less than before it".into());
        }
        self.rows = found;
        Ok(durable && during.is_some())
    }

    /// Whether crashes tear it.
    pub const fn is_torn(&self) -> bool {
        self.redb.is_some()
    }
}

impl Redb {
    fn open(&mut self) -> Result<Rows, String> {
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => Disk::on(self.platter.clone(), Path::new("platter")).map_err(|error| error.to_string())?,
        };
        let image = disk.load().map_err(|error| error.to_string())?;
        self.disk = Some(disk);
        Ok(image.into_iter().map(|(table, key, value)| ((table, key), value)).collect())
    }

    /// The transaction gets as far as one of its syncs; then the machine loses its power, or only the process dies.
    fn crash(&mut self, during: Option<&Persist>, dice: &mut Dice) {
        if let (Some(disk), Some(persist)) = (&self.disk, during) {
            self.platter.die_at_sync(dice.within(0..3));
            drop(disk.commit(persist));
        }
        self.platter.die();
        self.disk = None;
        self.platter.revive(dice);
    }
}

fn apply(rows: &mut Rows, persist: &Persist) {
    for write in &persist.writes {
        match write {
            Write::Put(table, key, value) => drop(rows.insert((*table, key.clone()), value.clone())),
            Write::Delete(table, key) => drop(rows.remove(&(*table, key.clone()))),
            Write::DeleteRange(table, from, to) if from < to => {
                let gone: Vec<_> = rows.range((*table, from.clone())..(*table, to.clone())).map(|(key, _)| key.clone()).collect();
                for key in &gone {
                    rows.remove(key);
                }
            }
            Write::DeleteRange(..) => {}
        }
    }
}
