//! What a recovery needs of a node, as far as a planner sees it: verbs that refuse when it is not their plan's turn.

use super::{World, host, known, new_node, new_pod, peer};
use group0_operator::{
    observe::{Group, HostId, Machine, NodeSeen, Part, Peer, PlanState, PodName, PodState, Procedure, StoredPlan, UpgradeState},
    plan::{Action, Donor, Recovery, RecoveryVerb},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};
use uuid::Uuid;

/// What the survivors found after a recovery.
pub const NEW_GROUP: Uuid = Uuid::from_u128(0x601);

impl World {
    /// A verb of a recovery. One that a node would refuse has no place in a transcript.
    pub fn recover(&mut self, name: &str, number: u64, verb: RecoveryVerb) {
        if verb == RecoveryVerb::PrepareFence {
            return self.prepare(name, number);
        }
        let node = self.node(name);
        let is_in_recovery = node.evidence.in_recovery;
        let evidence = &mut node.evidence;
        if number == 0 {
            evidence.recovery_stored = false;
            return;
        }
        let Some(plan) = evidence.plan.as_mut().filter(|plan| plan.number == number) else {
            panic!("{name} has stored no plan {number}");
        };
        let is =
            |state: PlanState| assert!(plan.state == state || plan.state == PlanState::Resetting, "{name}: {verb:?} of {plan:?}");
        match verb {
            RecoveryVerb::PrepareFence => {}
            RecoveryVerb::Fence => {
                is(PlanState::Prepared);
                plan.state = PlanState::Fenced;
            }
            RecoveryVerb::LiftFence => {
                assert!(!evidence.forward_only, "{name} has reset its group");
                plan.state = PlanState::Withdrawn;
                evidence.recovery_stored = false;
            }
            RecoveryVerb::EnterRecovery => {
                is(PlanState::Fenced);
                evidence.recovery_stored = true;
                node.state = UpgradeState::Recovery;
            }
            RecoveryVerb::RollForward { .. } => {
                is(PlanState::Fenced);
                assert!(is_in_recovery, "{name} is not in recovery");
                plan.rolled_forward = true;
            }
            RecoveryVerb::ResetGroup0 => {
                is(PlanState::Fenced);
                assert!(is_in_recovery, "{name} is not in recovery");
                plan.state = PlanState::Resetting;
                evidence.forward_only = true;
                evidence.group = None;
                evidence.removed.extend(plan.excluded.iter().copied());
                let removed = evidence.removed.clone();
                node.peers.retain(|host, _| !removed.contains(host));
            }
            RecoveryVerb::LeaveRecovery => {
                is(PlanState::Resetting);
                evidence.recovery_stored = false;
            }
            RecoveryVerb::CloseRecovery => {
                is(PlanState::Resetting);
                plan.state = PlanState::Done;
                evidence.forward_only = false;
            }
        }
    }

    fn prepare(&mut self, name: &str, number: u64) {
        let plan = self.journal.recovery.as_ref().unwrap().plan.clone();
        assert_eq!(plan.number, number, "not the plan of the journal");
        let stored = &mut self.node(name).evidence.plan;
        assert!(stored.as_ref().is_none_or(|stored| stored.number < number), "{name} has stored {stored:?}");
        *stored = Some(StoredPlan {
            number,
            survivors: plan.survivors,
            excluded: plan.excluded,
            text: plan.text,
            state: PlanState::Prepared,
            rolled_forward: false,
        });
    }

    /// Somebody else has given it a plan with this number, and other choices.
    pub fn store_other_plan(&mut self, name: &str, number: u64) {
        let stored = self.node(name).evidence.plan.as_mut().unwrap();
        stored.number = number;
        stored.text = format!("plan: {number}\n");
    }

    /// After a start in place: in recovery if that is stored; outside it again with the group that is kept, if one is.
    pub fn start_as_stored(&mut self, name: &str) {
        let (was_inside, is_marked) = {
            let node = self.node(name);
            (node.evidence.in_recovery, node.evidence.recovery_stored)
        };
        self.node(name).evidence.in_recovery = is_marked;
        let group = self.node(name).evidence.group;
        match (was_inside, is_marked) {
            (_, true) => {
                let node = self.node(name);
                (node.state, node.group, node.procedure) = (UpgradeState::Recovery, None, Procedure::Idle);
            }
            (true, false) => {
                self.node(name).state = UpgradeState::PreRaft;
                if group.is_some() {
                    self.join(name);
                }
            }
            (false, false) => {}
        }
    }

    /// The upgrade comes to its end.
    pub fn finish(&mut self) {
        let names: Vec<_> = self.seen.nodes.keys().map(|name| name.name.clone()).collect();
        for name in names {
            self.happen("final", &name, &[]);
        }
        self.plan(false);
    }

    /// The survivors that answer found a new group and finish.
    pub fn reform(&mut self) {
        let is_member = |node: &NodeSeen| node.bootstrapped.is_ok() && node.state != UpgradeState::Recovery;
        let known = self.seen.nodes.values().filter_map(|view| view.node.known());
        let voters: BTreeSet<_> = known.filter(|node| is_member(node)).map(|node| node.host).collect();
        let leader = voters.first().copied();
        for view in self.seen.nodes.values_mut() {
            if let Part::Known { value: node, .. } = &mut view.node
                && voters.contains(&node.host)
            {
                node.group = Some(Group {
                    id: NEW_GROUP,
                    leader,
                    voters: voters.clone(),
                    learners: BTreeSet::new(),
                    joint: false,
                    commit: 3,
                    state_id: String::new(),
                });
                node.evidence.group = Some(NEW_GROUP);
                (node.state, node.procedure) = (UpgradeState::PostRaft, Procedure::Done);
            }
        }
    }

    /// A human approves the plan that status shows.
    pub fn approve(&mut self) {
        self.seen.object.generation += 1;
        self.spec.recovery.approved_plan_hash = Some(self.status.recovery.as_ref().unwrap().plan_hash.clone());
    }

    /// It is gone with its volume, and nobody sees it any more.
    pub fn lose(&mut self, name: &str, why: &str) {
        self.pod(name).state = PodState::Down(why.into());
        self.pod(name).volume_gone = true;
        self.view(name).node = Part::Unknown("connection refused".into());
        let lost = host(&self.name(name));
        for view in self.seen.nodes.values_mut() {
            if let Part::Known { value: node, .. } = &mut view.node
                && let Some(peer) = node.peers.get_mut(&lost)
            {
                *peer = Peer { up: false, ..peer.clone() };
            }
        }
    }

    /// A node in recovery drops its row of the host; any other one has all remove it for ever.
    pub fn remove_host(&mut self, by: &str, host: HostId) {
        if self.node(by).evidence.in_recovery {
            self.node(by).peers.remove(&host);
            return;
        }
        for view in self.seen.nodes.values_mut() {
            let Part::Known { value: node, .. } = &mut view.node else { continue };
            node.peers.remove(&host);
            node.evidence.removed.insert(host);
            if let Some(group) = &mut node.group {
                group.voters.remove(&host);
                group.learners.remove(&host);
            }
        }
    }

    /// What was left of it is taken away.
    pub fn replace(&mut self, name: &PodName) {
        self.fresh(&name.name);
    }

    /// Its StatefulSet has made the pod again, with another volume: another host waits there until it may join.
    pub fn fresh(&mut self, name: &str) {
        let name = self.name(name);
        let uid = self.pod(&name.name).uid.parse::<u64>().unwrap() + 100;
        let mut pod = new_pod(uid, true, self.now);
        (pod.machine, pod.volume_gone) = (Machine::There, false);
        let mut node = new_node(&name, BTreeMap::new());
        node.host.0 = Uuid::from_u128(0x1000 + node.host.0.as_u128());
        (node.flag, node.held, node.epoch) = (true, true, self.journal.epoch);
        node.bootstrapped = Err("upgrading: wait".into());
        node.ready = Err("upgrading: wait".into());
        let view = self.view(&name.name);
        (view.pod, view.node) = (known(pod), known(node));
    }

    /// A fresh host has joined the new group.
    pub fn join_fresh(&mut self, name: &str) {
        let new = self.node(name).host;
        let others: Vec<_> = self.seen.nodes.values().filter_map(|view| view.node.known()).cloned().collect();
        let voters: BTreeSet<_> =
            others.iter().flat_map(|node| node.group.iter().flat_map(|group| &group.voters)).copied().collect();
        let voters: BTreeSet<_> = voters.into_iter().chain([new]).collect();
        let members = || others.iter().filter(|node| voters.contains(&node.host));
        let group = members().find_map(|node| node.group.clone()).map(|group| Group { voters: voters.clone(), ..group });
        let peers = members().filter(|node| node.host != new).map(|node| (node.host, peer(node.generation))).collect();
        let node = self.node(name);
        (node.bootstrapped, node.ready, node.peers) = (Ok(()), Ok(()), peers);
        (node.state, node.procedure, node.feature_enabled) = (UpgradeState::PostRaft, Procedure::Done, true);
        let generation = node.generation;
        for view in self.seen.nodes.values_mut() {
            if let Part::Known { value: node, .. } = &mut view.node
                && voters.contains(&node.host)
            {
                node.group.clone_from(&group);
                node.peers.extend((node.host != new).then(|| (new, peer(generation))));
            }
        }
    }

    /// A host that was lost answers again, with all that it had; nobody that has removed it hears it.
    pub fn come_back(&mut self, name: &str) {
        let pod_name = self.name(name);
        (self.pod(name).state, self.pod(name).volume_gone) = (PodState::Running, false);
        let mut node = new_node(&pod_name, BTreeMap::new());
        (node.flag, node.held, node.epoch) = (true, true, self.journal.epoch);
        node.sequence = self.journal.node(&pod_name).sequence + 1;
        self.view(name).node = known(node);
        self.join(name);
    }

    /// One that could not be asked answers again, as it was.
    pub fn answer(&mut self, name: &str) {
        let node = self.silenced.remove(name).unwrap();
        (self.pod(name).state, self.view(name).node) = (PodState::Running, known(node));
    }

    /// What `kubectl describe` shows of the recovery.
    pub fn tell_of_recovery(&self) -> String {
        let Some(recovery) = &self.status.recovery else { return "no recovery\n".into() };
        let mut text = format!("step {}\n", recovery.step);
        for line in &recovery.plan {
            writeln!(text, "  {line}").unwrap();
        }
        for guard in &recovery.blocked_by {
            writeln!(text, "  blocked by {guard}").unwrap();
        }
        for run in self.status.history.iter().filter(|run| !run.plan_hash.is_empty()) {
            let figures = (run.schema_changes_off_millis.unwrap_or_default(), run.waiting_for_proof_millis.unwrap_or_default());
            writeln!(
                text,
                "  history: {} {}, schema changes off {} ms, of which {} ms until all counted as dead",
                run.run_id, run.result, figures.0, figures.1
            )
            .unwrap();
        }
        text
    }
}

/// Who else is dead, as the host is told that removes one.
pub fn ignored(action: &Action) -> String {
    let Action::RemoveHost { ignore, .. } = action else { return String::new() };
    let hosts: Vec<_> = ignore.iter().map(ToString::to_string).collect();
    if hosts.is_empty() { String::new() } else { format!(", without {}", hosts.join(" and ")) }
}

/// What is new in the journal of a recovery.
pub fn news(before: Option<&Recovery>, after: Option<&Recovery>) -> String {
    let Some(after) = after else { return String::new() };
    let before = before.filter(|before| before.plan.number == after.plan.number);
    let mut text = String::new();
    let mut tell = |is_new: bool, line: &dyn std::fmt::Display| {
        if is_new {
            writeln!(text, "  journal: {line}").unwrap();
        }
    };
    let is_new = |of: fn(&Recovery) -> bool| of(after) && !before.is_some_and(of);
    tell(is_new(|it| it.approved_at.is_some()), &"approved");
    tell(is_new(|it| it.donor == Some(Donor::Nobody)), &"no donor");
    if let Some(Donor::Host(host)) = after.donor {
        tell(is_new(|it| it.donor.is_some()), &format!("donor {host}"));
    }
    tell(is_new(|it| it.reset_at.is_some()), &"no return");
    tell(is_new(|it| it.verified_at.is_some()), &"verified");
    tell(is_new(|it| it.withdrawn.is_some()), &"withdrawn");
    tell(is_new(|it| it.ended_at.is_some()), &"ended");
    text
}
