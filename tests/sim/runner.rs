//! Many seeds on all cores, and one seed again and again until its world is as small as it can be.

use crate::{
    events::Events,
    kills, replay, report, scenarios,
    swarm::{Fault, Limits, Swarm},
    world::{Outcome, Violation, World},
};
use std::{
    cell::Cell,
    env, panic,
    process::ExitCode,
    str::FromStr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Seeds of a run that was not told how many: they take less than four minutes on two cores.
const SEEDS: u64 = 1000;
/// So many seeds that fail are made small, which takes some dozens of runs each.
const SHRUNK_MAX: usize = 6;
/// Every so many seeds one is run twice, to see that it gives the same log.
const TWICE_EVERY: u64 = 50;

thread_local! {
    /// What the last panic of this thread said, and where it was.
    static LAST_PANIC: Cell<String> = const { Cell::new(String::new()) };
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Request {
    first: u64,
    seeds: u64,
    one: Option<u64>,
    prints: bool,
    limits: Limits,
    kill: Option<String>,
    story: Option<usize>,
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    let value = text.parse().ok();
    assert!(value.is_some(), "{name}={text} is no number");
    value
}

fn faults(variable: &str) -> Vec<Fault> {
    let fault = |name: &str| {
        let known = Fault::ALL.iter().copied().find(|fault| fault.name() == name);
        assert!(known.is_some(), "{variable}: there is no fault '{name}'");
        known
    };
    let names = env::var(variable).unwrap_or_default();
    names.split(',').filter(|name| !name.is_empty()).filter_map(fault).collect()
}

impl Request {
    /// As the environment says: SEEDS and FIRST_SEED, or SEED, or KILL, or STORY; LOG; WITHOUT, NODES and CHANGES make worlds smaller, and
    /// all have what is in WITH.
    pub fn of_environment() -> Self {
        Self {
            first: variable("FIRST_SEED").unwrap_or(1),
            seeds: variable("SEEDS").unwrap_or(SEEDS),
            one: variable("SEED"),
            kill: variable("KILL"),
            story: variable("STORY"),
            prints: variable::<u8>("LOG").is_some_and(|log| log > 0),
            limits: Limits {
                with: faults("WITH"),
                without: faults("WITHOUT"),
                nodes: variable("NODES"),
                changes: variable("CHANGES"),
            },
        }
    }
}

/// What all seeds together have come to.
#[derive(Default)]
pub struct Total {
    /// Seeds.
    pub seeds: u64,
    /// Those with a violation.
    pub failed: Vec<(u64, Violation)>,
    /// What happened.
    pub events: Events,
    /// Virtual time.
    pub time: Duration,
    /// Transactions of nodes.
    pub turns: u64,
    /// Things that came to processes.
    pub steps: u64,
    /// Those of them that came over the network.
    pub delivered: u64,
}

/// Runs what is asked for and says what came of it.
pub fn run(request: &Request) -> ExitCode {
    panic::set_hook(Box::new(|info| LAST_PANIC.set(info.to_string())));
    match (&request.kill, request.story, request.one) {
        (Some(kill), ..) => kills::run_one(kill, request.prints),
        (None, Some(story), _) => scenarios::run_one(story, request.prints),
        (None, None, Some(seed)) => run_one(seed, request),
        (None, None, None) => {
            let told = [replay::run(), scenarios::run(), kills::run(), run_many(request)];
            if told.contains(&ExitCode::FAILURE) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}

fn run_one(seed: u64, request: &Request) -> ExitCode {
    if request.prints {
        report::trace();
    }
    let outcome = outcome(seed, &request.limits, request.prints);
    report::one(seed, &outcome);
    if let Some(violation) = &outcome.violation {
        if !request.prints {
            report::failure(seed, violation, &outcome, &shrink(seed, &request.limits));
        }
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run_many(request: &Request) -> ExitCode {
    let begin = Instant::now();
    let total = Mutex::new(Total::default());
    on_all_cores(request.seeds, |number| take(request.first + number, request, &total));
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let missing = if request.limits == Limits::default() { total.events.missing(total.seeds) } else { Vec::new() };
    report::many(&total, &missing, begin.elapsed());
    if total.failed.is_empty() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does something for each number below `count`.
pub fn on_all_cores(count: u64, job: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    job(number);
                }
            });
        }
    });
}

/// Runs a seed, some of them twice, and adds it to the total.
fn take(seed: u64, request: &Request, total: &Mutex<Total>) {
    let mut run = outcome(seed, &request.limits, false);
    if seed.is_multiple_of(TWICE_EVERY) && run.violation.is_none() {
        let again = outcome(seed, &request.limits, false);
        if again.digest != run.digest {
            let detail = format!("digests {:016x} and {:016x}", run.digest, again.digest);
            run.violation = Some(Violation { what: "the same seed gives the same log".into(), detail });
        }
    }
    let is_told = total.lock().unwrap_or_else(PoisonError::into_inner).failed.len() < SHRUNK_MAX;
    let smallest = run
        .violation
        .as_ref()
        .map(|violation| if is_told { shrink(seed, &request.limits) } else { (request.limits.clone(), violation.clone()) });
    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
    total.seeds += 1;
    total.events.add(&run.events);
    total.time += run.time;
    total.turns += run.turns;
    total.steps += run.steps;
    total.delivered += run.delivered;
    if let (Some(violation), Some(smallest)) = (run.violation.clone(), smallest) {
        report::failure(seed, &violation, &run, &smallest);
        total.failed.push((seed, violation));
    }
}

fn outcome(seed: u64, limits: &Limits, prints: bool) -> Outcome {
    outcome_of(|| World::new(Swarm::draw(seed, limits), prints))
}

/// Runs a world; a panic is a violation like others.
pub fn outcome_of(make: impl FnOnce() -> World) -> Outcome {
    panic::catch_unwind(panic::AssertUnwindSafe(|| make().run())).unwrap_or_else(|_| Outcome {
        violation: Some(Violation { what: "panic".into(), detail: LAST_PANIC.take() }),
        digest: 0,
        last: Vec::new(),
        time: Duration::ZERO,
        events: Events::default(),
        turns: 0,
        steps: 0,
        delivered: 0,
        evictions: Vec::new(),
        restarts: Vec::new(),
        acts_before_plan: 0,
    })
}

/// The smallest world of this seed that is found, in which the same is violated: one thing after another is taken out of it.
fn shrink(seed: u64, limits: &Limits) -> (Limits, Violation) {
    let Some(violation) = outcome(seed, limits, false).violation else {
        let detail = "it did not fail again".to_owned();
        return (limits.clone(), Violation { what: "not deterministic".into(), detail });
    };
    let (mut smallest, mut found) = (limits.clone(), violation);
    let mut keep = |candidate: Limits, smallest: &mut Limits| {
        let again = outcome(seed, &candidate, false).violation;
        if let Some(again) = again.filter(|again| again.what == found.what) {
            (*smallest, found) = (candidate, again);
        }
    };
    for fault in Swarm::draw(seed, limits).faults().filter(|fault| !limits.with.contains(fault)) {
        let mut candidate = smallest.clone();
        candidate.without.push(fault);
        keep(candidate, &mut smallest);
    }
    for nodes in 3..Swarm::draw(seed, &smallest).nodes {
        keep(Limits { nodes: Some(nodes), ..smallest.clone() }, &mut smallest);
    }
    for changes in [0, 2, 4, 8] {
        if changes < Swarm::draw(seed, &smallest).changes {
            keep(Limits { changes: Some(changes), ..smallest.clone() }, &mut smallest);
        }
    }
    (smallest, found)
}
