//! Who leads, by a Lease: created, or replaced in the version that was read; it has ended when nobody has changed it for its duration,
//! by our own clock.

use crate::error::Error;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use std::time::{Duration, Instant};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// Who leads renews it so often.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// Not renewed for so long, it has ended.
const DURATION: Duration = Duration::from_secs(10);
/// Who leads stops by itself this long before others may think so.
const MARGIN: Duration = Duration::from_secs(3);

/// When we last knew that we lead; nothing while we do not.
pub type Leads = watch::Receiver<Option<Instant>>;

/// Takes part in the election.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// What was read last, and since when it is so.
    seen: Option<(String, Instant)>,
    renewed: Option<Instant>,
    leads: watch::Sender<Option<Instant>>,
}

impl Candidate {
    /// A candidate of that name for that lease. Others may watch whether it leads.
    pub fn new(client: &Client, namespace: &str, name: &str, identity: &str) -> (Self, Leads) {
        let (leads, receiver) = watch::channel(None);
        let api = Api::namespaced(client.clone(), namespace);
        (Self { api, name: name.into(), identity: identity.into(), seen: None, renewed: None, leads }, receiver)
    }

    /// Takes the lease when it can, and keeps it; never ends by itself.
    pub async fn run(&mut self) {
        loop {
            let begun = Instant::now();
            match timeout(RENEW_EVERY.min(self.left()), self.attempt()).await {
                Ok(Ok(true)) => {
                    self.renewed = Some(begun);
                    self.leads.send_replace(Some(begun));
                }
                Ok(Ok(false)) => self.lost(),
                Ok(Err(error)) => {
                    tracing::warn!(lease = self.name, error = super::in_words_of(&error), "the lease cannot be renewed");
                }
                Err(_) => tracing::warn!(lease = self.name, "the API server does not answer"),
            }
            let pause = RENEW_EVERY.saturating_sub(begun.elapsed()).max(Duration::from_millis(100));
            sleep(pause.min(self.left())).await;
            if self.left().is_zero() {
                self.lost();
            }
        }
    }

    /// How long we may still think that we lead; without end if we don't.
    fn left(&self) -> Duration {
        self.renewed.map_or(Duration::MAX, |renewed| DURATION.saturating_sub(MARGIN).saturating_sub(renewed.elapsed()))
    }

    fn lost(&mut self) {
        self.renewed = None;
        self.leads.send_if_modified(|leads| leads.take().is_some());
    }

    /// Whether it is ours now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(0)),
            };
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        let has_ended = holder.is_empty() || self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= DURATION);
        if holder != self.identity && !has_ended {
            return Ok(false);
        }
        let transitions = spec.lease_transitions.unwrap_or_default();
        lease.spec = Some(self.spec(if holder == self.identity { transitions } else { transitions + 1 }));
        won(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: None,
            renew_time: Some(MicroTime(Timestamp::now())),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    /// Gives it up, so that another one need not wait for its end.
    pub async fn release(&mut self) -> Result<(), Error> {
        if self.renewed.is_none() {
            return Ok(());
        }
        self.lost();
        let failed = |error: kube::Error| {
            Error::failure(format!("lease {}: cannot be given up: {}", self.name, super::in_words_of(&error)))
        };
        let mut lease = self.api.get(&self.name).await.map_err(failed)?;
        if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity)) {
            spec.holder_identity = Some(String::new());
            won(self.api.replace(&self.name, &PostParams::default(), &lease).await).map_err(failed)?;
        }
        Ok(())
    }
}

/// A conflict means that somebody else was faster.
fn won<T>(result: Result<T, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
