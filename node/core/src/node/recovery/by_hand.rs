//! What people write to system tables, with `cqlsh` and nothing else. Everything that is not listed here is refused.

use super::{super::Node, Mode};
use crate::{
    cql::ast::{Modification, Operator, Relation, Term},
    gossip::Endpoint,
    ids::GroupId,
    io::{ClientReply, CqlError},
    node::local::key,
    raft::Stored,
    upgrade::Stage,
};
use uuid::Uuid;

/// What may be written by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByHand {
    EnterRecovery,
    LeaveRecovery,
    ForgetGroupId,
    ForgetDiscovery,
    ForgetHistory,
    /// Nothing is in the table.
    ForgetNothing,
    /// The Raft rows of this one.
    EraseGroup(GroupId),
}

const ALLOWED: &str = "only these are written by hand: UPDATE system.scylla_local SET value = 'recovery' WHERE key = \
                       'group0_upgrade_state'; DELETE value FROM system.scylla_local WHERE key = 'group0_upgrade_state'; DELETE \
                       value FROM system.scylla_local WHERE key = 'raft_group0_id'; TRUNCATE system.discovery; TRUNCATE \
                       system.group0_history; DELETE FROM system.raft WHERE group_id = <a former group>, likewise of raft_snapshots \
                       and raft_snapshot_config";

impl Node {
    /// A write to a table of the keyspace `system`.
    pub(in crate::node) fn write_by_hand(&mut self, table: &str, change: &Modification) -> Result<ClientReply, CqlError> {
        match by_hand(table, change) {
            Some(ByHand::EnterRecovery) => self.enter_recovery(),
            Some(ByHand::LeaveRecovery) => self.leave_by_hand()?,
            Some(ByHand::ForgetGroupId) => self.forget_group_id_by_hand()?,
            Some(ByHand::ForgetDiscovery) => self.forget_discovery(),
            Some(ByHand::ForgetHistory) => self.forget_history_by_hand()?,
            Some(ByHand::ForgetNothing) => {}
            Some(ByHand::EraseGroup(group)) => self.erase_group(group)?,
            None => return Err(CqlError::Unauthorized(format!("the node itself writes system.{table}; {ALLOWED}"))),
        }
        Ok(ClientReply::Void)
    }

    /// Takes the marker away, and nothing else: the state of a node that no recovery was ordered for is its own.
    fn leave_by_hand(&mut self) -> Result<(), CqlError> {
        if let (Some(stored), Mode::No) = (self.local.get(key::UPGRADE_STATE), self.recovery) {
            return Err(CqlError::Invalid(format!(
                "no recovery was ordered on this node, whose group0_upgrade_state is {stored}: nothing was changed"
            )));
        }
        self.may_leave().map_err(|why| CqlError::Invalid(format!("{why}. Nothing was changed")))?;
        self.remove_marker();
        Ok(())
    }

    /// A node whose group lives would be lost without it: it may not come back into that group, whose votes it would forget.
    fn forget_group_id_by_hand(&mut self) -> Result<(), CqlError> {
        let voters = self.group.as_ref().map(|(_, group)| group.configuration().voters.clone()).unwrap_or_default();
        let alive = voters.iter().filter(|host| **host == self.host || self.gossip.is_up(**host)).count();
        let lives = alive * 2 > voters.len();
        if self.recovery == Mode::No && self.settings.recovery_leader.is_none() && lives {
            return Err(CqlError::Invalid(format!(
                "group 0 lives: {alive} of its {} voters are up, and this node could not come back into it. Nothing was changed. Order \
                 recovery on this node first, or set recovery_leader",
                voters.len()
            )));
        }
        if self.recovery != Mode::No {
            self.no_other_takes_part()?;
        }
        self.forget_group_id();
        Ok(())
    }

    /// A member needs it to tell which commands take effect.
    fn forget_history_by_hand(&mut self) -> Result<(), CqlError> {
        if self.group.is_some() {
            return Err(CqlError::Invalid(
                "this node takes part in group 0, which needs its history: order recovery and restart the node first. Nothing was changed"
                    .into(),
            ));
        }
        self.no_other_takes_part()?;
        if let Some(group) = self.local.get(key::GROUP_ID).map(String::from) {
            self.local.set(&mut self.effects.persist, key::HISTORY_TRUNCATED, group);
        }
        self.forget_history();
        Ok(())
    }

    /// In the group whose id is stored here. Who is on its way into the ring cannot go into recovery, and finds the next group by itself.
    fn no_other_takes_part(&self) -> Result<(), CqlError> {
        let Some(ours) = self.local.get(key::GROUP_ID) else { return Ok(()) };
        let is_in = |it: &Endpoint| it.status.is_member() && it.group.is_some_and(|id| id.to_string() == ours);
        let other = self.gossip.live().find(|host| self.gossip.endpoints().get(host).is_some_and(is_in));
        other.map_or(Ok(()), |host| {
            Err(CqlError::Invalid(format!(
                "{host} takes part in group 0 still, and this node could not come back into it. Nothing was changed. To form a new group, \
                 order recovery on every node that is up and restart each before this; to go on in the group that lives, remove the marker \
                 here and restart this node"
            )))
        })
    }

    /// A node that forgets a vote votes twice.
    fn erase_group(&mut self, group: GroupId) -> Result<(), CqlError> {
        if self.local.get(key::GROUP_ID) == Some(&group.to_string()) || self.group.as_ref().is_some_and(|(id, _)| *id == group) {
            return Err(CqlError::Invalid(format!(
                "{group} is the present group of this node, whose vote must not be forgotten: nothing was changed"
            )));
        }
        self.effects.persist.writes.extend(Stored::erase(group));
        Ok(())
    }
}

/// Whether the table is one of which something may be written by hand.
pub fn is_open_to_hands(table: &str, keyspace: &str) -> bool {
    let open = ["scylla_local", "discovery", "group0_history", "topology", "raft", "raft_snapshots", "raft_snapshot_config"];
    keyspace == "system" && open.contains(&table)
}

fn by_hand(table: &str, change: &Modification) -> Option<ByHand> {
    match (table, change) {
        ("scylla_local", change) => of_local(change),
        ("discovery", Modification::Truncate) => Some(ByHand::ForgetDiscovery),
        ("group0_history", Modification::Truncate) => Some(ByHand::ForgetHistory),
        ("topology", Modification::Truncate) => Some(ByHand::ForgetNothing),
        ("raft" | "raft_snapshots" | "raft_snapshot_config", Modification::Delete { columns, filter }) if columns.is_empty() => {
            Some(ByHand::EraseGroup(group_id(filter)?))
        }
        _ => None,
    }
}

fn of_local(change: &Modification) -> Option<ByHand> {
    match change {
        Modification::Update { set, filter } if key_of(filter) == Some(key::UPGRADE_STATE) => match set.as_slice() {
            [(column, value)] if column == "value" && is_recovery(value) => Some(ByHand::EnterRecovery),
            _ => None,
        },
        Modification::Insert(values) => match values.as_slice() {
            [(a, x), (b, y)] if (a.as_str(), b.as_str()) == ("key", "value") && is_state(x) && is_recovery(y) => {
                Some(ByHand::EnterRecovery)
            }
            _ => None,
        },
        Modification::Delete { columns, filter } if columns.iter().all(|column| column == "value") => match key_of(filter) {
            Some(key::UPGRADE_STATE) => Some(ByHand::LeaveRecovery),
            Some(key::GROUP_ID) => Some(ByHand::ForgetGroupId),
            _ => None,
        },
        Modification::Update { .. } | Modification::Delete { .. } | Modification::Truncate => None,
    }
}

/// The one value that the one column must have.
fn only<'a>(filter: &'a [Relation], column: &str) -> Option<&'a Term> {
    match filter {
        [Relation { columns, of_token: false, operator: Operator::Equal, terms }] if columns.as_slice() == [column] => {
            match terms.as_slice() {
                [term] => Some(term),
                _ => None,
            }
        }
        _ => None,
    }
}

fn key_of(filter: &[Relation]) -> Option<&str> {
    text(only(filter, "key")?)
}

fn group_id(filter: &[Relation]) -> Option<GroupId> {
    match only(filter, "group_id")? {
        Term::Uuid(id) => Some(GroupId(*id)),
        Term::Bound(bytes) => Uuid::from_slice(bytes).ok().map(GroupId),
        _ => None,
    }
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
            Statement::Modify(Modify { table, change }) => by_hand(&table.name, &change),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn people_write_what_the_documentation_tells_them() {
        let group = GroupId(Uuid::from_u128(7));
        let erase = format!("DELETE FROM system.raft WHERE group_id = {group}");
        let cases = [
            ("UPDATE system.scylla_local SET value='recovery' WHERE key='group0_upgrade_state';", ByHand::EnterRecovery),
            ("update system.scylla_local set value = 'recovery' where key = 'group0_upgrade_state'", ByHand::EnterRecovery),
            ("INSERT INTO system.scylla_local (key, value) VALUES ('group0_upgrade_state', 'recovery')", ByHand::EnterRecovery),
            ("DELETE value FROM system.scylla_local WHERE key='group0_upgrade_state';", ByHand::LeaveRecovery),
            ("DELETE FROM system.scylla_local WHERE key = 'group0_upgrade_state'", ByHand::LeaveRecovery),
            ("DELETE value FROM system.scylla_local WHERE key='raft_group0_id'", ByHand::ForgetGroupId),
            ("TRUNCATE system.discovery", ByHand::ForgetDiscovery),
            ("TRUNCATE TABLE system.group0_history;", ByHand::ForgetHistory),
            ("TRUNCATE system.topology", ByHand::ForgetNothing),
            (erase.as_str(), ByHand::EraseGroup(group)),
        ];
        for (statement, meant) in cases {
            assert_eq!(read(statement), Some(meant), "{statement}");
        }
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
            "TRUNCATE system.raft",
            "DELETE FROM system.discovery WHERE key = 'peers'",
            "DELETE FROM system.raft WHERE group_id = 'text'",
        ];
        assert!(other.into_iter().all(|text| read(text).is_none()));
    }
}
