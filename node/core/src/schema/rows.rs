//! Rows of `system_schema.*`, and how two versions of them merge.
//!
//! [`Rows`] is at once a whole schema and a change to one: a join-semilattice under [`Rows::merge`], which is associative,
//! commutative and idempotent. Per cell the last write wins, ties by value; a deletion covers what is not newer than it.
//! What a deletion covers is dropped, so that equal schemas are equal values, and their [`Rows::digest`]s are too.
//! Where both are of one time, a tombstone beats a value and a deletion beats a cell.
//!
//! Nothing here knows what the rows mean; [`super::Schema`] keeps the digest of a whole schema as it changes.

use crate::{ids::Micros, value::Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// A table of `system_schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SchemaTable {
    /// `keyspaces(keyspace_name)`
    Keyspaces,
    /// `scylla_keyspaces(keyspace_name)`
    ScyllaKeyspaces,
    /// `tables(keyspace_name, table_name)`
    Tables,
    /// `scylla_tables(keyspace_name, table_name)`
    ScyllaTables,
    /// `columns(keyspace_name, table_name, column_name)`
    Columns,
    /// `dropped_columns(keyspace_name, table_name, column_name)`
    DroppedColumns,
    /// `types(keyspace_name, type_name)`
    Types,
    /// `indexes(keyspace_name, table_name, index_name)`
    Indexes,
    /// `views(keyspace_name, view_name)`
    Views,
}

/// The primary key of a row, or, with fewer parts, all rows below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// The table.
    pub table: SchemaTable,
    /// Keyspace first.
    pub parts: Vec<String>,
}

/// A cell: its value, or nothing if it was deleted, and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The write timestamp.
    pub at: Micros,
    /// Absent: a tombstone.
    pub value: Option<Value>,
}

/// Rows and deletions.
///
/// In canonical form, which [`Rows::merge`] keeps: no row is without cells, no cell is covered by a deletion, and no deletion
/// by one above it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rows {
    /// Column name to cell, by row.
    pub cells: BTreeMap<RowKey, BTreeMap<String, Cell>>,
    /// When everything at or below a key was deleted.
    pub deletions: BTreeMap<RowKey, Micros>,
}

/// What a merge did.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The part of the other rows that changed anything.
    pub changed: Rows,
    /// What was there before and was replaced or covered.
    pub gone: Rows,
}

impl Merged {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }

    /// The keys whose cells or deletion are no longer what they were.
    pub fn touched(&self) -> BTreeSet<&RowKey> {
        self.changed.keys().chain(self.gone.keys()).collect()
    }
}

impl SchemaTable {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Keyspaces,
        Self::ScyllaKeyspaces,
        Self::Tables,
        Self::ScyllaTables,
        Self::Columns,
        Self::DroppedColumns,
        Self::Types,
        Self::Indexes,
        Self::Views,
    ];

    /// Its name in `system_schema`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyspaces => "keyspaces",
            Self::ScyllaKeyspaces => "scylla_keyspaces",
            Self::Tables => "tables",
            Self::ScyllaTables => "scylla_tables",
            Self::Columns => "columns",
            Self::DroppedColumns => "dropped_columns",
            Self::Types => "types",
            Self::Indexes => "indexes",
            Self::Views => "views",
        }
    }
}

impl RowKey {
    /// A key of these parts.
    pub fn new<const N: usize>(table: SchemaTable, parts: [&str; N]) -> Self {
        Self { table, parts: parts.iter().map(|&part| part.to_owned()).collect() }
    }

    /// Whether `other` is this key or below it.
    pub fn covers(&self, other: &Self) -> bool {
        self.table == other.table && other.parts.starts_with(&self.parts)
    }

    /// A part, or the empty text where the key has fewer.
    pub fn part(&self, index: usize) -> &str {
        self.parts.get(index).map_or("", String::as_str)
    }

    fn prefix(&self, length: usize) -> Self {
        Self { table: self.table, parts: self.parts[..length].to_vec() }
    }
}

impl Cell {
    /// A value written at that time.
    pub const fn of(at: Micros, value: Value) -> Self {
        Self { at, value: Some(value) }
    }

    /// Nothing any more, since that time.
    pub const fn tombstone(at: Micros) -> Self {
        Self { at, value: None }
    }

    /// Whether it replaces `other`.
    fn beats(&self, other: &Self) -> bool {
        let by_value = match (&self.value, &other.value) {
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (ours, theirs) => ours.cmp(theirs),
        };
        self.at.cmp(&other.at).then(by_value).is_gt()
    }
}

impl Rows {
    /// Whether there is neither a cell nor a deletion.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.deletions.is_empty()
    }

    /// The newest write timestamp; looks at every row.
    pub fn newest(&self) -> Option<Micros> {
        let cells = self.cells.values().flat_map(BTreeMap::values).map(|cell| cell.at);
        cells.chain(self.deletions.values().copied()).max()
    }

    /// Every key with cells or a deletion; one that has both comes twice.
    pub fn keys(&self) -> impl Iterator<Item = &RowKey> {
        self.cells.keys().chain(self.deletions.keys())
    }

    /// The value of a cell that is there and not deleted.
    pub fn value(&self, key: &RowKey, column: &str) -> Option<&Value> {
        self.cells.get(key)?.get(column)?.value.as_ref()
    }

    /// Whether the row exists for a reader: has a cell that is not deleted.
    pub fn is_live(&self, key: &RowKey) -> bool {
        self.cells.get(key).is_some_and(|cells| cells.values().any(|cell| cell.value.is_some()))
    }

    /// The live rows at and below a key, ascending.
    pub fn live_below<'a>(&'a self, above: &RowKey) -> impl Iterator<Item = (&'a RowKey, &'a BTreeMap<String, Cell>)> + use<'a> {
        let above = above.clone();
        let rows = self.cells.range(above.clone()..).take_while(move |(key, _)| above.covers(key));
        rows.filter(|(_, cells)| cells.values().any(|cell| cell.value.is_some()))
    }

    /// Write a cell, as part of building a change. Overwrites.
    pub fn put(&mut self, key: &RowKey, column: &str, cell: Cell) {
        self.cells.entry(key.clone()).or_default().insert(column.to_owned(), cell);
    }

    /// Take over what is newer in `other`; say what that was, and what it replaced.
    ///
    /// `other` need not be in canonical form: it may come from a peer.
    pub fn merge(&mut self, other: &Self) -> Merged {
        let mut merged = Merged::default();
        // A key sorts before the keys below it, so the widest of two deletions comes first.
        for (key, &at) in &other.deletions {
            self.merge_deletion(key, at, &mut merged);
        }
        for (key, cells) in &other.cells {
            self.merge_row(key, cells, &mut merged);
        }
        merged
    }

    fn merge_deletion(&mut self, above: &RowKey, at: Micros, merged: &mut Merged) {
        if self.covered_since(above).is_some_and(|since| since >= at) {
            return;
        }
        for key in keys_below(&self.deletions, above) {
            if self.deletions.get(&key).is_some_and(|&former| former <= at) {
                self.deletions.remove(&key).map(|former| merged.gone.deletions.insert(key, former));
            }
        }
        for key in keys_below(&self.cells, above) {
            self.drop_covered(key, at, &mut merged.gone);
        }
        self.deletions.insert(above.clone(), at);
        merged.changed.deletions.insert(above.clone(), at);
    }

    fn drop_covered(&mut self, key: RowKey, at: Micros, gone: &mut Self) {
        let Some(cells) = self.cells.get_mut(&key) else { return };
        let (covered, kept): (BTreeMap<_, _>, _) = std::mem::take(cells).into_iter().partition(|(_, cell)| cell.at <= at);
        *cells = kept;
        if cells.is_empty() {
            self.cells.remove(&key);
        }
        if !covered.is_empty() {
            // A narrower deletion of the same merge may cover more of this row.
            gone.cells.entry(key).or_default().extend(covered);
        }
    }

    fn merge_row(&mut self, key: &RowKey, cells: &BTreeMap<String, Cell>, merged: &mut Merged) {
        let won = self.winning(key, cells);
        if won.is_empty() {
            return;
        }
        let row = self.cells.entry(key.clone()).or_default();
        for (column, cell) in &won {
            if let Some(former) = row.insert(column.clone(), cell.clone()) {
                merged.gone.put(key, column, former);
            }
        }
        merged.changed.cells.insert(key.clone(), won);
    }

    /// Those of another's cells of a row that replace ours.
    fn winning(&self, key: &RowKey, cells: &BTreeMap<String, Cell>) -> BTreeMap<String, Cell> {
        let covered = self.covered_since(key);
        let ours = self.cells.get(key);
        let wins = |column: &String, cell: &Cell| {
            covered.is_none_or(|since| cell.at > since)
                && ours.and_then(|ours| ours.get(column)).is_none_or(|former| cell.beats(former))
        };
        cells.iter().filter(|(column, cell)| wins(column, cell)).map(|(column, cell)| (column.clone(), cell.clone())).collect()
    }

    /// The newest deletion at or above a key.
    fn covered_since(&self, key: &RowKey) -> Option<Micros> {
        if self.deletions.is_empty() {
            return None;
        }
        (0..=key.parts.len()).filter_map(|length| self.deletions.get(&key.prefix(length)).copied()).max()
    }

    /// What we have that merging into `other` would change there.
    pub fn surplus_over(&self, other: &Self) -> Self {
        let deletions = self.deletions.iter().filter(|(key, at)| other.covered_since(key).is_none_or(|since| **at > since));
        let cells = self.cells.iter().map(|(key, cells)| (key.clone(), other.winning(key, cells)));
        Self {
            deletions: deletions.map(|(key, &at)| (key.clone(), at)).collect(),
            cells: cells.filter(|(_, cells)| !cells.is_empty()).collect(),
        }
    }

    /// A sum over every cell and deletion: equal for equal rows, and for others with no more than a cryptographic chance.
    /// What changes adds and subtracts, so that a whole schema need not be read again.
    pub fn digest(&self) -> u128 {
        let cells = self.cells.iter().flat_map(|(key, cells)| cells.iter().map(move |cell| hash(&(key, cell))));
        let deletions = self.deletions.iter().map(|deletion| hash(&deletion));
        cells.chain(deletions).fold(0, u128::wrapping_add)
    }

    /// A cell that is larger than that by itself, its key included, which no piece of [`Rows::split`] is without.
    pub fn oversized(&self, max_bytes: usize) -> Option<(&RowKey, &str)> {
        let cells = self.cells.iter().flat_map(|(key, cells)| cells.iter().map(move |(column, cell)| (key, column, cell)));
        cells.filter(|cell| encoded_size(cell) + LENGTH_MAX > max_bytes).map(|(key, column, _)| (key, column.as_str())).next()
    }

    /// The same in pieces, each no larger than `max_bytes` when encoded, unless a single cell is. They commute.
    pub fn split(self, max_bytes: usize) -> Vec<Self> {
        let mut pieces = Pieces { max_bytes, done: Vec::new(), last: Self::default(), size: 0 };
        for (key, at) in self.deletions {
            pieces.make_room(encoded_size(&(&key, at)));
            pieces.last.deletions.insert(key, at);
        }
        for (key, cells) in self.cells {
            let key_size = encoded_size(&key) + LENGTH_MAX;
            for (column, cell) in cells {
                pieces.make_room(key_size + encoded_size(&(&column, &cell)));
                pieces.last.cells.entry(key.clone()).or_default().insert(column, cell);
            }
        }
        pieces.finish()
    }
}

/// The longest encoding of a length.
const LENGTH_MAX: usize = 10;

struct Pieces {
    max_bytes: usize,
    done: Vec<Rows>,
    last: Rows,
    size: usize,
}

impl Pieces {
    fn make_room(&mut self, size: usize) {
        if self.size + size + 2 * LENGTH_MAX > self.max_bytes && !self.last.is_empty() {
            self.done.push(std::mem::take(&mut self.last));
            self.size = 0;
        }
        self.size += size;
    }

    fn finish(mut self) -> Vec<Rows> {
        if !self.last.is_empty() {
            self.done.push(self.last);
        }
        self.done
    }
}

fn keys_below<T>(map: &BTreeMap<RowKey, T>, above: &RowKey) -> Vec<RowKey> {
    map.range(above.clone()..).map(|(key, _)| key).take_while(|key| above.covers(key)).cloned().collect()
}

fn encoded_size<T: Serialize>(value: &T) -> usize {
    encoded(value).len()
}

/// The encoding of rows and their parts. Encoding to memory fails for no type that is in them.
pub(super) fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

fn hash<T: Serialize>(entry: &T) -> u128 {
    let hash = Sha256::digest(encoded(entry));
    hash.iter().take(16).fold(0, |sum, &byte| sum << 8 | u128::from(byte))
}

#[cfg(test)]
pub(super) mod tests;
