//! The operator killed at each of its writes and verbs, all of them, one in each run of a world in which nothing else goes wrong.
//!
//! A run takes the same course as another one up to the kill. It must end well, and no node may be restarted twice.

use crate::{
    operator::{ACT, Kill},
    report, runner,
    swarm::Swarm,
    world::{Outcome, Violation, World},
};
use std::{
    process::ExitCode,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// The seed of all these worlds.
const SEED: u64 = 1;

/// One of these runs, as `KILL` names it: so many operators, which write or verb, and `a` for when its answer has come.
fn name(operators: usize, kill: Kill) -> String {
    format!("{operators}:{}{}", kill.number, if kill.answered { "a" } else { "" })
}

fn parse(name: &str) -> Option<(usize, Kill)> {
    let (operators, rest) = name.split_once(':')?;
    let number = rest.trim_end_matches('a');
    Some((operators.parse().ok()?, Kill { number: number.parse().ok()?, answered: rest.ends_with('a') }))
}

fn outcome(operators: usize, kill: Option<Kill>, prints: bool) -> Outcome {
    runner::outcome_of(|| World::new(Swarm::quiet(SEED, operators, &[], kill), prints))
}

/// What is wrong with it.
fn judge(outcome: &Outcome) -> Option<Violation> {
    let twice = outcome
        .evictions
        .iter()
        .enumerate()
        .find(|(at, (_, node))| outcome.evictions[..*at].iter().any(|(_, before)| before == node));
    let twice = twice.map(|(_, (at, node))| Violation {
        what: "no node is restarted twice".into(),
        detail: format!("n{} was taken again after {:.3} s", node + 1, at.as_secs_f64()),
    });
    outcome.violation.clone().or(twice)
}

/// One of them.
pub fn run_one(which: &str, prints: bool) -> ExitCode {
    let Some((operators, kill)) = parse(which) else {
        println!("KILL={which}: write operators, a colon and the number of the act, with an 'a' for its answer, as in 1:12a");
        return ExitCode::from(2);
    };
    if prints {
        report::trace();
    }
    let outcome = outcome(operators, Some(kill), prints);
    report::one(SEED, &outcome);
    match judge(&outcome) {
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
    let mut kills = Vec::new();
    for operators in 1..=2 {
        let acts = u32::try_from(outcome(operators, None, false).events.of(ACT)).unwrap_or(u32::MAX);
        kills.extend((0..acts).flat_map(|number| [false, true].map(|answered| (operators, Kill { number, answered }))));
    }
    let failed = Mutex::new(Vec::new());
    runner::on_all_cores(kills.len() as u64, |number| {
        let (operators, kill) = kills[usize::try_from(number).unwrap_or_default()];
        if let Some(violation) = judge(&outcome(operators, Some(kill), false)) {
            failed.lock().unwrap_or_else(PoisonError::into_inner).push((name(operators, kill), violation));
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, violation) in &failed {
        println!(
            "the operator killed at {name} violates '{}': {}\n  make sim KILL={name} LOG=1",
            violation.what, violation.detail
        );
    }
    println!("kills: {} runs in {:.1} s: {} violations", kills.len(), begin.elapsed().as_secs_f64(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
