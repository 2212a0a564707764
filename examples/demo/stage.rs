//! What is around a demo: it has so long, can be interrupted, ends all that it started, and says where to look if it fails.

use super::{Why, cluster::Cluster};
use std::{fmt::Display, process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// A demo that comes to this verdict.
pub struct Demo<V> {
    /// As `make` knows it.
    pub name: &'static str,
    /// All of it takes less, or something hangs.
    pub limit: Duration,
    /// What is wrong, if anything is.
    pub complaints: fn(&V) -> Vec<String>,
}

impl<V: Display> Demo<V> {
    /// Performs it on this cluster. Exit 0 only if the verdict has no complaints; of a success nothing is left.
    pub async fn run(
        &self,
        cluster: Result<Cluster, Why>,
        perform: impl AsyncFnOnce(&mut Cluster) -> Result<V, Why>,
    ) -> ExitCode {
        let mut cluster = match cluster {
            Ok(cluster) => cluster,
            Err(why) => return self.failed(&why),
        };
        let result = tokio::select! {
            result = tokio::time::timeout(self.limit, perform(&mut cluster)) => {
                result.unwrap_or_else(|_| Err(format!("not done within {} s", self.limit.as_secs())))
            }
            why = interrupted() => Err(why),
        };
        let stopped = cluster.stop().await;
        let complaints = match result.and_then(|verdict| stopped.map(|()| verdict)) {
            Ok(verdict) => {
                println!("{verdict}");
                (self.complaints)(&verdict)
            }
            Err(why) => vec![why],
        };
        if complaints.is_empty() {
            cluster.remove();
            return ExitCode::SUCCESS;
        }
        self.failed(&format!("{}\n  what happened is in {}", complaints.join("\n  "), cluster.folder().display()))
    }

    fn failed(&self, why: &str) -> ExitCode {
        eprintln!("{}: failed: {why}", self.name);
        ExitCode::FAILURE
    }
}

/// Ends when somebody wants us to.
async fn interrupted() -> Why {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return "signals cannot be handled".into() };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "ended by SIGINT".into(),
        _ = terminate.recv() => "ended by SIGTERM".into(),
    }
}
