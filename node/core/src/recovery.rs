//! A recovery by a plan, pure: which verb has its turn on a survivor, and what comes of it.
//!
//! A plan is prepared, then fenced; up to there it can be withdrawn, and the cluster goes on as before. Once the group is forgotten there
//! is only forward, by this plan or by one that takes its place. Every verb may be ordered again, and finds itself done. Nothing here
//! acts: [`crate::node`] carries the actions out, and the model checker does with a world of its own.

use crate::{
    ids::HostId,
    io::{RecoveryPlan, RecoveryStep},
    status::{PlanState, StoredPlan},
    upgrade::Stage,
};
use std::collections::BTreeSet;

/// Where this process stands, whatever is stored now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nobody has ordered it.
    #[default]
    No,
    /// Ordered since the start: it begins with the next one.
    Requested,
    /// Since the start; it ends with a start without the marker.
    Yes,
}

/// The plan that was stored last, and what it has done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// As others are told of it.
    pub stored: StoredPlan,
    /// The marker is there by an operator's order, not by a person's.
    pub ordered: bool,
    /// A plan has forgotten the group here, and none is done since.
    pub is_reset: bool,
}

/// What a verb may rest on besides.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// This host.
    pub me: HostId,
    /// Where this process stands.
    pub mode: Mode,
    /// Whether the next start is in recovery.
    pub is_marked: bool,
    /// Why this node could not go on in its group without the marker, if it could not.
    pub cannot_go_on: Option<&'a str>,
    /// Whether that host is up, as this one sees it.
    pub is_up: &'a dyn Fn(HostId) -> bool,
}

/// What is to be done, all in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Store the marker.
    Enter,
    /// Take it away.
    Leave,
    /// Forget the group, its history and discovery. The schema stays.
    ForgetGroup,
    /// Remove that host for ever.
    ForgetHost(HostId),
    /// Bring all of the log into the schema.
    ApplyLog,
    /// Ask the donor for its schema; [`rolled_forward`] follows. The verb is answered then.
    AskDonor(HostId),
    /// Store this.
    Store(Record),
}

/// Why nothing was changed.
type Refused = String;

impl Record {
    /// Whether that host is not heard.
    pub fn fences(&self, host: HostId) -> bool {
        matches!(self.stored.state, PlanState::Fenced | PlanState::Resetting) && self.stored.plan.excluded.contains(&host)
    }

    fn advanced(mut self, state: PlanState) -> Action {
        self.stored.state = state;
        Action::Store(self)
    }

    fn rolled_forward(mut self) -> Self {
        self.stored.rolled_forward = true;
        self
    }
}

/// What comes of that verb of the plan with that number.
pub fn step(record: Option<&Record>, view: &View<'_>, number: u64, verb: &RecoveryStep) -> Result<Vec<Action>, Refused> {
    match verb {
        RecoveryStep::PrepareFence(plan) => prepare_fence(record, view, plan),
        RecoveryStep::RollForward { donor } => roll_forward(record_of(record, number)?, view, *donor),
        RecoveryStep::LiftFence if number == 0 => lift_stray_marker(record, view),
        verb => carry_out(record_of(record, number)?, view, verb),
    }
}

fn prepare_fence(before: Option<&Record>, view: &View<'_>, plan: &RecoveryPlan) -> Result<Vec<Action>, Refused> {
    if let Some(stored) = before.map(|record| &record.stored.plan).filter(|stored| stored.number >= plan.number) {
        return if stored == plan {
            Ok(vec![])
        } else {
            Err(format!("plan {} is stored here, and plan {} is another one or older", stored.number, plan.number))
        };
    }
    if !plan.survivors.contains(&view.me) || plan.excluded.contains(&view.me) {
        return Err(format!("plan {} does not have this host, {}, among its survivors", plan.number, view.me));
    }
    nobody_is_alive(view, plan)?;
    let (ordered, is_reset) = before.map_or((false, false), |record| (record.ordered, record.is_reset));
    let stored = StoredPlan { plan: plan.clone(), state: PlanState::Prepared, rolled_forward: false };
    Ok(vec![Action::Store(Record { stored, ordered, is_reset })])
}

/// A sign of life makes every proof of death void.
fn nobody_is_alive(view: &View<'_>, plan: &RecoveryPlan) -> Result<(), Refused> {
    match plan.excluded.iter().find(|host| (view.is_up)(**host)) {
        Some(host) => Err(format!("host {host}, which plan {} excludes, is up as this node sees it", plan.number)),
        None => Ok(()),
    }
}

fn record_of(record: Option<&Record>, number: u64) -> Result<Record, Refused> {
    match record {
        Some(record) if record.stored.plan.number == number => Ok(record.clone()),
        Some(record) => Err(format!("the plan of this node is {}, not {number}", record.stored.plan.number)),
        None => Err(format!("no plan was ever prepared here: prepare plan {number} first")),
    }
}

fn carry_out(record: Record, view: &View<'_>, verb: &RecoveryStep) -> Result<Vec<Action>, Refused> {
    let state = record.stored.state;
    match (verb, state) {
        (RecoveryStep::Fence, PlanState::Prepared) => fence(record, view),
        (RecoveryStep::LiftFence, PlanState::Prepared | PlanState::Fenced) => lift_fence(record, view),
        (RecoveryStep::EnterRecovery, PlanState::Fenced) if view.is_marked => Ok(vec![]),
        (RecoveryStep::EnterRecovery, PlanState::Fenced) => {
            Ok(vec![Action::Enter, Action::Store(Record { ordered: true, ..record })])
        }
        (RecoveryStep::ResetGroup0, PlanState::Fenced) => reset_group0(record, view),
        (RecoveryStep::LeaveRecovery, PlanState::Resetting) => Ok(vec![Action::Leave]),
        (RecoveryStep::CloseRecovery, PlanState::Resetting) => close_recovery(record, view),
        (RecoveryStep::LiftFence, PlanState::Withdrawn)
        | (
            RecoveryStep::Fence | RecoveryStep::EnterRecovery | RecoveryStep::ResetGroup0,
            PlanState::Resetting | PlanState::Done,
        )
        | (RecoveryStep::Fence, PlanState::Fenced)
        | (RecoveryStep::LeaveRecovery | RecoveryStep::CloseRecovery, PlanState::Done) => Ok(vec![]),
        _ => Err(not_its_turn(&record, verb)),
    }
}

fn not_its_turn(record: &Record, verb: &RecoveryStep) -> Refused {
    let StoredPlan { plan, state, .. } = &record.stored;
    format!("plan {} is {} here: it is not the turn of {}", plan.number, name(*state), verb.name())
}

fn fence(record: Record, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    nobody_is_alive(view, &record.stored.plan)?;
    Ok(vec![record.advanced(PlanState::Fenced)])
}

/// Nothing of the plan is left but its number. What a person has ordered stays, and whoever cannot go on: nobody else of the plan waits for it.
fn lift_fence(record: Record, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    if record.is_reset {
        return Err("the group was forgotten here already: there is only forward, by a plan of a higher number".into());
    }
    let leave = (record.ordered && view.cannot_go_on.is_none()).then_some(Action::Leave);
    let withdrawn = Record { ordered: false, ..record }.advanced(PlanState::Withdrawn);
    Ok(leave.into_iter().chain([withdrawn]).collect())
}

/// A recovery that no plan has ordered: a person forgot it. With the next start the node goes on in its group.
fn lift_stray_marker(record: Option<&Record>, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    match record.filter(|record| record.ordered || record.is_reset) {
        Some(record) => Err(format!("the recovery of this node belongs to plan {}: name that", record.stored.plan.number)),
        None => view.cannot_go_on.map_or_else(|| Ok(vec![Action::Leave]), |why| Err(why.to_owned())),
    }
}

/// The point of no return.
fn reset_group0(record: Record, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    is_in_recovery(view)?;
    let lost = record.stored.plan.excluded.clone();
    let reset = Record { is_reset: true, ..record }.advanced(PlanState::Resetting);
    Ok([Action::ForgetGroup].into_iter().chain(lost.into_iter().map(Action::ForgetHost)).chain([reset]).collect())
}

fn close_recovery(record: Record, view: &View<'_>) -> Result<Vec<Action>, Refused> {
    if view.is_marked || view.mode != Mode::No {
        return Err("this node is in recovery still".into());
    }
    Ok(vec![Record { ordered: false, is_reset: false, ..record }.advanced(PlanState::Done)])
}

fn is_in_recovery(view: &View<'_>) -> Result<(), Refused> {
    if view.mode == Mode::Yes { Ok(()) } else { Err("this node is not in recovery: order it and restart the node first".into()) }
}

/// What may have been acknowledged and is not applied yet comes into the schema.
fn roll_forward(record: Record, view: &View<'_>, donor: HostId) -> Result<Vec<Action>, Refused> {
    match record.stored.state {
        PlanState::Withdrawn => return Err(not_its_turn(&record, &RecoveryStep::RollForward { donor })),
        PlanState::Resetting | PlanState::Done => return Ok(vec![]),
        PlanState::Prepared | PlanState::Fenced if record.stored.rolled_forward => return Ok(vec![]),
        PlanState::Prepared | PlanState::Fenced => is_in_recovery(view)?,
    }
    if !record.stored.plan.survivors.contains(&donor) {
        return Err(format!("donor {donor} is none of the survivors of plan {}", record.stored.plan.number));
    }
    Ok(if donor == view.me {
        vec![Action::ApplyLog, Action::Store(record.rolled_forward())]
    } else {
        vec![Action::AskDonor(donor)]
    })
}

/// The donor, which is at that stage, has answered by its schema. That is merged first.
pub fn rolled_forward(record: Option<&Record>, number: u64, donor: Stage) -> Result<Record, Refused> {
    let record = record_of(record, number)?;
    if donor == Stage::Recovery { Ok(record.rolled_forward()) } else { Err("the donor is not in recovery".into()) }
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

/// As it is stored and told.
pub const fn name(state: PlanState) -> &'static str {
    match state {
        PlanState::Prepared => "prepared",
        PlanState::Fenced => "fenced",
        PlanState::Resetting => "resetting",
        PlanState::Done => "done",
        PlanState::Withdrawn => "withdrawn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: u64 = 7;

    fn plan() -> RecoveryPlan {
        let survivors = BTreeSet::from([HostId::of(1), HostId::of(2)]);
        RecoveryPlan { number: NUMBER, survivors, excluded: [HostId::of(3)].into(), text: "what people\nhave read".into() }
    }

    fn record(state: PlanState) -> Record {
        let is_reset = state == PlanState::Resetting;
        Record { stored: StoredPlan { plan: plan(), state, rolled_forward: false }, ordered: false, is_reset }
    }

    const VIEW: View<'static> =
        View { me: HostId::of(1), mode: Mode::Yes, is_marked: false, cannot_go_on: None, is_up: &|_| false };

    fn refusal(record: Option<&Record>, view: &View<'_>, number: u64, verb: &RecoveryStep) -> String {
        step(record, view, number, verb).expect_err("it is done")
    }

    /// `acts`, `done` before, or `-`: refused.
    #[test]
    fn each_verb_has_its_turn() {
        let donor = HostId::of(1);
        let table = [
            (RecoveryStep::Fence, ["acts", "done", "done", "done", "-"]),
            (RecoveryStep::EnterRecovery, ["-", "acts", "done", "done", "-"]),
            (RecoveryStep::RollForward { donor }, ["acts", "acts", "done", "done", "-"]),
            (RecoveryStep::ResetGroup0, ["-", "acts", "done", "done", "-"]),
            (RecoveryStep::LeaveRecovery, ["-", "-", "acts", "done", "-"]),
            (RecoveryStep::CloseRecovery, ["-", "-", "-", "done", "-"]),
            (RecoveryStep::LiftFence, ["acts", "acts", "-", "-", "done"]),
        ];
        for (verb, expected) in table {
            let comes_of = |state| match step(Some(&record(state)), &VIEW, NUMBER, &verb) {
                Ok(actions) if actions.is_empty() => "done",
                Ok(_) => "acts",
                Err(why) => {
                    assert!(why.contains("turn of") || why.contains("in recovery still"), "{why}");
                    "-"
                }
            };
            assert_eq!(STATES.map(comes_of), expected, "{}", verb.name());
            assert!(refusal(None, &VIEW, NUMBER, &verb).contains("prepare plan 7 first"));
            assert!(refusal(Some(&record(PlanState::Fenced)), &VIEW, NUMBER + 1, &verb).contains("is 7, not 8"));
        }
    }

    #[test]
    fn in_recovery_means_since_the_start() {
        let requested = View { mode: Mode::Requested, is_marked: true, ..VIEW };
        for verb in [RecoveryStep::RollForward { donor: HostId::of(2) }, RecoveryStep::ResetGroup0] {
            let why = refusal(Some(&record(PlanState::Fenced)), &requested, NUMBER, &verb);
            assert!(why.contains("restart the node first"), "{why}");
        }
        let close = |view| step(Some(&record(PlanState::Resetting)), view, NUMBER, &RecoveryStep::CloseRecovery);
        assert!(close(&View { mode: Mode::No, is_marked: true, ..VIEW }).is_err() && close(&VIEW).is_err());
        let closed = Record { is_reset: false, ..record(PlanState::Done) };
        assert_eq!(close(&View { mode: Mode::No, ..VIEW }), Ok(vec![Action::Store(closed)]));
        let entered = step(Some(&record(PlanState::Fenced)), &requested, NUMBER, &RecoveryStep::EnterRecovery);
        assert_eq!(entered, Ok(vec![]));
    }

    #[test]
    fn a_plan_is_prepared_by_its_survivors_once_while_nobody_whom_it_excludes_is_up() {
        let prepare = |before: Option<&Record>, view, plan| step(before, view, 0, &RecoveryStep::PrepareFence(plan));
        assert_eq!(prepare(None, &VIEW, plan()), Ok(vec![Action::Store(record(PlanState::Prepared))]));
        assert_eq!(prepare(Some(&record(PlanState::Fenced)), &VIEW, plan()), Ok(vec![]));
        let before = record(PlanState::Resetting);
        let next = RecoveryPlan { number: NUMBER + 1, ..plan() };
        let Ok(actions) = prepare(Some(&before), &VIEW, next) else { panic!("a successor takes over") };
        assert!(matches!(actions.as_slice(), [Action::Store(Record { is_reset: true, .. })]), "it goes only forward still");
        let another = RecoveryPlan { text: "another".into(), ..plan() };
        let outside = View { me: HostId::of(4), ..VIEW };
        let is_up = View { is_up: &|host| host == HostId::of(3), ..VIEW };
        for (refused, why) in [
            (prepare(Some(&before), &VIEW, another), "another one or older"),
            (prepare(None, &outside, plan()), "among its survivors"),
            (prepare(None, &is_up, plan()), "is up as this node sees it"),
            (step(Some(&record(PlanState::Prepared)), &is_up, NUMBER, &RecoveryStep::Fence), "is up as this node sees it"),
        ] {
            assert!(refused.as_ref().is_err_and(|text| text.contains(why)), "{refused:?}");
        }
    }

    #[test]
    fn only_a_survivor_in_recovery_is_a_donor() {
        let fenced = record(PlanState::Fenced);
        let roll = |donor| step(Some(&fenced), &VIEW, NUMBER, &RecoveryStep::RollForward { donor });
        assert_eq!(roll(HostId::of(2)), Ok(vec![Action::AskDonor(HostId::of(2))]));
        assert!(roll(HostId::of(3)).is_err_and(|why| why.contains("none of the survivors")));
        assert!(rolled_forward(Some(&fenced), NUMBER, Stage::Synchronize).is_err());
        assert!(rolled_forward(Some(&fenced), NUMBER + 1, Stage::Recovery).is_err());
        let rolled = rolled_forward(Some(&fenced), NUMBER, Stage::Recovery).expect("it is in recovery");
        assert_eq!(step(Some(&rolled), &VIEW, NUMBER, &RecoveryStep::RollForward { donor: HostId::of(1) }), Ok(vec![]));
    }

    #[test]
    fn what_is_withdrawn_is_what_the_plan_has_done() {
        let lift = |record: Option<&Record>, view, number| step(record, view, number, &RecoveryStep::LiftFence);
        let ordered = Record { ordered: true, ..record(PlanState::Fenced) };
        let withdrawn = Action::Store(record(PlanState::Withdrawn));
        assert_eq!(lift(Some(&ordered), &VIEW, NUMBER), Ok(vec![Action::Leave, withdrawn.clone()]));
        assert_eq!(lift(Some(&record(PlanState::Fenced)), &VIEW, NUMBER), Ok(vec![withdrawn.clone()]), "a person's marker stays");
        let stuck = View { cannot_go_on: Some("its history is gone"), ..VIEW };
        assert_eq!(lift(Some(&ordered), &stuck, NUMBER), Ok(vec![withdrawn]));
        let successor = Record { is_reset: true, ..record(PlanState::Prepared) };
        assert!(lift(Some(&successor), &VIEW, NUMBER).is_err_and(|why| why.contains("only forward")));
        assert_eq!(lift(None, &VIEW, 0), Ok(vec![Action::Leave]), "nobody's");
        assert!(lift(Some(&ordered), &VIEW, 0).is_err_and(|why| why.contains("belongs to plan 7")));
        assert!(lift(None, &stuck, 0).is_err_and(|why| why == "its history is gone"));
    }

    #[test]
    fn a_record_is_read_as_it_was_written_or_not_at_all() {
        for state in STATES {
            let record = Record { ordered: true, ..record(state) };
            assert_eq!(record.to_string().parse(), Ok(record));
        }
        let whole = record(PlanState::Fenced).to_string();
        let cut = whole.lines().count() - plan().text.lines().count();
        for lines in 0..cut {
            let part: Vec<_> = whole.lines().take(lines).collect();
            assert!(part.join("\n").parse::<Record>().is_err(), "{part:?}");
        }
        assert!(
            whole.replace("fenced", "fence").parse::<Record>().is_err() && whole.replace('7', "x").parse::<Record>().is_err()
        );
    }
}
