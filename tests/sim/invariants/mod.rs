//! What must always be true, one statement a file. Each looks at every turn of every node once it is durable, at every act of an
//! operator once it has taken place, and at the end.

mod act;
mod applied_once;
mod approved;
mod at_rest;
mod drained;
mod equal_rows;
mod everyone_seen;
mod journalled;
mod linear;
mod logs_agree;
mod needed;
mod never_back;
mod old_way;
mod one_away;
mod one_group;
mod one_leader;
mod one_way;
mod only_the_lost;

pub use act::{Act, Scene};

use crate::{events::Events, history::Operation, log::Log, process::Pid};
use group0_core::{
    ids::{GroupId, HostId, Incarnation},
    io::{Persist, Point, Table, Write},
    node::Node,
    recovery::Record,
    schema::Rows,
    status::{PlanState, StoredPlan},
    upgrade::Stage,
};
use std::{collections::BTreeSet, time::Duration};

/// A client's schema change, in the step that took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The node's stage before it.
    pub stage: Stage,
    /// Whether the step wrote rows of the schema, without group 0.
    pub wrote: bool,
}

/// What became durable in one transaction of a node, and the node after it.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Which node.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// When.
    pub now: Duration,
    /// The writes.
    pub persist: Persist,
    /// Schema changes of clients that were taken.
    pub changes: Vec<Change>,
    /// Who the node is.
    pub host: HostId,
    /// Its stage.
    pub stage: Stage,
    /// Of its group.
    pub incarnation: Incarnation,
    /// Its share of group 0.
    pub group: Option<Member>,
    /// Whether it has left the cluster.
    pub has_left: bool,
    /// Whose place it has taken.
    pub replaces: Option<HostId>,
}

/// A node's share of group 0.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which group.
    pub id: GroupId,
    /// The term.
    pub term: u64,
    /// Its vote in it.
    pub vote: Option<HostId>,
    /// Whether it leads.
    pub is_leader: bool,
    /// Up to where the log is decided.
    pub commit: u64,
    /// Up to where it is applied.
    pub applied: u64,
    /// Hosts of the applied configuration, where the turn has points.
    pub hosts: BTreeSet<HostId>,
    /// Those of them whose votes count, likewise.
    pub voters: BTreeSet<HostId>,
}

impl Turn {
    /// Of that node, at that time.
    pub fn of(pid: Pid, name: &str, now: Duration, node: &Node, persist: Persist, changes: Vec<Change>) -> Self {
        let has_points = !persist.points.is_empty();
        let group = node.consensus().map(|(id, status)| Member {
            id,
            term: status.term,
            vote: status.vote,
            is_leader: status.is_leader,
            commit: status.commit,
            applied: status.applied,
            hosts: if has_points { status.configuration.members() } else { BTreeSet::new() },
            voters: if has_points { status.configuration.voters.clone() } else { BTreeSet::new() },
        });
        Self {
            pid,
            name: name.to_owned(),
            now,
            changes,
            host: node.host(),
            stage: node.stage(),
            incarnation: node.incarnation(),
            group,
            has_left: node.has_left(),
            replaces: None,
            persist,
        }
    }

    /// Whether that point became durable.
    pub fn passes(&self, point: Point) -> bool {
        self.persist.points.contains(&point)
    }

    /// The plan of a recovery that it stores, if it stores one.
    pub fn plan(&self) -> Option<StoredPlan> {
        let record = |write: &Write| match write {
            Write::Put(Table::Local, _, text) => std::str::from_utf8(text).ok()?.parse::<Record>().ok(),
            _ => None,
        };
        let writes = self.persist.writes.iter().rev().filter(|_| self.passes(Point::Plan));
        writes.filter_map(record).map(|record| record.stored).next()
    }

    /// Whether it forgets its group by such a plan: the point of no return of a recovery.
    pub fn resets(&self) -> bool {
        self.plan().is_some_and(|stored| stored.state == PlanState::Resetting)
    }

    /// Into the digest of a log.
    pub fn digest(&self, log: &mut Log) {
        log.number(self.pid as u64);
        log.number(u64::try_from(self.now.as_nanos()).unwrap_or_default());
        for write in &self.persist.writes {
            match write {
                Write::Put(_, key, value) | Write::DeleteRange(_, key, value) => {
                    log.bytes(key);
                    log.bytes(value);
                }
                Write::Delete(_, key) => log.bytes(key),
            }
        }
    }
}

/// What is wrong, if anything is.
pub type Verdict = Result<(), String>;

/// One statement.
pub trait Invariant: Send {
    /// In a few words, with its name in ARCHITECTURE.md where it has one.
    fn name(&self) -> &'static str;
    /// A turn has become durable.
    fn on_turn(&mut self, _turn: &Turn, _events: &mut Events) -> Verdict {
        Ok(())
    }
    /// An act of an operator has taken place.
    fn on_act(&mut self, _act: &Act, _scene: &Scene<'_>, _events: &mut Events) -> Verdict {
        Ok(())
    }
    /// A client has done something.
    fn on_told(&mut self, _operation: &Operation, _events: &mut Events) {}
    /// All are final and quiet: names and rows.
    fn at_end(&mut self, _schemas: &[(String, Rows)], _events: &mut Events) -> Verdict {
        Ok(())
    }
}

/// All statements.
pub struct Invariants(Vec<Box<dyn Invariant>>);

/// All statements, of a world in which nothing has happened.
pub fn all() -> Invariants {
    Invariants(vec![
        Box::new(one_leader::OneLeader::default()),
        Box::new(logs_agree::LogsAgree::default()),
        Box::new(applied_once::AppliedOnce::default()),
        Box::new(linear::Linear::default()),
        Box::new(drained::Drained),
        Box::new(everyone_seen::EveryoneSeen::default()),
        Box::new(one_group::OneGroup::default()),
        Box::new(never_back::NeverBack::default()),
        Box::new(old_way::OldWay::default()),
        Box::new(one_way::OneWay::default()),
        Box::new(equal_rows::EqualRows),
        Box::new(only_the_lost::OnlyTheLost::default()),
        Box::new(one_away::OneAway::default()),
        Box::new(needed::Needed),
        Box::new(journalled::Journalled::default()),
        Box::new(approved::Approved::default()),
        Box::new(at_rest::AtRest),
    ])
}

impl Invariants {
    /// The first that is violated, and how.
    pub fn on_turn(&mut self, turn: &Turn, events: &mut Events) -> Result<(), (&'static str, String)> {
        self.0
            .iter_mut()
            .try_for_each(|one| one.on_turn(turn, events).map_err(|why| (one.name(), format!("{}: {why}", turn.name))))
    }

    /// Likewise, of an act.
    pub fn on_act(&mut self, act: &Act, scene: &Scene<'_>, events: &mut Events) -> Result<(), (&'static str, String)> {
        self.0.iter_mut().try_for_each(|one| one.on_act(act, scene, events).map_err(|why| (one.name(), format!("{act}: {why}"))))
    }

    /// A client has done something.
    pub fn on_told(&mut self, operation: &Operation, events: &mut Events) {
        self.0.iter_mut().for_each(|one| one.on_told(operation, events));
    }

    /// Likewise, at the end.
    pub fn at_end(&mut self, schemas: &[(String, Rows)], events: &mut Events) -> Result<(), (&'static str, String)> {
        self.0.iter_mut().try_for_each(|one| one.at_end(schemas, events).map_err(|why| (one.name(), why)))
    }
}
