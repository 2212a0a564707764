//! The same planner over the Kubernetes API: `group0-operator run`.
//!
//! One process of several leads, by a [`lease`]. It watches the objects ([`caches`]) and follows each `Group0Upgrade` in a task of its
//! own ([`lead`], [`upgrade`]), whose [`world`] reads pods ([`pod`]), StatefulSets ([`set`]) and templates ([`template`]), asks nodes with
//! a [`certificate`], and acts by [`verbs`]; copies of the schema are made by [`backup`]. Whoever leads no more drops all of it at once.

mod backup;
mod caches;
mod certificate;
mod event;
mod lead;
mod lease;
mod metrics;
mod pod;
mod serve;
mod set;
mod template;
mod upgrade;
pub mod verbs;
mod volume;
mod world;

use crate::{args::RunArguments, error::Error, unique};
use kube::{Client, Config};
use lease::{Candidate, Leads};
use metrics::Metrics;
use std::error::Error as StdError;
use tokio::signal::unix::{SignalKind, signal};

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
        kube::Error::Api(status) => {
            // Of an eviction only these say which budget refuses it, and how many pods that wants.
            let causes = status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.message.as_str());
            let news = causes.filter(|cause| !status.message.contains(cause));
            let words: Vec<_> = [status.message.trim_end_matches('.')].into_iter().chain(news).collect();
            format!("{} ({})", words.join(": "), status.code)
        }
        error => in_words(error),
    }
}

/// Leads when its turn comes, until it is told to end.
pub async fn run(arguments: &RunArguments) -> Result<(), Error> {
    let end = told_to_end()?;
    let client = connect().await?;
    let home = arguments.lease_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let identity = arguments.identity.clone().unwrap_or_else(|| format!("group0-operator-{}", unique::id()));
    let metrics = Metrics::default();
    let (mut candidate, leads) = Candidate::new(&client, &home, &arguments.lease, &identity);
    let leader = lead::Leader { client, namespaces: arguments.namespaces.clone(), identity, leads, metrics: metrics.clone() };
    let ended = {
        let elected = candidate.run();
        let served = serve::serve(arguments.http_address, metrics);
        tokio::select! {
            () = elected => Ok(()),
            result = served => result,
            () = lead_when_elected(&leader) => Ok(()),
            () = end => Ok(()),
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

/// From now on; ends when the process is to.
fn told_to_end() -> Result<impl Future<Output = ()>, Error> {
    let on = |kind| signal(kind).map_err(|error| Error::failure(format!("signals cannot be handled: {error}")));
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("ended by SIGINT"),
            _ = terminate.recv() => tracing::info!("ended by SIGTERM"),
        }
    })
}

async fn lead_when_elected(leader: &lead::Leader) {
    let (identity, metrics) = (&leader.identity, &leader.metrics);
    let mut leads: Leads = leader.leads.clone();
    loop {
        metrics.lead(false);
        if leads.wait_for(Option::is_some).await.is_err() {
            return;
        }
        metrics.lead(true);
        tracing::info!(identity, "leads from now on");
        tokio::select! {
            () = leader.lead() => {}
            _ = leads.wait_for(Option::is_none) => tracing::warn!(identity, "leads no more"),
        }
    }
}
