//! The laws of merging, over few keys and times so that conflicts are common.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::schema::Schema;
use proptest::prelude::*;

fn any_key(shortest: usize) -> impl Strategy<Value = RowKey> {
    prop::collection::vec("[ab]", shortest..3).prop_map(|parts| RowKey { table: SchemaTable::Tables, parts })
}

fn any_cell() -> impl Strategy<Value = Cell> {
    (0..4_i64, prop::option::of(0..3_i32)).prop_map(|(at, value)| Cell { at: Micros(at), value: value.map(Value::Int) })
}

/// Not necessarily canonical.
pub fn any_rows() -> impl Strategy<Value = Rows> {
    let row = prop::collection::btree_map("[xy]", any_cell(), 0..3);
    let cells = prop::collection::btree_map(any_key(1), row, 0..6);
    let deletions = prop::collection::btree_map(any_key(0), (0..4_i64).prop_map(Micros), 0..3);
    (cells, deletions).prop_map(|(cells, deletions)| Rows { cells, deletions })
}

fn joined(a: &Rows, b: &Rows) -> Rows {
    let mut sum = a.clone();
    let _ = sum.merge(b);
    sum
}

fn canonical(rows: &Rows) -> Rows {
    joined(&Rows::default(), rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn merging_is_a_semilattice(a in any_rows(), b in any_rows(), c in any_rows()) {
        let (a, b, c) = (canonical(&a), canonical(&b), canonical(&c));
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
    }

    #[test]
    fn rows_of_a_peer_need_not_be_canonical(a in any_rows(), b in any_rows()) {
        let a = canonical(&a);
        prop_assert_eq!(joined(&a, &b), joined(&a, &canonical(&b)));
    }

    #[test]
    fn a_merge_tells_exactly_what_it_did(a in any_rows(), b in any_rows()) {
        let before = canonical(&a);
        let mut after = before.clone();
        let merged = after.merge(&b);
        prop_assert_eq!(joined(&before, &merged.changed), after.clone());
        prop_assert_eq!(canonical(&b).surplus_over(&before), merged.changed.clone());
        prop_assert_eq!(merged.is_empty(), before == after);
        let differ = |key: &RowKey| {
            before.cells.get(key) != after.cells.get(key) || before.deletions.get(key) != after.deletions.get(key)
        };
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).filter(|key| differ(key)).collect();
        prop_assert_eq!(merged.touched(), keys);
    }

    #[test]
    fn the_surplus_is_all_that_another_lacks(a in any_rows(), b in any_rows()) {
        let (a, b) = (canonical(&a), canonical(&b));
        let surplus = a.surplus_over(&b);
        prop_assert_eq!(joined(&b, &surplus), joined(&b, &a));
        prop_assert!(a.surplus_over(&joined(&a, &b)).is_empty());
    }

    #[test]
    fn digest_and_newest_follow_every_merge(changes in prop::collection::vec(any_rows(), 0..5)) {
        let mut schema = Schema::default();
        for change in &changes {
            let _ = schema.merge(change);
            prop_assert_eq!(schema.newest(), schema.rows().newest());
            prop_assert_eq!(&schema, &Schema::from_rows(schema.rows()));
        }
    }

    #[test]
    fn versions_are_equal_exactly_where_rows_are(a in any_rows(), b in any_rows()) {
        let (a, b) = (Schema::from_rows(&a), Schema::from_rows(&b));
        prop_assert_eq!(a.version() == b.version(), a.rows() == b.rows());
    }

    #[test]
    fn pieces_fit_and_add_up(a in any_rows(), max_bytes in 40..200_usize) {
        let whole = canonical(&a);
        let pieces = whole.clone().split(max_bytes);
        let mut sum = Rows::default();
        for piece in pieces.iter().rev() {
            prop_assert!(encoded(piece).len() <= max_bytes);
            let _ = sum.merge(piece);
        }
        prop_assert_eq!(sum, whole);
    }
}

#[test]
fn at_one_time_a_tombstone_wins_over_a_value_and_a_deletion_over_a_cell() {
    let key = RowKey::new(SchemaTable::Tables, ["ks", "t"]);
    let mut rows = Rows::default();
    rows.put(&key, "comment", Cell::of(Micros(1), Value::text("zzz")));
    let mut tombstone = Rows::default();
    tombstone.put(&key, "comment", Cell::tombstone(Micros(1)));
    assert_eq!(joined(&rows, &tombstone), tombstone);
    assert!(!tombstone.is_live(&key));

    let deletion = Rows { deletions: [(RowKey::new(SchemaTable::Tables, ["ks"]), Micros(1))].into(), ..Rows::default() };
    assert_eq!(joined(&rows, &deletion), deletion);
}
