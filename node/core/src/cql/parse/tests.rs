//! What the parser takes, and what it says about what it does not take.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    cql::ast::{Describe, Kind, Modification, Name, Operator, Relation, SelectExpression, TableChange, Term},
    value::CqlType,
};
use proptest::prelude::*;

fn parsed(text: &str) -> Statement {
    parse(text).unwrap()
}

fn select_of(text: &str) -> crate::cql::ast::Select {
    let Statement::Select(select) = parsed(text) else { unreachable!("no SELECT: {text}") };
    select
}

fn table_of(text: &str) -> crate::cql::ast::CreateTable {
    let Statement::CreateTable(table) = parsed(text) else { unreachable!("no CREATE TABLE: {text}") };
    table
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn every_statement_of_a_session_is_taken() {
    for text in [
        "USE ks",
        "use \"Ks\";",
        "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3} AND durable_writes = true",
        "CREATE SCHEMA ks WITH REPLICATION={'class':'NetworkTopologyStrategy','dc1':'1'} AND tablets = {'enabled': false};",
        "ALTER KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '1'}",
        "CREATE TABLE ks.t (key text PRIMARY KEY, value map<text, frozen<list<int>>>, type int static)",
        "CREATE COLUMNFAMILY t (a int, b int, c int, PRIMARY KEY ((a, b), c)) WITH CLUSTERING ORDER BY (c DESC) AND comment='x' AND COMPACT STORAGE",
        "CREATE TABLE t (a int primary key) WITH id = 5b6962dd-3f90-4c93-8f61-eabfa4a803e2 AND gc_grace_seconds = 10 AND compaction = {'class': 'LCS', 'x': 0.5}",
        "ALTER TABLE t ADD (a int, b vector<float, 3>)",
        "ALTER TABLE IF EXISTS t DROP a, b USING TIMESTAMP 3",
        "ALTER TABLE t RENAME a TO b AND c TO d",
        "ALTER TABLE t ALTER a TYPE blob",
        "ALTER TABLE t WITH default_time_to_live = 3600",
        "CREATE TYPE IF NOT EXISTS ks.u (street text, \"No\" int, tags frozen<set<text>>)",
        "ALTER TYPE u ADD x int",
        "ALTER TYPE ks.u RENAME x TO y",
        "CREATE INDEX ON t (v)",
        "CREATE INDEX IF NOT EXISTS i ON ks.t (keys(m))",
        "CREATE CUSTOM INDEX i ON t (v) USING 'StorageAttachedIndex' WITH OPTIONS = {'a': 'b'}",
        "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t WHERE a IS NOT NULL AND b > 1 PRIMARY KEY ((a), b) WITH CLUSTERING ORDER BY (b ASC)",
        "ALTER MATERIALIZED VIEW mv WITH comment = 'y'",
        "DROP KEYSPACE IF EXISTS ks",
        "drop table if exists nosuchkeyspace.nosuchtable",
        "DROP INDEX ks.i",
        "DROP MATERIALIZED VIEW mv",
        "INSERT INTO t (a, b) VALUES (1, {x: 1, y: [2, 3]}) USING TTL 3 AND TIMESTAMP ?",
        "UPDATE t USING TIMEOUT 5s SET c = c + 1, d = d - 1, m['k'] = 'v', l = [1] + l, u.f = 3, e = null WHERE a = 1",
        "DELETE value FROM system.scylla_local WHERE key = 'group0_upgrade_state'",
        "DELETE FROM t WHERE a IN (1, 2)",
        "TRUNCATE TABLE system.discovery",
        "TRUNCATE t",
        "DESC SCHEMA",
        "SELECT * FROM t WHERE token(a) > -3 AND (b, c) = (1, 2) ALLOW FILTERING BYPASS CACHE USING TIMEOUT 10ms",
        "GRANT ALL ON t TO u",
        "BEGIN BATCH INSERT INTO t (a) VALUES (1); APPLY BATCH",
        "CREATE ROLE r WITH password = 'p'",
        "SELECT a, count(*) FROM t GROUP BY a",
        "UPDATE t SET a = 1 WHERE b = 2 IF EXISTS",
    ] {
        assert!(parse(text).is_ok(), "{text}: {}", message(text));
    }
}

#[test]
fn select_in_detail() {
    let select = select_of("select COUNT(*) AS c, \"Col\", count(\"x\") from system.local where key='local' and b IN ? limit 3;");
    assert_eq!(select.items.first().unwrap().expression, SelectExpression::CountAll);
    assert_eq!(select.items.first().unwrap().alias.as_deref(), Some("c"));
    assert_eq!(select.items.get(1).unwrap().expression, SelectExpression::Column("Col".to_owned()));
    assert_eq!(select.items.get(2).unwrap().expression, SelectExpression::Count("x".to_owned()));
    assert_eq!(select.from, Name { keyspace: Some("system".to_owned()), name: "local".to_owned() });
    let key = Relation {
        columns: vec!["key".to_owned()],
        of_token: false,
        operator: Operator::Equal,
        terms: vec![Term::Text("local".to_owned())],
    };
    assert_eq!(select.filter.first(), Some(&key));
    assert_eq!(select.filter.get(1).unwrap().terms, [Term::Spread(Box::new(Term::Bind(0)))]);
    assert_eq!(select.limit, Some(Term::Number("3".to_owned())));
}

#[test]
fn unreserved_keywords_are_names() {
    let select = select_of("SELECT key, value, type, role, user, json, distinct, ttl FROM count WHERE timestamp = 1");
    assert_eq!((select.items.len(), select.json, select.distinct), (8, false, false));
    assert!(select_of("SELECT DISTINCT key FROM t").distinct);
    assert!(select_of("SELECT JSON * FROM t").json);
}

#[test]
fn a_table_in_detail() {
    let table = table_of(
        "CREATE TABLE ks.t (a int, , \"B\" text, c ks.address, primary key (a, \"B\"),) WITH CLUSTERING ORDER BY (\"B\" DESC)",
    );
    assert_eq!(table.partition_key, ["a"]);
    assert_eq!(table.clustering, ["B"]);
    assert_eq!(table.clustering_order, [("B".to_owned(), true)]);
    let kinds: Vec<_> = table.columns.iter().map(|c| c.kind.clone()).collect();
    let address = CqlType::UserTypeOf { keyspace: "ks".to_owned(), name: "address".to_owned() };
    assert_eq!(kinds, [CqlType::Int, CqlType::Text, address]);
}

#[test]
fn strings_and_constants() {
    let Statement::Modify(modify) =
        parsed("INSERT INTO t (a,b,c,d,e,f) VALUES ('it''s', $$x'y$$, 0xCAfe, true, -1.5E+3, {'k':[(1,2)]}) -- end")
    else {
        unreachable!()
    };
    let Modification::Insert(values) = modify.change else { unreachable!() };
    let terms: Vec<_> = values.into_iter().map(|(_, term)| term).collect();
    let pair = Term::Tuple(vec![Term::Number("1".to_owned()), Term::Number("2".to_owned())]);
    let expected = [
        Term::Text("it's".to_owned()),
        Term::Text("x'y".to_owned()),
        Term::Blob(vec![0xca, 0xfe]),
        Term::Boolean(true),
        Term::Number("-1.5E+3".to_owned()),
        Term::Map(vec![(Term::Text("k".to_owned()), Term::List(vec![pair]))]),
    ];
    assert_eq!(terms, expected);
}

#[test]
fn forms_of_describe() {
    let name = |name: &str| Name { keyspace: None, name: name.to_owned() };
    let cases = [
        ("DESCRIBE CLUSTER", Describe::Cluster),
        ("DESC FULL SCHEMA", Describe::Schema { full: true }),
        ("DESCRIBE KEYSPACES;", Describe::Keyspaces),
        ("DESCRIBE KEYSPACE", Describe::Keyspace { name: None, only: false }),
        ("DESCRIBE ONLY KEYSPACE \"Ks\" WITH INTERNALS", Describe::Keyspace { name: Some("Ks".to_owned()), only: true }),
        ("DESCRIBE TABLES", Describe::Tables),
        ("DESCRIBE TYPE u", Describe::Type(name("u"))),
        ("DESCRIBE TYPES", Describe::Types),
        ("DESCRIBE MATERIALIZED VIEW v", Describe::View(name("v"))),
        ("DESCRIBE INDEX i", Describe::Index(name("i"))),
        ("DESCRIBE TABLE ks.t", Describe::Table(Name { keyspace: Some("ks".to_owned()), name: "t".to_owned() })),
        ("DESCRIBE foo", Describe::Element(name("foo"))),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(text), Statement::Describe(expected), "{text}");
    }
}

#[test]
fn a_view_keeps_its_filter_as_written() {
    let Statement::CreateView(view) =
        parsed("CREATE MATERIALIZED VIEW v AS SELECT a FROM t WHERE a IS NOT\n NULL AND token(b)>'X' PRIMARY KEY (a)")
    else {
        unreachable!()
    };
    assert_eq!(view.filter, "a IS NOT NULL AND token(b)>'X'");
}

#[test]
fn errors_say_where() {
    let cases = [
        ("SELEC * FROM t", "line 1:0 no viable alternative at input 'SELEC'"),
        ("SELECT * FORM t", "line 1:9 no viable alternative at input 'FORM'"),
        ("SELECT *\n FROM", "line 2:5 no viable alternative at input '<EOF>'"),
        ("", "line 1:0 no viable alternative at input '<EOF>'"),
        ("SELECT * FROM t WHERE a = 'x", "line 1:26 no viable alternative at input '''"),
        ("CREATE TABLE t (a int)", "line 1:15 No PRIMARY KEY specified (exactly one required)"),
        ("CREATE TABLE t (a foo<int> PRIMARY KEY)", "line 1:18 no viable alternative at input 'foo'"),
        ("SELECT select FROM t", "line 1:7 no viable alternative at input 'select'"),
        (
            "CREATE INDEX ON t ((k), v)",
            "line 1:18 Local indexes are not supported: the partition key cannot be part of the target",
        ),
        ("SELECT a, , b FROM t", "line 1:10 no viable alternative at input ','"),
        ("USE ks ks", "line 1:7 no viable alternative at input 'ks'"),
    ];
    for (text, expected) in cases {
        assert_eq!(message(text), expected);
    }
}

#[test]
fn altering_and_dropping() {
    let Statement::AlterTable(alter) = parsed("ALTER TABLE t DROP (a, b)") else { unreachable!() };
    assert_eq!(alter.change, TableChange::Drop(vec!["a".to_owned(), "b".to_owned()]));
    let Statement::Drop(drop) = parsed("DROP MATERIALIZED VIEW IF EXISTS ks.v") else { unreachable!() };
    assert_eq!((drop.kind, drop.if_exists), (Kind::View, true));
}

#[test]
fn types_read_back_what_they_write() {
    for text in [
        "frozen<map<text, text>>",
        "vector<float, 3>",
        "tuple<int, set<timeuuid>, \"Address\">",
        "list<frozen<address>>",
        "'org.apache.cassandra.db.marshal.EmptyType'",
        "\"int\"",
        "duration",
    ] {
        assert_eq!(text.parse::<CqlType>().unwrap().to_string(), text);
    }
    assert_eq!("VARCHAR".parse::<CqlType>().unwrap(), CqlType::Text);
    assert!("map<text>".parse::<CqlType>().is_err());
}

#[test]
fn hostile_nesting_is_refused() {
    let deep = format!("SELECT * FROM t WHERE a = {}", "[".repeat(100_000));
    assert!(message(&deep).contains("too deeply nested"));
}

/// Brackets that are closed again count for nothing in the bound of the nesting.
#[test]
fn casts_without_end_take_no_stack() {
    let Statement::Modify(modify) = parsed(&format!("INSERT INTO t (a) VALUES ({}1)", "(int)".repeat(33_000))) else {
        unreachable!()
    };
    assert_eq!(modify.change, Modification::Insert(vec![("a".to_owned(), Term::Number("1".to_owned()))]));
    assert!(parse("INSERT INTO t (a) VALUES ((int)(text))").is_err());
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn shuffled_words_never_panic(words in proptest::collection::vec(
        prop::sample::select(vec![
            "SELECT", "CREATE", "ALTER", "TABLE", "TYPE", "INDEX", "KEYSPACE", "FROM", "WHERE", "WITH", "AND", "IN", "a", "\"b\"",
            "(", ")", "<", ">", "{", "}", "[", "]", ",", ":", "=", "?", ":n", "'x'", "1", "0xa", "0xab", "*", ".", "DROP", "PRIMARY", "KEY",
            "INSERT", "INTO", "VALUES", "UPDATE", "SET", "DESC", "map", "frozen", "int", "+", "-", "token", "IF", "EXISTS", ";",
        ]), 0..24)
    ) {
        let _ = parse(&words.join(" "));
    }
}
