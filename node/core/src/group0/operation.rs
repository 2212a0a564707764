//! One schema change through group 0, pure: barrier, validate, propose, and again if it lost a race.
//!
//! A proposal may be dropped, or its outcome unknown: the identical command is submitted again, which is harmless, since it takes
//! effect only on the state that it was made on.

/// How often a change that lost a race is validated and proposed anew before the client is told.
pub const MAX_ATTEMPTS: u8 = 10;

/// Where a change is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    attempts: u8,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Barrier,
    Preparing,
    Proposed,
    Done,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The read barrier has passed and it is its turn.
    Turn,
    /// Validated: a command was made.
    Prepared,
    /// Validated: nothing would change, or the client was told of an error.
    Answered,
    /// Its command was applied and took effect; or one before it, which seemed to have lost.
    Applied,
    /// Its command was applied without effect: another was faster.
    Lost,
    /// Its command was applied without effect, now, or it lost before; whether it has taken effect is unknown: the history goes not so far
    /// back.
    Forgotten,
    /// Nothing was heard of the command for a while.
    Silence,
    /// Its time is over.
    Expired,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Wait for a read barrier that begins from now on.
    Barrier,
    /// Validate against the schema and make a command.
    Prepare,
    /// Submit the command, the identical one if it was submitted before.
    Submit,
    /// Tell the client that it succeeded.
    Succeed,
    /// Tell the client that others were always faster.
    GiveUp,
    /// Tell the client that the outcome is unknown.
    Wonder,
    /// Tell the client that the outcome is unknown if a command was submitted, else that nothing was done.
    TimeOut {
        /// Whether a command was submitted.
        submitted: bool,
    },
}

impl Operation {
    /// It begins with a barrier.
    pub const fn new() -> (Self, Action) {
        (Self { attempts: 0, phase: Phase::Barrier }, Action::Barrier)
    }

    /// Whether it waits for its turn.
    pub const fn awaits_turn(&self) -> bool {
        matches!(self.phase, Phase::Barrier)
    }
}

/// The state after the event, and what is to be done.
pub fn step(state: &Operation, event: Event) -> (Operation, Option<Action>) {
    let with = |phase, action| (Operation { phase, ..*state }, Some(action));
    match (state.phase, event) {
        (Phase::Barrier, Event::Turn) => with(Phase::Preparing, Action::Prepare),
        (Phase::Preparing, Event::Prepared) | (Phase::Proposed, Event::Silence) => with(Phase::Proposed, Action::Submit),
        (Phase::Preparing, Event::Answered) => (Operation { phase: Phase::Done, ..*state }, None),
        (Phase::Preparing | Phase::Proposed, Event::Applied) => with(Phase::Done, Action::Succeed),
        (Phase::Proposed, Event::Lost) if state.attempts + 1 < MAX_ATTEMPTS => {
            (Operation { attempts: state.attempts + 1, phase: Phase::Barrier }, Some(Action::Barrier))
        }
        (Phase::Proposed, Event::Lost) => with(Phase::Done, Action::GiveUp),
        (Phase::Preparing | Phase::Proposed, Event::Forgotten) => with(Phase::Done, Action::Wonder),
        (Phase::Barrier | Phase::Preparing, Event::Expired) => {
            with(Phase::Done, Action::TimeOut { submitted: state.attempts > 0 })
        }
        (Phase::Proposed, Event::Expired) => with(Phase::Done, Action::TimeOut { submitted: true }),
        _ => (state.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: &[Event]) -> Option<Action> {
        let (mut state, mut last) = (Operation::new().0, None);
        for event in events {
            (state, last) = step(&state, *event);
        }
        last
    }

    #[test]
    fn silence_submits_the_same_command_and_a_lost_race_starts_over() {
        use Event::{Applied, Lost, Prepared, Silence, Turn};
        assert_eq!(run(&[Turn, Prepared, Silence]), Some(Action::Submit));
        assert_eq!(run(&[Turn, Prepared, Lost]), Some(Action::Barrier));
        assert_eq!(run(&[Turn, Prepared, Lost, Turn, Prepared, Applied]), Some(Action::Succeed));
        assert_eq!(run(&[Turn, Prepared, Lost, Turn, Applied]), Some(Action::Succeed));
    }

    #[test]
    fn ten_lost_races_are_told() {
        let events: Vec<_> = [Event::Turn, Event::Prepared, Event::Lost].repeat(usize::from(MAX_ATTEMPTS));
        assert_eq!(run(&events), Some(Action::GiveUp));
    }

    #[test]
    fn an_outcome_that_the_history_does_not_know_any_more_is_told_as_unknown() {
        assert_eq!(run(&[Event::Turn, Event::Prepared, Event::Silence, Event::Forgotten]), Some(Action::Wonder));
        assert_eq!(run(&[Event::Turn, Event::Prepared, Event::Lost, Event::Turn, Event::Forgotten]), Some(Action::Wonder));
    }

    #[test]
    fn a_time_out_says_whether_the_outcome_is_unknown() {
        assert_eq!(run(&[Event::Expired]), Some(Action::TimeOut { submitted: false }));
        assert_eq!(run(&[Event::Turn, Event::Prepared, Event::Expired]), Some(Action::TimeOut { submitted: true }));
        let lost = [Event::Turn, Event::Prepared, Event::Lost, Event::Expired];
        assert_eq!(run(&lost), Some(Action::TimeOut { submitted: true }), "a second copy may still come");
        assert_eq!(run(&[Event::Turn, Event::Answered, Event::Expired]), None);
    }
}
