//! `make demo-recovery`: five node processes lose one in the middle of their upgrade, then a majority, and are brought back each time.
//!
//! It runs `group0-operator local` on `examples/recovery.yaml`, and plays everybody else: the machines that break ([`loss`]), the people
//! who read the plan and approve it ([`story`]), and a client that changes the schema all the while. Exit 0 only if all that
//! [`verdict`] prints is good. Nothing keeps running, and of a success nothing is left.

#[path = "../demo/cluster.rs"]
mod cluster;
mod loss;
#[path = "../demo/stage.rs"]
mod stage;
mod story;
mod verdict;
#[path = "../demo/workload.rs"]
mod workload;

use cluster::Cluster;
use stage::Demo;
use std::{process::ExitCode, time::Duration};
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
    let demo = Demo { name: "demo-recovery", limit: LIMIT, complaints: Verdict::complaints };
    demo.run(Cluster::start(NODES, "recovery.yaml", &[DOWN_AFTER]).await, perform).await
}

async fn perform(cluster: &mut Cluster) -> Result<Verdict, Why> {
    let workload = Workload::start(cluster.addresses());
    let lost = story::tell(cluster).await?;
    let refused = loss::come_back(cluster, &lost).await?;
    let changes = workload.stop().await?;
    Verdict::reach(cluster, &changes, refused).await
}
