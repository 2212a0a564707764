//! Machines are lost for good: the operator recovers the group, and Kubernetes gives it fresh members.

use crate::{
    rights::as_installed,
    scene::{Scene, is_true},
};
use group0_operator::crd::{Group0UpgradeStatus, NodeStatus, Phase};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// With standing permission; dead after a moment.
pub fn unattended() -> Value {
    json!({"recovery": {"mode": "Automatic", "deadAfter": "1s", "replaceLostNodes": true}})
}

fn hosts(status: &Group0UpgradeStatus) -> BTreeSet<String> {
    status.nodes.iter().filter_map(|node| node.host_id.clone()).collect()
}

fn groups(status: &Group0UpgradeStatus) -> BTreeSet<String> {
    status.nodes.iter().filter_map(|node| Some(node.raft.as_ref()?.group_id.clone())).collect()
}

/// Three voters of one group, and nothing more to do.
fn is_whole(status: &Group0UpgradeStatus) -> bool {
    let votes = |node: &&NodeStatus| node.raft.as_ref().is_some_and(|raft| raft.voter);
    let are_one = status.nodes.iter().filter(votes).count() == 3 && groups(status).len() == 1;
    status.phase == Phase::Complete && status.blocked_by.is_empty() && are_one
}

/// Two of three machines, with all that is on them.
pub async fn lose_a_majority(scene: &Scene) {
    for machine in [1, 2] {
        scene.lose_machine(machine);
        scene.declare_out_of_service(machine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_majority_is_recovered_and_replaced() {
    let Some(scene) = Scene::with_volumes(3).await else { return };
    let operator = as_installed(&scene).await;
    scene.upgrade(unattended()).await;
    let before = scene.complete().await;
    lose_a_majority(&scene).await;
    scene.until("recovering", |status| status.phase == Phase::Recovering).await;
    scene.until("whole again", |status| is_whole(status) && groups(status) != groups(&before)).await;
    let after = scene.complete().await;
    assert_eq!(hosts(&after).intersection(&hosts(&before)).count(), 1, "one of the former hosts is left: {before:#?} {after:#?}");
    operator.terminate().await;
    assert!(!scene.logged().contains("forbidden"), "{}", scene.logged());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_the_group_can_do_without_is_removed_and_replaced() {
    let Some(scene) = Scene::with_volumes(3).await else { return };
    let operator = as_installed(&scene).await;
    scene.upgrade(unattended()).await;
    let before = scene.complete().await;
    scene.lose_machine(2);
    scene.declare_out_of_service(2).await;
    scene.until("whole again", |status| is_whole(status) && hosts(status) != hosts(&before)).await;
    let after = scene.complete().await;
    assert_eq!(groups(&after), groups(&before), "no recovery");
    assert_eq!(hosts(&after).intersection(&hosts(&before)).count(), 2);
    operator.terminate().await;
    assert!(!scene.logged().contains("forbidden"), "{}", scene.logged());
}

/// Before there is a group: what replaces it is held until the others are final.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_lost_before_there_is_a_group_is_removed_and_replaced() {
    let Some(scene) = Scene::with_volumes(3).await else { return };
    let operator = as_installed(&scene).await;
    let mut spec = unattended();
    spec["mode"] = json!("Supervised");
    scene.upgrade(spec).await;
    let before = scene.until("waiting for approval", |status| is_true(status, "AwaitingApproval")).await;
    scene.lose_machine(1);
    scene.declare_out_of_service(1).await;
    scene.edit(json!({"mode": "Automatic"})).await;
    scene.until("whole again", |status| is_whole(status) && hosts(status) != hosts(&before)).await;
    scene.complete().await;
    operator.terminate().await;
}
