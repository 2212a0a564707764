//! What is printed: one seed, a seed that fails, and all together.

use crate::{
    runner::Total,
    swarm::{Fault, Limits, Swarm},
    world::{Outcome, Violation},
};
use std::{io, time::Duration};

/// Lets the nodes tell what they do, too, on standard output.
pub fn trace() {
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(io::stdout);
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    drop(tracing::subscriber::set_global_default(subscriber.with_env_filter(filter).finish()));
}

/// One seed.
pub fn one(seed: u64, outcome: &Outcome) {
    for (name, count) in outcome.events.all() {
        println!("{count:>9} {name}");
    }
    let verdict = if outcome.violation.is_some() { "a violation" } else { "no violation" };
    println!(
        "seed {seed}: {verdict}, {:.1} s of virtual time, {} steps, {} messages delivered, {} transactions, digest {:016x}",
        outcome.time.as_secs_f64(),
        outcome.steps,
        outcome.delivered,
        outcome.turns,
        outcome.digest
    );
}

/// A seed that fails, and its smallest world.
pub fn failure(seed: u64, violation: &Violation, outcome: &Outcome, (limits, smallest): &(Limits, Violation)) {
    println!("seed {seed} violates '{}' after {:.3} s:\n  {}", violation.what, outcome.time.as_secs_f64(), violation.detail);
    for line in &outcome.last {
        println!("    | {line}");
    }
    println!("  its smallest world: {}\n  {}\n  {}", Swarm::draw(seed, limits), smallest.detail, replay(seed, limits));
}

/// The command that runs it again.
fn replay(seed: u64, limits: &Limits) -> String {
    let list = |name, faults: &[Fault]| {
        let names: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
        if names.is_empty() { String::new() } else { format!(" {name}={}", names.join(",")) }
    };
    let (with, without) = (list("WITH", &limits.with), list("WITHOUT", &limits.without));
    let nodes = limits.nodes.map_or(String::new(), |nodes| format!(" NODES={nodes}"));
    let changes = limits.changes.map_or(String::new(), |changes| format!(" CHANGES={changes}"));
    format!("make sim SEED={seed} LOG=1{with}{without}{nodes}{changes}")
}

/// All seeds.
pub fn many(total: &Total, missing: &[String], took: Duration) {
    for (name, count) in total.events.all() {
        println!("{count:>9} {name}");
    }
    for name in missing {
        println!("never reached: {name}");
    }
    let failed: Vec<_> = total.failed.iter().map(|(seed, _)| seed.to_string()).collect();
    let failed = if failed.is_empty() { String::new() } else { format!(" (seeds {})", failed.join(", ")) };
    println!(
        "sim: {} seeds, {:.1} virtual hours, {} steps, {} messages delivered, {} transactions in {:.1} s ({:.1} seeds/s): {} violations{failed}, {} events never reached",
        total.seeds,
        total.time.as_secs_f64() / 3600.0,
        total.steps,
        total.delivered,
        total.turns,
        took.as_secs_f64(),
        f64::from(u32::try_from(total.seeds).unwrap_or(u32::MAX)) / took.as_secs_f64(),
        total.failed.len(),
        missing.len()
    );
}
