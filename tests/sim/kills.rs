//! The operator killed at each of its writes and verbs, all of them, one in each run of a world in which nothing else goes wrong. And
//! stories of losses, in which it dies at each act of the recovery, and each survivor at each step that it stores.
//!
//! A run takes the same course as another one up to the kill. It must end well, and no node may be restarted twice.

use crate::{
    node::{Strike, recovery_write},
    operator::{ACT, Kill},
    report, runner,
    swarm::Swarm,
    world::{Outcome, Violation, World},
};
use std::{
    fmt,
    process::ExitCode,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// The seed of all these worlds.
const SEED: u64 = 1;

/// A world in which somebody is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tale {
    /// An upgrade by so many operators.
    Quiet(usize),
    /// One of three machines is lost in the middle of it.
    Middle,
    /// Two of four are lost after it, and with them the majority of the group.
    Quorum,
}

/// Who dies, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Nobody,
    Operator(Kill),
    Node(Strike),
}

/// One of these runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run(Tale, Death);

impl Tale {
    const ALL: [Self; 4] = [Self::Quiet(1), Self::Quiet(2), Self::Middle, Self::Quorum];

    const fn name(self) -> &'static str {
        match self {
            Self::Quiet(1) => "1",
            Self::Quiet(_) => "2",
            Self::Middle => "middle",
            Self::Quorum => "quorum",
        }
    }

    fn swarm(self, death: Death) -> Swarm {
        let mut swarm = match self {
            Self::Quiet(operators) => Swarm::quiet(SEED, operators, &[], None),
            Self::Middle => Swarm::story(SEED, 3, vec![1], true),
            Self::Quorum => Swarm::story(SEED, 4, vec![0, 2], false),
        };
        match death {
            Death::Operator(kill) => swarm.kill = Some(kill),
            Death::Node(strike) => swarm.strike = Some(strike),
            Death::Nobody => {}
        }
        swarm
    }

    fn outcome(self, death: Death, prints: bool) -> Outcome {
        runner::outcome_of(|| World::new(self.swarm(death), prints))
    }

    /// Everybody's deaths, of which there is one for each act and each step, and another one once that is done.
    fn runs(self, outcome: &Outcome) -> Vec<Run> {
        let number = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let acts = number(outcome.acts_before_plan)..number(outcome.events.of(ACT));
        let operators = acts.flat_map(|number| [false, true].map(|answered| Death::Operator(Kill { number, answered })));
        let nodes = (0..self.swarm(Death::Nobody).nodes).flat_map(|node| {
            let writes = 0..number(outcome.events.of(&recovery_write(node)));
            writes.flat_map(move |number| [false, true].map(|after| Death::Node(Strike { node, number, after })))
        });
        let deaths = std::iter::once(Death::Nobody).chain(operators).chain(nodes);
        deaths.map(|death| Run(self, death)).collect()
    }

    /// What is wrong with a run of it, beside one in which nobody dies.
    fn judge(self, death: Death, outcome: &Outcome, undisturbed: &Outcome) -> Option<Violation> {
        let taken = |before: &[_], node| before.iter().any(|(_, former)| *former == node);
        let mut evictions = outcome.evictions.iter().enumerate();
        let twice = evictions.find(|(at, (_, node))| taken(&outcome.evictions[..*at], *node));
        let twice = twice.map(|(_, (at, node))| Violation {
            what: "no node is restarted twice".into(),
            detail: format!("n{} was taken again after {:.3} s", node + 1, at.as_secs_f64()),
        });
        let restarts = |outcome: &Outcome, node| outcome.restarts.iter().filter(|restarted| **restarted == node).count();
        let more = outcome.restarts.iter().find(|node| restarts(outcome, **node) > restarts(undisturbed, **node));
        let more = more.map(|node| Violation {
            what: "no node is restarted more often than without the death".into(),
            detail: format!("n{} was restarted in place {} times", node + 1, restarts(outcome, *node)),
        });
        // Who comes later may find another way.
        let must_recover = death == Death::Nobody && !matches!(self, Self::Quiet(_));
        let unrecovered = (must_recover && outcome.events.of("recovered by the operator") == 0).then(|| Violation {
            what: "the operator recovers".into(),
            detail: "nothing was recovered, and the run is over".into(),
        });
        outcome.violation.clone().or(twice).or(more).or(unrecovered)
    }
}

/// As `KILL` names it.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(tale, death) = self;
        let suffix = |done| if done { "a" } else { "" };
        match death {
            Death::Nobody => write!(f, "{}:-", tale.name()),
            Death::Operator(Kill { number, answered }) => write!(f, "{}:{number}{}", tale.name(), suffix(*answered)),
            Death::Node(Strike { node, number, after }) => write!(f, "{}:n{}:{number}{}", tale.name(), node + 1, suffix(*after)),
        }
    }
}

impl FromStr for Run {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (tale, rest) = text.split_once(':').ok_or(())?;
        let tale = Tale::ALL.into_iter().find(|known| known.name() == tale).ok_or(())?;
        if rest == "-" {
            return Ok(Self(tale, Death::Nobody));
        }
        let (node, last) = rest.split_once(':').map_or((None, rest), |(node, last)| (Some(node), last));
        let (number, done) = (last.trim_end_matches('a').parse().map_err(drop)?, last.ends_with('a'));
        let Some(node) = node else {
            return Ok(Self(tale, Death::Operator(Kill { number, answered: done })));
        };
        let node: usize = node.trim_start_matches('n').parse().map_err(drop)?;
        let node = node.checked_sub(1).ok_or(())?;
        Ok(Self(tale, Death::Node(Strike { node, number, after: done })))
    }
}

/// One of them.
pub fn run_one(which: &str, prints: bool) -> ExitCode {
    let Ok(Run(tale, death)) = which.parse() else {
        println!(
            "KILL={which}: write a world (1, 2, middle, quorum), a colon and the number of the operator's act, with an 'a' for its \
             answer, as in 1:12a; or between them the node that dies at one of its writes, with an 'a' for after it, as in middle:n3:4a; or '-' for nobody"
        );
        return ExitCode::from(2);
    };
    if prints {
        report::trace();
    }
    let outcome = tale.outcome(death, prints);
    report::one(SEED, &outcome);
    match tale.judge(death, &outcome, &tale.outcome(Death::Nobody, false)) {
        Some(violation) => {
            println!("KILL={which} violates '{}': {}", violation.what, violation.detail);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// All of them.
pub fn run() -> ExitCode {
    let begin = Instant::now();
    let undisturbed = Tale::ALL.map(|tale| (tale, tale.outcome(Death::Nobody, false)));
    let runs: Vec<_> = undisturbed.iter().flat_map(|(tale, outcome)| tale.runs(outcome)).collect();
    let failed = Mutex::new(Vec::new());
    runner::on_all_cores(runs.len() as u64, |number| {
        let run = runs[usize::try_from(number).unwrap_or_default()];
        let Run(tale, death) = run;
        let (_, undisturbed) = undisturbed.iter().find(|(other, _)| *other == tale).expect("one of each");
        if let Some(violation) = tale.judge(death, &tale.outcome(death, false), undisturbed) {
            failed.lock().unwrap_or_else(PoisonError::into_inner).push((run, violation));
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (run, violation) in &failed {
        println!("killed at {run} violates '{}': {}\n  make sim KILL={run} LOG=1", violation.what, violation.detail);
    }
    let stories = runs.iter().filter(|Run(tale, _)| !matches!(tale, Tale::Quiet(_))).count();
    println!(
        "kills: {} runs, {stories} of them of a recovery, in {:.1} s: {} violations",
        runs.len(),
        begin.elapsed().as_secs_f64(),
        failed.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
