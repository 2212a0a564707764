//! The same planner over the Kubernetes API: `group0-operator run`.
//!
//! One process of several leads, by a [`lease`]. It watches the objects ([`caches`]) and follows each `Group0Upgrade` in a task of its
//! own ([`upgrade`]), whose [`world`] reads pods ([`pod`]), StatefulSets ([`set`]) and templates ([`template`]), and acts by [`verbs`].
//! Whoever leads no more drops all of it at once.

mod caches;
mod lease;
mod metrics;
mod pod;
mod serve;
mod set;
mod template;
mod upgrade;
mod verbs;
mod world;

use crate::{args::RunArguments, crd::Group0Upgrade, error::Error};
use caches::Caches;
use futures::StreamExt as _;
use kube::{
    Api, Client, Config,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt as _,
        events::{Recorder, Reporter},
        watcher,
    },
};
use lease::Candidate;
use metrics::Metrics;
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as StdError,
    pin::pin,
    sync::Arc,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use upgrade::Told;
use world::KubeWorld;

/// Who sets the fields that are ours.
pub const FIELD_MANAGER: &str = "group0-operator";

/// An error with its causes, in one line.
fn in_words(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut error = error;
    while let Some(source) = error.source() {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        error = source;
    }
    text
}

fn in_words_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => in_words(error),
    }
}

/// Leads when its turn comes, until it is told to end.
pub async fn run(arguments: &RunArguments) -> Result<(), Error> {
    let client = connect().await?;
    let namespace = arguments.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let metrics = Metrics::default();
    let (mut candidate, leads) = Candidate::new(client.clone(), &namespace, &arguments.lease, &arguments.identity);
    let ended = {
        let elected = candidate.run();
        let served = serve::serve(arguments.http_address, metrics.clone());
        let led = lead_when_elected(client, &namespace, &arguments.identity, leads, metrics);
        tokio::select! {
            () = elected => Ok(()),
            result = served => result,
            () = led => Ok(()),
            result = told_to_end() => result,
        }
    };
    candidate.release().await?;
    ended
}

async fn connect() -> Result<Client, Error> {
    let failed =
        |why: String| Error::failure(format!("the API server cannot be reached: {why}; run in a pod, or set KUBECONFIG"));
    let mut config = Config::infer().await.map_err(|error| failed(in_words(&error)))?;
    // A budget answers an eviction with 429: that is an answer, not a reason to ask again for minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| failed(in_words(&error)))
}

async fn told_to_end() -> Result<(), Error> {
    let on = |kind| signal(kind).map_err(|error| Error::failure(format!("signals cannot be handled: {error}")));
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("ended by SIGINT"),
        _ = terminate.recv() => tracing::info!("ended by SIGTERM"),
    }
    Ok(())
}

async fn lead_when_elected(
    client: Client,
    namespace: &str,
    identity: &str,
    mut leads: watch::Receiver<Option<std::time::Instant>>,
    metrics: Metrics,
) {
    loop {
        metrics.lead(false);
        if leads.wait_for(Option::is_some).await.is_err() {
            return;
        }
        metrics.lead(true);
        tracing::info!(identity, "leads from now on");
        let mut lost = leads.clone();
        tokio::select! {
            () = lead(&client, namespace, identity, leads.clone(), metrics.clone()) => {}
            _ = lost.wait_for(Option::is_none) => tracing::warn!(identity, "leads no more"),
        }
    }
}

/// A task for each object; all of them end with this.
async fn lead(
    client: &Client,
    namespace: &str,
    identity: &str,
    leads: watch::Receiver<Option<std::time::Instant>>,
    metrics: Metrics,
) {
    let (changes, changed) = watch::channel(0);
    let caches = Arc::new(Caches::watch(client, namespace, &changes));
    let reporter = Reporter { controller: FIELD_MANAGER.into(), instance: Some(identity.into()) };
    let told = Told { changed, leads, metrics };
    let mut tasks = Tasks { running: BTreeMap::new(), set: JoinSet::new() };
    let api: Api<DeserializeGuard<Group0Upgrade>> = Api::namespaced(client.clone(), namespace);
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                let Some(name) = name_of(&object) else { continue };
                listed.insert(name.clone());
                tasks.begin(&name, || {
                    let recorder = Recorder::new(client.clone(), reporter.clone());
                    let world = KubeWorld::new(client.clone(), namespace, &name, caches.clone(), recorder);
                    upgrade::guard(world, namespace.to_owned(), name.clone(), told.clone())
                });
            }
            Ok(watcher::Event::Delete(object)) => tasks.end(name_of(&object).as_ref()),
            Ok(watcher::Event::InitDone) => tasks.keep(&listed),
            Err(error) => tracing::warn!(error = in_words(&error), "Group0Upgrades cannot be watched"),
        }
    }
}

/// The name of an object, also of one that cannot be understood: that one is told, and looked at by nobody.
fn name_of(object: &DeserializeGuard<Group0Upgrade>) -> Option<String> {
    match &object.0 {
        Ok(object) => object.metadata.name.clone(),
        Err(invalid) => {
            tracing::error!(name = invalid.metadata.name, error = %invalid.error, "a Group0Upgrade cannot be understood");
            None
        }
    }
}

struct Tasks {
    running: BTreeMap<String, AbortHandle>,
    set: JoinSet<()>,
}

impl Tasks {
    fn begin<F: Future<Output = ()> + Send + 'static>(&mut self, name: &str, make: impl FnOnce() -> F) {
        if self.running.get(name).is_none_or(AbortHandle::is_finished) {
            self.running.insert(name.to_owned(), self.set.spawn(make()));
        }
        while self.set.try_join_next().is_some() {}
    }

    fn end(&mut self, name: Option<&String>) {
        if let Some(task) = name.and_then(|name| self.running.remove(name)) {
            task.abort();
        }
    }

    fn keep(&mut self, listed: &BTreeSet<String>) {
        self.running.retain(|name, task| {
            let stays = listed.contains(name);
            if !stays {
                task.abort();
            }
            stays
        });
    }
}
