//! `make demo`: three node processes are upgraded to group 0 under a client that changes the schema all the while.
//!
//! It runs `group0-operator local` on `examples/upgrade.yaml` in a folder of its own, [`workload`] meanwhile changes the schema
//! through every node, and [`verdict`] counts, compares and prints. Exit 0 only if everything it prints is good. Nothing keeps
//! running, and of a success nothing is left.

mod cluster;
mod stage;
mod verdict;
mod workload;

use cluster::Cluster;
use stage::Demo;
use std::{process::ExitCode, time::Duration};
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
    let complaints = |verdict: &Verdict| verdict.complaints(EACH_AT_LEAST, ALL_AT_LEAST);
    Demo { name: "demo", limit: LIMIT, complaints }.run(Cluster::start(NODES, "upgrade.yaml", &[]).await, perform).await
}

async fn perform(cluster: &mut Cluster) -> Result<Verdict, Why> {
    let mut workload = Workload::start(cluster.addresses());
    cluster.completed().await?;
    workload.mark_complete();
    workload.enough(EACH_AT_LEAST, ALL_AT_LEAST).await?;
    let changes = workload.stop().await?;
    Verdict::reach(cluster, changes).await
}
