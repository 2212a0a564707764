//! A whole upgrade.

use crate::scene::{Scene, uids};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_recreates_each_pod_once() {
    let Some(scene) = Scene::new(3).await else { return };
    let before = uids(&scene.pods().await);
    let operator = scene.operator(0);
    scene.upgrade(json!({})).await;
    scene.complete().await;
    let after = uids(&scene.pods().await);
    assert!(after.iter().all(|uid| !before.contains(uid)), "a pod was not recreated: {before:?} {after:?}");
    assert_eq!(scene.starts(3), [2, 2, 2]);
    operator.terminate().await;
}
