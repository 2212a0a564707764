//! A namespace of its own with a StatefulSet, its budget and its pods, and a `Group0Upgrade`.

use crate::{
    binary, control_plane,
    kubelet::{Kubelet, Machines, machine_name},
    operator::{self, Operator, Start},
    subnet::Subnet,
};
use group0_operator::crd::{self, Group0Upgrade, Group0UpgradeStatus, Phase};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        coordination::v1::Lease,
        core::v1::{Namespace, Node, Pod},
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    fmt::Debug,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::sleep};

/// The name of the StatefulSet.
pub const SET: &str = "db";
/// The name of the upgrade.
pub const UPGRADE: &str = "upgrade";
/// A wait has failed after this: several clusters share two cores, and Kubernetes gives a budget an eviction back that it counted and that
/// did not take place after two minutes.
pub const LIMIT: Duration = Duration::from_mins(3);
/// So many pods have an address.
const PODS_MAX: usize = 128;
/// So many machines.
const MACHINES: usize = 3;
/// Hosts of a subnet that no pod has: where operators serve from, and what stands between them and the API server.
const OPERATORS: usize = 199;

/// All of it. Processes end with it.
pub struct Scene {
    /// With all rights.
    pub client: Client,
    /// Its namespace.
    pub namespace: String,
    /// What its processes write.
    pub folder: TempDir,
    /// The address of the first pod.
    pub pod: Ipv4Addr,
    pods_at: Vec<Ipv4Addr>,
    kubeconfig: PathBuf,
    operators: Vec<SocketAddr>,
    host: Ipv4Addr,
    machines: Machines,
    pods: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.pods.abort();
    }
}

impl Scene {
    /// With so many pods, all Ready; nothing if this machine has no control plane.
    pub async fn new(replicas: usize) -> Option<Self> {
        let scene = Self::empty().await?;
        scene.add_cluster(stateful_set(SET, 0, replicas, &[scene.pod])).await;
        scene.until_ready(replicas).await;
        Some(scene)
    }

    /// The same, with its data on local volumes.
    pub async fn with_volumes(replicas: usize) -> Option<Self> {
        let scene = Self::empty().await?;
        scene.add_cluster(on_volumes(stateful_set(SET, 0, replicas, &scene.pods_at[..replicas]))).await;
        scene.until_ready(replicas).await;
        Some(scene)
    }

    /// With so many clusters of one pod each, `db0` and so on, all Ready.
    pub async fn of_clusters(count: usize) -> Option<Self> {
        let scene = Self::empty().await?;
        for number in 0..count {
            scene.add_cluster(stateful_set(&format!("{SET}{number}"), number, 1, &scene.pods_at[number..=number])).await;
        }
        scene.until_ready(count).await;
        Some(scene)
    }

    async fn empty() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let client = control_plane::client().await?;
        // It may have to be built.
        tokio::task::spawn_blocking(binary::group0_node).await.unwrap();
        let namespace = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (folder, subnet) = (TempDir::new().unwrap(), Subnet::take());
        let operators = (0..4).map(|number| SocketAddr::from((subnet.host(OPERATORS + number), 8080))).collect();
        let pods_at: Vec<_> = (0..PODS_MAX).map(|number| subnet.host(number)).collect();
        let (pod, host) = (pods_at[0], subnet.host(OPERATORS - 1));
        install(&client, &namespace).await;
        let machines = Machines::default();
        let kubelet = Kubelet::new(&client, &namespace, folder.path().to_owned(), subnet, MACHINES, machines.clone());
        let kubeconfig = control_plane::kubeconfig()?.to_owned();
        let pods = tokio::spawn(kubelet.run());
        Some(Self { client, namespace, folder, pod, pods_at, kubeconfig, operators, host, machines, pods })
    }

    async fn add_cluster(&self, set: StatefulSet) {
        self.create(&set).await;
        self.create(&budget(&set.name_any())).await;
    }

    /// The power of a machine goes off for good: what ran there is away, and nobody says so.
    pub fn lose_machine(&self, number: usize) {
        self.machines.lose(number);
    }

    /// A human tells Kubernetes that it will not come back, and it is known not to be Ready.
    pub async fn declare_out_of_service(&self, number: usize) {
        let (nodes, name) = (Api::<Node>::all(self.client.clone()), machine_name(&self.namespace, number));
        let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Lost"}]}});
        nodes.patch_status(&name, &PatchParams::default(), &Patch::Strategic(unready)).await.unwrap();
        let taint = json!({"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"});
        let tainted = json!({"spec": {"taints": [taint]}});
        nodes.patch(&name, &PatchParams::default(), &Patch::Strategic(tainted)).await.unwrap();
    }

    /// Has pods made again that were made a moment ago. A budget that has not seen them go takes the new ones for those, and refuses every
    /// eviction for two minutes: here pods come back within milliseconds.
    pub async fn turn_round(&self, spec: Value) {
        self.make_budget_anew().await;
        self.edit(spec).await;
    }

    /// Forgets what the budget of the cluster knows.
    pub async fn make_budget_anew(&self) {
        self.api::<PodDisruptionBudget>().delete(SET, &DeleteParams::default()).await.unwrap();
        self.create(&budget(SET)).await;
    }

    /// A kind of object of the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn create<K>(&self, object: &K)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        self.api::<K>().create(&PostParams::default(), object).await.unwrap();
    }

    /// Applies an upgrade with these fields of spec beside the StatefulSet's name.
    pub async fn upgrade(&self, spec: Value) {
        self.upgrade_of(UPGRADE, SET, spec).await;
    }

    /// The same of that name for that StatefulSet.
    pub async fn upgrade_of(&self, name: &str, set: &str, spec: Value) {
        let mut object = json!({"apiVersion": crd::API_VERSION, "kind": crd::KIND, "metadata": {"name": name}, "spec": spec});
        object["spec"]["clusterRef"]["statefulSets"] = json!([set]);
        let parameters = PatchParams::apply("person");
        self.api::<Group0Upgrade>().patch(name, &parameters, &Patch::Apply(&object)).await.unwrap();
    }

    /// Changes fields of its spec.
    pub async fn edit(&self, spec: Value) {
        self.try_edit(&spec).await.unwrap();
    }

    /// The same, or why it is refused.
    pub async fn try_edit(&self, spec: &Value) -> Result<(), String> {
        let patch = json!({ "spec": spec });
        let edited = self.api::<Group0Upgrade>().patch(UPGRADE, &PatchParams::default(), &Patch::Merge(patch)).await;
        edited.map(drop).map_err(|error| error.to_string())
    }

    /// Deletes it.
    pub async fn delete(&self) {
        self.api::<Group0Upgrade>().delete(UPGRADE, &DeleteParams::default()).await.unwrap();
    }

    /// Starts the operator's process of this number.
    pub fn operator(&self, number: usize) -> Operator {
        Operator::start(&self.start(number))
    }

    /// How that is started.
    pub fn start(&self, number: usize) -> Start {
        Start {
            kubeconfig: self.kubeconfig.clone(),
            namespace: self.namespace.clone(),
            http: self.operators[number],
            identity: format!("operator-{number}"),
            log: self.log(),
        }
    }

    /// Where a test may listen.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// What operators of this scene have logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("operator.log")
    }

    /// The upgrade as it is now.
    pub async fn object(&self) -> Option<Group0Upgrade> {
        self.api::<Group0Upgrade>().get_opt(UPGRADE).await.unwrap()
    }

    /// Waits for a status.
    pub async fn until(&self, what: &str, holds: impl Fn(&Group0UpgradeStatus) -> bool) -> Group0UpgradeStatus {
        let begin = Instant::now();
        loop {
            let status = self.object().await.and_then(|object| object.status);
            if let Some(status) = status.as_ref().filter(|status| holds(status)) {
                return status.clone();
            }
            assert!(begin.elapsed() < LIMIT, "not {what}: {status:#?}\n{}", operator::tail(&self.log()));
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it is complete, and demands that everything is as it is to be then.
    pub async fn complete(&self) -> Group0UpgradeStatus {
        let status = self.until("complete", |status| status.phase == Phase::Complete).await;
        let groups: Vec<_> = status.nodes.iter().map(|node| node.raft.as_ref().map(|raft| raft.group_id.clone())).collect();
        assert!(groups.iter().all(|group| group.is_some() && *group == groups[0]), "more than one group: {groups:?}");
        assert!(status.nodes.iter().all(|node| node.upgrade_state.as_deref() == Some("use_post_raft_procedures")), "{status:#?}");
        status
    }

    async fn until_ready(&self, replicas: usize) {
        let begin = Instant::now();
        while self.pods_ready().await < replicas {
            assert!(begin.elapsed() < LIMIT, "the pods are not Ready");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many pods are Ready.
    pub async fn pods_ready(&self) -> usize {
        let is_ready = |pod: &&Pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        self.pods().await.iter().filter(is_ready).count()
    }

    /// The StatefulSet as it is now.
    pub async fn set(&self) -> StatefulSet {
        self.api::<StatefulSet>().get(SET).await.unwrap()
    }

    /// Whether the template sets the flag.
    pub async fn template_has_the_flag(&self) -> bool {
        let containers = self.set().await.spec.unwrap().template.spec.unwrap().containers;
        containers.iter().flat_map(|container| container.env.iter().flatten()).any(|variable| variable.name == crd::FLAG)
    }

    /// Who holds the lease.
    pub async fn leader(&self) -> String {
        let lease = self.api::<Lease>().get("group0-operator").await.unwrap();
        lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default()
    }

    /// All pods, by name.
    pub async fn pods(&self) -> Vec<Pod> {
        self.api::<Pod>().list(&ListParams::default()).await.unwrap().items
    }

    /// How often the node of each pod was started, by its log, over all pods of that name.
    pub fn starts(&self, replicas: usize) -> Vec<usize> {
        let log = |number| fs::read_to_string(self.folder.path().join(format!("{SET}-{number}/log"))).unwrap_or_default();
        (0..replicas).map(|number| log(number).lines().filter(|line| line.contains("starting stage=")).count()).collect()
    }
}

async fn install(client: &Client, namespace: &str) {
    let parameters = PatchParams::apply("test").force();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition: Value = serde_saphyr::from_str(&crd::yaml().unwrap()).unwrap();
    definitions.patch("group0upgrades.group0.dev", &parameters, &Patch::Apply(&definition)).await.unwrap();
    let object = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
    let upgrades: Api<Group0Upgrade> = Api::namespaced(client.clone(), namespace);
    while upgrades.list(&ListParams::default()).await.is_err() {
        sleep(Duration::from_millis(50)).await;
    }
}

/// As the chart makes it, where a stand-in for kubelet needs it. Its pods are numbered from `first`.
fn stateful_set(name: &str, first: usize, replicas: usize, seeds: &[Ipv4Addr]) -> StatefulSet {
    let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
    let at_pod = |name: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
    let labels = json!({"app": name});
    let mut env: Vec<_> =
        ["LISTEN", "RPC", "ADMIN", "API", "PROMETHEUS"].iter().map(|of| at_pod(&format!("GROUP0_{of}_ADDRESS"))).collect();
    env.push(json!({"name": "GROUP0_SEEDS", "value": seeds.join(",")}));
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "ordinals": {"start": first},
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "node", "image": "group0-node", "env": env}]}},
        },
    }))
    .unwrap()
}

/// With a claim for each pod.
fn on_volumes(set: StatefulSet) -> StatefulSet {
    let mut set = serde_json::to_value(set).unwrap();
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }]);
    set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    serde_json::from_value(set).unwrap()
}

fn budget(name: &str) -> PodDisruptionBudget {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": {"app": name}}},
    }))
    .unwrap()
}

/// The UID of each pod.
pub fn uids(pods: &[Pod]) -> Vec<String> {
    pods.iter().filter_map(ResourceExt::uid).collect()
}

/// Whether a status has this condition.
pub fn is_true(status: &Group0UpgradeStatus, condition: &str) -> bool {
    status.conditions.iter().any(|it| it.type_ == condition && it.status == "True")
}
