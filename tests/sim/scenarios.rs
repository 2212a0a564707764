//! Stories that happened to other operators, told to ours: each a quiet world in which something happens at a certain moment.

use crate::{
    runner,
    swarm::{Fault, Swarm},
    trouble::Action,
    world::{Outcome, Step, World},
};
use std::{process::ExitCode, time::Duration};

/// The first operator of a world with three nodes: before it there are the nodes and their clients.
const OPERATOR: usize = 7;
/// Where something is to be ended by a timer, it may end so much later.
const TOLERANCE: Duration = Duration::from_secs(5);

struct Story {
    name: &'static str,
    operators: usize,
    unusual: &'static [Fault],
    between: u32,
    script: Vec<Step>,
    judge: fn(&Outcome) -> Result<(), String>,
}

fn stories() -> Vec<Story> {
    let seconds = Duration::from_secs;
    let after = |evictions, delay, action| Step { evictions, delay, action };
    vec![
        Story {
            name: "an operator that is restarted just before a time has passed goes on counting from where it was",
            operators: 1,
            unusual: &[],
            between: 20,
            script: vec![after(1, seconds(18), Action::Crash(OPERATOR)), after(2, seconds(19), Action::Crash(OPERATOR))],
            judge: |outcome| {
                let pairs = outcome.evictions.windows(2);
                let times = pairs.map(|pair| pair[1].0.saturating_sub(pair[0].0));
                each_once(outcome)?;
                match times.into_iter().find(|time| *time < seconds20() || *time > seconds20() + TOLERANCE) {
                    Some(time) => Err(format!("{time:?} between two restarts")),
                    None => Ok(()),
                }
            },
        },
        Story {
            name: "an operator stands still until another one has taken over, and then goes on where it was",
            operators: 2,
            unusual: &[],
            between: 0,
            script: vec![
                after(1, Duration::ZERO, Action::Pause(OPERATOR, seconds(9))),
                after(2, Duration::from_millis(300), Action::Pause(OPERATOR + 1, seconds(9))),
            ],
            judge: |outcome| {
                each_once(outcome)?;
                if outcome.events.of("lease taken over") > 0 { Ok(()) } else { Err("nobody took over".into()) }
            },
        },
        Story {
            name: "both operators are replaced by another release in the middle of the run",
            operators: 2,
            unusual: &[],
            between: 0,
            script: vec![
                after(1, seconds(1), Action::Crash(OPERATOR)),
                after(1, seconds(2), Action::Crash(OPERATOR + 1)),
                after(2, seconds(1), Action::Crash(OPERATOR)),
                after(3, seconds(1), Action::Crash(OPERATOR + 1)),
            ],
            judge: each_once,
        },
        Story {
            name: "the machine of the third pod starts anew before a human has approved: it comes back with flag and hold",
            operators: 1,
            unusual: &[Fault::Supervised],
            between: 30,
            script: vec![after(2, seconds(5), Action::DeletePod(0))],
            judge: |outcome| {
                let taken = outcome.evictions.len();
                if taken != 2 {
                    return Err(format!("{taken} pods were taken, two of them needed it"));
                }
                if outcome.events.of("waits for AwaitingApproval") > 0 { Ok(()) } else { Err("nobody was asked".into()) }
            },
        },
        Story {
            name: "an unrelated node dies while another one is restarted: nothing more is taken until it is back",
            operators: 1,
            unusual: &[],
            between: 0,
            script: vec![after(1, Duration::from_millis(200), Action::Crash(0))],
            judge: each_once,
        },
    ]
}

const fn seconds20() -> Duration {
    Duration::from_secs(20)
}

/// Each of the three nodes was taken once.
fn each_once(outcome: &Outcome) -> Result<(), String> {
    let mut taken: Vec<_> = outcome.evictions.iter().map(|(_, node)| *node).collect();
    taken.sort_unstable();
    if taken == [0, 1, 2] { Ok(()) } else { Err(format!("taken were {taken:?}")) }
}

/// All of them.
pub fn run() -> ExitCode {
    let mut failed = 0;
    let stories = stories();
    let told = stories.len();
    for Story { name, operators, unusual, between, script, judge } in stories {
        let world = || World::scripted(Swarm::quiet(1, operators, unusual, None).with_pause_between(between), script);
        let outcome = runner::outcome_of(world);
        let violation = outcome.violation.as_ref().map(|violation| format!("{}: {}", violation.what, violation.detail));
        if let Some(why) = violation.or_else(|| judge(&outcome).err()) {
            failed += 1;
            println!("scenario: {name}: {why}");
            outcome.last.iter().for_each(|line| println!("    | {line}"));
        }
    }
    println!("scenarios: {told}, of which {failed} fail");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
