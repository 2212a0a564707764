//! A schema on disk: one entry for each key, ordered as the keys are, holding its cells and its deletion.

use super::{Cell, Merged, RowKey, Rows, Schema, SchemaTable, rows::encoded};
use crate::{
    ids::Micros,
    io::{Table, Write},
};
use std::collections::BTreeMap;

/// An entry of the store that is no row of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored schema is corrupt at key {key:02x?}: {reason}; restore this node's data or replace the node")]
pub struct CorruptSchema {
    /// The key of the entry.
    pub key: Vec<u8>,
    /// What is wrong with it.
    pub reason: String,
}

type Entry = (BTreeMap<String, Cell>, Option<Micros>);

impl Schema {
    /// The writes that bring the store from before a merge to this schema, which is the one after it.
    pub fn writes(&self, merged: &Merged) -> Vec<Write> {
        merged.touched().into_iter().map(|key| self.write(key)).collect()
    }

    fn write(&self, key: &RowKey) -> Write {
        let cells = self.rows.cells.get(key).cloned().unwrap_or_default();
        let entry: Entry = (cells, self.rows.deletions.get(key).copied());
        if entry == Entry::default() {
            return Write::Delete(Table::Schema, encode_key(key));
        }
        Write::Put(Table::Schema, encode_key(key), encoded(&entry))
    }

    /// The schema of a store's entries.
    pub fn load<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<Self, CorruptSchema> {
        let mut rows = Rows::default();
        for (key_bytes, value) in entries {
            let corrupt = |reason: String| CorruptSchema { key: key_bytes.to_vec(), reason };
            let key = decode_key(key_bytes).ok_or_else(|| corrupt("not the key of a row".to_owned()))?;
            let (cells, deletion): Entry = postcard::from_bytes(value).map_err(|error| corrupt(error.to_string()))?;
            rows.deletions.extend(deletion.map(|at| (key.clone(), at)));
            rows.cells.insert(key, cells);
        }
        Ok(Self::from_rows(&rows))
    }
}

/// Within a part, a zero byte is followed by this; bytes then sort as the keys do.
const ESCAPE: u8 = 0xff;
/// After a zero byte: the part ends.
const END: u8 = 0x01;

fn encode_key(key: &RowKey) -> Vec<u8> {
    let mut bytes = vec![key.table as u8];
    for part in &key.parts {
        for &byte in part.as_bytes() {
            bytes.push(byte);
            if byte == 0 {
                bytes.push(ESCAPE);
            }
        }
        bytes.extend([0, END]);
    }
    bytes
}

fn decode_key(bytes: &[u8]) -> Option<RowKey> {
    let (&table, rest) = bytes.split_first()?;
    let mut key = RowKey { table: *SchemaTable::ALL.get(usize::from(table))?, parts: Vec::new() };
    let (mut part, mut rest) = (Vec::new(), rest.iter());
    while let Some(&byte) = rest.next() {
        match (byte, if byte == 0 { rest.next()? } else { &ESCAPE }) {
            (byte, &ESCAPE) => part.push(byte),
            (_, &END) => key.parts.push(String::from_utf8(std::mem::take(&mut part)).ok()?),
            _ => return None,
        }
    }
    part.is_empty().then_some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::schema::rows::tests::any_rows;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = RowKey> {
        let parts = prop::collection::vec("[ab\\x00é]{0,3}", 0..4);
        (0..SchemaTable::ALL.len(), parts).prop_map(|(table, parts)| RowKey { table: SchemaTable::ALL[table], parts })
    }

    fn apply(store: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: Vec<Write>) {
        for write in writes {
            match write {
                Write::Put(Table::Schema, key, value) => drop(store.insert(key, value)),
                Write::Delete(Table::Schema, key) => assert!(store.remove(&key).is_some(), "deletes only what is there"),
                other => unreachable!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn keys_keep_their_order_and_come_back(a in any_key(), b in any_key()) {
            prop_assert_eq!(encode_key(&a).cmp(&encode_key(&b)), a.cmp(&b));
            prop_assert_eq!(decode_key(&encode_key(&a)), Some(a));
        }

        #[test]
        fn the_store_follows_every_merge(changes in prop::collection::vec(any_rows(), 0..6)) {
            let (mut schema, mut store) = (Schema::default(), BTreeMap::new());
            for change in &changes {
                let merged = schema.merge(change);
                apply(&mut store, schema.writes(&merged));
                let stored = store.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
                prop_assert_eq!(&Schema::load(stored).unwrap(), &schema);
            }
        }
    }

    #[test]
    fn what_is_no_row_is_named() {
        let error = Schema::load([(&[99_u8][..], &[0_u8, 0][..])]).unwrap_err();
        assert!(error.to_string().contains("corrupt at key [63]"), "{error}");
    }
}
