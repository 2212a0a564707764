//! Plays scheduler and kubelet for the pods of one namespace: each is a real node, as a process with the environment that the pod's
//! template says. It decides nothing: what the API server says becomes so, and what has become so is told to the API server.
//!
//! The volume of a claim is a folder of the machine that its pod was first given, as with local volumes: a pod whose volume is on a lost
//! machine finds no other.

use crate::{binary, subnet::Subnet};
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::{Binding, EnvVar, Node, ObjectReference, PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How often it looks: often beside what a node needs to start.
const EVERY: Duration = Duration::from_millis(50);
/// A machine that is silent for longer is taken for dead by the control plane.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// As the API server's image of a pod has it.
const IMAGE: &str = "group0-node";

/// Machines by number.
#[derive(Clone, Default)]
pub struct Machines(Arc<Mutex<BTreeSet<usize>>>);

impl Machines {
    fn lost(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its power is off for good.
    pub fn lose(&self, machine: usize) {
        self.lost().insert(machine);
    }
}

/// What one namespace needs.
pub struct Kubelet {
    client: Client,
    namespace: String,
    folder: PathBuf,
    subnet: Subnet,
    machines: usize,
    gone: Machines,
    /// On which machine the volume of each claim is, by UID.
    volumes: BTreeMap<String, usize>,
    running: BTreeMap<String, Running>,
    beaten: Option<Instant>,
}

struct Running {
    uid: String,
    /// Where its data is.
    folder: PathBuf,
    process: Option<Child>,
    started: Timestamp,
    restarts: u32,
    told: Option<Value>,
}

impl Kubelet {
    /// Of that many machines, which are registered by it. Processes work below `folder`.
    pub fn new(client: &Client, namespace: &str, folder: PathBuf, subnet: Subnet, machines: usize, gone: Machines) -> Self {
        let (client, namespace) = (client.clone(), namespace.to_owned());
        let (volumes, running) = (BTreeMap::new(), BTreeMap::new());
        Self { client, namespace, folder, subnet, machines, gone, volumes, running, beaten: None }
    }

    /// Until it is dropped, and then its processes end.
    pub async fn run(mut self) {
        self.register().await;
        loop {
            self.beat().await;
            // What fails is tried again: tests break the API server for the operator, not for us.
            if let Ok(pods) = self.pods().list(&ListParams::default()).await {
                for pod in &pods.items {
                    self.attend(pod).await;
                }
                self.running.retain(|name, _| pods.items.iter().any(|pod| pod.name_any() == *name));
            }
            sleep(EVERY).await;
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn machine(&self, number: usize) -> String {
        machine_name(&self.namespace, number)
    }

    /// The machines that work, beginning with this one.
    fn machines_from(&self, first: usize) -> impl Iterator<Item = usize> {
        let lost = self.gone.lost().clone();
        (0..self.machines).map(move |more| (first + more) % self.machines).filter(move |number| !lost.contains(number))
    }

    async fn register(&self) {
        let (machines, leases) = (Api::<Node>::all(self.client.clone()), self.leases());
        for number in 0..self.machines {
            let metadata = ObjectMeta { name: Some(self.machine(number)), ..ObjectMeta::default() };
            let node = Node { metadata: metadata.clone(), ..Node::default() };
            machines.create(&PostParams::default(), &node).await.unwrap();
            let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "StandIn",
                "lastHeartbeatTime": Timestamp::now(), "lastTransitionTime": Timestamp::now()}]}});
            machines.patch_status(&self.machine(number), &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
            leases.create(&PostParams::default(), &Lease { metadata, spec: None }).await.unwrap();
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), "kube-node-lease")
    }

    async fn beat(&mut self) {
        if self.beaten.is_some_and(|at| at.elapsed() < HEARTBEAT) {
            return;
        }
        self.beaten = Some(Instant::now());
        for number in self.machines_from(0) {
            let spec = LeaseSpec { renew_time: Some(MicroTime(Timestamp::now())), ..LeaseSpec::default() };
            let lease = json!({ "spec": spec });
            let _ = self.leases().patch(&self.machine(number), &PatchParams::default(), &Patch::Merge(lease)).await;
        }
    }

    async fn attend(&mut self, pod: &Pod) {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        if self.is_on_lost_machine(pod) {
            // Nobody is there who could end it, or say that it has ended.
            return drop(self.running.remove(&name));
        }
        if pod.metadata.deletion_timestamp.is_some() {
            return self.end(&name, &uid).await;
        }
        if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
            return self.bind(pod).await;
        }
        if self.running.get(&name).is_none_or(|running| running.uid != uid) {
            let folder = self.folder.join(self.claim(pod).await.unwrap_or_else(|| name.clone()));
            let fresh = Running { uid, folder, process: None, started: Timestamp::now(), restarts: 0, told: None };
            self.running.insert(name.clone(), fresh);
        }
        self.keep_running(pod, &name);
        self.tell(&name).await;
    }

    fn is_on_lost_machine(&self, pod: &Pod) -> bool {
        let machine = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        machine.is_some_and(|machine| self.gone.lost().iter().any(|lost| self.machine(*lost) == *machine))
    }

    /// The UID of the claim that the pod has its data in, if it has one.
    async fn claim(&self, pod: &Pod) -> Option<String> {
        let volumes = pod.spec.as_ref()?.volumes.as_ref()?;
        let name = volumes.iter().find_map(|volume| Some(&volume.persistent_volume_claim.as_ref()?.claim_name))?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &self.namespace);
        claims.get_opt(name).await.ok()??.uid()
    }

    /// A machine that works, and where its volume is, if it has one.
    async fn bind(&mut self, pod: &Pod) {
        let name = pod.name_any();
        let Some(mut machine) = self.machines_from(ordinal(&name)).next() else { return };
        if let Some(claim) = self.claim(pod).await {
            machine = *self.volumes.entry(claim).or_insert(machine);
        }
        if self.gone.lost().contains(&machine) {
            return;
        }
        let target =
            ObjectReference { kind: Some("Node".into()), name: Some(self.machine(machine)), ..ObjectReference::default() };
        let binding = Binding { metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() }, target };
        let _: Result<Value, _> = self.pods().create_subresource("binding", &name, &PostParams::default(), &binding).await;
    }

    async fn end(&mut self, name: &str, uid: &str) {
        if let Some(Running { process: Some(mut process), .. }) = self.running.remove(name) {
            terminate(&mut process).await;
        }
        let preconditions = Preconditions { uid: Some(uid.into()), resource_version: None };
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        let _ = self.pods().delete(name, &now.preconditions(preconditions)).await;
    }

    /// As with `restartPolicy: Always`.
    fn keep_running(&mut self, pod: &Pod, name: &str) {
        let (address, logs) = (self.address(name), self.folder.join(name));
        let Some(running) = self.running.get_mut(name) else { return };
        match running.process.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => return,
            Some(_) => running.restarts += 1,
            None => {}
        }
        running.process = Some(start(pod, address, &logs, &running.folder));
        running.started = Timestamp::now();
    }

    fn address(&self, name: &str) -> Ipv4Addr {
        self.subnet.host(ordinal(name))
    }

    async fn tell(&mut self, name: &str) {
        let address = self.address(name);
        let ready = is_ready(address).await;
        let Some(running) = self.running.get_mut(name) else { return };
        let word = if ready { "True" } else { "False" };
        let status = json!({"status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": word}, {"type": "ContainersReady", "status": word}],
            "containerStatuses": [{"name": "node", "image": IMAGE, "imageID": "", "ready": ready, "started": true,
                "restartCount": running.restarts, "state": {"running": {"startedAt": running.started}}}],
        }});
        if running.told.as_ref() != Some(&status) {
            let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
            if pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await.is_ok() {
                running.told = Some(status);
            }
        }
    }
}

/// The number at the end of a pod's name.
fn ordinal(name: &str) -> usize {
    name.rsplit('-').next().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// What the machine of this number is called there.
pub fn machine_name(namespace: &str, number: usize) -> String {
    format!("{namespace}-{number}")
}

fn start(pod: &Pod, address: Ipv4Addr, logs: &Path, folder: &Path) -> Child {
    fs::create_dir_all(logs).unwrap();
    fs::create_dir_all(folder).unwrap();
    let log = OpenOptions::new().create(true).append(true).open(logs.join("log")).unwrap();
    let variables = pod.spec.iter().flat_map(|spec| &spec.containers[0].env).flatten();
    let value = |variable: &EnvVar| variable.value.clone().unwrap_or_else(|| address.to_string());
    let mut command = Command::new(binary::group0_node());
    command.env_clear().envs(variables.map(|variable| (variable.name.clone(), value(variable))));
    command.env("GROUP0_WORKDIR", folder).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

async fn terminate(process: &mut Child) {
    if let Some(id) = process.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
    if timeout(Duration::from_secs(30), process.wait()).await.is_err() {
        let _ = process.kill().await;
    }
}

/// The readiness probe.
async fn is_ready(address: Ipv4Addr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(SocketAddr::from((address, 10_000))).await.ok()?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    };
    timeout(Duration::from_millis(500), asked).await.is_ok_and(|answer| answer.is_some())
}
