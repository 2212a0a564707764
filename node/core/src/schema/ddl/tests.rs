//! Statements in, rows and errors out.

use super::*;
use crate::cql::parse::parse;

/// A schema that statements are carried out on, one microsecond each.
#[derive(Default)]
pub struct World {
    pub schema: Schema,
    pub now: i64,
    pub version: Option<Uuid>,
}

impl World {
    pub fn with(statements: &[&str]) -> Self {
        let mut world = Self::default();
        let keyspace = "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}";
        for statement in [keyspace].iter().chain(statements) {
            let _ = world.ok(statement);
        }
        world
    }

    pub fn run(&mut self, statement: &str) -> Outcome {
        self.now += 1;
        let id = Uuid::from_u128(u128::from(self.now.unsigned_abs()));
        let data_centers = ["dc1".to_owned()];
        let context = DdlContext {
            keyspace: Some("ks"),
            at: Micros(self.now),
            table_id: id,
            version: self.version,
            data_centers: &data_centers,
        };
        let change = prepare(&self.schema, &parse(statement)?, &context)?;
        if let Some(change) = &change {
            assert!(!self.schema.merge(&change.rows).is_empty(), "changes something: {statement}");
        }
        Ok(change)
    }

    /// What clients are told.
    pub fn ok(&mut self, statement: &str) -> String {
        let change = self.run(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        let change = change.unwrap_or_else(|| panic!("{statement}: changes nothing"));
        let event = &change.events[0];
        format!("{:?} {:?} {}", event.change, event.target, change.subject)
    }

    pub fn nothing(&mut self, statement: &str) {
        assert_eq!(self.run(statement), Ok(None), "{statement}");
    }

    pub fn error(&mut self, statement: &str) -> CqlError {
        let before = self.schema.clone();
        let error = self.run(statement).expect_err(statement);
        assert_eq!(before, self.schema);
        error
    }

    /// Each statement is Invalid, with this in its message.
    pub fn invalid(&mut self, cases: &[(&str, &str)]) {
        for (statement, wanted) in cases {
            let error = self.error(statement);
            assert!(matches!(error, CqlError::Invalid(_)), "{statement}: {error:?}");
            assert!(error.to_string().contains(wanted), "{statement}: {error}");
        }
    }

    /// `name type role`, in the order of SELECT *.
    pub fn columns(&self, table: &str) -> Vec<String> {
        let table = self.schema.table("ks", table).unwrap();
        table.columns.iter().map(|c| format!("{} {} {}{}", c.name, c.kind, c.role.name(), c.position)).collect()
    }

    fn tables(&self) -> usize {
        self.schema.rows().cells.len()
    }
}

#[test]
fn keyspaces_are_made_altered_and_dropped() {
    let mut world = World::default();
    let create = "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 2}";
    assert_eq!(world.ok(create), "Created Keyspace k");
    let key = RowKey::new(SchemaTable::Keyspaces, ["k"]);
    let replication = world.schema.text_map(&key, "replication");
    assert_eq!(replication["class"], "org.apache.cassandra.locator.NetworkTopologyStrategy");
    assert_eq!(replication["dc1"], "2");
    assert_eq!(world.schema.rows().value(&key, "durable_writes"), Some(&Value::Boolean(true)));
    assert!(
        matches!(world.error(create), CqlError::AlreadyExists { keyspace, table, .. } if keyspace == "k" && table.is_empty())
    );
    world.nothing(&create.replace("KEYSPACE", "KEYSPACE IF NOT EXISTS"));
    assert_eq!(world.ok("ALTER KEYSPACE k WITH durable_writes = false"), "Updated Keyspace k");
    assert_eq!(world.ok("DROP KEYSPACE k"), "Dropped Keyspace k");
    assert_eq!(world.tables(), 0);
    assert_eq!(world.ok(create), "Created Keyspace k", "a later timestamp makes it again");
    world.nothing("DROP KEYSPACE IF EXISTS other");
}

#[test]
fn replication_is_checked() {
    let mut world = World::default();
    for (replication, wanted) in [
        ("{}", "Missing mandatory replication strategy class"),
        ("{'class': 'Nope'}", "Unable to find replication strategy class 'org.apache.cassandra.locator.Nope'"),
        ("{'class': 'SimpleStrategy'}", "SimpleStrategy requires a replication_factor strategy option."),
        ("{'class': 'SimpleStrategy', 'replication_factor': 'x'}", "Replication factor must be numeric; found x"),
        ("{'class': 'SimpleStrategy', 'replication_factor': 1, 'a': 1}", "Unrecognized strategy option {a} passed"),
    ] {
        let error = world.error(&format!("CREATE KEYSPACE k WITH replication = {replication}"));
        assert!(matches!(&error, CqlError::Config(text) if text.contains(wanted)), "{error:?}");
    }
    let unknown = world.error("CREATE KEYSPACE k WITH replication = {'class': 'EverywhereStrategy'} AND x = 1");
    assert_eq!(unknown, CqlError::Syntax("Unknown property 'x'".to_owned()));
}

#[test]
fn system_keyspaces_are_not_modifiable() {
    let mut world = World::with(&[]);
    for statement in [
        "DROP TABLE system.local",
        "CREATE TABLE system_schema.t (k int PRIMARY KEY)",
        "DROP KEYSPACE system",
        "ALTER TABLE system.peers ADD x int",
    ] {
        let error = world.error(statement);
        assert!(
            matches!(&error, CqlError::Unauthorized(text) if text.ends_with("keyspace is not user-modifiable.")),
            "{error:?}"
        );
    }
}

#[test]
fn a_table_has_its_columns_options_and_version() {
    let mut world = World { version: Some(Uuid::from_u128(7)), ..World::with(&["CREATE TYPE address (street text, zip int)"]) };
    let event = world.ok(
        "CREATE TABLE t (a int, b text, c timeuuid, d list<int>, s frozen<address> static, u address, x tuple<int, text>,
           PRIMARY KEY ((b, a), c)) WITH CLUSTERING ORDER BY (c DESC) AND comment = 'it''s' AND gc_grace_seconds = 10
           AND compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 20} AND cdc = {'enabled': true}",
    );
    assert_eq!(event, "Created Table ks.t");
    assert_eq!(
        world.columns("t"),
        [
            "b text partition_key0",
            "a int partition_key1",
            "c timeuuid clustering0",
            "s frozen<address> static-1",
            "d list<int> regular-1",
            "u address regular-1",
            "x frozen<tuple<int, text>> regular-1",
        ]
    );
    let key = RowKey::new(SchemaTable::Tables, ["ks", "t"]);
    assert_eq!(world.schema.text(&key, "comment"), "it's");
    assert_eq!(world.schema.rows().value(&key, "gc_grace_seconds"), Some(&Value::Int(10)));
    assert_eq!(world.schema.text_map(&key, "compaction")["sstable_size_in_mb"], "20");
    assert_eq!(world.schema.id(&key), Some(Uuid::from_u128(3)));
    let version = RowKey::new(SchemaTable::ScyllaTables, ["ks", "t"]);
    assert_eq!(world.schema.rows().value(&version, "version"), Some(&Value::Uuid(Uuid::from_u128(7))));
    world.version = None;
    let _ = world.ok("ALTER TABLE t WITH comment = 'x'");
    assert_eq!(world.schema.rows().value(&version, "version"), None, "an old-style change leaves no stale version");
    let _ = world.ok("CREATE TABLE u (k int PRIMARY KEY) WITH id = 5a1c395e-b41f-11e5-9f22-ba0be0483c18");
    let id = world.schema.id(&RowKey::new(SchemaTable::Tables, ["ks", "u"]));
    assert_eq!(id.unwrap().to_string(), "5a1c395e-b41f-11e5-9f22-ba0be0483c18");
}

#[test]
fn wrong_tables_are_refused() {
    let mut world = World::with(&["CREATE TABLE t (k int PRIMARY KEY)"]);
    world.invalid(&[
        ("CREATE TABLE no.t (k int PRIMARY KEY)", "Keyspace 'no' does not exist"),
        ("CREATE TABLE x (k int, v int, PRIMARY KEY (k, z))", "Unknown definition z referenced in PRIMARY KEY"),
        ("CREATE TABLE x (k int, k int, PRIMARY KEY (k))", "Multiple definition of identifier k"),
        ("CREATE TABLE x (k int PRIMARY KEY, s int static)", "Static columns are only useful"),
        ("CREATE TABLE x (k int PRIMARY KEY, u nope)", "Unknown type ks.nope"),
        ("CREATE TABLE x (k int PRIMARY KEY, v int, c counter)", "Cannot mix counter and non counter"),
        ("CREATE TABLE x (k list<int> PRIMARY KEY)", "Invalid non-frozen collection type for PRIMARY KEY component k"),
        ("CREATE TABLE x (k int PRIMARY KEY, v list<list<int>>)", "Non-frozen collections are not allowed inside"),
        ("CREATE TABLE x (k int PRIMARY KEY, v frozen<int>)", "frozen<> is only allowed on"),
        ("CREATE TABLE x (k int, c int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (k ASC)", "Only clustering key columns"),
        ("CREATE TABLE \"a-b\" (k int PRIMARY KEY)", "is not a valid table name"),
        (&format!("CREATE TABLE {} (k int PRIMARY KEY)", "x".repeat(49)), "shouldn't be more than 48"),
        ("DROP TABLE nope", "unconfigured table nope"),
        ("ALTER TABLE nope ADD x int", "unconfigured table nope"),
    ]);
    let exists = world.error("CREATE TABLE t (k int PRIMARY KEY)");
    assert!(matches!(exists, CqlError::AlreadyExists { keyspace, table, .. } if keyspace == "ks" && table == "t"));
    assert_eq!(
        world.error("CREATE TABLE x (k int PRIMARY KEY) WITH foo = 1"),
        CqlError::Syntax("Unknown property 'foo'".to_owned())
    );
    assert!(matches!(world.error("CREATE TABLE x (k int PRIMARY KEY) WITH bloom_filter_fp_chance = 2"), CqlError::Config(_)));
    world.nothing("CREATE TABLE IF NOT EXISTS t (other text PRIMARY KEY)");
    world.nothing("DROP TABLE IF EXISTS nosuchkeyspace.nosuchtable");
    let context = DdlContext { keyspace: None, at: Micros(99), table_id: Uuid::nil(), version: None, data_centers: &[] };
    let error = prepare(&world.schema, &parse("DROP TABLE t").unwrap(), &context).unwrap_err();
    assert!(error.to_string().starts_with("No keyspace has been specified."));
}

#[test]
fn columns_are_added_dropped_renamed_and_retyped() {
    let mut world = World::with(&["CREATE TABLE t (k int, c ascii, v int, PRIMARY KEY (k, c))"]);
    assert_eq!(world.ok("ALTER TABLE t ADD (w set<text>, s int static)"), "Updated Table ks.t");
    let _ = world.ok("ALTER TABLE t DROP v");
    let dropped = RowKey::new(SchemaTable::DroppedColumns, ["ks", "t", "v"]);
    assert_eq!(world.schema.text(&dropped, "type"), "int");
    let _ = world.ok("ALTER TABLE t RENAME k TO key");
    let _ = world.ok("ALTER TABLE t ALTER c TYPE text");
    assert_eq!(world.columns("t"), ["key int partition_key0", "c text clustering0", "s int static-1", "w set<text> regular-1"]);
    world.invalid(&[
        ("ALTER TABLE t ADD w int", "Invalid column name w because it conflicts with an existing column"),
        (
            "ALTER TABLE t ADD v text",
            "Cannot re-add previously dropped column v of type text, incompatible with previous type int",
        ),
        ("ALTER TABLE t DROP key", "Cannot drop PRIMARY KEY part key"),
        ("ALTER TABLE t DROP nope", "Column nope was not found in table t"),
        ("ALTER TABLE t RENAME w TO x", "Cannot rename non PRIMARY KEY part w"),
    ]);
    assert!(matches!(world.error("ALTER TABLE t ALTER c TYPE int"), CqlError::Config(_)));
    let _ = world.ok("ALTER TABLE t ADD v int");
    assert_eq!(world.columns("t").len(), 5);
}

#[test]
fn types_live_while_they_are_used() {
    let mut world = World::with(&["CREATE TYPE a (x int)", "CREATE TYPE b (a frozen<a>, l list<a>)"]);
    let fields = world.schema.user_type("ks", "b").unwrap();
    assert_eq!(fields[0].1.to_string(), "frozen<a>");
    assert_eq!(world.ok("ALTER TYPE a ADD y text"), "Updated Type ks.a");
    let _ = world.ok("ALTER TYPE a RENAME x TO z");
    assert_eq!(world.schema.user_type("ks", "a").unwrap().iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["z", "y"]);
    let _ = world.ok("CREATE TABLE t (k int PRIMARY KEY, v map<int, frozen<ks.b>>)");
    assert_eq!(world.columns("t"), ["k int partition_key0", "v map<int, frozen<b>> regular-1"]);
    world.invalid(&[
        ("DROP TYPE a", "Cannot drop user type ks.a as it is still used by user type ks.b"),
        ("DROP TYPE b", "Cannot drop user type ks.b as it is still used by table ks.t"),
        ("DROP TYPE nope", "No user type named ks.nope exists."),
        ("CREATE TABLE u (k int PRIMARY KEY, v list<frozen<other.a>>)", "User type other.a cannot be used in keyspace ks"),
        ("CREATE TYPE a (x int)", "A user type of name ks.a already exists"),
        ("ALTER TYPE a ADD self frozen<b>", "would contain itself"),
    ]);
    for statement in ["DROP TABLE t", "DROP TYPE b", "DROP TYPE a"] {
        let _ = world.ok(statement);
    }
    world.nothing("DROP TYPE IF EXISTS a");
}

#[test]
fn indexes_are_changes_of_their_table() {
    let mut world = World::with(&["CREATE TABLE t (k int PRIMARY KEY, v int, m map<text, int>, \"Q\" int)"]);
    assert_eq!(world.ok("CREATE INDEX ON t (v)"), "Updated Table ks.t");
    for statement in ["CREATE INDEX ON t (keys(m))", "CREATE INDEX ON t (m)", "CREATE INDEX q ON ks.t (\"Q\")"] {
        let _ = world.ok(statement);
    }
    let _ = world.ok("CREATE CUSTOM INDEX s ON t (entries(m)) USING 'org.Sasi' WITH OPTIONS = {'mode': 'PREFIX'}");
    let indexes = world.schema.indexes("ks");
    let targets: Vec<_> = indexes.iter().map(|i| format!("{} {} {}", i.name, i.kind, i.options["target"])).collect();
    assert_eq!(
        targets,
        [
            "q COMPOSITES \"Q\"",
            "s CUSTOM entries(m)",
            "t_m_idx COMPOSITES keys(m)",
            "t_m_idx_1 COMPOSITES values(m)",
            "t_v_idx COMPOSITES v",
        ]
    );
    world.nothing("CREATE INDEX IF NOT EXISTS ON t (v)");
    let _ = world.ok("CREATE CUSTOM INDEX of_class ON t (v) USING 'org.Sasi'");
    let long = "i".repeat(100);
    for statement in [format!("CREATE CUSTOM INDEX {long} ON t (v) USING 'org.Other'"), format!("DROP INDEX {long}")] {
        assert_eq!(world.ok(&statement), "Updated Table ks.t");
    }
    world.invalid(&[
        ("CREATE INDEX other ON t (v)", "Index other is a duplicate of existing index t_v_idx"),
        ("CREATE CUSTOM INDEX other ON t (v) USING 'org.Sasi'", "Index other is a duplicate of existing index of_class"),
        ("CREATE CUSTOM INDEX other ON t (v)", "CUSTOM index requires specifying the index class"),
        ("CREATE INDEX \"a-b\" ON t (v)", "is not a valid index name"),
        ("CREATE INDEX ON t (nope)", "No column definition found for column nope"),
        ("CREATE INDEX ON t (k)", "Cannot create secondary index on partition key column k"),
        ("ALTER TABLE t DROP v", "Cannot drop column v because it has dependent secondary indexes (of_class, t_v_idx)"),
        ("ALTER TABLE t DROP \"Q\"", "dependent secondary indexes (q)"),
        ("DROP INDEX nope", "Index 'nope' could not be found in any of the tables of keyspace 'ks'"),
    ]);
    assert_eq!(world.ok("DROP INDEX t_v_idx"), "Updated Table ks.t");
    world.nothing("DROP INDEX IF EXISTS t_v_idx");
    let _ = world.ok("DROP TABLE t");
    assert!(world.schema.indexes("ks").is_empty());
}

#[test]
fn views_hold_their_base() {
    let mut world = World::with(&["CREATE TABLE t (k int, c int, v int, w int, PRIMARY KEY (k, c))"]);
    let filter = "WHERE v IS NOT NULL AND k IS NOT NULL AND c IS NOT NULL";
    let event = world.ok(&format!(
        "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t {filter} PRIMARY KEY (v, k, c) WITH CLUSTERING ORDER BY (k DESC, c ASC)"
    ));
    assert_eq!(event, "Created Table ks.mv");
    let _ = world.ok("ALTER TABLE t ADD x text");
    assert_eq!(
        world.columns("mv"),
        ["v int partition_key0", "k int clustering0", "c int clustering1", "w int regular-1", "x text regular-1"]
    );
    let _ = world.ok("ALTER TABLE t ALTER x TYPE blob");
    assert_eq!(world.columns("mv").last().unwrap(), "x blob regular-1");
    assert!(matches!(world.error("ALTER TABLE t ALTER v TYPE text"), CqlError::Config(_)));
    assert_eq!(world.ok("ALTER MATERIALIZED VIEW mv WITH comment = 'x'"), "Updated Table ks.mv");
    world.invalid(&[
        ("DROP TABLE t", "Cannot drop table when materialized views still depend on it (ks.{mv})"),
        ("DROP TABLE mv", "Cannot use DROP TABLE on Materialized View"),
        ("DROP MATERIALIZED VIEW t", "Cannot use DROP MATERIALIZED VIEW on Table"),
        ("ALTER TABLE mv ADD z int", "Cannot use ALTER TABLE on Materialized View"),
        ("ALTER TABLE t DROP w", "Cannot drop column w on base table t with materialized views (mv)"),
        (
            &format!("CREATE MATERIALIZED VIEW z AS SELECT * FROM t {filter} PRIMARY KEY (v, k)"),
            "without primary key columns from base t (c)",
        ),
        (
            &format!("CREATE MATERIALIZED VIEW z AS SELECT * FROM t {filter} AND w IS NOT NULL PRIMARY KEY (v, w, k, c)"),
            "more than one non-primary key column",
        ),
    ]);
    assert_eq!(world.ok("DROP MATERIALIZED VIEW mv"), "Dropped Table ks.mv");
    assert_eq!(world.ok("DROP TABLE t"), "Dropped Table ks.t");
    assert_eq!(world.tables(), 1, "only the keyspace is left");
}

#[test]
fn what_is_too_wide_is_refused_before_it_is_looked_at() {
    let mut world = World::with(&[]);
    let list = |count: usize| (0..count).map(|number| format!("c{number} int")).collect::<Vec<_>>().join(", ");
    let wide = |world: &mut World, statement: &str| match world.error(statement) {
        CqlError::Invalid(why) => assert!(why.contains("at most 1500 are allowed"), "{why}"),
        other => panic!("{other:?}"),
    };
    wide(&mut world, &format!("CREATE TABLE t ({}, PRIMARY KEY (c0))", list(1_501)));
    wide(&mut world, &format!("CREATE TYPE u ({})", list(1_501)));
    wide(&mut world, &format!("CREATE TABLE t (a int, PRIMARY KEY (a{}))", ", a".repeat(1_500)));
    world.ok(&format!("CREATE TABLE t ({}, PRIMARY KEY (c0))", list(1_500)));
    wide(&mut world, "ALTER TABLE t ADD more int");
    wide(&mut world, &format!("ALTER TABLE t DROP c1{}", ", c1".repeat(1_500)));
    world.ok("ALTER TABLE t DROP c1, c2");
    world.ok("ALTER TABLE t ADD more int");
}
