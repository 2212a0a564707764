//! The embedded default: the same planner over processes of this machine instead of pods.
//!
//! [`run`] checks everything that can be checked before it starts anything, then looks, acts and shows until the upgrade is
//! complete. It ends only processes that it started; those of a node that ran before it leaves running.

mod folder;
mod node;
mod process;
mod progress;
mod subnet;
mod world;

pub use subnet::Subnet;

use crate::{
    args::LocalArguments,
    controller::reconcile,
    crd::{Group0Upgrade, MAX_NODES, Phase},
    error::Error,
    plan::Plan,
    validate,
};
use folder::Folder;
use k8s_openapi::jiff::Timestamp;
use node::Cluster;
use progress::Progress;
use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher as _, RandomState},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};
use uuid::Uuid;
use world::LocalWorld;

/// Nodes of a new cluster, unless told otherwise.
const DEFAULT_NODES: u32 = 3;

/// Nodes under schema changes tell of each one; a look costs what they could use better.
const TOGETHER: Duration = Duration::from_millis(5);

/// Performs the upgrade of a file on local processes.
pub async fn run(arguments: &LocalArguments) -> Result<(), Error> {
    let object = read_object(&arguments.file)?;
    let program = program(arguments.node_binary.as_deref())?;
    let mut signals = Signals::new()?;
    let mut world = open(arguments, object, program).await?;
    let ended = tokio::select! {
        result = upgrade(&mut world, arguments) => Ok(result),
        name = signals.next() => Err(name),
    };
    let result = ended.unwrap_or_else(|signal| interrupted(&world, signal));
    let stopped = if arguments.keep_running && result.is_ok() { Ok(()) } else { world.world.stop().await };
    result.and(stopped)
}

/// The world, and what is told when something in it changes.
struct Opened {
    world: LocalWorld,
    changed: Arc<Notify>,
}

async fn upgrade(opened: &mut Opened, arguments: &LocalArguments) -> Result<(), Error> {
    let Opened { world, changed } = opened;
    let mut progress = Progress::new();
    let mut object = world.object.clone();
    let run_id = run_id();
    let mut is_told = false;
    loop {
        world.tend()?;
        let now = Timestamp::now();
        let plan = reconcile(world, &mut object, &run_id, now).await?;
        if let Some(status) = &object.status {
            progress.show(status);
        }
        if plan.report.phase == Phase::Complete && !is_told {
            is_told = true;
            summary(world);
        }
        if is_told && !arguments.stay {
            return Ok(());
        }
        wait(changed, &plan).await;
    }
}

/// Until something changes, or the plan wants to look again. After an act that is at once. Changes that come together are
/// looked at together.
async fn wait(changed: &Notify, plan: &Plan) {
    if plan.actions.is_empty() {
        let until = Duration::try_from(plan.next_look.duration_since(Timestamp::now())).unwrap_or_default();
        // A later look is as good: the plan is made anew each time.
        let _ = tokio::time::timeout(until, changed.notified()).await;
        tokio::time::sleep(TOGETHER).await;
    }
}

fn summary(world: &LocalWorld) {
    let admin_port = world.object.spec.cluster_ref.admin_port;
    for (name, node) in &world.nodes {
        println!("{name}  {}  CQL 9042, Admin {admin_port}, REST 10000, metrics 9180", node.address());
    }
    println!("status: {}", world.folder.status().display());
}

fn interrupted(opened: &Opened, signal: &str) -> Result<(), Error> {
    let phase = opened.world.object.status.as_ref().map_or(Phase::Pending, |status| status.phase);
    if phase == Phase::Complete {
        return Ok(());
    }
    Err(Error::failure(format!("ended by {signal} in phase {phase}; the same command goes on from here")))
}

fn read_object(path: &Path) -> Result<Group0Upgrade, Error> {
    let mistake = |why: String| Error::mistake(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| mistake(format!("cannot be read: {error}")))?;
    let mut file = file.take(validate::MAX_FILE_BYTES + 1);
    file.read_to_string(&mut text).map_err(|error| mistake(format!("cannot be read: {error}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > validate::MAX_FILE_BYTES {
        return Err(mistake(format!("is longer than {} bytes: this is no Group0Upgrade", validate::MAX_FILE_BYTES)));
    }
    let object = validate::upgrade(&text).map_err(|complaint| mistake(complaint.to_string()))?;
    validate::performable_locally(&object.spec).map_err(|complaint| mistake(complaint.to_string()))?;
    Ok(object)
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

async fn open(arguments: &LocalArguments, mut object: Group0Upgrade, program: PathBuf) -> Result<Opened, Error> {
    let folder = Folder::open(&arguments.dir)?;
    object.status = recorded_status(&folder, &object)?;
    let count = node_count(&folder, arguments.nodes)?;
    let mut resting = Vec::new();
    for index in 0..count {
        resting.extend(node::running(&folder.node(index))?.is_none().then_some(index));
    }
    let admin_port = object.spec.cluster_ref.admin_port;
    let subnet = subnet::choose(&folder, arguments.subnet, &resting, admin_port)?;
    folder::replace(&folder.subnet(), &format!("{subnet}\n"))?;
    let changed = Arc::new(Notify::new());
    let name = object.metadata.name.clone().unwrap_or_default();
    let limit: Duration = object.spec.deadlines.rpc.into();
    let cluster = Cluster { name, subnet, admin_port, program, limit, changed: changed.clone() };
    let mut world = LocalWorld { folder, nodes: BTreeMap::new(), object, limit };
    world.open_nodes(count, &cluster).await?;
    Ok(Opened { world, changed })
}

/// The status, and so the journal, of an earlier run of the same object in this folder.
fn recorded_status(folder: &Folder, object: &Group0Upgrade) -> Result<Option<crate::crd::Group0UpgradeStatus>, Error> {
    let path = folder.status();
    let Some(text) = folder::read(&path)? else { return Ok(None) };
    let recorded: Group0Upgrade = serde_saphyr::from_str(&text).map_err(|error| {
        let why = error.without_snippet();
        Error::failure(format!("{}: cannot be understood: {why}; move the file away to begin anew", path.display()))
    })?;
    let (theirs, ours) = (recorded.metadata.name.unwrap_or_default(), object.metadata.name.clone().unwrap_or_default());
    if theirs != ours || recorded.spec.cluster_ref.stateful_sets != object.spec.cluster_ref.stateful_sets {
        let dir = folder.path().display();
        let remedy = "name another folder, or that upgrade";
        return Err(Error::mistake(format!("--dir {dir}: it belongs to the Group0Upgrade {theirs}, not {ours}; {remedy}")));
    }
    Ok(recorded.status)
}

fn node_count(folder: &Folder, asked: Option<u32>) -> Result<u32, Error> {
    let there = folder.nodes();
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

/// A new name for a run. Nothing secret, only never the same twice.
fn run_id() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    Uuid::from_u64_pair(random(), random()).to_string()
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
