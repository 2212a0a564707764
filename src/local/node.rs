//! One node of a local cluster: its files, its process, and its template, which stands for the pod template.

use super::{
    folder,
    process::{Identity, Launch, Process},
    restarts::Restarts,
    subnet::Subnet,
};
use crate::{
    act::Failure,
    crd::{FLAG, HOLD},
    error::Error,
    observe::{Machine, NodeView, Part, Pod, PodName, PodState, follow::Follow},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;

/// In a node's folder: all that makes it the host that it is.
const DATA: &str = "data";
/// There, if a run has ended and kept the node.
const KEPT: &str = "kept";

/// What all nodes of a cluster share.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// `cluster_name`
    pub name: String,
    /// Where they listen.
    pub subnet: Subnet,
    /// How many there are.
    pub count: u32,
    /// The port of the Admin service.
    pub admin_port: u16,
    /// Further keys of the configuration of a new one.
    pub settings: Vec<(String, String)>,
    /// The program.
    pub program: PathBuf,
    /// How long one call may take.
    pub limit: Duration,
    /// Told of every change.
    pub changed: Arc<Notify>,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    index: u32,
    name: PodName,
    folder: PathBuf,
    cluster: Cluster,
    process: Process,
    since: Timestamp,
    follow: Follow,
    restarts: Restarts,
    /// Whether it goes on when this run ends: it was kept by an earlier one, or somebody else started it.
    is_left: bool,
    /// Grows with every change of what stands for the pod.
    version: u64,
}

/// The node's configuration file. Keys as in scylla.yaml.
#[derive(Serialize)]
struct Config<'a> {
    cluster_name: &'a str,
    workdir: &'a Path,
    listen_address: Ipv4Addr,
    rpc_address: Ipv4Addr,
    admin_address: Ipv4Addr,
    admin_port: u16,
    api_address: Ipv4Addr,
    prometheus_address: Ipv4Addr,
    /// All: the first one founds the ring, and if it loses its data it finds the others.
    seeds: Vec<Ipv4Addr>,
    #[serde(flatten)]
    settings: BTreeMap<&'a str, &'a str>,
}

/// The process that runs in this node's folder, if one does.
pub fn running(folder: &Path) -> Result<Option<Identity>, Error> {
    let recorded = recorded(folder)?.filter(|identity| identity.is_alive());
    Ok(recorded.or_else(|| Identity::of_config(&folder.join("node.yaml"))))
}

/// The process that ran there last.
fn recorded(folder: &Path) -> Result<Option<Identity>, Error> {
    Ok(folder::read(&folder.join("pid"))?.and_then(|text| text.parse().ok()))
}

/// Whether what runs there was kept by an earlier run, or is not what an earlier run has started. Where nothing runs, the next is ours.
fn is_left(folder: &Path, running: Option<Identity>) -> Result<bool, Error> {
    let kept = folder.join(KEPT);
    if running.is_none() {
        folder::remove(&kept)?;
        return Ok(false);
    }
    Ok(kept.exists() || recorded(folder)? != running)
}

fn is_without_data(folder: &Path) -> bool {
    matches!(folder.join(DATA).try_exists(), Ok(false))
}

impl Cluster {
    fn admin(&self, index: u32) -> SocketAddr {
        SocketAddr::from((self.subnet.address(index), self.admin_port))
    }
}

impl Node {
    /// Attaches to the node's process, or starts it with the flag as its template has it: off at first.
    pub fn open(index: u32, name: PodName, folder: PathBuf, cluster: Cluster) -> Result<Self, Error> {
        let address = cluster.admin(index);
        write_config(&folder, &cluster, index)?;
        let changed = cluster.changed.clone();
        let running = running(&folder)?;
        let is_left = is_left(&folder, running)?;
        let process = match running {
            Some(identity) => Process::attach(identity, move || changed.notify_one()),
            None if is_without_data(&folder) => Process::ended_before(recorded(&folder)?.unwrap_or_default()),
            None => start(&folder, &cluster)?,
        };
        let follow = Follow::start(address, cluster.limit, None, cluster.changed.clone());
        let stored = folder::read(&folder.join("version"))?.and_then(|text| text.trim().parse().ok());
        let version = stored.unwrap_or_else(first_version);
        let (since, restarts) = (Timestamp::now(), Restarts::default());
        let mut node = Self { index, name, folder, cluster, process, since, follow, restarts, is_left, version };
        // One that nobody has heard of would go on for ever.
        node.next_version().inspect_err(|_| node.end_own())?;
        Ok(node)
    }

    /// What it is called.
    pub fn name(&self) -> &PodName {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> Ipv4Addr {
        self.cluster.subnet.address(self.index)
    }

    /// Where its Admin service listens.
    pub fn admin(&self) -> SocketAddr {
        self.cluster.admin(self.index)
    }

    /// Whether it goes on when this run ends.
    pub fn is_left(&self) -> bool {
        self.is_left
    }

    /// Later runs leave it running.
    pub fn keep(&self) -> Result<(), Error> {
        folder::replace(&self.folder.join(KEPT), "")
    }

    /// From now on calls may take so long.
    pub fn set_limit(&mut self, limit: Duration) {
        self.cluster.limit = limit;
        self.follow_anew();
    }

    fn follow_anew(&mut self) {
        self.follow = Follow::start(self.admin(), self.cluster.limit, None, self.cluster.changed.clone());
    }

    /// What is to be seen of it.
    pub fn view(&self) -> NodeView {
        let identity = self.process.identity();
        let environment = identity.has_in_environment(FLAG).zip(identity.has_in_environment(HOLD));
        let pod = match (self.process.ended(), environment) {
            (None, Some((flag, hold))) => self.pod(PodState::Running, flag, hold),
            (None, None) => Part::Unknown(format!("the environment of process {identity} cannot be read")),
            (Some(how), _) => match self.template() {
                Ok((flag, hold)) => self.pod(PodState::Down(how), flag, hold),
                Err(error) => Part::Unknown(error.to_string()),
            },
        };
        NodeView { pod, node: self.follow.last() }
    }

    fn pod(&self, state: PodState, flag: bool, hold: bool) -> Part<Pod> {
        let pod = Pod {
            uid: self.process.identity().to_string(),
            version: self.version,
            state,
            since: self.since,
            flag,
            hold,
            template_hash: self.cluster.program.display().to_string().replace(' ', "_"),
            machine: Machine::There,
            volume_gone: self.has_lost_its_data(),
        };
        Part::Known { value: pod, age: SignedDuration::ZERO }
    }

    /// Somebody has taken its data away, and its process has ended: the host that it was is gone for good.
    fn has_lost_its_data(&self) -> bool {
        self.process.ended().is_some() && is_without_data(&self.folder)
    }

    fn next_version(&mut self) -> Result<(), Error> {
        self.version += 1;
        folder::replace_without_waiting(&self.folder.join("version"), &format!("{}\n", self.version))
    }

    /// Changes its version, if it still is the pod with this UID: whoever knows only the old one fails from now on.
    pub fn touch(&mut self, uid: &str) -> Result<(), Failure> {
        let present = self.process.identity().to_string();
        if present != uid {
            return Err(Failure::Refused(format!("the pod has UID {present}, not {uid}")));
        }
        self.next_version().map_err(|error| Failure::Unknown(error.to_string()))
    }

    fn template(&self) -> Result<(bool, bool), Error> {
        let template = folder::read(&self.folder.join("env"))?.unwrap_or_default();
        let has = |variable: &str| template.lines().any(|line| line == format!("{variable}=true"));
        Ok((has(FLAG), has(HOLD)))
    }

    /// Ends the process with this identity and starts one with or without flag and hold. What it starts with is durable first:
    /// whoever starts the node next, starts it so.
    pub async fn recreate(&mut self, uid: &str, version: u64, flag: bool) -> Result<(), Failure> {
        let present = self.process.identity().to_string();
        if present != uid || self.version != version {
            let text = format!("the pod has UID {present} and version {}, not {uid} and {version}", self.version);
            return Err(Failure::Refused(text));
        }
        self.replace_process(flag).await.map_err(|error| Failure::Unknown(error.to_string()))
    }

    /// Starts a fresh member where a host was lost with its data, if it still is that one.
    pub fn replace(&mut self, uid: &str, flag: bool) -> Result<(), Failure> {
        let present = self.process.identity().to_string();
        if present != uid || !self.has_lost_its_data() {
            return Err(Failure::Refused(format!("the pod has UID {present}, not {uid}, or it still has its data")));
        }
        self.boot_afresh(flag).map_err(|error| Failure::Unknown(error.to_string()))
    }

    fn boot_afresh(&mut self, flag: bool) -> Result<(), Error> {
        self.write_environment(flag)?;
        make_data(&self.folder)?;
        self.restart()
    }

    fn write_environment(&self, flag: bool) -> Result<(), Error> {
        let environment = if flag { format!("{FLAG}=true\n{HOLD}=true\n") } else { String::new() };
        folder::replace(&self.folder.join("env"), &environment)
    }

    async fn replace_process(&mut self, flag: bool) -> Result<(), Error> {
        self.write_environment(flag)?;
        self.process.terminate();
        self.process.gone(&self.name.name).await?;
        self.restart()
    }

    /// Plays the kubelet: a process that has ended by itself is started again. One of ours that never answered is not: it would
    /// end for the same reason. One that an earlier operator started may have been ended by it. One whose data is gone waits for what
    /// becomes of it, as a pod does without its volume.
    pub fn tend(&mut self) -> Result<(), Error> {
        let Some(how) = self.process.ended().filter(|_| !self.has_lost_its_data()) else { return Ok(()) };
        let never_ran = self.process.ours && !self.follow.ever_answered();
        if never_ran || !self.restarts.is_one_more_allowed(Timestamp::now().duration_since(self.since)) {
            return Err(self.does_not_run(&how));
        }
        tracing::warn!(node = %self.name, how, "ended by itself, starting it again");
        self.restart()
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.process = start(&self.folder, &self.cluster)?;
        self.since = Timestamp::now();
        self.next_version()?;
        // What the former process said is no longer known.
        self.follow_anew();
        Ok(())
    }

    fn does_not_run(&self, how: &str) -> Error {
        let log = self.folder.join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("its log is empty");
        Error::failure(format!(
            "{} does not run ({how}); it says: {last}\n  its log: {}; mend the cause and run the same command again",
            self.name,
            log.display()
        ))
    }

    fn end_own(&self) {
        if self.process.ours {
            self.terminate();
        }
    }

    /// Tells it to end.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended.
    pub async fn gone(&mut self) -> Result<(), Error> {
        self.process.gone(&self.name.name).await
    }
}

/// Above all versions that were there before, as those of an API server are: a folder that was deleted, or a file that cannot be read, has
/// forgotten them, and who remembers takes what is older for the past.
fn first_version() -> u64 {
    Timestamp::now().as_millisecond().unsigned_abs()
}

fn write_config(folder: &Path, cluster: &Cluster, index: u32) -> Result<(), Error> {
    let path = folder.join("node.yaml");
    if path.exists() {
        return Ok(());
    }
    let data = make_data(folder)?;
    let own = cluster.subnet.address(index);
    let config = Config {
        cluster_name: &cluster.name,
        workdir: &data,
        listen_address: own,
        rpc_address: own,
        admin_address: own,
        admin_port: cluster.admin_port,
        api_address: own,
        prometheus_address: own,
        seeds: (0..cluster.count).map(|index| cluster.subnet.address(index)).collect(),
        settings: cluster.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    };
    let text = serde_saphyr::to_string(&config).map_err(|error| Error::failure(format!("{}: {error}", path.display())))?;
    folder::replace(&path, &text)
}

fn make_data(folder: &Path) -> Result<PathBuf, Error> {
    let data = folder.join(DATA);
    fs::create_dir_all(&data).map_err(|error| Error::failure(format!("{}: cannot be made: {error}", data.display())))?;
    Ok(data)
}

fn start(folder: &Path, cluster: &Cluster) -> Result<Process, Error> {
    let template = folder::read(&folder.join("env"))?.unwrap_or_default();
    let variable = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let launch = Launch {
        program: cluster.program.clone(),
        config: folder.join("node.yaml"),
        log: folder.join("log"),
        environment: template.lines().filter_map(variable).collect(),
    };
    let changed = cluster.changed.clone();
    let process = Process::start(&launch, move || changed.notify_one())?;
    let recorded = folder::replace(&folder.join("pid"), &format!("{}\n", process.identity()));
    // One that nobody has heard of would go on for ever.
    recorded.inspect_err(|_| process.terminate())?;
    Ok(process)
}
