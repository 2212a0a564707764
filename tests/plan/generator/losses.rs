//! Losses, and recoveries from them: frozen a moment ago, nearly over, or anywhere between, with each survivor nearly as far.

use super::{Case, Choices};
use crate::world::{host, value};
use group0_operator::{
    crd::RecoveryMode,
    observe::{
        HostId, Machine, NodeSeen, NodeView, Part, PlanState, PodName, PodState, Position, Procedure, StoredPlan, UpgradeState,
    },
    plan::{Because, Commit, Donor, Event, FrozenPlan, Gone, Proof, Recovery, Silent, Step, stall::Class},
};
use k8s_openapi::jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How far a survivor is, in the order of the steps.
const POINTS: u16 = 10;

impl Choices {
    /// Some hosts are lost; perhaps a recovery from that is under way.
    pub fn losses(&mut self, case: &mut Case) {
        let names: Vec<_> = case.seen.nodes.keys().cloned().collect();
        let lost: BTreeSet<_> = names.iter().skip(1).filter(|_| self.below(3) == 2).cloned().collect();
        for name in &lost {
            self.lose(case, name);
        }
        self.evidence(case);
        case.spec.recovery.mode = self.pick(&[RecoveryMode::Approve, RecoveryMode::Automatic, RecoveryMode::Disabled]);
        if self.below(4) > 0 {
            self.under_way(case, &lost);
        }
        if self.odd() {
            case.journal.commit = Some(Commit { group: Uuid::from_u128(6), index: u64::from(self.below(10)) });
        }
    }

    fn lose(&mut self, case: &mut Case, name: &PodName) {
        let dead = host(name);
        let is_gone = self.or(true, &[false]);
        let machine = self.or(Machine::There, &[Machine::Gone, Machine::OutOfService]);
        for (other, view) in &mut case.seen.nodes {
            if other == name {
                lose(view, is_gone, machine);
            } else if let Part::Known { value: node, .. } = &mut view.node
                && let Some(peer) = node.peers.get_mut(&dead)
            {
                peer.up = self.or(false, &[true]);
            }
        }
        let proof = Proof { of: Gone::Volume, uid: self.pick(&["1", "2", "9"]).into(), at: self.time() };
        let since = self.now - SignedDuration::from_secs(self.pick(&[400, 100_000, 100, 0]));
        let silent = Silent {
            pod: self.or(Some(name.clone()), &[None]),
            since: self.or(Some(since), &[None]),
            proof: self.or(Some(proof), &[None]),
            given_up: self.odd(),
        };
        if !self.odd() {
            case.journal.silent.insert(dead, silent);
        }
    }

    fn evidence(&mut self, case: &mut Case) {
        for node in answering(case) {
            node.evidence.group = self.or(node.group.as_ref().map(|group| group.id), &[None, Some(Uuid::from_u128(6))]);
            node.evidence.last = Position { term: u64::from(self.below(3)), index: u64::from(self.below(9)) };
            node.evidence.commit = u64::from(self.below(9));
        }
    }

    fn under_way(&mut self, case: &mut Case, lost: &BTreeSet<PodName>) {
        let survivors: BTreeSet<HostId> = case.seen.nodes.keys().filter(|name| !lost.contains(*name)).map(host).collect();
        let plan = FrozenPlan::new(u64::from(1 + self.below(2)), survivors, lost.iter().map(host).collect());
        let point = self.below(POINTS + 1);
        let mut points = Vec::new();
        for node in answering(case) {
            let behind = self.below(3) / 2;
            let other = self.below(POINTS);
            let here = self.or(point.saturating_sub(behind), &[other]);
            self.come_to(node, &plan, here);
            points.push(here);
        }
        let recovery = self.recovery(case, plan, lost, point);
        case.spec.recovery.approved_plan_hash = self.or(Some(recovery.plan.hash()), &[None, Some("0123".into())]);
        case.journal.recovery = self.or(Some(recovery), &[None]);
    }

    /// The node is where it is after so many steps of this plan.
    fn come_to(&mut self, node: &mut NodeSeen, plan: &FrozenPlan, point: u16) {
        let state = match point {
            0 => return,
            1 => PlanState::Prepared,
            2..=5 => PlanState::Fenced,
            6..=8 => PlanState::Resetting,
            _ => PlanState::Done,
        };
        node.evidence.plan = Some(StoredPlan {
            number: self.or(plan.number, &[1, 2, 3]),
            survivors: plan.survivors.clone(),
            excluded: plan.excluded.clone(),
            text: self.or(plan.text.clone(), &["other".into()]),
            state: self.or(state, &[PlanState::Withdrawn]),
            rolled_forward: point >= 5,
        });
        node.evidence.recovery_stored = (3..7).contains(&point);
        node.evidence.in_recovery = (4..8).contains(&point);
        if node.evidence.in_recovery {
            (node.group, node.procedure) = (None, Procedure::Idle);
        }
        if (3..8).contains(&point) {
            node.state = UpgradeState::Recovery;
        }
        if point >= 6 {
            node.evidence.group = None;
            node.evidence.removed.extend(plan.excluded.iter().copied());
            node.peers.retain(|host, _| !plan.excluded.contains(host));
        }
    }

    fn recovery(&mut self, case: &mut Case, plan: FrozenPlan, lost: &BTreeSet<PodName>, point: u16) -> Recovery {
        // Each is written down when the one before it has been, and nobody stores a plan that is not approved.
        let is_stored = answering(case).iter().any(|node| node.evidence.plan.is_some());
        let mut at = |after: u16| self.maybe_time(point >= after);
        let (approved_at, reset_at) = (at(1), at(6));
        let leaving_at = reset_at.and_then(|_| at(7));
        let verified_at = leaving_at.and_then(|_| at(9));
        let approved_at = approved_at.or_else(|| (is_stored || reset_at.is_some()).then(|| self.time()));
        let forward_only = self.or(false, &[true]);
        let may_be_withdrawn = reset_at.is_none() && !forward_only;
        let (step_since, frozen_at, lost_at, proven_at) = (self.time(), self.time(), self.time(), self.time());
        let donor = plan.survivors.first().copied().map_or(Donor::Nobody, Donor::Host);
        let steps = [Step::Approve, Step::Fence, Step::EnterRecovery, Step::RollForward, Step::LeaveRecovery, Step::Verify];
        let because = Because { what: Event::SurvivorLost, text: "db-9 was lost".into() };
        Recovery {
            trigger: self.pick(&[Class::NodeLost, Class::QuorumLost]),
            pods: lost.iter().map(|name| (host(name), self.or(Some(name.clone()), &[None]))).collect::<BTreeMap<_, _>>(),
            step: self.pick(&steps),
            step_since,
            frozen_at,
            lost_at,
            proven_at,
            needs_human: self.or(false, &[true]),
            forward_only,
            because: self.or(None, &[Some(because)]),
            approved_at,
            donor: self.or((point >= 5).then_some(donor), &[None, Some(Donor::Nobody)]),
            reset_at,
            leaving_at,
            verified_at,
            replaced: self.or(BTreeSet::new(), &[case.seen.nodes.keys().cloned().collect()]),
            withdrawn: self.or(None, &[may_be_withdrawn.then(|| "nobody wants it".into())]),
            ended_at: self.or(None, &[Some(self.now)]),
            plan,
        }
    }
}

fn lose(view: &mut NodeView, is_gone: bool, machine: Machine) {
    view.node = Part::Unknown("connection refused".into());
    if view.pod.known().is_some() {
        let pod = value(&mut view.pod);
        (pod.state, pod.volume_gone, pod.machine) = (PodState::Down("it is lost".into()), is_gone, machine);
    }
}

fn answering(case: &mut Case) -> Vec<&mut NodeSeen> {
    let nodes = case.seen.nodes.values_mut();
    nodes.filter_map(|view| if let Part::Known { value, .. } = &mut view.node { Some(value) } else { None }).collect()
}
