//! Schema between nodes: pushes of changes, pulls where versions differ, and who has exchanged with whom since the start.

use super::{Node, Purpose, Timer, boot::Boot};
use crate::{
    gossip::Endpoint,
    ids::{Generation, HostId},
    io::{Apply, PeerRequest, RequestId, SchemaChange, SchemaEvent, SchemaTarget, Table, Write},
    schema::{Merged, RowKey, Rows, Schema, SchemaTable},
    upgrade::{Stage, machine},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a version may differ before it is pulled: a push is on its way more often than not.
const PULL_DELAY: Duration = Duration::from_millis(500);

/// What is known about exchanges of schema.
#[derive(Debug, Default)]
pub struct Sync {
    /// The generation of each host from which a pull, or a comparison without difference, has completed since our start.
    pub pulled_from: BTreeMap<HostId, Generation>,
    seen: BTreeMap<HostId, uuid::Uuid>,
}

impl Node {
    /// Merges rows, makes them durable and tells clients what they mean.
    /// Whether they changed anything.
    pub(super) fn merge_rows(&mut self, rows: &Rows) -> bool {
        let merged = self.schema.merge(rows);
        if merged.is_empty() {
            return false;
        }
        self.effects.persist.writes.extend(self.schema.writes(&merged));
        self.effects.apply.extend(schema_events(&self.schema, &merged).into_iter().map(Apply::SchemaChanged));
        self.watchers.touch();
        true
    }

    /// What a first boot has pulled before it came to another way in is in no log (seed 218).
    pub(super) fn forget_schema(&mut self) {
        self.effects.persist.writes.push(Write::DeleteRange(Table::Schema, vec![], vec![u8::MAX]));
        self.schema = Schema::default();
    }

    /// Rows of another node that did not come through the log. While a comparison runs they wait; a final node proposes them. Who is not in the
    /// ring, nor about to be in it the old way, gets everything from whom it comes in through, and must have nothing besides.
    pub(super) fn take_foreign_rows(&mut self, rows: &Rows) {
        if matches!(self.boot, Boot::Asking { .. } | Boot::Joining(..)) {
            return;
        }
        if self.upgrade.sets_rows_aside() {
            let _ = self.procedure.aside.merge(rows);
        } else if self.stage() == Stage::UsePostRaft {
            let surplus = crate::schema::Schema::from_rows(rows).surplus_over(self.schema.rows());
            if !surplus.is_empty() {
                self.propose_merge(surplus, "rows of a node outside the log", None);
            }
        } else {
            self.merge_rows(rows);
        }
    }

    /// Pushes a change to every live peer; `operation` is told of each answer.
    pub(super) fn push_rows(&mut self, rows: &Rows, operation: Option<RequestId>) -> usize {
        let live: Vec<_> = self.gossip.live().filter(|host| self.peers.hosts().contains(host)).collect();
        for host in &live {
            self.call(*host, PeerRequest::DefinitionsUpdate(rows.clone()), Purpose::Push(*host, operation));
        }
        live.len()
    }

    /// One of us has started, or come back: compare at once.
    pub(super) fn exchange_schema(&mut self, host: HostId) {
        let is_peer = self.peers.hosts().contains(&host);
        if is_peer && !self.calls.any(|purpose| matches!(purpose, Purpose::Exchanged(of, _) if *of == host)) {
            let start = self.start_of(host);
            self.call(host, PeerRequest::SchemaCheck, Purpose::Exchanged(host, start));
        }
    }

    /// The start of that host that is known.
    fn start_of(&self, host: HostId) -> Generation {
        self.gossip.endpoints().get(&host).map_or(Generation(0), |endpoint| endpoint.generation)
    }

    fn pull_in_background(&mut self, host: HostId) {
        let start = self.start_of(host);
        if !self.calls.any(|purpose| matches!(purpose, Purpose::BackgroundPull(of, at) if (*of, *at) == (host, start))) {
            self.call(host, PeerRequest::MigrationRequest { snapshot_of: None }, Purpose::BackgroundPull(host, start));
        }
    }

    /// A host's version differs from ours: look again soon, and pull if it still does. In the final state the log takes care.
    pub(super) fn schema_version_seen(&mut self, endpoint: &Endpoint) {
        let host = endpoint.host;
        let moved = self.sync.seen.insert(host, endpoint.schema_version) != Some(endpoint.schema_version);
        if moved {
            self.agreement_changed();
            if self.upgrade.step().is_some() {
                self.upgrade_event(machine::Event::VersionMoved(host));
            }
        }
        let is_new = self.sync.pulled_from.get(&host) != Some(&endpoint.generation);
        if is_new && self.gossip.is_up(host) {
            self.exchange_schema(host);
        } else if endpoint.schema_version != self.schema_version() && !self.timers.is_set(Timer::SyncCheck(host)) {
            self.timers.set(Timer::SyncCheck(host), self.now.elapsed + PULL_DELAY);
        }
    }

    pub(super) fn sync_check(&mut self, host: HostId) {
        let Some(endpoint) = self.gossip.endpoints().get(&host) else { return };
        let differs = endpoint.status.is_member() && endpoint.schema_version != self.schema_version();
        let is_exchanged = self.sync.pulled_from.get(&host) == Some(&endpoint.generation);
        let pulls = self.stage() != Stage::UsePostRaft && self.boot.is_completed();
        let busy = self.calls.any(|purpose| matches!(purpose, Purpose::BackgroundPull(of, _) if *of == host));
        if !self.gossip.is_up(host) || busy {
            return;
        }
        if differs && pulls {
            self.pull_in_background(host);
        } else if !is_exchanged {
            self.exchange_schema(host);
        }
    }

    /// The comparison that a start asked for: pull if versions differ, else it is done.
    pub(super) fn exchange_compared(&mut self, host: HostId, start: Generation, version: uuid::Uuid) {
        if version == self.schema_version() || self.stage() == Stage::UsePostRaft {
            self.exchange_completed(host, start);
        } else {
            self.pull_in_background(host);
        }
    }

    /// If the host has started again meanwhile, nothing is proven: who answered may have been its former self.
    pub(super) fn exchange_completed(&mut self, host: HostId, start: Generation) {
        if self.start_of(host) == start {
            self.sync.pulled_from.insert(host, start);
            self.watchers.touch();
        } else {
            self.exchange_schema(host);
        }
    }

    /// An exchange did not come about; while the host is up it is tried again with the next news of it or after a while.
    pub(super) fn exchange_failed(&mut self, host: HostId) {
        self.timers.set(Timer::SyncCheck(host), self.now.elapsed + PULL_DELAY);
    }
}

/// What a merge means to drivers: at most one event for each keyspace, table and type.
fn schema_events(schema: &Schema, merged: &Merged) -> Vec<SchemaEvent> {
    let is_view = |keyspace: &str, name: &str| {
        let key = element_key(keyspace, Element::View, name);
        schema.rows().is_live(&key) || merged.gone.is_live(&key)
    };
    // Views have columns and versions in the tables where tables have theirs.
    let told = |(keyspace, target, name): (String, Element, String)| {
        let target = if target == Element::Table && is_view(&keyspace, &name) { Element::View } else { target };
        (keyspace, target, name)
    };
    let elements: BTreeSet<_> = merged.touched().into_iter().filter_map(element).map(told).collect();
    let events = elements.iter().filter_map(|(keyspace, target, name)| {
        let key = element_key(keyspace, *target, name);
        let (was, is) = (merged.gone.is_live(&key), schema.rows().is_live(&key));
        let was = was || (is && !merged.changed.is_live(&key));
        let change = match (was, is) {
            (true, true) => SchemaChange::Updated,
            (false, true) => SchemaChange::Created,
            (true, false) => SchemaChange::Dropped,
            (false, false) => return None,
        };
        Some(SchemaEvent { change, target: (*target).into(), keyspace: keyspace.clone(), name: name.clone() })
    });
    events.collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Element {
    Keyspace,
    Table,
    View,
    Type,
}

impl From<Element> for SchemaTarget {
    fn from(element: Element) -> Self {
        match element {
            Element::Keyspace => Self::Keyspace,
            Element::Table | Element::View => Self::Table,
            Element::Type => Self::Type,
        }
    }
}

/// What a row belongs to.
fn element(key: &RowKey) -> Option<(String, Element, String)> {
    let keyspace = key.parts.first()?.clone();
    let Some(name) = key.parts.get(1).cloned() else { return Some((keyspace, Element::Keyspace, String::new())) };
    let element = match key.table {
        SchemaTable::Types => Element::Type,
        SchemaTable::Views => Element::View,
        _ => Element::Table,
    };
    Some((keyspace, element, name))
}

fn element_key(keyspace: &str, element: Element, name: &str) -> RowKey {
    match element {
        Element::Keyspace => RowKey::new(SchemaTable::Keyspaces, [keyspace]),
        Element::Table => RowKey::new(SchemaTable::Tables, [keyspace, name]),
        Element::View => RowKey::new(SchemaTable::Views, [keyspace, name]),
        Element::Type => RowKey::new(SchemaTable::Types, [keyspace, name]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ddl::tests::World;

    /// What clients hear of a statement.
    fn told(world: &mut World, statement: &str) -> Vec<String> {
        let mut schema = world.schema.clone();
        let change = world.run(statement).expect(statement).expect("it changes something");
        let merged = schema.merge(&change.rows);
        let events = schema_events(&schema, &merged).into_iter();
        events.map(|event| format!("{:?} {:?} {}", event.change, event.target, event.name)).collect()
    }

    #[test]
    fn views_that_change_with_their_table_are_told_too() {
        let mut world = World::with(&["CREATE TABLE t (k int PRIMARY KEY, v int)"]);
        let view = "CREATE MATERIALIZED VIEW mv AS SELECT * FROM t WHERE v IS NOT NULL AND k IS NOT NULL PRIMARY KEY (v, k)";
        assert_eq!(told(&mut world, view), ["Created Table mv"]);
        assert_eq!(told(&mut world, "ALTER TABLE t ADD x int"), ["Updated Table t", "Updated Table mv"]);
        assert_eq!(told(&mut world, "ALTER TABLE t WITH comment = 'x'"), ["Updated Table t"]);
        assert_eq!(told(&mut world, "DROP MATERIALIZED VIEW mv"), ["Dropped Table mv"]);
    }
}
