//! What may be true of a client's keyspace, given what the client was told.
//!
//! A change whose outcome is unknown may take effect at any time later, or never: a command may wait in a log that has no majority, or
//! a request in a node that stands still. It is out of the world once a change that began long after it has succeeded.

use crate::history::Reply;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// After this a request is no longer anywhere but in a log: the driver's timeout, the longest standstill, and the node's own timeout.
const AFTERLIFE: Duration = Duration::from_secs(40);

/// Tables by number, each with the numbers of its columns; `None` while there is no keyspace.
pub type Tables = Option<BTreeMap<u8, BTreeSet<u32>>>;

/// A change of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create the keyspace, if it is not there.
    Keyspace,
    /// Create a table.
    Create {
        /// Which.
        table: u8,
        /// With this column.
        column: u32,
        /// IF NOT EXISTS
        careful: bool,
    },
    /// Add a column.
    Add {
        /// To which table.
        table: u8,
        /// Which.
        column: u32,
    },
    /// Drop a column.
    Remove {
        /// Of which table.
        table: u8,
        /// Which.
        column: u32,
    },
    /// Drop a table.
    Drop {
        /// Which.
        table: u8,
        /// IF EXISTS
        careful: bool,
    },
}

/// What a change comes to.
enum Effect {
    Changes(Tables),
    Nothing,
    Refused,
}

impl Change {
    /// As a statement.
    pub fn text(self, keyspace: &str) -> String {
        match self {
            Self::Keyspace => format!(
                "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
            ),
            Self::Create { table, column, careful } => {
                let not = if careful { "IF NOT EXISTS " } else { "" };
                format!("CREATE TABLE {not}{keyspace}.t{table} (k int PRIMARY KEY, v{column} int)")
            }
            Self::Add { table, column } => format!("ALTER TABLE {keyspace}.t{table} ADD v{column} int"),
            Self::Remove { table, column } => format!("ALTER TABLE {keyspace}.t{table} DROP v{column}"),
            Self::Drop { table, careful } => {
                format!("DROP TABLE {}{keyspace}.t{table}", if careful { "IF EXISTS " } else { "" })
            }
        }
    }

    fn on(self, before: &Tables) -> Effect {
        let Some(tables) = before else {
            return if self == Self::Keyspace { Effect::Changes(Some(BTreeMap::new())) } else { self.without_keyspace() };
        };
        let mut after = tables.clone();
        match (self, after.get_mut(&self.table())) {
            (Self::Keyspace, _) => return Effect::Nothing,
            (Self::Create { careful, .. }, Some(_)) | (Self::Drop { careful, .. }, None) => {
                return if careful { Effect::Nothing } else { Effect::Refused };
            }
            (Self::Create { table, column, .. }, None) => drop(after.insert(table, [column].into())),
            (Self::Add { column, .. }, Some(columns)) if !columns.contains(&column) => drop(columns.insert(column)),
            (Self::Remove { column, .. }, Some(columns)) if columns.contains(&column) => drop(columns.remove(&column)),
            (Self::Drop { table, .. }, Some(_)) => drop(after.remove(&table)),
            (Self::Add { .. } | Self::Remove { .. }, _) => return Effect::Refused,
        }
        Effect::Changes(Some(after))
    }

    /// A table that was created here and there has the columns of both.
    fn merged_with(self, tables: &Tables) -> Option<Tables> {
        let (Self::Create { table, column, .. }, Some(tables)) = (self, tables) else { return None };
        let mut after = tables.clone();
        after.get_mut(&table)?.insert(column).then_some(Some(after))
    }

    const fn without_keyspace(self) -> Effect {
        if let Self::Drop { careful: true, .. } = self { Effect::Nothing } else { Effect::Refused }
    }

    const fn table(self) -> u8 {
        match self {
            Self::Keyspace => u8::MAX,
            Self::Create { table, .. } | Self::Add { table, .. } | Self::Remove { table, .. } | Self::Drop { table, .. } => table,
        }
    }
}

/// One thing that may be true: the tables, and which of the changes of unknown outcome may yet come.
type Possibility = (Tables, BTreeSet<usize>);

/// All that may be true.
#[derive(Clone, Debug)]
pub struct Beliefs {
    possible: BTreeSet<Possibility>,
    /// Changes of unknown outcome, each with when it began.
    unknown: Vec<(Change, Duration)>,
    /// Whether a node may go on by itself for a while, in recovery: what waits in the log meanwhile is merged with what was done there.
    merges: bool,
}

impl Beliefs {
    /// Of a client that was told nothing yet.
    pub fn new(merges: bool) -> Self {
        Self { possible: [(None, BTreeSet::new())].into(), unknown: Vec::new(), merges }
    }

    /// One that may be true.
    pub fn one(&self) -> Tables {
        self.possible.first().and_then(|(tables, _)| tables.clone())
    }

    /// How many changes may yet come.
    pub fn unknown(&self, now: Duration) -> usize {
        let waiting: BTreeSet<usize> = self.possible.iter().flat_map(|(_, waiting)| waiting).copied().collect();
        waiting.into_iter().filter(|id| now < self.unknown[*id].1 + AFTERLIFE).count()
    }

    /// Whether these tables may be what there is.
    pub fn allows(&self, tables: &Tables) -> bool {
        self.closed().iter().any(|(possible, _)| possible == tables)
    }

    /// Takes what the client was told; false if that cannot be.
    pub fn told(&mut self, change: Change, since: Duration, now: Duration, reply: Reply) -> bool {
        match reply {
            Reply::NotDone => return true,
            Reply::Unknown => {
                let id = self.unknown.len();
                self.unknown.push((change, since));
                let with_it = |(tables, waiting): &Possibility| (tables.clone(), waiting.iter().copied().chain([id]).collect());
                self.possible = self.possible.iter().map(with_it).collect();
                return true;
            }
            Reply::Changed | Reply::Nothing | Reply::Refused => {}
        }
        let mut possible = BTreeSet::new();
        for (tables, mut waiting) in self.closed() {
            match (change.on(&tables), reply) {
                (Effect::Changes(after), Reply::Changed) => {
                    waiting.retain(|id| since < self.unknown[*id].1 + AFTERLIFE);
                    possible.insert((after, waiting));
                }
                (Effect::Nothing, Reply::Nothing) | (Effect::Refused, Reply::Refused) => drop(possible.insert((tables, waiting))),
                _ => {}
            }
        }
        let _ = now;
        if possible.is_empty() {
            return false;
        }
        self.possible = possible;
        true
    }

    /// With everything that may have come meanwhile.
    fn closed(&self) -> BTreeSet<Possibility> {
        let (mut all, mut fresh) = (self.possible.clone(), self.possible.clone());
        while let Some((tables, waiting)) = fresh.pop_first() {
            for id in &waiting {
                let change = self.unknown[*id].0;
                let merged = if self.merges { change.merged_with(&tables) } else { None };
                let on_top = if let Effect::Changes(after) = change.on(&tables) { Some(after) } else { merged };
                if let Some(after) = on_top {
                    let rest = waiting.iter().copied().filter(|other| other != id).collect();
                    let next = (after, rest);
                    if all.insert(next.clone()) {
                        fresh.insert(next);
                    }
                }
            }
        }
        all
    }
}

impl fmt::Display for Beliefs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let possible: BTreeSet<_> = self.closed().into_iter().map(|(tables, _)| tables).collect();
        let texts: Vec<_> = possible.iter().map(|tables| format!("{tables:?}")).collect();
        f.write_str(&texts.join(" or "))
    }
}
