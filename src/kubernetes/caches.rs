//! What the API server tells of everything but the upgrades themselves: watches with caches, cut down to what is read.
//!
//! A cache whose watch is broken says so, and what depends on it is Unknown until it is whole again.

use super::FIELD_MANAGER;
use futures::StreamExt as _;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _, reflector,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, DefaultBackoff, watcher},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, pin::pin, sync::Arc, time::Duration};
use tokio::{sync::watch, task::AbortHandle, time::sleep};

/// Between two attempts to watch, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether a cache can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Unread,
    Whole,
    Broken(String),
}

/// One kind of object.
#[derive(Debug)]
pub struct Cache<K: Resource<DynamicType = ()> + 'static> {
    store: Store<K>,
    state: watch::Receiver<State>,
    task: AbortHandle,
}

/// All kinds, of one namespace.
#[derive(Debug)]
pub struct Caches {
    /// StatefulSets.
    pub sets: Cache<StatefulSet>,
    /// Pods.
    pub pods: Cache<Pod>,
    /// The templates that pods were made from.
    pub revisions: Cache<ControllerRevision>,
    /// The claims of volumes.
    pub claims: Cache<PersistentVolumeClaim>,
    /// Budgets.
    pub budgets: Cache<PodDisruptionBudget>,
    changed: watch::Receiver<u64>,
}

/// What belongs to no namespace.
#[derive(Debug)]
pub struct Everywhere {
    /// Machines.
    pub machines: Cache<Node>,
    /// Volumes: on which machines each can be used.
    pub volumes: Cache<PersistentVolume>,
}

impl Everywhere {
    /// Begins to watch.
    pub fn watch(client: &Client) -> Self {
        let machines = Cache::watch(Api::all(client.clone()), watch::Sender::new(0));
        Self { machines, volumes: Cache::watch(Api::all(client.clone()), watch::Sender::new(0)) }
    }
}

impl Caches {
    /// Begins to watch.
    pub fn watch(client: &Client, namespace: &str) -> Self {
        let (count, changed) = watch::channel(0);
        Self {
            sets: Cache::watch(Api::namespaced(client.clone(), namespace), count.clone()),
            pods: Cache::watch(Api::namespaced(client.clone(), namespace), count.clone()),
            revisions: Cache::watch(Api::namespaced(client.clone(), namespace), count.clone()),
            claims: Cache::watch(Api::namespaced(client.clone(), namespace), count.clone()),
            budgets: Cache::watch(Api::namespaced(client.clone(), namespace), count),
            changed,
        }
    }

    /// Waits until everything has been read once, or is known not to be readable.
    pub async fn read(&self) {
        self.sets.read().await;
        self.pods.read().await;
        self.revisions.read().await;
        self.claims.read().await;
        self.budgets.read().await;
    }

    /// Counts the count of anything.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    <K as Resource>::DynamicType: Hash + Eq + Clone,
{
    /// Begins to watch; `changed` counts.
    pub fn watch(api: Api<K>, changed: watch::Sender<u64>) -> Self {
        let (store, mut writer) = reflector::store();
        let (says, state) = watch::channel(State::Unread);
        let task = tokio::spawn(async move {
            let mut pauses = DefaultBackoff::default();
            loop {
                let error = until_broken(&api, &mut writer, &says, &changed).await;
                tracing::warn!(error, "{}s cannot be watched", K::kind(&()));
                tell(&says, &changed, &State::Broken(error));
                sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
            }
        });
        Self { store, state, task: task.abort_handle() }
    }

    /// One object; an error while the watch is broken.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Result<Option<Arc<K>>, String> {
        self.whole()?;
        let mut reference = ObjectRef::new(name);
        if let Some(namespace) = namespace {
            reference = reference.within(namespace);
        }
        Ok(self.store.get(&reference))
    }

    /// All objects; an error while the watch is broken.
    pub fn all(&self) -> Result<Vec<Arc<K>>, String> {
        self.whole()?;
        Ok(self.store.state())
    }

    async fn read(&self) {
        // The sender lives as long as the watch.
        let _ = self.state.clone().wait_for(|state| *state != State::Unread).await;
    }

    fn whole(&self) -> Result<(), String> {
        let state = self.state.borrow();
        let why = match &*state {
            State::Whole => return Ok(()),
            State::Unread => "they have not been read yet",
            State::Broken(why) => why,
        };
        Err(format!("{}s cannot be watched: {why}", K::kind(&())))
    }
}

/// Reads everything, then follows its changes, until that fails. What goes on from where it failed would not say that it is whole again before
/// something changes, which may be never: so it is begun anew.
async fn until_broken<K>(
    api: &Api<K>,
    writer: &mut Writer<K>,
    says: &watch::Sender<State>,
    changed: &watch::Sender<u64>,
) -> String
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut events = pin!(watcher(api.clone(), watcher::Config::default()).modify(cut_down));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                writer.apply_watcher_event(&event);
                if !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_)) {
                    tell(says, changed, &State::Whole);
                }
            }
            Err(error) => return super::in_words(&error),
        }
    }
    "the watch has ended".into()
}

fn tell(says: &watch::Sender<State>, changed: &watch::Sender<u64>, state: &State) {
    says.send_if_modified(|said| std::mem::replace(said, state.clone()) != *state);
    changed.send_modify(|count| *count += 1);
}

impl<K: Resource<DynamicType = ()> + 'static> Drop for Cache<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Most of an object's bytes say who set which field; only which are ours is read.
fn cut_down<K: Resource>(object: &mut K) {
    object.managed_fields_mut().retain(|fields| fields.manager.as_deref() == Some(FIELD_MANAGER));
}
