//! Who cannot be seen has not gone, and who is being deleted does nothing any more.

use crate::scene::{SET, Scene, UPGRADE, is_true};
use group0_operator::crd::{Group0Upgrade, Group0UpgradeStatus, Phase};
use k8s_openapi::{api::apps::v1::StatefulSet, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, PropagationPolicy};
use serde_json::json;
use std::time::Duration;

fn is_hidden(status: &Group0UpgradeStatus) -> bool {
    status.blocked_by == "SetUnknown"
}

/// As people do to change what cannot be changed: `kubectl delete sts --cascade=orphan`, then apply it again.
#[tokio::test(flavor = "multi_thread")]
async fn pods_whose_statefulset_is_made_again_are_not_forgotten() {
    let Some(scene) = Scene::new(3).await else { return };
    let operator = scene.operator(0);
    scene.upgrade(json!({"mode": "Supervised"})).await;
    scene.until("waiting for approval", |status| is_true(status, "AwaitingApproval")).await;
    let (sets, set) = (scene.api::<StatefulSet>(), scene.set().await);
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    sets.delete(SET, &orphan).await.unwrap();
    scene.edit(json!({"approvedRunID": scene.object().await.unwrap().status.unwrap().run_id})).await;
    let status = scene.until("hidden", is_hidden).await;
    let hosts: Vec<_> = status.nodes.iter().map(|node| (node.pod_name.as_str(), node.host_id.is_some())).collect();
    assert_eq!(hosts, [("db-0", true), ("db-1", true), ("db-2", true)]);
    assert_eq!(status.point_of_no_return_at, None, "whether these are all is not known");
    let metadata = ObjectMeta { name: Some(SET.into()), labels: set.metadata.labels, ..ObjectMeta::default() };
    let again = StatefulSet { metadata, status: None, ..set };
    sets.create(&PostParams::default(), &again).await.unwrap();
    scene.complete().await;
    assert_eq!(scene.starts(3), [2, 2, 2], "nothing was taken twice");

    // Nor is everything well afterwards because nobody is seen.
    sets.delete(SET, &orphan).await.unwrap();
    let status = scene.until("hidden again", is_hidden).await;
    assert_eq!((status.phase, status.nodes.len()), (Phase::Complete, 3));
    operator.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_complete_where_nobody_is() {
    let Some(scene) = Scene::new(0).await else { return };
    let operator = scene.operator(0);
    scene.upgrade(json!({})).await;
    let status = scene.until("asking for pods", |status| status.blocked_by == "NoPods").await;
    assert!(is_true(&status, "Stalled") && !is_true(&status, "Complete") && !is_true(&status, "FlagRolledOut"));
    operator.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_statefulset_has_is_said() {
    let Some(scene) = Scene::new(0).await else { return };
    let operator = scene.operator(0);
    scene.upgrade_of(UPGRADE, "typo", json!({})).await;
    let status = scene.until("asking for it", is_hidden).await;
    assert!(status.message.contains("the StatefulSet typo cannot be read: there is no such StatefulSet"), "{}", status.message);
    operator.terminate().await;
}

/// Somebody else's finalizer keeps an object that is being deleted.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_being_deleted_passes_no_point_of_no_return() {
    let Some(scene) = Scene::new(1).await else { return };
    let operator = scene.operator(0);
    scene.upgrade(json!({"mode": "Supervised"})).await;
    let waiting = scene.until("waiting for approval", |status| is_true(status, "AwaitingApproval")).await;
    let finalizers = |names: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": names}}));
    let upgrades = scene.api::<Group0Upgrade>();
    upgrades.patch(UPGRADE, &PatchParams::default(), &finalizers(&["example.com/backup"])).await.unwrap();
    scene.delete().await;
    scene.edit(json!({"approvedRunID": waiting.run_id})).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let status = scene.object().await.unwrap().status.unwrap();
    assert_eq!((status.point_of_no_return_at, status.phase), (None, Phase::Rolling));
    upgrades.patch(UPGRADE, &PatchParams::default(), &finalizers(&[])).await.unwrap();
    scene.upgrade(json!({})).await;
    scene.complete().await;
    operator.terminate().await;
}
