//! A recovery that an operator carries out: its plan is stored on every survivor, and each step has its turn.
//!
//! Which has, and what comes of it, is in [`crate::recovery`]; here it is done.

use super::super::Node;
use crate::{
    group0::{Command, HistoryRow},
    ids::HostId,
    io::{AdminReply, Migration, PeerRequest, Persist, Point, RecoveryStep, RequestId},
    node::{
        calls::Purpose,
        local::{DamagedSetting, Local, key},
    },
    raft::{EntryKind, Stored},
    recovery::{self, Action, Record, View},
    status::StoredPlan,
};

/// The plan that was stored last.
#[derive(Clone, Debug, Default)]
pub struct Plans(Option<Record>);

impl Plans {
    /// From the stored text.
    pub fn load(local: &Local) -> Result<Self, DamagedSetting> {
        Ok(Self(local.parsed(key::OPERATOR_PLAN)?))
    }

    /// As others are told of it.
    pub(super) fn stored(&self) -> Option<StoredPlan> {
        self.0.as_ref().map(|record| record.stored.clone())
    }

    /// Whether the group was forgotten by that plan or one before it, and the recovery is not closed.
    pub(super) fn goes_only_forward(&self) -> bool {
        self.0.as_ref().is_some_and(|record| record.is_reset)
    }

    /// The number of the plan that was stored last, whatever became of it.
    pub(super) fn last_number(&self) -> Option<u64> {
        self.0.as_ref().map(|record| record.stored.plan.number)
    }

    /// The number of the plan by which that host is not heard.
    pub fn fences(&self, host: HostId) -> Option<u64> {
        self.0.as_ref().filter(|record| record.fences(host)).map(|record| record.stored.plan.number)
    }
}

impl Node {
    /// A step that an operator orders. Without a reply it is answered later.
    pub(in crate::node) fn recover(&mut self, id: RequestId, number: u64, step: &RecoveryStep) -> Option<AdminReply> {
        if let (RecoveryStep::PrepareFence(_), Some(why)) = (step, self.boot.waiting()) {
            // It may yet be sent to another group, and forget the log of this one.
            return Some(AdminReply::Refused(format!("this host is not in the ring: {why}. Nothing was changed")));
        }
        let is_up = |host| self.gossip.is_up(host);
        let cannot_go_on = self.may_leave().err();
        let view = View {
            me: self.host,
            mode: self.recovery,
            is_marked: self.has_marker(),
            cannot_go_on: cannot_go_on.as_deref(),
            is_up: &is_up,
        };
        let actions = match recovery::step(self.plans.0.as_ref(), &view, number, step) {
            Ok(actions) => actions,
            Err(why) => return Some(AdminReply::Refused(format!("{why}. Nothing was changed"))),
        };
        let pulls = |purpose: &Purpose| matches!(purpose, Purpose::RollForward { plan, .. } if *plan == number);
        if matches!(step, RecoveryStep::RollForward { .. }) && self.calls.any(pulls) {
            return Some(AdminReply::Refused("this node is about to take the schema of the donor: wait for it".into()));
        }
        let mut reply = Some(AdminReply::Done);
        for action in actions {
            match action {
                Action::Enter => self.enter_recovery(),
                Action::Leave => self.remove_marker(),
                Action::ForgetGroup => self.forget_group(),
                Action::ForgetHost(host) => self.forget_host(host),
                Action::ApplyLog => self.apply_dormant_log(),
                Action::AskDonor(donor) => {
                    self.call(
                        donor,
                        PeerRequest::MigrationRequest { snapshot_of: None },
                        Purpose::RollForward { id, plan: number },
                    );
                    reply = None;
                }
                Action::Store(record) => self.store_plan(record),
            }
        }
        reply
    }

    fn store_plan(&mut self, record: Record) {
        let StoredPlan { plan, state, .. } = &record.stored;
        tracing::warn!(
            target: "raft_group0", plan = plan.number, excluded = ?plan.excluded, "recovery: the plan is {}", recovery::name(*state)
        );
        self.local.set(&mut self.effects.persist, key::OPERATOR_PLAN, record.to_string());
        self.effects.persist.points.push(Point::Plan);
        self.plans.0 = Some(record);
        self.watchers.touch();
    }

    /// In the order of the log, each command that takes effect after those before it. The history stays as it is: should the plan be
    /// withdrawn, the group goes on from there, and what it lacks of this is proposed to it.
    pub(in crate::node) fn apply_dormant_log(&mut self) {
        let Some((_, stored)) = self.dormant.clone() else { return };
        let mut history = self.history.clone();
        for command in unapplied(&stored) {
            if history.admits(&command) {
                self.merge_rows(&command.rows);
                let row = HistoryRow { state: command.state, description: command.description };
                history.append(&mut Persist::default(), row);
            }
        }
    }

    /// This host comes into the group of another one, whose log counts: what nobody has applied of its own is lost, and not in silence.
    pub(in crate::node) fn give_up_dormant_log(&mut self) {
        let Some((group, stored)) = self.dormant.take() else { return };
        for command in unapplied(&stored) {
            tracing::error!(
                target: "raft_group0", %group, state = %command.state, description = command.description,
                "a command of the former group was in the log and not applied, and is given up: if its client was told that it is done, \
                 do it again"
            );
        }
    }

    /// The donor has answered, or not.
    pub(in crate::node) fn rolled_forward(&mut self, id: RequestId, plan: u64, outcome: Result<&Migration, String>) {
        let outcome = outcome.and_then(|migration| self.take_from_donor(plan, migration));
        self.reply_admin(id, outcome.map_or_else(AdminReply::Refused, |()| AdminReply::Done));
    }

    /// No donor answers any more.
    pub(in crate::node) fn end_rolls_forward(&mut self, why: &str) {
        let awaited = |purpose: &Purpose| match purpose {
            Purpose::RollForward { id, plan } => Some((*id, *plan)),
            _ => None,
        };
        for (id, plan) in self.calls.purposes().filter_map(awaited).collect::<Vec<_>>() {
            self.rolled_forward(id, plan, Err(why.into()));
        }
    }

    fn take_from_donor(&mut self, plan: u64, migration: &Migration) -> Result<(), String> {
        let record = recovery::rolled_forward(self.plans.0.as_ref(), plan, migration.state.stage)?;
        self.merge_rows(&migration.rows);
        self.store_plan(record);
        Ok(())
    }
}

/// The commands of a log that are behind what was applied, in its order.
fn unapplied(stored: &Stored) -> impl Iterator<Item = Command> {
    let entries = stored.entries.iter().filter(|entry| entry.index > stored.applied && entry.kind == EntryKind::Normal);
    entries.filter_map(|entry| postcard::from_bytes(&entry.data).ok())
}
