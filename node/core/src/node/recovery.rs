//! Recovery as people order it: writes to `system.scylla_local`, by `cqlsh` and nothing else, that take effect with the next start.
//!
//! A stored `recovery` ends a running procedure at once, and no step ever overwrites it. Until the restart the node answers as one in
//! recovery and changes no schema; its share of group 0, if it has one, goes on, since others may need its vote. What it stored of how far
//! its group had come stays, so that without the marker it goes on there, never before.

use super::{Node, local::key};
use crate::{
    cql::ast::{Modification, Operator, Relation, Term},
    io::{ClientReply, CqlError, Point},
    upgrade::{Stage, machine::Event},
};

/// Where this process stands, whatever is stored now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nobody has ordered it.
    #[default]
    No,
    /// Ordered since the start: it begins with the next one.
    Requested,
    /// Since the start; it ends with a start without the marker.
    Yes,
}

/// What may be written by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByHand {
    Enter,
    Leave,
}

/// What schema changes are told until the restart.
pub(super) const RESTART_FIRST: &str = "recovery was requested on this node and begins with its next start: restart it. No schema change is possible here until then";

const ALLOWED: &str = "only these are written by hand: UPDATE system.scylla_local SET value = 'recovery' WHERE key = \
                       'group0_upgrade_state'; DELETE value FROM system.scylla_local WHERE key = 'group0_upgrade_state'";

impl Node {
    /// The persisted state of the upgrade, save that recovery begins when it is ordered and ends with a start.
    pub fn stage(&self) -> Stage {
        if self.recovery == Mode::No { self.local.stage() } else { Stage::Recovery }
    }

    /// What is left for people to do, once they have ordered recovery here.
    pub(super) fn recovery_advice(&self) -> Option<&'static str> {
        let has_marker = self.local.stage() == Stage::Recovery;
        match (self.recovery, has_marker) {
            (Mode::No, _) => None,
            (Mode::Requested, true) => Some("requested: it begins with the next start of this node; restart it"),
            (Mode::Yes, true) => Some("in recovery: to end it, remove the marker and restart this node"),
            (_, false) => Some("the marker is removed: restart this node, which goes on where it was"),
        }
    }

    /// A write to `system.scylla_local`.
    pub(super) fn write_by_hand(&mut self, change: &Modification) -> Result<ClientReply, CqlError> {
        match by_hand(change) {
            Some(ByHand::Enter) => self.enter_recovery(),
            Some(ByHand::Leave) => self.leave_recovery()?,
            None => return Err(CqlError::Unauthorized(format!("the node itself writes system.scylla_local; {ALLOWED}"))),
        }
        Ok(ClientReply::Void)
    }

    fn enter_recovery(&mut self) {
        self.local.set(&mut self.effects.persist, key::UPGRADE_STATE, Stage::Recovery.name());
        self.effects.persist.points.push(Point::Recovery);
        if self.recovery == Mode::No {
            self.recovery = Mode::Requested;
            let last = self.group.as_ref().map(|(_, group)| {
                let status = group.status();
                (status.last_term, status.last_index)
            });
            tracing::warn!(
                target: "raft_group0_upgrade", term = last.map(|last| last.0), index = last.map(|last| last.1),
                "recovery requested: restart this node. After the restart begin with the node whose last entry has the largest term, then index"
            );
            if self.upgrade.step().is_some() {
                self.upgrade_event(Event::Overruled(Stage::Recovery));
            }
            self.tell_watching_peers();
            self.watchers.touch();
        }
    }

    /// Takes the marker away, and nothing else: the state of a node that no recovery was ordered for is its own.
    fn leave_recovery(&mut self) -> Result<(), CqlError> {
        match self.local.get(key::UPGRADE_STATE) {
            Some(stored) if self.recovery == Mode::No => {
                return Err(CqlError::Invalid(format!(
                    "no recovery was ordered on this node, whose group0_upgrade_state is {stored}: nothing was changed"
                )));
            }
            Some(_) => {
                self.local.erase(&mut self.effects.persist, key::UPGRADE_STATE);
                self.effects.persist.points.push(Point::Recovery);
                tracing::warn!(target: "raft_group0_upgrade", "the recovery marker was removed: restart this node");
            }
            None => {}
        }
        Ok(())
    }
}

/// Whether the table is one of which something may be written by hand.
pub(super) fn is_open_to_hands(table: &str, keyspace: &str) -> bool {
    (keyspace, table) == ("system", "scylla_local")
}

fn by_hand(change: &Modification) -> Option<ByHand> {
    match change {
        Modification::Update { set, filter } if is_of_state(filter) => match set.as_slice() {
            [(column, value)] if column == "value" && is_recovery(value) => Some(ByHand::Enter),
            _ => None,
        },
        Modification::Insert(values) => match values.as_slice() {
            [(a, x), (b, y)] if (a.as_str(), b.as_str()) == ("key", "value") && is_state(x) && is_recovery(y) => {
                Some(ByHand::Enter)
            }
            _ => None,
        },
        Modification::Delete { columns, filter } if is_of_state(filter) => match columns.as_slice() {
            [] => Some(ByHand::Leave),
            [column] if column == "value" => Some(ByHand::Leave),
            _ => None,
        },
        Modification::Update { .. } | Modification::Delete { .. } | Modification::Truncate => None,
    }
}

fn is_of_state(filter: &[Relation]) -> bool {
    matches!(filter, [Relation { columns, operator: Operator::Equal, terms }]
        if columns.as_slice() == ["key"] && matches!(terms.as_slice(), [term] if is_state(term)))
}

fn is_state(term: &Term) -> bool {
    text(term) == Some(key::UPGRADE_STATE)
}

fn is_recovery(term: &Term) -> bool {
    text(term) == Some(Stage::Recovery.name())
}

/// A literal, or what a prepared statement was executed with.
fn text(term: &Term) -> Option<&str> {
    match term {
        Term::Text(text) => Some(text),
        Term::Bound(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cql::{
        ast::{Modify, Statement},
        parse::parse,
    };

    fn read(text: &str) -> Option<ByHand> {
        match parse(text).unwrap() {
            Statement::Modify(Modify { change, .. }) => by_hand(&change),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn people_write_what_the_documentation_tells_them() {
        let enter = [
            "UPDATE system.scylla_local SET value='recovery' WHERE key='group0_upgrade_state';",
            "update system.scylla_local set value = 'recovery' where key = 'group0_upgrade_state'",
            "INSERT INTO system.scylla_local (key, value) VALUES ('group0_upgrade_state', 'recovery')",
        ];
        assert!(enter.into_iter().all(|text| read(text) == Some(ByHand::Enter)));
        let leave = [
            "DELETE value FROM system.scylla_local WHERE key='group0_upgrade_state';",
            "DELETE FROM system.scylla_local WHERE key = 'group0_upgrade_state'",
        ];
        assert!(leave.into_iter().all(|text| read(text) == Some(ByHand::Leave)));
    }

    #[test]
    fn nothing_else_is_taken_for_it() {
        let other = [
            "UPDATE system.scylla_local SET value='use_post_raft_procedures' WHERE key='group0_upgrade_state'",
            "UPDATE system.scylla_local SET value='recovery' WHERE key='raft_group0_id'",
            "UPDATE system.scylla_local SET value='recovery' WHERE key IN ('group0_upgrade_state')",
            "UPDATE system.scylla_local SET value=null WHERE key='group0_upgrade_state'",
            "DELETE value FROM system.scylla_local WHERE key='enabled_features'",
            "DELETE key FROM system.scylla_local WHERE key='group0_upgrade_state'",
            "TRUNCATE system.scylla_local",
        ];
        assert!(other.into_iter().all(|text| read(text).is_none()));
    }
}
