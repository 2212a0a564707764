//! What people do while a run is under way.

use crate::scene::{SET, Scene, is_true, uids};
use group0_operator::{
    crd::{Group0UpgradeStatus, Phase},
    kubernetes::FIELD_MANAGER,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn paused_a_run_does_nothing_and_resumed_it_goes_on() {
    let Some(scene) = Scene::new(3).await else { return };
    let operator = scene.operator(0);
    scene.upgrade(json!({})).await;
    scene.until("rolling", |status| status.phase == Phase::Rolling).await;
    scene.edit(json!({"paused": true})).await;
    scene.until("paused", |status| status.phase == Phase::Paused).await;
    let before = uids(&scene.pods().await);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(uids(&scene.pods().await), before, "a pod was recreated while paused");
    scene.edit(json!({"paused": false})).await;
    scene.complete().await;
    assert_eq!(scene.starts(3), [2, 2, 2]);
    operator.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_allows_no_eviction_is_named_until_it_does() {
    let Some(scene) = Scene::new(1).await else { return };
    let budgets = scene.api::<PodDisruptionBudget>();
    let allow = |pods: u32| Patch::Merge(json!({"spec": {"maxUnavailable": pods}}));
    budgets.patch(SET, &PatchParams::default(), &allow(0)).await.unwrap();
    let operator = scene.operator(0);
    scene.upgrade(json!({})).await;
    let names_it =
        |status: &Group0UpgradeStatus| status.message.contains(&format!("The disruption budget {SET} needs 1 healthy"));
    let status = scene.until("named", names_it).await;
    assert_eq!((status.blocked_by.as_str(), status.message.contains("recreate db-0")), ("NotDone", true), "{}", status.message);
    budgets.patch(SET, &PatchParams::default(), &allow(1)).await.unwrap();
    let status = scene.complete().await;
    assert_eq!((status.undone, scene.starts(1)), (None, vec![2]));
    operator.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_takes_the_flag_back_and_can_be_run_again() {
    let Some(scene) = Scene::new(3).await else { return };
    let operator = scene.operator(0);
    scene.upgrade(json!({"mode": "Supervised"})).await;
    let waiting = scene.until("waiting for approval", |status| is_true(status, "AwaitingApproval")).await;
    scene.turn_round(json!({"cancel": true})).await;
    scene.until("cancelled", |status| status.phase == Phase::Cancelled).await;
    assert!(!scene.template_has_the_flag().await, "the flag is left in the template");
    scene.turn_round(json!({"cancel": false, "mode": "Automatic"})).await;
    let status = scene.complete().await;
    assert_ne!(status.run_id, waiting.run_id, "another run has another id");
    assert_eq!(scene.starts(3), [4, 4, 4]);
    operator.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_made_again_goes_on_where_the_former_was_deleted() {
    let Some(scene) = Scene::new(3).await else { return };
    let operator = scene.operator(0);
    scene.upgrade(json!({})).await;
    scene.until("rolling", |status| status.phase == Phase::Rolling).await;
    scene.delete().await;
    scene.upgrade(json!({})).await;
    scene.complete().await;
    assert_eq!(scene.starts(3), [2, 2, 2]);
    operator.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_the_api_server_with_the_reason() {
    let Some(scene) = Scene::new(0).await else { return };
    scene.upgrade(json!({})).await;
    let cases = [
        (json!({"clusterRef": {"statefulSets": ["other"]}}), "make another Group0Upgrade for another cluster"),
        (json!({"deadlines": {"rpc": "0s"}}), "must be from 100ms to 1m"),
        (json!({"deadlines": {"podReady": "soon"}}), "spec.deadlines.podReady"),
        (json!({"overrides": [{"guard": "ClockOff"}]}), "spec.overrides[0].reason: Required value"),
        (json!({"overrides": [{"guard": "ClockOff", "reason": "known"}]}), "spec.overrides[0].expiresAt: Required value"),
        (
            json!({"overrides": [{"guard": "NodesReachable", "reason": "known", "expiresAt": "2027-01-01T00:00:00Z"}]}),
            "no guard that can be overridden; these can: OnDelete, ",
        ),
        (json!({"mode": "Sometimes"}), "supported values: \"Automatic\", \"Supervised\""),
    ];
    for (spec, expected) in cases {
        let why = scene.try_edit(&spec).await.expect_err("it makes no sense");
        assert!(why.contains(expected), "{spec}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_but_status() {
    let Some(scene) = Scene::new(3).await else { return };
    let before = uids(&scene.pods().await);
    let operator = scene.operator(0);
    scene.upgrade(json!({"dryRun": true})).await;
    let status = scene.until("planned", |status| !status.plan.is_empty()).await;
    assert!(status.plan.iter().any(|step| step.contains("recreate db-2")), "{:?}", status.plan);
    assert_eq!(uids(&scene.pods().await), before);
    // Not by their versions: the controllers of Kubernetes go on writing what they have seen of the pods.
    assert!(!is_written_by_the_operator(&scene.set().await));
    assert!(!scene.pods().await.iter().any(is_written_by_the_operator));
    operator.terminate().await;
}

fn is_written_by_the_operator(object: &impl ResourceExt) -> bool {
    object.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
}
