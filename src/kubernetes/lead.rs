//! What the leader does: a task for each object, and caches for each namespace that has one. All of it ends when it is dropped.

use super::{
    FIELD_MANAGER,
    caches::{Caches, Everywhere},
    in_words,
    lease::Leads,
    metrics::Metrics,
    upgrade::{self, Told},
    world::KubeWorld,
};
use crate::crd::Group0Upgrade;
use futures::{StreamExt as _, stream::select_all};
use kube::{
    Api, Client,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        events::{Recorder, Reporter},
        reflector::ObjectRef,
        watcher,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{
    sync::Notify,
    task::{AbortHandle, JoinSet},
};

/// One that is not understood is an error of its own and not of the whole watch.
type Guarded = DeserializeGuard<Group0Upgrade>;

/// Namespace and name.
type Name = (String, String);

/// What leading needs.
pub struct Leader {
    /// The API server.
    pub client: Client,
    /// Where upgrades are looked after; none means everywhere.
    pub namespaces: Vec<String>,
    /// What we are called in the lease.
    pub identity: String,
    /// When we last knew that we lead.
    pub leads: Leads,
    /// Where figures go.
    pub metrics: Metrics,
}

impl Leader {
    /// Looks after every object; never ends by itself.
    pub async fn lead(&self) {
        let reporter = Reporter { controller: FIELD_MANAGER.into(), instance: Some(self.identity.clone()) };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let everywhere = Arc::new(Everywhere::watch(&self.client));
        let mut tasks = Tasks {
            leader: self,
            recorder,
            everywhere,
            namespaces: BTreeMap::new(),
            running: BTreeMap::new(),
            set: JoinSet::new(),
        };
        let watches = self.apis().into_iter().enumerate().map(|(number, api)| {
            watcher(api, watcher::Config::default()).default_backoff().map(move |event| (number, event)).boxed()
        });
        let mut events = select_all(watches);
        let mut listed: BTreeMap<usize, BTreeSet<Name>> = BTreeMap::new();
        while let Some((number, event)) = events.next().await {
            let listed = listed.entry(number).or_default();
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    let name = name_of(&object);
                    tasks.begin(&name, generation(&object));
                    listed.insert(name);
                }
                Ok(watcher::Event::Delete(object)) => tasks.end(&name_of(&object)),
                Ok(watcher::Event::InitDone) => tasks.keep(self.namespaces.get(number), listed),
                Err(error) => tracing::warn!(error = why(&error), "Group0Upgrades cannot be watched"),
            }
        }
    }

    fn apis(&self) -> Vec<Api<Guarded>> {
        let client = || self.client.clone();
        if self.namespaces.is_empty() {
            return vec![Api::all(client())];
        }
        self.namespaces.iter().map(|namespace| Api::namespaced(client(), namespace)).collect()
    }
}

fn why(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            "the API server does not know them: install the CRD, by the chart or by group0-operator crd".into()
        }
        error => in_words(error),
    }
}

/// Counts the changes of what a person wants.
fn generation(object: &Guarded) -> Option<i64> {
    object.0.as_ref().map_or_else(|invalid| &invalid.metadata, |object| &object.metadata).generation
}

/// Also of an object that is not understood: its task says so.
fn name_of(object: &Guarded) -> Name {
    let metadata = match &object.0 {
        Ok(object) => &object.metadata,
        Err(invalid) => {
            tracing::error!(name = invalid.metadata.name, error = %invalid.error, "a Group0Upgrade is not understood");
            &invalid.metadata
        }
    };
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// The task of one object.
struct Running {
    task: AbortHandle,
    /// What the object was when it was heard of last.
    generation: Option<i64>,
    /// Wakes the task.
    news: Arc<Notify>,
}

struct Tasks<'a> {
    leader: &'a Leader,
    recorder: Recorder,
    everywhere: Arc<Everywhere>,
    namespaces: BTreeMap<String, Arc<Caches>>,
    running: BTreeMap<Name, Running>,
    set: JoinSet<()>,
}

impl Tasks<'_> {
    /// Begins to look after an object, or tells that it has changed.
    fn begin(&mut self, name: &Name, generation: Option<i64>) {
        while self.set.try_join_next().is_some() {}
        if let Some(running) = self.running.get_mut(name).filter(|running| !running.task.is_finished()) {
            if std::mem::replace(&mut running.generation, generation) != generation {
                running.news.notify_one();
            }
            return;
        }
        let caches = self.caches(&name.0);
        let changed = caches.changed();
        let world = KubeWorld::new(self.leader.client.clone(), name, caches, self.everywhere.clone(), self.recorder.clone());
        let news = world.news();
        let told = Told { changed, leads: self.leader.leads.clone(), metrics: self.leader.metrics.clone() };
        let object = ObjectRef::new(&name.1).within(&name.0);
        let task = self.set.spawn(upgrade::guard(world, object, told));
        self.running.insert(name.clone(), Running { task, generation, news });
    }

    /// One set of caches for all upgrades of a namespace: what it costs does not grow with their number.
    fn caches(&mut self, namespace: &str) -> Arc<Caches> {
        let make = || Arc::new(Caches::watch(&self.leader.client, namespace));
        self.namespaces.entry(namespace.to_owned()).or_insert_with(make).clone()
    }

    fn end(&mut self, name: &Name) {
        if let Some(running) = self.running.remove(name) {
            running.task.abort();
            self.leader.metrics.forget(&name.0, &name.1);
        }
        if !self.running.keys().any(|(namespace, _)| *namespace == name.0) {
            self.namespaces.remove(&name.0);
        }
    }

    /// Ends all of a watch, of one namespace or of all, that it has not listed.
    fn keep(&mut self, namespace: Option<&String>, listed: &BTreeSet<Name>) {
        let is_watched = |name: &&Name| namespace.is_none_or(|namespace| *namespace == name.0);
        let gone: Vec<_> = self.running.keys().filter(is_watched).filter(|name| !listed.contains(name)).cloned().collect();
        for name in &gone {
            self.end(name);
        }
    }
}
