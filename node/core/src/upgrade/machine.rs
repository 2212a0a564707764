//! The procedure as a state machine. Steps are numbered as in [`Step`].
//!
//! [`step`] consumes an event and the [`View`] of that moment. A step's answers are those to calls that it made itself: whoever
//! carries the actions out drops calls of a former step or pass when a new one begins ([`Action::Abort`]).

use super::{Stage, Step, View, WaitingOn};
use crate::ids::HostId;
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

/// Where the procedure is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Upgrade {
    /// What it does.
    pub phase: Phase,
    /// Members that said, of our group, that they are final.
    finals: BTreeSet<HostId>,
    /// Members that said that they are in `synchronize` or final.
    synchronized: BTreeSet<HostId>,
    /// Members that said that they are on the way in: they may need a final member to get further.
    newcomers: BTreeSet<HostId>,
    /// Why the last pass failed, while its back-off lasts.
    setback: Option<String>,
}

/// What the procedure does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing: it has not begun.
    #[default]
    Idle,
    /// Step 0.
    AskPeers(Round),
    /// Step 1.
    Join,
    /// Step 2.
    AwaitPeers,
    /// Step 3.
    Pull(Round),
    /// Step 4.
    AskMembers(Round),
    /// Step 6, after 5.
    AwaitMembers,
    /// Steps 6 and 7: everyone was seen in `synchronize`; a read barrier and the comparison of schemas run side by side.
    Confirm(Confirm),
    /// The early finish.
    Early(Early),
    /// Final.
    Done,
    /// It failed in that step; [`Event::Begin`] starts it again.
    Failed(Step, String),
}

/// One pass of questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Round {
    asked: BTreeSet<HostId>,
    answered: BTreeSet<HostId>,
    /// In step 3: whose schema was equal, at the time of an answer that said its stage, too.
    equal: BTreeSet<HostId>,
}

/// What steps 6 and 7 have established about these members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Confirm {
    members: BTreeSet<HostId>,
    barrier_passed: bool,
    equal: BTreeSet<HostId>,
    logged: Logged,
}

/// Whether all that was compared is in the log. Newcomers, whom nobody awaits, have a snapshot and the log after it: what members have made
/// outside of that, in recovery, comes to them by no other way (seed 74164).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Logged {
    /// Nobody needs it as yet.
    No,
    UnderWay,
    Yes,
}

/// How far the early finish with that member has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Early {
    member: HostId,
    phase: EarlyPhase,
}

/// The parts of an early finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum EarlyPhase {
    Barrier,
    Reconcile,
    Surplus,
}

/// How a member's schema compares with ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Versions are equal; the member's stage at that time.
    Equal(Stage),
    /// They differed; its rows are merged into ours, and that changed ours.
    Pulled,
    /// They differ, and it has nothing that we lack: the other side is behind; its stage at that time.
    Behind(Stage),
}

/// What happens to the procedure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The feature is enabled and the node is in the ring; or start again after a failure.
    Begin,
    /// Something of the view has changed.
    Changed,
    /// A host of our group, or before we have one of any, said its stage.
    Told(HostId, Stage),
    /// A host did not answer.
    Silent(HostId, String),
    /// We are in the applied configuration.
    Joined,
    /// A comparison with that host has ended.
    Compared(HostId, Comparison),
    /// The schema version of that host moved, gossip says.
    VersionMoved(HostId),
    /// A read barrier has passed, or failed with that cause.
    Barrier(Result<(), String>),
    /// The schema of the final member and ours are merged; whether we have a surplus over it.
    Reconciled(bool),
    /// Our surplus is committed and applied.
    SurplusCommitted,
    /// Our surplus, or the reconciliation, failed.
    SurplusFailed(String),
    /// The stage was persisted.
    Entered(Stage),
    /// The stored stage was not what it should have been: a person wrote `recovery`.
    Overruled(Stage),
    /// The back-off has passed.
    Retry,
    /// Something that no retry mends.
    Fatal(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Forget all calls of the former pass, and its back-off.
    Abort,
    /// Send `GetGroup0UpgradeState`.
    Ask(HostId),
    /// Join group 0; [`Event::Joined`] follows.
    Join,
    /// Compare schemas with that host, and pull if they differ.
    Compare(HostId),
    /// Perform a read barrier.
    Barrier,
    /// Compare with that final member at one state id and take what we lack.
    Reconcile(HostId),
    /// Submit our surplus over the reconciled member.
    SubmitSurplus,
    /// Submit all rows. [`Event::SurplusCommitted`] or [`Event::SurplusFailed`] follows.
    SubmitSchema,
    /// Compare-and-set the persisted stage; [`Event::Entered`] or [`Event::Overruled`] follows in the same turn.
    Enter {
        /// What must be stored.
        from: Stage,
        /// What is to be stored.
        to: Stage,
    },
    /// Give [`Event::Retry`] after the back-off, which doubles.
    Backoff,
    /// Progress: the back-off starts anew.
    ResetBackoff,
}

type Actions = Vec<Action>;

impl Upgrade {
    /// The step that it is in, if it runs.
    pub fn step(&self) -> Option<Step> {
        Some(match &self.phase {
            Phase::Idle | Phase::Done | Phase::Failed(..) => return None,
            Phase::AskPeers(_) => Step::AskPeers,
            Phase::Join => Step::JoinGroup0,
            Phase::AwaitPeers => Step::AwaitPeersInGroup0,
            Phase::Pull(_) => Step::PullSchema,
            Phase::AskMembers(_) => Step::AskMembers,
            Phase::AwaitMembers => Step::AwaitMembers,
            Phase::Confirm(_) => Step::SynchronizeSchema,
            Phase::Early(_) => Step::EarlyFinish,
        })
    }

    /// Whether rows that arrive by push or background pull are set aside: what was compared is what becomes final.
    pub const fn sets_rows_aside(&self) -> bool {
        matches!(self.phase, Phase::Confirm(_) | Phase::Early(_))
    }

    /// What it waits for, in the order of names.
    pub fn waiting_on(&self, view: &View<'_>) -> Vec<WaitingOn> {
        let mut waiting = self.phase_waits_on(view);
        waiting.extend(self.setback.clone().map(WaitingOn::Retry));
        waiting
    }

    fn phase_waits_on(&self, view: &View<'_>) -> Vec<WaitingOn> {
        let ask = |host| WaitingOn::Answer { host, verb: "GetGroup0UpgradeState" };
        match &self.phase {
            Phase::Idle | Phase::Done | Phase::Failed(..) => vec![],
            Phase::AskPeers(round) => {
                let strangers = view.strangers().into_iter().map(WaitingOn::UnknownToPeersTable);
                strangers.chain(round.missing(view.peers).into_iter().map(ask)).collect()
            }
            Phase::Join => vec![WaitingOn::Discovery],
            Phase::AwaitPeers => {
                let joint = view.is_joint().then_some(WaitingOn::JointConfiguration);
                view.outsiders().into_iter().map(WaitingOn::Membership).chain(joint).collect()
            }
            Phase::Pull(round) => {
                let missing = round.missing(&view.others()).into_iter();
                missing.map(|host| WaitingOn::Answer { host, verb: "SchemaCheck" }).collect()
            }
            Phase::AskMembers(round) => round.missing(&view.others()).into_iter().map(ask).collect(),
            Phase::AwaitMembers => {
                self.awaited(view).difference(&self.synchronized).copied().map(WaitingOn::Synchronize).collect()
            }
            Phase::Confirm(confirm) => {
                let barrier = (!confirm.barrier_passed).then_some(WaitingOn::ReadBarrier);
                let behind = confirm.members.difference(&confirm.equal).copied().map(WaitingOn::SchemaAgreement);
                let surplus = (confirm.logged == Logged::UnderWay).then_some(WaitingOn::Surplus);
                barrier.into_iter().chain(behind).chain(surplus).collect()
            }
            Phase::Early(early) => vec![match early.phase {
                EarlyPhase::Barrier => WaitingOn::ReadBarrier,
                EarlyPhase::Reconcile => WaitingOn::Answer { host: early.member, verb: "MigrationRequest" },
                EarlyPhase::Surplus => WaitingOn::Surplus,
            }],
        }
    }
}

impl Round {
    /// Asks everyone of `hosts` who has not been asked in this pass.
    fn ask(&mut self, hosts: &BTreeSet<HostId>, action: fn(HostId) -> Action) -> Actions {
        let fresh: Vec<_> = hosts.difference(&self.asked).copied().collect();
        self.asked.extend(&fresh);
        fresh.into_iter().map(action).collect()
    }

    fn missing(&self, hosts: &BTreeSet<HostId>) -> BTreeSet<HostId> {
        hosts.difference(&self.answered).copied().collect()
    }

    fn is_complete(&self, hosts: &BTreeSet<HostId>) -> bool {
        hosts.is_subset(&self.answered)
    }
}

impl Confirm {
    fn of(members: BTreeSet<HostId>) -> Self {
        Self { members, barrier_passed: false, equal: BTreeSet::new(), logged: Logged::No }
    }

    fn questions(&self) -> Actions {
        let compare = self.members.iter().copied().map(Action::Compare);
        std::iter::once(Action::Barrier).chain(compare).collect()
    }
}

/// The state after the event, and what is to be done, in order.
pub fn step(state: &Upgrade, view: &View<'_>, event: Event) -> (Upgrade, Actions) {
    let mut next = state.clone();
    let mut actions = Vec::new();
    next.take(view, event, &mut actions);
    (next, actions)
}

impl Upgrade {
    fn take(&mut self, view: &View<'_>, event: Event, actions: &mut Actions) {
        match event {
            Event::Begin => self.begin(view, actions),
            Event::Changed => {}
            Event::Told(host, stage) => self.told(view, host, stage),
            Event::Silent(host, cause) => self.silent(host, &cause, actions),
            Event::Joined => self.joined(actions),
            Event::Compared(host, comparison) => self.compared(host, comparison, actions),
            Event::VersionMoved(host) => self.version_moved(host, actions),
            Event::Barrier(outcome) => self.barrier(outcome, actions),
            Event::Reconciled(surplus) => self.reconciled(view, surplus, actions),
            Event::SurplusCommitted => self.surplus_committed(view, actions),
            Event::SurplusFailed(cause) => self.surplus_failed(cause, actions),
            Event::Entered(stage) => self.entered(stage, actions),
            Event::Overruled(stage) => self.fail(format!("recovery requested, restart (stored state: {stage})"), actions),
            Event::Retry => self.retry(actions),
            Event::Fatal(cause) => self.fail(cause, actions),
        }
        self.go_on(view, actions);
    }

    /// Begins where the persisted stage says.
    fn begin(&mut self, view: &View<'_>, actions: &mut Actions) {
        if !matches!(self.phase, Phase::Idle | Phase::Failed(..)) {
            return;
        }
        *self = Self::default();
        actions.push(Action::Abort);
        self.phase = match view.stage {
            Stage::Recovery => Phase::Idle,
            Stage::UsePreRaft => Phase::AskPeers(Round::default()),
            Stage::Synchronize => join(actions),
            Stage::UsePostRaft => Phase::Done,
        };
    }

    /// Those who must have got as far as this host. Whoever waited for newcomers, who wait for somebody final, might wait for ever.
    fn awaited(&self, view: &View<'_>) -> BTreeSet<HostId> {
        let mut members = view.others();
        members.retain(|host| !(self.newcomers.contains(host) && view.is_newcomer(*host)));
        members
    }

    fn told(&mut self, view: &View<'_>, host: HostId, stage: Stage) {
        self.newcomers.remove(&host);
        if stage != Stage::UsePostRaft && view.is_newcomer(host) {
            self.newcomers.insert(host);
        }
        match stage {
            Stage::UsePostRaft => {
                self.finals.insert(host);
                self.synchronized.insert(host);
            }
            Stage::Synchronize => {
                self.synchronized.insert(host);
                self.finals.remove(&host);
            }
            Stage::UsePreRaft | Stage::Recovery => {
                self.finals.remove(&host);
                self.synchronized.remove(&host);
            }
        }
        if let Phase::AskPeers(round) | Phase::AskMembers(round) = &mut self.phase
            && round.asked.contains(&host)
        {
            round.answered.insert(host);
        }
    }

    /// A pass needs everyone, except the pulls of step 3, which only make step 7 short.
    fn silent(&mut self, host: HostId, cause: &str, actions: &mut Actions) {
        match &mut self.phase {
            Phase::Pull(round) => {
                round.answered.insert(host);
            }
            Phase::AskPeers(_) | Phase::AskMembers(_) | Phase::Confirm(_) => self.set_back(format!("{host}: {cause}"), actions),
            Phase::Early(early) if early.member == host => {
                self.finals.remove(&host);
                self.set_back(format!("{host}: {cause}"), actions);
            }
            _ => {}
        }
    }

    /// The calls of this pass and its back-off end together: without its timer a setback would last for ever.
    fn forget_pass(&mut self, actions: &mut Actions) {
        self.setback = None;
        actions.push(Action::Abort);
    }

    fn set_back(&mut self, cause: String, actions: &mut Actions) {
        if self.setback.is_none() {
            self.setback = Some(cause);
            actions.push(Action::Backoff);
        }
    }

    fn joined(&mut self, actions: &mut Actions) {
        if self.phase == Phase::Join {
            self.phase = Phase::AwaitPeers;
            self.finals.clear(); // said before we had a group to compare with
            self.synchronized.clear();
            actions.push(Action::ResetBackoff);
        }
    }

    fn compared(&mut self, host: HostId, comparison: Comparison, actions: &mut Actions) {
        if comparison == Comparison::Behind(Stage::UsePostRaft) {
            // It never takes our surplus by itself; and an early finish that failed has forgotten what its watch said once.
            self.finals.insert(host);
        }
        match (&mut self.phase, comparison) {
            (Phase::Pull(round), comparison) => {
                round.answered.insert(host);
                if matches!(comparison, Comparison::Equal(_)) {
                    round.equal.insert(host);
                }
            }
            (Phase::Confirm(confirm), Comparison::Equal(Stage::Synchronize | Stage::UsePostRaft)) => {
                confirm.equal.insert(host);
            }
            (Phase::Confirm(_), _) if !self.finals.is_empty() => {
                // Someone is final and its schema has gone on: only the early finish catches up.
                self.phase = Phase::AwaitMembers;
                self.forget_pass(actions);
            }
            (Phase::Confirm(confirm), Comparison::Pulled) => {
                // Ours has changed: what was equal is not any more.
                *confirm = Confirm::of(confirm.members.clone());
                let again = confirm.questions();
                self.forget_pass(actions);
                actions.extend(again);
            }
            (Phase::Confirm(_), Comparison::Behind(_) | Comparison::Equal(_)) => {
                self.set_back(format!("{host}: its schema is behind ours"), actions);
            }
            _ => {}
        }
    }

    fn version_moved(&mut self, host: HostId, actions: &mut Actions) {
        if let Phase::Confirm(confirm) = &self.phase
            && self.setback.is_some()
            && confirm.members.contains(&host)
            && !confirm.equal.contains(&host)
        {
            actions.push(Action::Compare(host));
        }
    }

    fn barrier(&mut self, outcome: Result<(), String>, actions: &mut Actions) {
        match (&mut self.phase, outcome) {
            (Phase::Confirm(confirm), Ok(())) => confirm.barrier_passed = true,
            (Phase::Early(early), Ok(())) if early.phase == EarlyPhase::Barrier => {
                early.phase = EarlyPhase::Reconcile;
                actions.push(Action::Reconcile(early.member));
            }
            (Phase::Confirm(_) | Phase::Early(_), Err(cause)) => self.set_back(format!("read barrier: {cause}"), actions),
            _ => {}
        }
    }

    fn reconciled(&mut self, view: &View<'_>, surplus: bool, actions: &mut Actions) {
        if let Phase::Early(early) = &mut self.phase
            && early.phase == EarlyPhase::Reconcile
        {
            if surplus {
                early.phase = EarlyPhase::Surplus;
                actions.push(Action::SubmitSurplus);
            } else {
                self.finish_early(view, actions);
            }
        }
    }

    fn finish_early(&self, view: &View<'_>, actions: &mut Actions) {
        if matches!(self.phase, Phase::Early(_)) {
            actions.push(Action::Enter { from: view.stage, to: Stage::UsePostRaft });
        }
    }

    /// Of a pass in which a part has failed nothing is final, whatever became of the other parts.
    fn surplus_committed(&mut self, view: &View<'_>, actions: &mut Actions) {
        if let Phase::Confirm(confirm) = &mut self.phase
            && confirm.logged == Logged::UnderWay
            && self.setback.is_none()
        {
            confirm.logged = Logged::Yes;
        }
        let is_awaited = matches!(&self.phase, Phase::Early(early) if early.phase == EarlyPhase::Surplus);
        if is_awaited && self.setback.is_none() {
            self.finish_early(view, actions);
        }
    }

    fn surplus_failed(&mut self, cause: String, actions: &mut Actions) {
        if let Phase::Confirm(confirm) = &mut self.phase {
            confirm.logged = Logged::No;
        }
        if matches!(self.phase, Phase::Early(_) | Phase::Confirm(_)) {
            self.set_back(cause, actions);
        }
    }

    fn entered(&mut self, stage: Stage, actions: &mut Actions) {
        match stage {
            Stage::Synchronize if matches!(self.phase, Phase::AskMembers(_)) => self.phase = Phase::AwaitMembers,
            Stage::UsePostRaft => {
                self.phase = Phase::Done;
                self.forget_pass(actions);
            }
            _ => {}
        }
    }

    /// A new pass of what failed.
    fn retry(&mut self, actions: &mut Actions) {
        if self.setback.is_none() {
            return;
        }
        self.forget_pass(actions);
        match &mut self.phase {
            Phase::AskPeers(round) | Phase::AskMembers(round) => *round = Round::default(),
            // What is not confirmed yet is asked again; the barrier too, since time has passed.
            Phase::Confirm(_) | Phase::Early(_) => self.phase = Phase::AwaitMembers,
            _ => {}
        }
    }

    fn fail(&mut self, cause: String, actions: &mut Actions) {
        if let Some(step) = self.step() {
            self.phase = Phase::Failed(step, cause);
            self.forget_pass(actions);
        }
    }

    /// Takes every step whose condition holds by now.
    fn go_on(&mut self, view: &View<'_>, actions: &mut Actions) {
        // What failed in `Confirm` is missing there; what still arrives may make it complete before the back-off ends.
        if self.setback.is_some() && !matches!(self.phase, Phase::Confirm(_)) {
            return;
        }
        self.turn_early(view, actions);
        let awaited = self.awaited(view);
        match &mut self.phase {
            Phase::AskPeers(round) => {
                actions.extend(round.ask(view.peers, Action::Ask));
                if round.is_complete(view.peers) && view.strangers().is_empty() {
                    self.phase = join(actions);
                }
            }
            Phase::AwaitPeers if view.stage == Stage::Synchronize => {
                self.phase = Phase::AwaitMembers;
                self.go_on(view, actions);
            }
            Phase::AwaitPeers if view.outsiders().is_empty() && !view.is_joint() => {
                self.phase = Phase::Pull(Round::default());
                self.go_on(view, actions);
            }
            Phase::Pull(round) => {
                actions.extend(round.ask(&view.others(), Action::Compare));
                if round.is_complete(&view.others()) {
                    actions.extend([Action::Abort, Action::ResetBackoff]);
                    // Where nothing was pulled, every member has said its stage in this very pass: step 4 has taken place.
                    let told = if view.others().is_subset(&round.equal) { std::mem::take(round) } else { Round::default() };
                    self.phase = Phase::AskMembers(told);
                    self.go_on(view, actions);
                }
            }
            Phase::AskMembers(round) => {
                actions.extend(round.ask(&view.others(), Action::Ask));
                if round.is_complete(&view.others()) && view.outsiders().is_empty() && view.stage == Stage::UsePreRaft {
                    actions.push(Action::Enter { from: Stage::UsePreRaft, to: Stage::Synchronize });
                }
            }
            Phase::AwaitMembers if awaited.is_subset(&self.synchronized) => self.confirm(view, actions),
            Phase::Confirm(confirm) if confirm.members != awaited => {
                // The configuration has changed: step 6 starts again.
                self.forget_pass(actions);
                self.phase = Phase::AwaitMembers;
                self.go_on(view, actions);
            }
            Phase::Confirm(confirm) if confirm.barrier_passed && confirm.members.is_subset(&confirm.equal) => {
                if confirm.logged == Logged::Yes || awaited == view.others() {
                    actions.push(Action::Enter { from: Stage::Synchronize, to: Stage::UsePostRaft });
                } else if confirm.logged == Logged::No && self.setback.is_none() {
                    confirm.logged = Logged::UnderWay;
                    actions.push(Action::SubmitSchema);
                }
            }
            _ => {}
        }
    }

    fn confirm(&mut self, view: &View<'_>, actions: &mut Actions) {
        let members = self.awaited(view);
        let confirm = Confirm::of(members);
        actions.push(Action::ResetBackoff);
        actions.extend(confirm.questions());
        self.phase = Phase::Confirm(confirm);
    }

    /// Once a member of our group is final, nothing else is waited for.
    fn turn_early(&mut self, view: &View<'_>, actions: &mut Actions) {
        // In `Confirm` the end is nearer than that of an early finish, which begins where confirming fails.
        let waiting = matches!(self.phase, Phase::AwaitPeers | Phase::Pull(_) | Phase::AskMembers(_) | Phase::AwaitMembers);
        let Some(member) = self.finals.intersection(&view.others()).next().copied().filter(|_| waiting) else { return };
        self.forget_pass(actions);
        self.phase = Phase::Early(Early { member, phase: EarlyPhase::Barrier });
        if view.stage == Stage::UsePreRaft {
            actions.push(Action::Enter { from: Stage::UsePreRaft, to: Stage::Synchronize });
        }
        actions.push(Action::Barrier);
    }
}

fn join(actions: &mut Actions) -> Phase {
    actions.extend([Action::Abort, Action::ResetBackoff, Action::Join]);
    Phase::Join
}
