//! A recovery that an operator carries out: its plan is stored on every survivor, and each step has its turn.
//!
//! A plan is prepared, then fenced; up to there it can be withdrawn, and the cluster goes on as before. Once the group is forgotten there
//! is only forward, by this plan or by one that takes its place. Every step may be ordered again, and finds itself done.

use super::{super::Node, Mode};
use crate::{
    group0::{Command, HistoryRow},
    ids::HostId,
    io::{AdminReply, Migration, PeerRequest, Persist, Point, RecoveryPlan, RecoveryStep, RequestId},
    node::{
        calls::Purpose,
        local::{DamagedSetting, Local, key},
    },
    raft::EntryKind,
    status::{PlanState, StoredPlan},
    upgrade::Stage,
};
use std::collections::BTreeSet;

/// The plan that was stored last.
#[derive(Clone, Debug, Default)]
pub struct Plans(Option<Record>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    stored: StoredPlan,
    /// The marker is there by an operator's order, not by a person's.
    ordered: bool,
    /// A plan has forgotten the group here, and none is done since.
    is_reset: bool,
}

impl Plans {
    /// From the stored text.
    pub fn load(local: &Local) -> Result<Self, DamagedSetting> {
        Ok(Self(local.parsed(key::OPERATOR_PLAN)?))
    }

    /// As others are told of it.
    pub(super) fn stored(&self) -> Option<StoredPlan> {
        self.0.as_ref().map(|record| record.stored.clone())
    }

    /// The number of the plan by which that host is not heard.
    pub fn fences(&self, host: HostId) -> Option<u64> {
        let is_fence = |record: &&Record| matches!(record.stored.state, PlanState::Fenced | PlanState::Resetting);
        let record = self.0.as_ref().filter(is_fence)?;
        record.stored.plan.excluded.contains(&host).then_some(record.stored.plan.number)
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |hosts: &BTreeSet<HostId>| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let StoredPlan { plan, state, rolled_forward } = &self.stored;
        writeln!(f, "{}", name(*state))?;
        writeln!(f, "rolled_forward={rolled_forward} ordered={} is_reset={}", self.ordered, self.is_reset)?;
        write!(f, "{}\n{}\n{}\n{}", plan.number, list(&plan.survivors), list(&plan.excluded), plan.text)
    }
}

impl std::str::FromStr for Record {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut lines = text.splitn(6, '\n');
        let mut line = || lines.next().ok_or(());
        let first = line()?;
        let state = STATES.into_iter().find(|state| name(*state) == first).ok_or(())?;
        let flags: Vec<bool> = line()?.split(' ').filter_map(|flag| flag.split_once('=')?.1.parse().ok()).collect();
        let &[rolled_forward, ordered, is_reset] = flags.as_slice() else { return Err(()) };
        let number = line()?.parse().map_err(drop)?;
        let hosts = |list: &str| {
            let ids = list.split(',').filter(|id| !id.is_empty());
            ids.map(|id| id.parse().map_err(drop)).collect::<Result<BTreeSet<HostId>, ()>>()
        };
        let (survivors, excluded) = (hosts(line()?)?, hosts(line()?)?);
        let plan = RecoveryPlan { number, survivors, excluded, text: line()?.into() };
        Ok(Self { stored: StoredPlan { plan, state, rolled_forward }, ordered, is_reset })
    }
}

const STATES: [PlanState; 5] =
    [PlanState::Prepared, PlanState::Fenced, PlanState::Resetting, PlanState::Done, PlanState::Withdrawn];

const fn name(state: PlanState) -> &'static str {
    match state {
        PlanState::Prepared => "prepared",
        PlanState::Fenced => "fenced",
        PlanState::Resetting => "resetting",
        PlanState::Done => "done",
        PlanState::Withdrawn => "withdrawn",
    }
}

impl Node {
    /// A step that an operator orders. Without a reply it is answered later.
    pub(in crate::node) fn recover(&mut self, id: RequestId, number: u64, step: &RecoveryStep) -> Option<AdminReply> {
        let outcome = match step {
            RecoveryStep::PrepareFence(plan) => self.prepare_fence(plan),
            RecoveryStep::RollForward { donor } => match self.roll_forward(id, number, *donor) {
                Ok(Some(())) => Ok(()),
                Ok(None) => return None,
                Err(why) => Err(why),
            },
            RecoveryStep::LiftFence if number == 0 => self.lift_stray_marker(),
            step => self.record_of(number).and_then(|record| self.carry_out(record, step)),
        };
        Some(outcome.map_or_else(|why| AdminReply::Refused(format!("{why}. Nothing was changed")), |()| AdminReply::Done))
    }

    fn prepare_fence(&mut self, plan: &RecoveryPlan) -> Result<(), String> {
        let before = self.plans.0.clone();
        if let Some(stored) = before.as_ref().map(|record| &record.stored.plan).filter(|stored| stored.number >= plan.number) {
            return if stored == plan {
                Ok(())
            } else {
                Err(format!("plan {} is stored here, and plan {} is another one or older", stored.number, plan.number))
            };
        }
        if !plan.survivors.contains(&self.host) || plan.excluded.contains(&self.host) {
            return Err(format!("plan {} does not have this host, {}, among its survivors", plan.number, self.host));
        }
        self.nobody_is_alive(plan)?;
        let (ordered, is_reset) = before.map_or((false, false), |record| (record.ordered, record.is_reset));
        let stored = StoredPlan { plan: plan.clone(), state: PlanState::Prepared, rolled_forward: false };
        self.store_plan(Record { stored, ordered, is_reset });
        Ok(())
    }

    /// A sign of life makes every proof of death void.
    fn nobody_is_alive(&self, plan: &RecoveryPlan) -> Result<(), String> {
        match plan.excluded.iter().find(|host| self.gossip.is_up(**host)) {
            Some(host) => Err(format!("host {host}, which plan {} excludes, is up as this node sees it", plan.number)),
            None => Ok(()),
        }
    }

    fn record_of(&self, number: u64) -> Result<Record, String> {
        match &self.plans.0 {
            Some(record) if record.stored.plan.number == number => Ok(record.clone()),
            Some(record) => Err(format!("the plan of this node is {}, not {number}", record.stored.plan.number)),
            None => Err(format!("no plan was ever prepared here: prepare plan {number} first")),
        }
    }

    fn carry_out(&mut self, record: Record, step: &RecoveryStep) -> Result<(), String> {
        let state = record.stored.state;
        let not_its_turn =
            || Err(format!("plan {} is {} here: it is not the turn of {}", record.stored.plan.number, name(state), step.name()));
        match (step, state) {
            (RecoveryStep::Fence, PlanState::Prepared) => self.fence(record),
            (RecoveryStep::LiftFence, PlanState::Prepared | PlanState::Fenced) => self.lift_fence(record),
            (RecoveryStep::EnterRecovery, PlanState::Fenced) => {
                self.enter_by_plan(record);
                Ok(())
            }
            (RecoveryStep::ResetGroup0, PlanState::Fenced) => self.reset_group0(record),
            (RecoveryStep::LeaveRecovery, PlanState::Resetting) => {
                self.remove_marker();
                Ok(())
            }
            (RecoveryStep::CloseRecovery, PlanState::Resetting) => self.close_recovery(record),
            (RecoveryStep::LiftFence, PlanState::Withdrawn)
            | (
                RecoveryStep::Fence | RecoveryStep::EnterRecovery | RecoveryStep::ResetGroup0,
                PlanState::Resetting | PlanState::Done,
            )
            | (RecoveryStep::Fence, PlanState::Fenced)
            | (RecoveryStep::LeaveRecovery | RecoveryStep::CloseRecovery, PlanState::Done) => Ok(()),
            _ => not_its_turn(),
        }
    }

    fn fence(&mut self, record: Record) -> Result<(), String> {
        self.nobody_is_alive(&record.stored.plan)?;
        self.advance(record, PlanState::Fenced);
        Ok(())
    }

    /// Nothing of the plan is left but its number. What a person has ordered stays.
    fn lift_fence(&mut self, record: Record) -> Result<(), String> {
        if record.is_reset {
            return Err("the group was forgotten here already: there is only forward, by a plan of a higher number".into());
        }
        if record.ordered {
            self.remove_marker();
        }
        self.advance(Record { ordered: false, ..record }, PlanState::Withdrawn);
        Ok(())
    }

    /// A recovery that no plan has ordered: a person forgot it. With the next start the node goes on in its group.
    fn lift_stray_marker(&mut self) -> Result<(), String> {
        let of_plan = self.plans.0.as_ref().filter(|record| record.ordered || record.is_reset);
        if let Some(record) = of_plan {
            return Err(format!("the recovery of this node belongs to plan {}: name that", record.stored.plan.number));
        }
        self.remove_marker();
        Ok(())
    }

    fn enter_by_plan(&mut self, record: Record) {
        if !self.has_marker() {
            self.enter_recovery();
            self.store_plan(Record { ordered: true, ..record });
        }
    }

    /// The point of no return. What comes of it is one transaction.
    fn reset_group0(&mut self, record: Record) -> Result<(), String> {
        self.is_in_recovery()?;
        let excluded = record.stored.plan.excluded.clone();
        self.forget_group();
        for host in excluded {
            self.forget_host(host);
        }
        self.advance(Record { is_reset: true, ..record }, PlanState::Resetting);
        Ok(())
    }

    fn close_recovery(&mut self, record: Record) -> Result<(), String> {
        if self.stage() == Stage::Recovery {
            return Err("this node is in recovery still".into());
        }
        self.advance(Record { ordered: false, is_reset: false, ..record }, PlanState::Done);
        Ok(())
    }

    fn is_in_recovery(&self) -> Result<(), String> {
        if self.recovery == Mode::Yes {
            Ok(())
        } else {
            Err("this node is not in recovery: order it and restart the node first".into())
        }
    }

    fn advance(&mut self, mut record: Record, state: PlanState) {
        record.stored.state = state;
        self.store_plan(record);
    }

    fn store_plan(&mut self, record: Record) {
        let StoredPlan { plan, state, .. } = &record.stored;
        tracing::warn!(target: "raft_group0", plan = plan.number, excluded = ?plan.excluded, "recovery: the plan is {}", name(*state));
        self.local.set(&mut self.effects.persist, key::OPERATOR_PLAN, record.to_string());
        self.effects.persist.points.push(Point::Plan);
        self.plans.0 = Some(record);
        self.watchers.touch();
    }

    // Rolling forward.

    /// What may have been acknowledged and is not applied yet comes into the schema. `None`: it is under way.
    fn roll_forward(&mut self, id: RequestId, number: u64, donor: HostId) -> Result<Option<()>, String> {
        let record = self.record_of(number)?;
        if record.stored.rolled_forward || record.stored.state >= PlanState::Resetting {
            return Ok(Some(()));
        }
        self.is_in_recovery()?;
        if !record.stored.plan.survivors.contains(&donor) {
            return Err(format!("donor {donor} is none of the survivors of plan {number}"));
        }
        if donor == self.host {
            self.apply_dormant_log();
            self.note_rolled_forward(record);
            return Ok(Some(()));
        }
        self.call(donor, PeerRequest::MigrationRequest { snapshot_of: None }, Purpose::RollForward { id, plan: number });
        Ok(None)
    }

    /// In the order of the log, each command that takes effect after those before it. The history stays as it is: should the plan be
    /// withdrawn, the group goes on from there, and what it lacks of this is proposed to it.
    fn apply_dormant_log(&mut self) {
        let Some((_, stored)) = self.dormant.clone() else { return };
        let mut history = self.history.clone();
        let commands = stored.entries.iter().filter(|entry| entry.index > stored.applied && entry.kind == EntryKind::Normal);
        for command in commands.filter_map(|entry| postcard::from_bytes::<Command>(&entry.data).ok()) {
            if history.admits(&command) {
                self.merge_rows(&command.rows);
                let row = HistoryRow { state: command.state, description: command.description };
                history.append(&mut Persist::default(), row);
            }
        }
    }

    /// The donor has answered, or not.
    pub(in crate::node) fn rolled_forward(&mut self, id: RequestId, plan: u64, outcome: Result<&Migration, String>) {
        let outcome = outcome.and_then(|migration| self.take_from_donor(plan, migration));
        self.reply_admin(id, outcome.map_or_else(AdminReply::Refused, |()| AdminReply::Done));
    }

    fn take_from_donor(&mut self, plan: u64, migration: &Migration) -> Result<(), String> {
        let record = self.record_of(plan)?;
        if migration.state.stage != Stage::Recovery {
            return Err("the donor is not in recovery".into());
        }
        self.merge_rows(&migration.rows);
        self.note_rolled_forward(record);
        Ok(())
    }

    fn note_rolled_forward(&mut self, mut record: Record) {
        record.stored.rolled_forward = true;
        self.store_plan(record);
    }
}
