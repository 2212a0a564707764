//! `make demo-recovery`: five node processes lose one in the middle of their upgrade, then a majority, and are brought back each time.
//!
//! It runs `group0-operator local` on `examples/recovery.yaml`, and plays everybody else: the machines that break ([`loss`]), the people
//! who read the plan and approve it ([`story`]), and a client that changes the schema all the while. Exit 0 only if all that
//! [`verdict`] prints is good. Nothing keeps running, and of a success nothing is left.

#[path = "../demo/cluster.rs"]
mod cluster;
mod loss;
mod story;
mod verdict;
#[path = "../demo/workload.rs"]
mod workload;

use cluster::Cluster;
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use verdict::Verdict;
use workload::Workload;

/// Why the demo has failed.
type Why = String;

/// Nodes of the cluster.
const NODES: u8 = 5;
/// All of it takes less, or something hangs: most of it are the seconds until the dead count as dead.
const LIMIT: Duration = Duration::from_mins(4);
/// Whoever does not answer for so long is down.
const DOWN_AFTER: &str = "failure_detector_timeout_in_ms=3000";

#[tokio::main]
async fn main() -> ExitCode {
    let mut cluster = match Cluster::start(NODES, "recovery.yaml", &[DOWN_AFTER]).await {
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
    let workload = Workload::start(cluster.addresses());
    let lost = story::tell(cluster).await?;
    let refused = loss::come_back(cluster, &lost).await?;
    let changes = workload.stop().await?;
    Verdict::reach(cluster, &changes, refused).await
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
    match verdict.complaints() {
        complaints if complaints.is_empty() => {
            cluster.remove();
            ExitCode::SUCCESS
        }
        complaints => failed(&format!("{}\n  what happened is in {}", complaints.join("\n  "), cluster.folder().display())),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("demo-recovery: failed: {why}");
    ExitCode::FAILURE
}
