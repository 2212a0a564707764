//! The embedded default: the same planner over processes of this machine instead of pods.
//!
//! [`run`] checks everything that can be checked before it starts anything, then looks, acts and shows until the upgrade is
//! complete. The file may be edited meanwhile, as an object in Kubernetes may. It ends only processes that it started, or a run
//! of the same folder before it that was killed; a node that such a run has kept, or that somebody else started, it leaves running.

mod edit;
mod folder;
mod node;
mod object;
mod process;
mod progress;
mod restarts;
mod set;
mod subnet;
mod world;

pub use edit::set;
pub use subnet::Subnet;

use crate::{
    act::World as _,
    args::{LocalArguments, Output},
    controller::{Look, Operator},
    crd::{MAX_NODES, Phase},
    error::Error,
    observe::PodName,
    plan::Plan,
    unique,
};
use folder::Folder;
use node::{Cluster, Node};
use object::LocalObject;
use progress::Progress;
use set::LocalSet;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::{sleep, timeout},
};
use world::LocalWorld;

/// Nodes of a new cluster, unless told otherwise.
const DEFAULT_NODES: u32 = 3;

/// Nodes under schema changes tell of each one; a look costs what they could use better.
const TOGETHER: Duration = Duration::from_millis(5);

/// How soon an edit of the file is noticed.
const LOOK_AT_FILE_EVERY: Duration = Duration::from_millis(100);

/// Performs the upgrade of a file on local processes.
pub async fn run(arguments: &LocalArguments) -> Result<(), Error> {
    object::read(&arguments.file)?;
    let program = program(arguments.node_binary.as_deref())?;
    let mut signals = Signals::new()?;
    let mut world = open(arguments, program).await?;
    if arguments.output == Output::Text {
        print(&addresses(&world.world));
    }
    let ended = tokio::select! {
        result = upgrade(&mut world, arguments) => Ok(result),
        name = signals.next() => Err(name),
    };
    let result = ended.unwrap_or_else(|signal| interrupted(&world, signal));
    let stopped = if arguments.keep_running && result.is_ok() { world.world.keep() } else { world.world.stop().await };
    result.and(stopped)
}

/// The world, and what is told when something in it changes.
struct Opened {
    world: LocalWorld,
    changed: Arc<Notify>,
}

async fn upgrade(opened: &mut Opened, arguments: &LocalArguments) -> Result<(), Error> {
    let Opened { world, changed } = opened;
    let watched = watch_file(arguments.file.clone(), changed.clone());
    let result = look_until_over(world, changed, arguments).await;
    watched.abort();
    result
}

async fn look_until_over(world: &mut LocalWorld, changed: &Notify, arguments: &LocalArguments) -> Result<(), Error> {
    let mut progress = Progress::new(arguments.output);
    let mut operator = Operator::default();
    let run_id = || unique::id().to_string();
    let mut is_told = false;
    loop {
        world.tend()?;
        let plan = match operator.reconcile(world, &run_id()).await {
            Ok(Look::Planned(plan, status)) => {
                progress.show(&status);
                plan
            }
            Ok(Look::Deposed | Look::Deleted) => continue,
            Err(failure) => return Err(Error::failure(format!("{}: {failure}", world.folder.path().display()))),
        };
        let is_over = is_over(&plan, world.object.last().spec.dry_run);
        if is_over && !is_told && arguments.output == Output::Text {
            is_told = true;
            summary(world, &plan);
        }
        if is_over && !arguments.stay {
            return Ok(());
        }
        wait(changed, &plan, world).await;
    }
}

/// Whether there is nothing to come without an edit of the file.
fn is_over(plan: &Plan, is_dry_run: bool) -> bool {
    let can_say = !plan.report.waiting.iter().any(|why| why.reason() == "NodeUnknown" || why.reason() == "PodNotReady");
    match plan.report.phase {
        Phase::Complete => plan.report.waiting.is_empty(),
        Phase::Cancelled => plan.actions.is_empty(),
        _ => is_dry_run && can_say,
    }
}

/// Until the plan wants to look again, or something changes; after an act only the former. Changes that come together are looked
/// at together.
async fn wait(changed: &Notify, plan: &Plan, world: &LocalWorld) {
    let until = Duration::try_from(plan.next_look.duration_since(world.now())).unwrap_or_default();
    if plan.new_run || plan.new_term {
        return;
    }
    if plan.actions.is_empty() {
        // A later look is as good: the plan is made anew each time.
        let _ = timeout(until, changed.notified()).await;
        sleep(TOGETHER).await;
    } else {
        sleep(until).await;
    }
}

/// An editor may replace the file or write into it: whatever changes its time or its length counts.
fn watch_file(file: PathBuf, changed: Arc<Notify>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut last = object::stamp(&file);
        loop {
            sleep(LOOK_AT_FILE_EVERY).await;
            let present = object::stamp(&file);
            if present != last {
                last = present;
                changed.notify_one();
            }
        }
    })
}

fn summary(world: &LocalWorld, plan: &Plan) {
    let mut lines = plan.report.outlook.clone();
    lines.extend(addresses(world));
    lines.push(format!("status: {}", world.folder.status().display()));
    print(&lines);
}

fn addresses(world: &LocalWorld) -> Vec<String> {
    let admin_port = world.object.last().spec.cluster_ref.admin_port;
    let of_node = |(name, node): (&PodName, &Node)| {
        format!("{name}  {}  CQL 9042, Admin {admin_port}, REST 10000, metrics 9180", node.address())
    };
    world.nodes.iter().map(of_node).collect()
}

fn print(lines: &[String]) {
    // Whoever reads may be gone: what is done stays done.
    let _ = writeln!(io::stdout().lock(), "{}", lines.join("\n"));
}

fn interrupted(opened: &Opened, signal: &str) -> Result<(), Error> {
    let phase = opened.world.object.last().status.as_ref().map_or(Phase::Pending, |status| status.phase);
    if phase == Phase::Complete {
        return Ok(());
    }
    Err(Error::failure(format!("ended by {signal} in phase {phase}; the same command goes on from here")))
}

/// The node's program: as named, else beside this one.
fn program(named: Option<&Path>) -> Result<PathBuf, Error> {
    let beside = || std::env::current_exe().ok().map(|own| own.with_file_name("group0-node"));
    let program = named.map(Path::to_owned).or_else(beside).unwrap_or_else(|| "group0-node".into());
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::mistake(format!("{}: there is no such program; name the node's with --node-binary", program.display())))
}

async fn open(arguments: &LocalArguments, program: PathBuf) -> Result<Opened, Error> {
    let folder = Folder::open(&arguments.dir)?;
    let object = LocalObject::open(&folder, &arguments.file, unique::id().to_string())?;
    let set = LocalSet::read(&folder.set())?;
    let count = node_count(&folder, set.as_ref().map_or(0, |set| set.replicas), arguments.nodes)?;
    let mut resting = Vec::new();
    for index in 0..count {
        resting.extend(node::running(&folder.node(index))?.is_none().then_some(index));
    }
    let spec = &object.last().spec;
    let admin_port = spec.cluster_ref.admin_port;
    let subnet = subnet::choose(&folder, arguments.subnet, &resting, admin_port)?;
    folder::replace(&folder.subnet(), &format!("{subnet}\n"))?;
    let changed = Arc::new(Notify::new());
    let name = object.last().metadata.name.clone().unwrap_or_default();
    let limit: Duration = spec.deadlines.rpc.into();
    let settings = arguments.node_settings.clone();
    let cluster =
        Cluster { name, subnet, count, admin_port, settings, program: program.clone(), limit, changed: changed.clone() };
    let set = set.map_or_else(|| LocalSet::make(&folder.set(), count), Ok)?;
    let mut world = LocalWorld { folder, nodes: BTreeMap::new(), object, set, program, limit };
    world.open_nodes(count, &cluster).await?;
    Ok(Opened { world, changed })
}

fn node_count(folder: &Folder, there: u32, asked: Option<u32>) -> Result<u32, Error> {
    match asked {
        Some(asked) if asked == 0 || asked as usize > MAX_NODES => {
            Err(Error::mistake(format!("--nodes {asked}: must be from 1 to {MAX_NODES}")))
        }
        Some(asked) if there != 0 && asked != there => {
            let dir = folder.path().display();
            Err(Error::mistake(format!("--nodes {asked}: the cluster in {dir} has {there}; leave --nodes out")))
        }
        Some(asked) => Ok(asked),
        None if there != 0 => Ok(there),
        None => Ok(DEFAULT_NODES),
    }
}

/// What ends us early.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        let on = |kind| signal(kind).map_err(|error| Error::failure(format!("signals cannot be handled: {error}")));
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
