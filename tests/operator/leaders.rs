//! Several operators.

use crate::scene::{Scene, is_true};
use serde_json::json;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_acts_and_the_other_takes_over_at_once_when_it_ends() {
    let Some(scene) = Scene::new(1).await else { return };
    let (first, second) = (scene.operator(0), scene.operator(1));
    scene.upgrade(json!({})).await;
    let status = scene.complete().await;
    assert_eq!(status.epoch, 1, "one operator has led");
    let holder = scene.leader().await;
    let (leader, other) = if holder == "operator-0" { (first, second) } else { (second, first) };
    let begin = Instant::now();
    leader.terminate().await;
    while scene.leader().await.is_empty() || scene.leader().await == holder {
        assert!(begin.elapsed().as_secs() < 8, "the lease was not given up");
    }
    other.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_was_killed_is_followed_when_its_lease_has_ended() {
    let Some(scene) = Scene::new(1).await else { return };
    let first = scene.operator(0);
    scene.upgrade(json!({"mode": "Supervised"})).await;
    let status = scene.until("waiting for approval", |status| is_true(status, "AwaitingApproval")).await;
    let second = scene.operator(1);
    first.kill().await;
    scene.edit(json!({"approvedRunID": status.run_id})).await;
    let status = scene.complete().await;
    assert_eq!((status.epoch, scene.leader().await.as_str()), (2, "operator-1"));
    assert_eq!(scene.starts(1), [2]);
    second.terminate().await;
}
