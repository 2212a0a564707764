//! The world of Kubernetes: what [`crate::act`] needs, for one `Group0Upgrade` and the pods of its StatefulSets.

use super::{
    backup,
    caches::{Caches, Everywhere},
    certificate::Certificate,
    event,
    pod::{self, Surroundings},
    set, template, verbs, volume,
};
use crate::{
    act::{Event, Failure, Order, Stored, World},
    admin::Admin,
    crd::{Group0Upgrade, Group0UpgradeSpec, Group0UpgradeStatus, MAX_NODES},
    observe::{Machine, NodeSeen, NodeView, Object, Observation, Part, Pod, PodName, Set, follow::Follow},
    plan::Action,
};
use futures::future;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod as ApiPod},
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ListParams, PostParams},
    runtime::events::Recorder,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

/// How long a look waits for the first words of nodes that are followed from now on.
const FIRST_WORD_MAX: Duration = Duration::from_secs(1);
/// The label by which a pod names the revision that it was made from.
const REVISION: &str = "controller-revision-hash";

/// Everything about one object.
pub struct KubeWorld {
    client: Client,
    namespace: String,
    name: String,
    caches: Arc<Caches>,
    everywhere: Arc<Everywhere>,
    recorder: Recorder,
    /// Told of every change of a node.
    news: Arc<Notify>,
    certificate: Certificate,
    follows: BTreeMap<PodName, Followed>,
    /// The object as it was read last.
    object: Option<Group0Upgrade>,
    /// The UIDs of the upgrades that are there, as far as it matters.
    there: BTreeSet<String>,
    /// What the last look has seen in the caches.
    cached: Option<Cached>,
}

/// What the caches have for one object.
#[derive(Debug, PartialEq)]
struct Cached {
    sets: Vec<Part<Set>>,
    budgets: Part<Vec<String>>,
    members: BTreeMap<PodName, Member>,
}

/// A pod that a StatefulSet is to have or has.
#[derive(Debug, PartialEq)]
struct Member {
    pod: Part<Pod>,
    admin: Option<SocketAddr>,
}

/// The Admin service of a pod, at the address that it had.
struct Followed {
    uid: String,
    address: SocketAddr,
    limit: Duration,
    follow: Follow,
}

impl KubeWorld {
    /// Of that object.
    pub fn new(
        client: Client,
        (namespace, name): &(String, String),
        caches: Arc<Caches>,
        everywhere: Arc<Everywhere>,
        recorder: Recorder,
    ) -> Self {
        Self {
            client,
            namespace: namespace.clone(),
            name: name.clone(),
            caches,
            everywhere,
            recorder,
            news: Arc::new(Notify::new()),
            certificate: Certificate::default(),
            follows: BTreeMap::new(),
            object: None,
            there: BTreeSet::new(),
            cached: None,
        }
    }

    /// Waits until everything has been read once, as far as it can be.
    pub async fn begin(&self) {
        self.caches.read().await;
    }

    /// Told of every change of a node.
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    fn upgrades(&self) -> Api<Group0Upgrade> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn sets(&self) -> Api<StatefulSet> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn pods(&self) -> Api<ApiPod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn spec(&self) -> Option<&Group0UpgradeSpec> {
        self.object.as_ref().map(|object| &object.spec)
    }

    fn secret(&self) -> Option<&str> {
        self.spec()?.cluster_ref.tls_secret_ref.as_deref()
    }

    fn uid(&self) -> String {
        self.object.as_ref().and_then(|object| object.metadata.uid.clone()).unwrap_or_default()
    }

    fn limit(&self) -> Duration {
        self.spec().map_or(Duration::from_secs(5), |spec| spec.deadlines.rpc.into())
    }

    async fn admin(&self, node: &PodName) -> Result<Admin, Failure> {
        let followed = self.follows.get(node).ok_or_else(|| Failure::Refused(format!("{node}: its pod has no address")))?;
        let tls = self.certificate.client(self.secret()).map_err(Failure::Refused)?;
        Admin::connect(followed.address, self.limit(), tls.as_ref()).await.map_err(Failure::Refused)
    }

    /// The UIDs of all upgrades of the namespace, if anybody else's is asked for.
    async fn upgrades_there(&self, spec: &Group0UpgradeSpec) -> BTreeSet<String> {
        let own = self.uid();
        let sets: Vec<_> = spec.cluster_ref.stateful_sets.iter().map(|name| self.set(name)).collect();
        let mut there = BTreeSet::from([own.clone()]);
        let owners = sets.iter().flatten().filter_map(|set| set.annotations().get(set::OWNED_BY));
        if owners.clone().any(|owner| !owner.is_empty() && *owner != own) {
            match self.upgrades().list_metadata(&ListParams::default()).await {
                Ok(list) => there.extend(list.items.into_iter().filter(is_wanted).filter_map(|object| object.metadata.uid)),
                // Unknown is unsafe: whoever is named may be there.
                Err(_) => there.extend(owners.cloned()),
            }
        }
        there
    }

    fn set(&self, name: &str) -> Result<Arc<StatefulSet>, String> {
        self.caches.sets.get(Some(&self.namespace), name)?.ok_or_else(|| "there is no such StatefulSet".into())
    }

    /// The pods that a StatefulSet is to have, and those that it has besides. Too many are not told.
    fn members(&self, rack: usize, set: &StatefulSet) -> BTreeSet<PodName> {
        let name = set.name_any();
        let spec = set.spec.as_ref();
        let count = spec.and_then(|spec| spec.replicas).and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        let first =
            spec.and_then(|spec| spec.ordinals.as_ref()?.start).and_then(|start| u32::try_from(start).ok()).unwrap_or_default();
        let ordinals = (first..first.saturating_add(count)).take(MAX_NODES + 1);
        let mut members: BTreeSet<_> = ordinals.map(|ordinal| PodName::new(rack, &name, ordinal)).collect();
        for pod in self.caches.pods.all().unwrap_or_default() {
            let is_its = pod
                .owner_references()
                .iter()
                .any(|owner| owner.controller == Some(true) && Some(&owner.uid) == set.metadata.uid.as_ref());
            let ordinal = pod.name_any().strip_prefix(&format!("{name}-")).and_then(|text| text.parse().ok());
            if let Some(ordinal) = ordinal.filter(|_| is_its) {
                members.insert(PodName::new(rack, &name, ordinal));
            }
        }
        members
    }

    /// The pods of a StatefulSet that cannot be read: those that the status told of last. They have not gone because nobody can say how many
    /// there are to be, nor has what the journal knows of them.
    fn former_members(&self, rack: usize, set: &str) -> BTreeSet<PodName> {
        let status = self.object.as_ref().and_then(|object| object.status.as_ref());
        let names = status.iter().flat_map(|status| &status.nodes).map(|node| node.pod_name.as_str());
        let ordinal = |name: &str| name.strip_prefix(set)?.strip_prefix('-')?.parse().ok();
        names.filter_map(ordinal).map(|ordinal| PodName::new(rack, set, ordinal)).collect()
    }

    /// What is seen without asking anybody.
    fn cached(&self, spec: &Group0UpgradeSpec) -> Cached {
        let names = &spec.cluster_ref.stateful_sets;
        let mut sets: Vec<_> = names.iter().map(|name| self.set(name)).collect();
        let members = |(rack, set): (usize, &Result<Arc<StatefulSet>, String>)| match set {
            Ok(set) => self.members(rack, set),
            Err(_) => self.former_members(rack, &names[rack]),
        };
        let mut members: BTreeSet<_> = sets.iter().enumerate().flat_map(members).collect();
        if members.len() > MAX_NODES {
            let why =
                format!("all StatefulSets together have more than {MAX_NODES} pods, which is the most that one upgrade can have");
            sets.fill(Err(why));
            members = members.into_iter().take(MAX_NODES).collect();
        }
        let seen = |set: Result<Arc<StatefulSet>, String>| match set {
            Ok(set) => known(set::seen(&set, &spec.cluster_ref.container, |uid| self.there.contains(uid))),
            Err(why) => Part::Unknown(why),
        };
        Cached {
            budgets: self.budgets(&members),
            members: members.into_iter().map(|name| (name.clone(), self.member(&name, spec))).collect(),
            sets: sets.into_iter().map(seen).collect(),
        }
    }

    fn member(&self, name: &PodName, spec: &Group0UpgradeSpec) -> Member {
        let unknown = |why| Member { pod: Part::Unknown(why), admin: None };
        let pod = match self.caches.pods.get(Some(&self.namespace), &name.name) {
            Ok(Some(pod)) => pod,
            Ok(None) => return unknown("there is no such pod".into()),
            Err(why) => return unknown(why),
        };
        let template_hash = match self.template_of(&pod) {
            Ok(hash) => hash,
            Err(why) => return unknown(why),
        };
        let around = Surroundings {
            template_hash,
            machine: self.machine_of(&pod),
            volume_gone: self.has_lost_its_volume(&pod),
            container: spec.cluster_ref.container.clone(),
            now: Timestamp::now(),
        };
        Member { admin: address(&pod, spec.cluster_ref.admin_port), pod: known(pod::seen(&pod, around)) }
    }

    /// Waits until the caches have something else than the last look has seen; `changed` counts the changes of anything.
    pub async fn changed(&self, changed: &mut watch::Receiver<u64>) {
        let Some(object) = &self.object else { return };
        loop {
            // The sender lives as long as the watches.
            let _ = changed.changed().await;
            if self.cached.as_ref() != Some(&self.cached(&object.spec)) {
                return;
            }
        }
    }

    /// One member: its pod, and what its Admin service says.
    fn view(&mut self, name: &PodName, member: &Member) -> NodeView {
        let node = match (&member.pod, member.admin) {
            (Part::Known { value, .. }, Some(address)) => self.follow(name, &value.uid, address),
            (Part::Known { .. }, None) => self.nobody(name, "its pod has no address"),
            (Part::Unknown(why), _) => self.nobody(name, why),
        };
        NodeView { pod: member.pod.clone(), node }
    }

    /// Those who are followed from now on are asked first: who begins to look, or has a new certificate, is not to take all for silent.
    async fn hear_the_new(&mut self, cached: &Cached) {
        for (name, member) in &cached.members {
            self.view(name, member);
        }
        let all = future::join_all(self.follows.values().map(|known| known.follow.heard()));
        drop(timeout(FIRST_WORD_MAX.min(self.limit()), all).await);
    }

    fn nobody(&mut self, name: &PodName, why: &str) -> Part<NodeSeen> {
        self.follows.remove(name);
        Part::Unknown(why.into())
    }

    /// What a pod says at the address that it has now; another pod has said nothing yet.
    fn follow(&mut self, name: &PodName, uid: &str, address: SocketAddr) -> Part<NodeSeen> {
        let tls = match self.certificate.client(self.secret()) {
            Ok(tls) => tls,
            Err(why) => return Part::Unknown(why),
        };
        let limit = self.limit();
        let is_it = |known: &Followed| known.uid == uid && known.address == address && known.limit == limit;
        if !self.follows.get(name).is_some_and(is_it) {
            let follow = Follow::start(address, limit, tls, self.news.clone());
            self.follows.insert(name.clone(), Followed { uid: uid.to_owned(), address, limit, follow });
        }
        self.follows.get(name).map_or_else(|| Part::Unknown("it is not followed".into()), |known| known.follow.last())
    }

    /// The hash of the template that a pod was made from. Its revision is another object, which may come later or not at all.
    fn template_of(&self, pod: &ApiPod) -> Result<String, String> {
        let name = pod.labels().get(REVISION).ok_or_else(|| format!("its pod has no label {REVISION}"))?;
        let revision = self.caches.revisions.get(Some(&self.namespace), name)?;
        revision
            .and_then(|revision| template::of_revision(&revision))
            .ok_or_else(|| format!("there is no ControllerRevision {name}"))
    }

    fn machine_of(&self, pod: &ApiPod) -> Machine {
        if self.has_no_machine_for_its_volumes(pod) {
            return Machine::OutOfServiceForItsVolume;
        }
        let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        match name.map(|name| self.everywhere.machines.get(None, name)) {
            Some(Ok(node)) => pod::machine(name, node.as_deref()),
            // While machines cannot be watched none is known to be gone.
            Some(Err(_)) | None => Machine::There,
        }
    }

    fn has_no_machine_for_its_volumes(&self, pod: &ApiPod) -> bool {
        let Ok(nodes) = self.everywhere.machines.all() else { return false };
        let volume_of = |claim: &str| {
            let claim = self.caches.claims.get(Some(&self.namespace), claim).ok()??;
            self.everywhere.volumes.get(None, claim.spec.as_ref()?.volume_name.as_deref()?).ok()?
        };
        pod::own_claims(pod).filter_map(volume_of).any(|volume| volume::is_out_of_service(&volume, &nodes))
    }

    fn has_lost_its_volume(&self, pod: &ApiPod) -> bool {
        pod::own_claims(pod).any(|name| match self.caches.claims.get(Some(&self.namespace), name) {
            Ok(Some(claim)) => claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"),
            Ok(None) => true,
            Err(_) => false,
        })
    }

    /// The budgets that select any of these pods.
    fn budgets(&self, members: &BTreeSet<PodName>) -> Part<Vec<String>> {
        let labels: Result<Vec<_>, String> = members
            .iter()
            .filter_map(|name| self.caches.pods.get(Some(&self.namespace), &name.name).transpose())
            .map(|pod| pod.map(|pod| pod.labels().clone()))
            .collect();
        match labels.and_then(|labels| Ok((labels, self.caches.budgets.all()?))) {
            Ok((labels, budgets)) => known(set::budgets(budgets.iter().map(AsRef::as_ref), &labels)),
            Err(why) => Part::Unknown(why),
        }
    }

    async fn back_up(&self, node: &PodName, run_id: &str) -> Result<(), Failure> {
        let wanted = self.spec().and_then(|spec| spec.backup.config_map_name.clone());
        let name = format!("{}-{node}", wanted.unwrap_or_else(|| format!("{}-schema", self.name)));
        let rows = self.admin(node).await?.schema().await.map_err(Failure::Unknown)?;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        for map in backup::config_maps(&name, run_id, &rows).map_err(|why| Failure::Refused(format!("{node}: {why}")))? {
            verbs::write_map(&maps, &map).await?;
        }
        Ok(())
    }

    /// Deletes the claims of a lost pod, then the pod, which holds them: its StatefulSet makes both anew.
    async fn replace(&self, node: &PodName, uid: &str) -> Result<(), Failure> {
        let pod = self.caches.pods.get(Some(&self.namespace), &node.name).map_err(Failure::Refused)?;
        let pod = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(uid));
        let pod = pod.ok_or_else(|| Failure::Refused(format!("there is no pod {node} with UID {uid}")))?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &self.namespace);
        for name in pod::own_claims(&pod) {
            if let Some(claim) = self.caches.claims.get(Some(&self.namespace), name).map_err(Failure::Refused)? {
                verbs::delete(&claims, name, claim.metadata.uid.as_deref()).await?;
            }
        }
        verbs::delete(&self.pods(), &node.name, Some(uid)).await
    }
}

fn is_wanted<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_none()
}

fn address(pod: &ApiPod, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

impl World for KubeWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn read(&mut self) -> Result<Option<Stored>, Failure> {
        let object = self.upgrades().get_opt(&self.name).await.map_err(|error| verbs::failure(&error))?;
        // One that is being deleted stays until whoever holds it up lets it go: nothing is done in its name any more.
        self.object = object.filter(is_wanted);
        Ok(self.object.clone().map(|object| {
            let version = object.metadata.resource_version.clone().unwrap_or_default();
            Stored { object, version }
        }))
    }

    async fn write(&mut self, version: &str, status: &Group0UpgradeStatus) -> Result<String, Failure> {
        let mut object = self.object.clone().ok_or_else(|| Failure::Refused("the object has not been read".into()))?;
        object.metadata.resource_version = Some(version.into());
        object.metadata.managed_fields = None;
        object.status = Some(status.clone());
        let written = self.upgrades().replace_status(&self.name, &PostParams::default(), &object).await;
        let written = written.map_err(|error| verbs::failure(&error))?;
        Ok(written.metadata.resource_version.unwrap_or_default())
    }

    async fn observe(&mut self) -> Observation {
        let Some(object) = self.object.clone() else { return nothing() };
        let secrets = Api::namespaced(self.client.clone(), &self.namespace);
        if self.certificate.refresh(&secrets, object.spec.cluster_ref.tls_secret_ref.as_deref()).await {
            self.follows.clear();
        }
        self.there = self.upgrades_there(&object.spec).await;
        let cached = self.cached(&object.spec);
        self.follows.retain(|name, _| cached.members.contains_key(name));
        self.hear_the_new(&cached).await;
        let seen = Observation {
            object: Object {
                uid: self.uid(),
                generation: object.metadata.generation.unwrap_or_default(),
                approvals: object.approvals(),
            },
            budgets: cached.budgets.clone(),
            nodes: cached.members.iter().map(|(name, member)| (name.clone(), self.view(name, member))).collect(),
            sets: cached.sets.clone(),
        };
        self.cached = Some(cached);
        seen
    }

    async fn act(&mut self, action: &Action, order: &Order) -> Result<(), Failure> {
        let (sets, pods, uid) = (self.sets(), self.pods(), self.uid());
        let container = self.spec().map(|spec| spec.cluster_ref.container.clone()).unwrap_or_default();
        match action {
            Action::Own { set, version } => verbs::own(&sets, set, *version, Some(&uid)).await,
            Action::Disown { set, version } => verbs::own(&sets, set, *version, None).await,
            Action::TouchSet { set, version } => verbs::touch_set(&sets, set, *version, order.epoch).await,
            Action::SetTemplate { set, version, flag } => verbs::set_template(&sets, set, *version, &container, *flag).await,
            Action::TouchPod { node, uid } => verbs::touch_pod(&pods, &node.name, uid, order.epoch).await,
            Action::Recreate { node, uid, version } => verbs::evict(&pods, &node.name, uid, *version).await,
            Action::ClaimEpoch { node } => self.admin(node).await?.claim_epoch(order.epoch).await,
            Action::Restart { node, generation } => self.admin(node).await?.restart(order, *generation).await,
            Action::Backup { node } => self.back_up(node, &order.run_id).await,
            Action::Proceed { node } => self.admin(node).await?.proceed(order).await,
            Action::RetryUpgrade { node } => self.admin(node).await?.retry_upgrade(order).await,
            Action::Recover { node, plan, verb } => self.admin(node).await?.recover(order, *plan, *verb).await,
            Action::RemoveHost { node, host, ignore } => self.admin(node).await?.remove_host(order, *host, ignore).await,
            Action::Replace { node, uid } => self.replace(node, uid).await,
        }
    }

    async fn event(&mut self, event: &Event) {
        let Some(object) = &self.object else { return };
        if let Err(error) = self.recorder.publish(&event::told(event, &self.namespace), &object.object_ref(&())).await {
            tracing::warn!(error = super::in_words_of(&error), reason = event.reason, "an event could not be told");
        }
    }
}

/// Caches are as old as the API server's word to us.
const fn known<T>(value: T) -> Part<T> {
    Part::Known { value, age: SignedDuration::ZERO }
}

/// Before the object was read.
fn nothing() -> Observation {
    let why = || "the object has not been read".to_owned();
    Observation { object: Object::default(), sets: Vec::new(), budgets: Part::Unknown(why()), nodes: BTreeMap::new() }
}
