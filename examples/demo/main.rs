//! `make demo`: three node processes are upgraded to group 0 under a client that changes the schema all the while.
//!
//! It runs `group0-operator local` on `examples/upgrade.yaml` in a folder of its own, [`workload`] meanwhile changes the schema
//! through every node, and [`verdict`] counts, compares and prints. Exit 0 only if everything it prints is good. Nothing keeps
//! running, and of a success nothing is left.

mod cluster;
mod verdict;
mod workload;

use cluster::Cluster;
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use verdict::Verdict;
use workload::Workload;

/// Why the demo has failed.
type Why = String;

/// Nodes of the cluster.
const NODES: u8 = 3;
/// All of it takes less, or something hangs.
const LIMIT: Duration = Duration::from_mins(1);
/// Schema changes on each node before and after the upgrade, at least.
const EACH_AT_LEAST: usize = 10;
/// Schema changes in all, at least.
const ALL_AT_LEAST: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    let mut cluster = match Cluster::start(NODES, "upgrade.yaml", &[]).await {
        Ok(cluster) => cluster,
        Err(why) => return failed(&why),
    };
    let result = tokio::select! {
        result = tokio::time::timeout(LIMIT, perform(&mut cluster)) => {
            result.unwrap_or_else(|_| Err(format!("not done within {} s", LIMIT.as_secs())))
        }
        why = interrupted() => Err(why),
    };
    let stopped = cluster.stop().await;
    match result.and_then(|verdict| stopped.map(|()| verdict)) {
        Ok(verdict) => conclude(&cluster, &verdict),
        Err(why) => failed(&format!("{why}\n  what happened is in {}", cluster.folder().display())),
    }
}

async fn perform(cluster: &mut Cluster) -> Result<Verdict, Why> {
    let mut workload = Workload::start(cluster.addresses());
    cluster.completed().await?;
    workload.mark_complete();
    workload.enough(EACH_AT_LEAST, ALL_AT_LEAST).await?;
    let changes = workload.stop().await?;
    Verdict::reach(cluster, changes).await
}

/// Ends when somebody wants us to.
async fn interrupted() -> Why {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return "signals cannot be handled".into() };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "ended by SIGINT".into(),
        _ = terminate.recv() => "ended by SIGTERM".into(),
    }
}

fn conclude(cluster: &Cluster, verdict: &Verdict) -> ExitCode {
    println!("{verdict}");
    match verdict.complaints(EACH_AT_LEAST, ALL_AT_LEAST) {
        complaints if complaints.is_empty() => {
            cluster.remove();
            ExitCode::SUCCESS
        }
        complaints => failed(&format!("{}\n  what happened is in {}", complaints.join("\n  "), cluster.folder().display())),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("demo: failed: {why}");
    ExitCode::FAILURE
}
