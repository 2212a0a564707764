//! The rows of `system_schema`: those of users' keyspaces and those of the system's.

use super::catalog::{find_table, system_schema};
use crate::{
    cql::ast::{Operator, Select, Term},
    schema::{Cell, RowKey, Schema, SchemaTable, Table},
    value::Value,
};
use std::collections::BTreeMap;

type Row = Vec<Option<Value>>;

/// The rows of a table of `system_schema` at and below a key (all, if it is empty), in the order of the primary key; each has
/// the columns of [`find_table`]. Functions, aggregates and triggers have none.
pub fn schema_table_rows(schema: &Schema, table: &str, below: &[String]) -> Vec<Row> {
    let Some(stored) = SchemaTable::ALL.into_iter().find(|stored| stored.name() == table) else { return Vec::new() };
    let Some(definition) = find_table(schema, "system_schema", table) else { return Vec::new() };
    let above = RowKey { table: stored, parts: below.to_vec() };
    let [ours, users] = [system_schema(), schema].map(|schema| schema.rows().live_below(&above));
    let mut rows: Vec<_> = ours.chain(users).collect();
    rows.sort_by_key(|(key, _)| *key);
    rows.into_iter().map(|(key, cells)| row(&definition, key, cells)).collect()
}

fn row(definition: &Table, key: &RowKey, cells: &BTreeMap<String, Cell>) -> Row {
    let parts = key.parts.iter().map(|part| Some(Value::text(part)));
    let others = definition.columns.iter().skip(key.parts.len());
    parts.chain(others.map(|column| cells.get(&column.name).and_then(|cell| cell.value.clone()))).collect()
}

/// The leading part of the primary key that a statement fixes to one value each: rows outside of it need not be made.
/// The statement's conditions are still to be checked.
pub fn key_prefix(definition: &Table, select: &Select) -> Vec<String> {
    let keys = definition.columns.iter().take_while(|column| column.role.is_key());
    keys.map_while(|column| fixed(select, &column.name)).collect()
}

fn fixed(select: &Select, column: &str) -> Option<String> {
    let relation = select.filter.iter().find(|relation| relation.columns == [column] && !relation.of_token)?;
    match (relation.operator, relation.terms.as_slice()) {
        (Operator::Equal, [Term::Text(text)]) => Some(text.clone()),
        (Operator::Equal, [Term::Bound(bytes)]) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cql::{ast::Statement, parse::parse},
        schema::ddl::tests::World,
    };

    fn texts(rows: &[Row], columns: &[usize]) -> Vec<String> {
        let text = |value: &Option<Value>| match value {
            Some(Value::Text(text)) => text.clone(),
            other => format!("{other:?}"),
        };
        rows.iter().map(|row| columns.iter().map(|&i| text(&row[i])).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn users_and_system_keyspaces_are_listed_in_order() {
        let world = World::with(&["CREATE TABLE t (k int, c int, v text, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC)"]);
        let keyspaces = schema_table_rows(&world.schema, "keyspaces", &[]);
        assert_eq!(texts(&keyspaces, &[0]), ["ks", "system", "system_schema"]);
        let columns = schema_table_rows(&world.schema, "columns", &["ks".to_owned()]);
        assert_eq!(
            texts(&columns, &[1, 2, 5, 3, 7]),
            ["t c clustering desc int", "t k partition_key none int", "t v regular none text"]
        );
        let local = schema_table_rows(&world.schema, "columns", &["system".to_owned(), "local".to_owned()]);
        assert_eq!(local.len(), 18);
        assert!(schema_table_rows(&world.schema, "tables", &[]).iter().all(|row| row.len() == 19));
        assert!(schema_table_rows(&world.schema, "triggers", &[]).is_empty());
    }

    #[test]
    fn a_select_answers_from_them() {
        let world = World::with(&["CREATE TYPE u (x int)", "CREATE TABLE t (k int PRIMARY KEY, v frozen<u>)"]);
        let ask = |keyspace: &str, table: &str, text: &str| {
            let Ok(Statement::Select(select)) = parse(text) else { unreachable!() };
            let definition = find_table(&world.schema, keyspace, table).unwrap();
            let below = key_prefix(&definition, &select);
            let rows = if keyspace == "ks" { Vec::new() } else { schema_table_rows(&world.schema, table, &below) };
            crate::cql::select::select(&crate::system::table_data(definition, rows), &select).unwrap()
        };
        let columns = "SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = 'ks' AND table_name = 't'";
        assert_eq!(texts(&ask("system_schema", "columns", columns).rows, &[0, 1]), ["k int", "v frozen<u>"]);
        let empty = ask("ks", "t", "SELECT * FROM ks.t");
        assert!(empty.rows.is_empty());
        assert_eq!(
            empty.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>(),
            ["k int", "v frozen<u>"]
        );
        assert_eq!(world.schema.user_types("ks").len(), 1);
    }

    #[test]
    fn a_statement_tells_which_rows_it_needs() {
        let of = |table: &str, filter: &str| {
            let Ok(Statement::Select(select)) = parse(&format!("SELECT * FROM system_schema.{table} WHERE {filter}")) else {
                unreachable!()
            };
            key_prefix(&find_table(&Schema::default(), "system_schema", table).unwrap(), &select)
        };
        assert_eq!(of("columns", "table_name = 't' AND keyspace_name = 'ks'"), ["ks", "t"]);
        assert_eq!(of("columns", "keyspace_name = 'ks' AND column_name = 'c'"), ["ks"]);
        assert!(of("tables", "keyspace_name IN ('a', 'b')").is_empty());
    }
}
