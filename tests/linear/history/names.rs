//! What a history is about: names that are made and unmade, one under the other, and when each was there.
//!
//! `k` is a keyspace, `k.t` a table of it, `k.t.c` a column of that. What is unmade takes with it what is under it.

use super::Reply;
use group0_core::{io::ResultSet, random::Random, value::Value};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    iter,
};

/// Where all tables are.
const KEYSPACE: &str = "shared";
/// So many tables are made and unmade again and again: few, so that clients get in each other's way.
const TABLES: u64 = 3;

/// A change of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE`, or `ALTER TABLE … ADD`.
    Make {
        /// What.
        name: String,
        /// Names under it that come with it.
        with: Vec<String>,
        /// `IF NOT EXISTS`
        careful: bool,
    },
    /// `DROP`
    Unmake {
        /// What.
        name: String,
        /// `IF EXISTS`
        careful: bool,
    },
}

impl Statement {
    /// Any that clients give; `fresh` is a number that no other statement has.
    pub fn draw(random: &mut Random, fresh: u64) -> Self {
        let name = format!("{KEYSPACE}.t{}", random.within(0..TABLES));
        let column = format!("{name}.v{fresh}");
        let careful = random.within(0..4) == 0;
        match random.within(0..40) {
            0 => Self::Unmake { name: KEYSPACE.into(), careful },
            1..6 => Self::first(),
            6..20 => Self::Make { with: vec![format!("{name}.k"), column], name, careful },
            20..26 => Self::Unmake { name, careful },
            _ => Self::Make { name: column, with: Vec::new(), careful: false },
        }
    }

    /// The first that a client gives.
    pub fn first() -> Self {
        Self::Make { name: KEYSPACE.into(), with: Vec::new(), careful: true }
    }

    /// In CQL, with a comment that tells this one from all others.
    pub fn text(&self, tag: &str) -> String {
        let (name, careful, make) = match self {
            Self::Make { name, careful, .. } => (name, if *careful { "IF NOT EXISTS " } else { "" }, true),
            Self::Unmake { name, careful } => (name, if *careful { "IF EXISTS " } else { "" }, false),
        };
        let text = match (name.split('.').collect::<Vec<_>>().as_slice(), make) {
            ([keyspace, table, column], _) => format!("ALTER TABLE {keyspace}.{table} ADD {column} int"),
            ([_, _], true) => format!("CREATE TABLE {careful}{name} (k int PRIMARY KEY, {} int)", self.last_column()),
            ([_, _], false) => format!("DROP TABLE {careful}{name}"),
            (_, true) => format!(
                "CREATE KEYSPACE {careful}{name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
            ),
            (_, false) => format!("DROP KEYSPACE {careful}{name}"),
        };
        super::tagged(&text, tag)
    }

    /// Whether it makes that name.
    pub fn makes(&self, made: &str) -> bool {
        matches!(self, Self::Make { name, with, .. } if name == made || with.iter().any(|name| name == made))
    }

    fn last_column(&self) -> &str {
        let Self::Make { with, .. } = self else { return "v" };
        with.last().and_then(|column| column.rsplit('.').next()).unwrap_or("v")
    }

    fn name(&self) -> &str {
        let (Self::Make { name, .. } | Self::Unmake { name, .. }) = self;
        name
    }

    /// What a client is told, given which names there are.
    fn reply(&self, is_there: impl Fn(&str) -> bool) -> Reply {
        let has_parent = parent(self.name()).is_none_or(&is_there);
        let finds = is_there(self.name());
        match self {
            Self::Make { .. } if has_parent && !finds => Reply::Changed,
            Self::Unmake { .. } if finds => Reply::Changed,
            Self::Make { careful: true, .. } if has_parent => Reply::Nothing,
            Self::Unmake { careful: true, .. } => Reply::Nothing,
            Self::Make { .. } | Self::Unmake { .. } => Reply::Refused,
        }
    }
}

/// A query that sees all columns.
pub fn query() -> String {
    format!("SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = '{KEYSPACE}'")
}

/// What the query has found.
pub fn columns(set: &ResultSet) -> BTreeSet<String> {
    let name = |row: &Vec<Option<Value>>| {
        let parts = row.iter().map(|value| if let Some(Value::Text(text)) = value { text.as_str() } else { "?" });
        iter::once(KEYSPACE).chain(parts).collect::<Vec<_>>().join(".")
    };
    set.rows.iter().map(name).collect()
}

fn parent(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(parent, _)| parent)
}

/// Names at one moment.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// What a client is told of a statement that is carried out now.
    pub fn reply(&self, statement: &Statement) -> Reply {
        statement.reply(|name| self.0.contains(name))
    }

    /// Carries it out. Gives the names that it makes or unmakes.
    pub fn change(&mut self, statement: &Statement) -> Vec<String> {
        match statement {
            Statement::Make { name, with, .. } => {
                let made: Vec<_> = iter::once(name).chain(with).cloned().collect();
                self.0.extend(made.iter().cloned());
                made
            }
            Statement::Unmake { name, .. } => {
                // The byte after '.' is '/'.
                let under = self.0.range(format!("{name}.")..format!("{name}/"));
                let unmade: Vec<_> = iter::once(name).chain(under).cloned().collect();
                self.0.retain(|name| !unmade.contains(name));
                unmade
            }
        }
    }

    /// Those that [`query`] finds.
    pub fn columns(&self) -> BTreeSet<String> {
        self.0.iter().filter(|name| is_column(name)).cloned().collect()
    }
}

fn is_column(name: &str) -> bool {
    name.matches('.').count() == 2
}

fn hash(name: &str) -> u64 {
    if is_column(name) { BuildHasherDefault::<DefaultHasher>::default().hash_one(name) } else { 0 }
}

/// Names over all positions of an order: position `n` is after its first `n` rows.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Where each is made and unmade, by turns.
    turns: BTreeMap<String, Vec<usize>>,
    /// Where the columns are just those with this digest.
    positions: BTreeMap<u64, Vec<usize>>,
    digest: u64,
    length: usize,
}

impl Timeline {
    /// Before the first row.
    pub fn new() -> Self {
        Self { positions: [(0, vec![0])].into(), ..Self::default() }
    }

    /// One row more, and what it makes or unmakes.
    pub fn push(&mut self, changed: Vec<String>) {
        self.length += 1;
        for name in changed {
            self.digest ^= hash(&name);
            match self.turns.entry(name) {
                Entry::Occupied(mut turns) => turns.get_mut().push(self.length),
                Entry::Vacant(slot) => drop(slot.insert(vec![self.length])),
            }
        }
        self.positions.entry(self.digest).or_default().push(self.length);
    }

    fn turned(&self, name: &str, position: usize) -> (usize, Option<usize>) {
        let turns = self.turns.get(name).map(Vec::as_slice).unwrap_or_default();
        let count = turns.partition_point(|turn| *turn <= position);
        (count, turns.get(count).copied())
    }

    /// The first position from this one on at which a client is told this of a statement.
    pub fn first_reply(&self, from: usize, statement: &Statement, reply: Reply) -> Option<usize> {
        let names = [Some(statement.name()), parent(statement.name())];
        let next = |position: &usize| names.iter().flatten().filter_map(|name| self.turned(name, *position).1).min();
        let is_there = |position| move |name: &str| self.turned(name, position).0 % 2 == 1;
        iter::successors(Some(from), next).find(|position| statement.reply(is_there(*position)) == reply)
    }

    /// The first position from this one on at which just these columns are there.
    pub fn first_columns(&self, from: usize, columns: &BTreeSet<String>) -> Option<usize> {
        let digest = columns.iter().fold(0, |digest, name| digest ^ hash(name));
        let positions = self.positions.get(&digest)?;
        positions.get(positions.partition_point(|position| *position < from)).copied()
    }
}
