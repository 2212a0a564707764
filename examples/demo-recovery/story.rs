//! What happens, in its order, and what people do about it.

use crate::{
    Why,
    cluster::{Cluster, program},
    loss::{self, Lost},
};
use group0_operator::crd::{Group0UpgradeStatus, Phase};
use std::time::Duration;
use tokio::{process::Command, time::sleep};

/// How often the status is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The node that is lost in the middle of the upgrade.
const FIRST: usize = 4;
/// A majority, at once.
const MAJORITY: [usize; 3] = [0, 1, 2];

/// All of it. Returns the hosts that were lost.
pub async fn tell(cluster: &mut Cluster) -> Result<Vec<Lost>, Why> {
    // It fails of itself at the worst moment: the others are in `synchronize` or about to be, and schema changes are off.
    loss::arm(cluster, FIRST).await?;
    let held = until(cluster, |status| status.blocked_by == "AwaitingApproval").await?;
    say("all five have the flag and are held; the upgrade waits for a human, who approves it");
    let mut lost = vec![loss::take_data(cluster, FIRST).await?];
    set(cluster, "approvedRunID", &held.run_id).await?;
    say(&format!("db-{FIRST} and its data are destroyed in the middle of the upgrade"));
    recover(cluster, 1).await?;
    say("all schema changes go through group 0; now three of five nodes are destroyed at once");
    for index in MAJORITY {
        lost.push(loss::take_data(cluster, index).await?);
    }
    for index in MAJORITY {
        loss::kill(cluster, index)?;
    }
    recover(cluster, 2).await?;
    Ok(lost)
}

/// The stall is classified, the plan shown and approved; then it is carried out, and the lost are replaced.
async fn recover(cluster: &mut Cluster, number: usize) -> Result<(), Why> {
    let of_plan = |status: &Group0UpgradeStatus| {
        let recovery = status.recovery.as_ref().filter(|recovery| !recovery.plan_hash.is_empty());
        let is_new = status.history.iter().filter(|run| !run.excluded.is_empty()).count() + 1 == number;
        recovery.filter(|_| is_new && status.blocked_by == "AwaitingApproval").cloned()
    };
    let status = until(cluster, |status| of_plan(status).is_some()).await?;
    if let Some(stall) = &status.stall {
        say(&format!("the operator says: {}: {}", stall.class, stall.evidence));
    }
    let plan = of_plan(&status).ok_or("the plan is gone")?;
    say(&format!("its plan, {}:", plan.plan_hash));
    plan.plan.iter().for_each(|line| println!("    {line}"));
    say("a human approves it");
    set(cluster, "recovery.approvedPlanHash", &plan.plan_hash).await?;
    let mut step = String::new();
    loop {
        let status = until(cluster, |_| true).await?;
        let present = status.recovery.as_ref().map(|recovery| recovery.step.clone()).unwrap_or_default();
        if present != step && !present.is_empty() {
            say(&format!("recovery {number}: {present}"));
        }
        step = present;
        let ended = status.history.iter().filter(|run| !run.excluded.is_empty()).count() == number;
        if ended && status.phase == Phase::Complete && status.nodes.len() == cluster.addresses().len() && is_whole(&status) {
            say(&format!("recovery {number} is over: every node is final, fresh ones included"));
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

fn is_whole(status: &Group0UpgradeStatus) -> bool {
    status.blocked_by.is_empty() && status.nodes.iter().all(|node| node.step == "final" || node.step == "serving")
}

/// Looks until the status is so.
async fn until(cluster: &mut Cluster, holds: impl Fn(&Group0UpgradeStatus) -> bool) -> Result<Group0UpgradeStatus, Why> {
    loop {
        cluster.still_runs()?;
        if let Some(status) = cluster.status().filter(|status| holds(status)) {
            return Ok(status);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// As a person does it.
async fn set(cluster: &Cluster, field: &str, value: &str) -> Result<(), Why> {
    let mut command = Command::new(program("group0-operator")?);
    command.args(["local", "set", "--file"]).arg(cluster.file()).args([field, value]);
    let status = command.status().await.map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("local set {field} {value} has failed: {status}")) }
}

fn say(what: &str) {
    println!("==> {what}");
}
