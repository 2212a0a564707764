//! Stories that happened to other operators, told to ours: each a quiet world in which something happens at a certain moment.

use crate::{
    errands::ENTER,
    kubernetes::api::Deed,
    network::REFUSED,
    report, runner,
    swarm::{Fault, Swarm},
    trouble::Action,
    world::{After, HIDDEN, Outcome, Step, Told, World},
};
use std::{collections::BTreeSet, process::ExitCode, time::Duration};

/// The first operator of a world with three nodes: before it there are the nodes and their clients.
const OPERATOR: usize = 7;
/// Where something is to be ended by a timer, it may end so much later.
const TOLERANCE: Duration = Duration::from_secs(5);
/// Counted when the object says so.
const RECOVERED: &str = "recovered by the operator";

struct Story {
    name: &'static str,
    swarm: Swarm,
    script: Vec<Step>,
    /// The same with each of its steps so much later: which of them meets the moment that it is about depends on how fast everything is.
    later: Vec<Duration>,
    judge: fn(&Outcome) -> Result<(), String>,
}

/// Of a quiet world of three nodes.
fn upgrade(
    name: &'static str,
    operators: usize,
    unusual: &[Fault],
    script: Vec<Step>,
    judge: fn(&Outcome) -> Result<(), String>,
) -> Story {
    Story { name, swarm: Swarm::quiet(1, operators, unusual, None), script, later: vec![Duration::ZERO], judge }
}

fn trouble(after: After, delay: Duration, action: Action) -> Step {
    Step { after, delay, deed: Told::Trouble(action) }
}

fn person(after: After, delay: Duration, deed: Deed) -> Step {
    Step { after, delay, deed: Told::Person(deed) }
}

/// When this is counted for the first time.
const fn first(event: &'static str) -> After {
    After::Count(event, 1)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Of operators that are replaced, stand still, or have to wait.
fn of_operators() -> Vec<Story> {
    let crash = |after, delay, operator| trouble(After::Taken(after), delay, Action::Crash(operator));
    let mut timed = upgrade(
        "an operator that is restarted just before a time has passed goes on counting from where it was",
        1,
        &[],
        vec![crash(1, seconds(18), OPERATOR), crash(2, seconds(19), OPERATOR)],
        |outcome| {
            let pairs = outcome.evictions.windows(2);
            let times = pairs.map(|pair| pair[1].0.saturating_sub(pair[0].0));
            each_once(outcome)?;
            match times.into_iter().find(|time| *time < seconds(20) || *time > seconds(20) + TOLERANCE) {
                Some(time) => Err(format!("{time:?} between two restarts")),
                None => Ok(()),
            }
        },
    );
    timed.swarm.between = 20;
    let mut supervised = upgrade(
        "the machine of the third pod starts anew before a human has approved: it comes back with flag and hold",
        1,
        &[Fault::Supervised],
        vec![person(After::Taken(2), seconds(5), Deed::DeletePod(0))],
        |outcome| {
            let taken = outcome.evictions.len();
            if taken != 2 {
                return Err(format!("{taken} pods were taken, two of them needed it"));
            }
            came(outcome, "waits for AwaitingApproval")
        },
    );
    supervised.swarm.between = 30;
    vec![
        timed,
        supervised,
        upgrade(
            "an operator stands still until another one has taken over, and then goes on where it was",
            2,
            &[],
            vec![
                trouble(After::Taken(1), Duration::ZERO, Action::Pause(OPERATOR, seconds(9))),
                trouble(After::Taken(2), Duration::from_millis(300), Action::Pause(OPERATOR + 1, seconds(9))),
            ],
            |outcome| each_once(outcome).and_then(|()| came(outcome, "lease taken over")),
        ),
        upgrade(
            "both operators are replaced by another release in the middle of the run",
            2,
            &[],
            vec![
                crash(1, seconds(1), OPERATOR),
                crash(1, seconds(2), OPERATOR + 1),
                crash(2, seconds(1), OPERATOR),
                crash(3, seconds(1), OPERATOR + 1),
            ],
            each_once,
        ),
        upgrade(
            "two objects are for the same StatefulSets: ours has failed, until the other one is deleted",
            1,
            &[],
            vec![
                person(After::Start, Duration::ZERO, Deed::Rival { exists: true }),
                person(first("phase Failed"), seconds(3), Deed::Rival { exists: false }),
            ],
            each_once,
        ),
        upgrade(
            "two budgets select the pods, so that none can be evicted: that is said, and the run goes on when one is deleted",
            1,
            &[],
            vec![
                person(After::Taken(1), Duration::ZERO, Deed::Budgets(2)),
                person(first("waits for BudgetsOverlap"), seconds(20), Deed::Budgets(1)),
            ],
            |outcome| each_once(outcome).and_then(|()| apart(outcome, seconds(20))),
        ),
        upgrade(
            "a node is in a state that the operator does not know: nothing more is taken",
            1,
            &[],
            vec![Step { after: After::Taken(1), delay: Duration::ZERO, deed: Told::Newer(2, seconds(30)) }],
            |outcome| {
                each_once(outcome)?;
                apart(outcome, seconds(30))?;
                came(outcome, "stall UnknownNodeState")
            },
        ),
        upgrade(
            "helm upgrade puts the template back, in the middle and after the end: the flag comes back, and nobody is taken for it",
            1,
            &[],
            vec![person(After::Taken(1), seconds(1), Deed::Unflag), person(first("phase Complete"), seconds(1), Deed::Unflag)],
            each_once,
        ),
    ]
}

/// Of nodes that are slow or away, and have lost nothing.
fn of_nodes() -> Vec<Story> {
    let pause = |after, delay, node| trouble(after, delay, Action::Pause(node, seconds(60)));
    let complete = first("phase Complete");
    // The ring is founded after three seconds, and the roll begins at once.
    let mut still = upgrade(
        "one stands still before the roll begins: it is taken first",
        1,
        &[],
        vec![pause(After::Start, seconds(3), 1)],
        |outcome| match outcome.evictions.first() {
            Some((_, 1)) => each_once(outcome),
            first => Err(format!("the first was {first:?}")),
        },
    );
    still.later = (0..12).map(|count| Duration::from_millis(5) * count).collect();
    let mut unrelated = upgrade(
        "an unrelated node stands still while another one is restarted: nothing more is taken until it is back",
        1,
        &[],
        vec![trouble(After::Taken(1), Duration::from_millis(200), Action::Pause(0, seconds(14)))],
        |outcome| each_once(outcome).and_then(|()| apart(outcome, seconds(14))),
    );
    // Long enough for it to be noticed, and not so long that its own pod is what has to be taken first.
    unrelated.swarm.between = 5;
    vec![
        unrelated,
        still,
        upgrade("slow nodes are not taken for dead ones", 1, &[Fault::Sites, Fault::SlowDisk], vec![], |outcome| {
            each_once(outcome)?;
            match outcome.events.all().find(|(name, _)| name.starts_with("stall ")) {
                Some((name, _)) => Err(name.into()),
                None => nobody_is_given_up(outcome),
            }
        }),
        upgrade(
            "a node that could come back is away for a minute, and with it the end of the upgrade: it is waited for",
            1,
            &[],
            vec![pause(After::Taken(3), Duration::from_millis(300), 0)],
            |outcome| nobody_is_given_up(outcome).and_then(|()| came(outcome, "stall NodeDownRestartable")),
        ),
        upgrade(
            "a majority is away for a minute after the end, and has lost nothing: it is waited for",
            1,
            &[],
            vec![pause(complete, seconds(1), 0), pause(complete, seconds(1), 1)],
            |outcome| nobody_is_given_up(outcome).and_then(|()| came(outcome, "stall NodeDownRestartable")),
        ),
        upgrade(
            "a marker of recovery is left on one node of a cluster that is done: that one is repaired",
            1,
            &[],
            vec![
                Step { after: complete, delay: seconds(1), deed: Told::Cql(1, ENTER) },
                person(complete, seconds(2), Deed::DeletePod(1)),
            ],
            |outcome| nobody_is_given_up(outcome).and_then(|()| came(outcome, "stall StrayRecovery")),
        ),
    ]
}

/// Of networks that carry one thing and not another, or reach one and not another.
fn of_networks() -> Vec<Story> {
    let cut = |from, to| trouble(After::Taken(3), Duration::ZERO, Action::Cut(from, to, seconds(90)));
    let complete = first("phase Complete");
    // Where the way is long, somebody changes the schema of one between the last pull and the end of such changes.
    let late_change = |node| Step {
        after: first("phase Forming"),
        delay: Duration::from_millis(400),
        deed: Told::Cql(node, "CREATE KEYSPACE apart WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}"),
    };
    let mut disagreeing = upgrade(
        "schemas get to no other node, and all else does, so that they stay different: nodes are restarted, once each, and nobody is given up",
        1,
        &[Fault::Sites],
        vec![
            trouble(first("phase Forming"), Duration::from_millis(400), Action::LoseSchemas(seconds(150))),
            late_change(0),
            late_change(1),
            late_change(2),
        ],
        |outcome| {
            nobody_is_given_up(outcome)?;
            came(outcome, "stall SchemaDisagreement")?;
            let restarted: BTreeSet<_> = outcome.restarts.iter().collect();
            let once = !restarted.is_empty() && restarted.len() == outcome.restarts.len();
            if once { Ok(()) } else { Err(format!("restarted were {:?}", outcome.restarts)) }
        },
    );
    disagreeing.later = (0..24).map(|count| Duration::from_millis(20) * count).collect();
    let mut parted = upgrade(
        "a majority is parted from the others, and its machines are deleted from Kubernetes: that proves nothing of what runs there",
        1,
        &[],
        vec![
            trouble(complete, seconds(1), Action::Part(2, seconds(90))),
            person(complete, seconds(3), Deed::Forget(vec![2, 3, 4])),
            person(complete, seconds(95), Deed::Remember(vec![2, 3, 4])),
        ],
        |outcome| nobody_is_given_up(outcome).and_then(|()| came(outcome, "stall NodeDownRestartable")),
    );
    parted.swarm.nodes = 5;
    vec![
        upgrade(
            "two do not reach each other, and both reach all others: that is said, and nobody is given up",
            1,
            &[],
            vec![cut(0, 1), cut(1, 0)],
            |outcome| nobody_is_given_up(outcome).and_then(|()| came(outcome, "stall Partitioned")),
        ),
        disagreeing,
        parted,
    ]
}

/// Of machines that are lost.
fn of_losses() -> Vec<Story> {
    let destroy = |after, delay, machines: &[usize], with_disks| {
        person(after, delay, Deed::Destroy { machines: machines.to_vec(), with_disks })
    };
    let complete = first("phase Complete");
    let told = |name, swarm, script, judge| Story { name, swarm, script, later: vec![Duration::ZERO], judge };
    let quorum = || Swarm::story(1, 4, vec![0, 2], false);
    // Nobody is lost by itself, and people have to approve.
    let four = || {
        let mut swarm = quorum();
        swarm.story = None;
        swarm
    };
    let away = || destroy(complete, seconds(1), &[0, 2], false);
    let returned = |after| person(first(after), Duration::ZERO, Deed::Return(vec![0, 2]));
    let change = After::Count("schema change through group 0", 12);
    let mut far = Swarm::quiet(1, 1, &[Fault::Sites], None);
    (far.nodes, far.changes) = (4, 25);
    let mut behind = Swarm::quiet(1, 1, &[], None);
    behind.changes = 25;
    vec![
        told(
            "a minority is lost after the end: no recovery, it is replaced",
            Swarm::story(1, 5, vec![1], false),
            vec![],
            |outcome| not_recovered(outcome).and_then(|()| came(outcome, "stall MinorityLost")),
        ),
        told(
            "whose log is to be kept is lost in the middle of the recovery: no other is picked without being asked",
            Swarm::story(1, 5, vec![0, 2, 4], false),
            vec![destroy(first("planned RollForward"), Duration::ZERO, &[1], true)],
            |outcome| came(outcome, "waits for DonorLost").and_then(|()| came(outcome, RECOVERED)),
        ),
        told(
            "the only survivor lacks what is known to be committed: that is not kept before a person says so",
            behind,
            vec![trouble(complete, seconds(1), Action::Isolate(2, seconds(20))), destroy(complete, seconds(8), &[0, 1], true)],
            |outcome| came(outcome, "waits for DonorBehindKnownCommit").and_then(|()| came(outcome, RECOVERED)),
        ),
        Story {
            name: "what was acknowledged is in the log of a survivor, which does not know that: it is kept",
            swarm: far,
            script: vec![
                trouble(change, Duration::ZERO, Action::Isolate(1, seconds(20))),
                trouble(change, Duration::ZERO, Action::Isolate(3, seconds(20))),
                destroy(change, seconds(1), &[0, 2], true),
            ],
            later: (0..12).map(|count| Duration::from_millis(60) * count).collect(),
            judge: |outcome| came(outcome, HIDDEN).and_then(|()| came(outcome, RECOVERED)),
        },
        told(
            "the lost return before anything was reset: the plan is withdrawn, and the former cluster goes on",
            four(),
            vec![away(), returned("planned Fence")],
            |outcome| not_recovered(outcome).and_then(|()| came(outcome, "planned LiftFence")),
        ),
        told(
            "the lost return after the reset: they are refused",
            four(),
            vec![away(), returned("planned LeaveRecovery")],
            |outcome| {
                came(outcome, "the dead came back")?;
                came(outcome, REFUSED)?;
                came(outcome, RECOVERED)
            },
        ),
        told(
            "a survivor cannot be reached when the recovery is to begin: what is prepared is withdrawn",
            quorum(),
            vec![trouble(first("stall QuorumLost"), seconds(4), Action::Pause(3, seconds(60)))],
            |outcome| came(outcome, "waits for Withdrawing").and_then(|()| came(outcome, RECOVERED)),
        ),
        told(
            "the object is deleted in the middle of a recovery and made again: the plan is read from the nodes",
            quorum(),
            vec![person(first("planned ResetGroup0"), Duration::from_millis(100), Deed::Delete)],
            |outcome| {
                came(outcome, RECOVERED)?;
                // Once on each of the two survivors: another plan would begin with it again.
                let prepared = outcome.events.of("planned PrepareFence");
                if prepared == 2 { Ok(()) } else { Err(format!("fences were prepared {prepared} times")) }
            },
        ),
    ]
}

/// Each of the three nodes was taken once.
fn each_once(outcome: &Outcome) -> Result<(), String> {
    let mut taken: Vec<_> = outcome.evictions.iter().map(|(_, node)| *node).collect();
    taken.sort_unstable();
    if taken == [0, 1, 2] { Ok(()) } else { Err(format!("taken were {taken:?}")) }
}

/// The first two were taken at least so long after each other.
fn apart(outcome: &Outcome, least: Duration) -> Result<(), String> {
    match outcome.evictions[..] {
        [(first, _), (second, _), ..] if second.saturating_sub(first) >= least => Ok(()),
        _ => Err(format!("taken were {:?}", outcome.evictions)),
    }
}

fn came(outcome: &Outcome, event: &str) -> Result<(), String> {
    if outcome.events.of(event) > 0 { Ok(()) } else { Err(format!("'{event}' never came")) }
}

fn never(outcome: &Outcome, event: &str) -> Result<(), String> {
    if outcome.events.of(event) == 0 { Ok(()) } else { Err(format!("'{event}' came")) }
}

fn not_recovered(outcome: &Outcome) -> Result<(), String> {
    never(outcome, "planned ResetGroup0")
}

fn nobody_is_given_up(outcome: &Outcome) -> Result<(), String> {
    ["planned PrepareFence", "planned RemoveHost", "planned Replace"].iter().try_for_each(|act| never(outcome, act))
}

/// All of them.
pub fn run() -> ExitCode {
    let mut failed = 0;
    let stories = stories();
    let told = stories.len();
    for (number, story) in stories.into_iter().enumerate() {
        let name = story.name;
        if let Err((why, last)) = story.tell(false) {
            failed += 1;
            println!("story {}: {name}: {why}", number + 1);
            for line in last {
                println!("    | {line}");
            }
        }
    }
    println!("stories: {told}, of which {failed} fail");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One of them, by its number.
pub fn run_one(number: usize, prints: bool) -> ExitCode {
    if prints {
        report::trace();
    }
    let Some(story) = number.checked_sub(1).and_then(|at| stories().into_iter().nth(at)) else {
        println!("there is no story {number}: they are 1 to {}", stories().len());
        return ExitCode::FAILURE;
    };
    println!("{}", story.name);
    match story.tell(prints) {
        Ok(()) => ExitCode::SUCCESS,
        Err((why, _)) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn stories() -> Vec<Story> {
    [of_operators(), of_nodes(), of_networks(), of_losses()].into_iter().flatten().collect()
}

impl Story {
    /// What is wrong with it, and the last lines of its log: none of its runs is as it must be, or something is violated in one.
    fn tell(self, prints: bool) -> Result<(), (String, Vec<String>)> {
        let mut judged = None;
        for later in &self.later {
            let script = self.script.iter().map(|step| Step { delay: step.delay + *later, ..step.clone() }).collect();
            let outcome = runner::outcome_of(|| World::scripted(self.swarm.clone(), script, prints));
            if let Some(violation) = &outcome.violation {
                return Err((format!("{}: {}", violation.what, violation.detail), outcome.last));
            }
            let verdict = (self.judge)(&outcome).map_err(|why| (why, outcome.last));
            judged = Some(judged.filter(Result::is_ok).unwrap_or(verdict));
        }
        judged.unwrap_or(Ok(()))
    }
}
