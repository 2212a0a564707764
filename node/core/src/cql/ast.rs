//! What a CQL statement says, once parsed. Nothing here knows the schema: names are not yet resolved.

use crate::value::CqlType;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `USE ks`
    Use(String),
    /// `CREATE KEYSPACE`
    CreateKeyspace(CreateKeyspace),
    /// `ALTER KEYSPACE`
    AlterKeyspace(AlterKeyspace),
    /// `CREATE TABLE`
    CreateTable(CreateTable),
    /// `ALTER TABLE`
    AlterTable(AlterTable),
    /// `CREATE TYPE`
    CreateType(CreateType),
    /// `ALTER TYPE`
    AlterType(AlterType),
    /// `CREATE INDEX`
    CreateIndex(CreateIndex),
    /// `CREATE MATERIALIZED VIEW`
    CreateView(CreateView),
    /// `ALTER MATERIALIZED VIEW`
    AlterView(AlterView),
    /// `DROP KEYSPACE | TABLE | TYPE | INDEX | MATERIALIZED VIEW`
    Drop(Drop),
    /// `SELECT`
    Select(Select),
    /// `INSERT`, `UPDATE`, `DELETE` and `TRUNCATE`
    Modify(Modify),
    /// `DESCRIBE`
    Describe(Describe),
    /// Well-formed as far as its first words say, and not offered by a metadata node (`GRANT`, `BATCH`, `CREATE FUNCTION` …).
    Unsupported(String),
}

impl Statement {
    /// Whether it changes the schema.
    pub const fn is_schema_change(&self) -> bool {
        matches!(
            self,
            Self::CreateKeyspace(_)
                | Self::AlterKeyspace(_)
                | Self::CreateTable(_)
                | Self::AlterTable(_)
                | Self::CreateType(_)
                | Self::AlterType(_)
                | Self::CreateIndex(_)
                | Self::CreateView(_)
                | Self::AlterView(_)
                | Self::Drop(_)
        )
    }
}

/// `[keyspace.]name`; unquoted parts are lower case already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Absent: the keyspace of the session.
    pub keyspace: Option<String>,
    /// Table, type, index or view.
    pub name: String,
}

/// A constant, or a place for a bound value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// `'…'` or `$$…$$`
    Text(String),
    /// An integer or a float, as written.
    Number(String),
    /// `true` or `false`
    Boolean(bool),
    /// `xxxxxxxx-xxxx-…`
    Uuid(uuid::Uuid),
    /// `0x…`
    Blob(Vec<u8>),
    /// `null`
    Null,
    /// `{k: v, …}`
    Map(Vec<(Term, Term)>),
    /// `{a, b}`
    Set(Vec<Term>),
    /// `[a, b]`
    List(Vec<Term>),
    /// `(a, b)`
    Tuple(Vec<Term>),
    /// `name(…)`
    Call(String, Vec<Term>),
    /// The n-th `?`, from 0.
    Bind(usize),
    /// `:name`
    NamedBind(String),
    /// A bound value, as the client sent it: bytes of the type that belongs here. A bound null is [`Term::Null`].
    Bound(Vec<u8>),
    /// One term that is a list of the values meant: `IN ?`
    Spread(Box<Term>),
}

/// `WITH a = b AND …`, in the order written.
pub type Options = Vec<(String, Term)>;

/// `CREATE KEYSPACE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateKeyspace {
    /// Its name.
    pub name: String,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// `replication`, `durable_writes` and others.
    pub options: Options,
}

/// `ALTER KEYSPACE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterKeyspace {
    /// Its name.
    pub name: String,
    /// `IF EXISTS`
    pub if_exists: bool,
    /// What changes.
    pub options: Options,
}

/// A column of `CREATE TABLE` or `ALTER TABLE … ADD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: CqlType,
    /// `STATIC`
    pub is_static: bool,
}

/// `CREATE TABLE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// In the order written.
    pub columns: Vec<ColumnDefinition>,
    /// Names of the partition key's columns; never empty when parsed.
    pub partition_key: Vec<String>,
    /// Names of the clustering columns.
    pub clustering: Vec<String>,
    /// `CLUSTERING ORDER BY`: column, and whether it descends.
    pub clustering_order: Vec<(String, bool)>,
    /// `COMPACT STORAGE`
    pub compact_storage: bool,
    /// `comment`, `gc_grace_seconds`, … and `id`.
    pub options: Options,
}

/// `ALTER TABLE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTable {
    /// Its name.
    pub name: Name,
    /// `IF EXISTS`
    pub if_exists: bool,
    /// What changes.
    pub change: TableChange,
}

/// What `ALTER TABLE` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableChange {
    /// `ADD`
    Add(Vec<ColumnDefinition>),
    /// `DROP`
    Drop(Vec<String>),
    /// `RENAME a TO b AND …`
    Rename(Vec<(String, String)>),
    /// `ALTER c TYPE t`
    Retype(String, CqlType),
    /// `WITH`
    Options(Options),
}

/// `CREATE TYPE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateType {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// In the order written.
    pub fields: Vec<(String, CqlType)>,
}

/// `ALTER TYPE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterType {
    /// Its name.
    pub name: Name,
    /// `IF EXISTS`
    pub if_exists: bool,
    /// What changes.
    pub change: TypeChange,
}

/// What `ALTER TYPE` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeChange {
    /// `ADD field type`
    Add(Vec<(String, CqlType)>),
    /// `RENAME a TO b AND …`
    Rename(Vec<(String, String)>),
}

/// `CREATE INDEX`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndex {
    /// Absent: `<table>_<column>_idx`.
    pub name: Option<String>,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// The table.
    pub table: Name,
    /// The text of the target, e.g. `v` or `keys(m)`, columns in the first part.
    pub targets: Vec<IndexTarget>,
    /// `CUSTOM`
    pub is_custom: bool,
    /// `USING 'class'`
    pub class: Option<String>,
    /// `WITH OPTIONS = {…}`
    pub options: Options,
}

/// What an index is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexTarget {
    /// The column.
    pub column: String,
    /// `keys`, `values`, `entries` or `full`.
    pub part: Option<String>,
}

/// `CREATE MATERIALIZED VIEW`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// `IF NOT EXISTS`
    pub if_not_exists: bool,
    /// The selected columns; empty for `*`.
    pub columns: Vec<String>,
    /// The base table.
    pub base: Name,
    /// The text after `WHERE`, as written.
    pub filter: String,
    /// Names of the partition key's columns.
    pub partition_key: Vec<String>,
    /// Names of the clustering columns.
    pub clustering: Vec<String>,
    /// `CLUSTERING ORDER BY`: column, and whether it descends.
    pub clustering_order: Vec<(String, bool)>,
    /// Options as for tables.
    pub options: Options,
}

/// `ALTER MATERIALIZED VIEW`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterView {
    /// Its name.
    pub name: Name,
    /// Options as for tables.
    pub options: Options,
}

/// `DROP …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// What kind of thing.
    pub kind: Kind,
    /// Its name; of a keyspace, with no keyspace part.
    pub name: Name,
    /// `IF EXISTS`
    pub if_exists: bool,
}

/// The kinds of schema elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyspace.
    Keyspace,
    /// A table.
    Table,
    /// A user type.
    Type,
    /// A secondary index.
    Index,
    /// A materialized view.
    View,
}

/// `SELECT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// `SELECT JSON` is refused by the executor.
    pub json: bool,
    /// `DISTINCT`
    pub distinct: bool,
    /// Empty for `*`.
    pub items: Vec<SelectItem>,
    /// The table.
    pub from: Name,
    /// Joined by AND.
    pub filter: Vec<Relation>,
    /// Column, and whether it descends.
    pub order: Vec<(String, bool)>,
    /// `LIMIT`
    pub limit: Option<Term>,
    /// `ALLOW FILTERING`
    pub allow_filtering: bool,
}

/// One thing selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectItem {
    /// What.
    pub expression: SelectExpression,
    /// `AS name`
    pub alias: Option<String>,
}

/// What is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectExpression {
    /// A column.
    Column(String),
    /// `count(*)`, `count(1)`
    CountAll,
    /// `count(column)`
    Count(String),
    /// Any other function.
    Call(String, Vec<String>),
}

/// `column operator term`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The column; more than one for `(a, b) = (…)`.
    pub columns: Vec<String>,
    /// `token(a, b)` of the columns, not the columns themselves.
    pub of_token: bool,
    /// The operator.
    pub operator: Operator,
    /// The right side; more than one for `IN (…)`.
    pub terms: Vec<Term>,
}

/// Operators of a WHERE clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `IN`
    In,
    /// `CONTAINS`
    Contains,
    /// `CONTAINS KEY`
    ContainsKey,
    /// `LIKE`
    Like,
    /// `IS NOT NULL`
    IsNotNull,
}

/// `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modify {
    /// The table.
    pub table: Name,
    /// What is done.
    pub change: Modification,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modification {
    /// `INSERT INTO t (columns) VALUES (terms)`
    Insert(Vec<(String, Term)>),
    /// `UPDATE t SET … WHERE …`
    Update {
        /// `SET`
        set: Vec<(String, Term)>,
        /// `WHERE`
        filter: Vec<Relation>,
    },
    /// `DELETE [columns] FROM t WHERE …`
    Delete {
        /// Empty: the row.
        columns: Vec<String>,
        /// `WHERE`
        filter: Vec<Relation>,
    },
    /// `TRUNCATE [TABLE] t`
    Truncate,
}

/// `DESCRIBE …`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Describe {
    /// `DESCRIBE CLUSTER`
    Cluster,
    /// `DESCRIBE [FULL] SCHEMA`; full lists the system keyspaces too.
    Schema {
        /// `FULL`
        full: bool,
    },
    /// `DESCRIBE KEYSPACES`
    Keyspaces,
    /// `DESCRIBE [ONLY] KEYSPACE [name]`
    Keyspace {
        /// Absent: the session's.
        name: Option<String>,
        /// `ONLY`: without what is in it.
        only: bool,
    },
    /// `DESCRIBE TABLES`
    Tables,
    /// `DESCRIBE TABLE name`
    Table(Name),
    /// `DESCRIBE TYPES`
    Types,
    /// `DESCRIBE TYPE name`
    Type(Name),
    /// `DESCRIBE INDEX name`
    Index(Name),
    /// `DESCRIBE MATERIALIZED VIEW name`
    View(Name),
    /// `DESCRIBE name`: whatever bears it.
    Element(Name),
}
