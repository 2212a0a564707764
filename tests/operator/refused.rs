//! What an API server may answer besides what was asked for.

use crate::{
    operator::{Operator, Start},
    proxy::{Asked, Fate, Proxy, Rule},
    scene::Scene,
};
use group0_core::random::Random;
use serde_json::json;
use std::collections::BTreeSet;

/// A run on one pod whose operator's requests meet these fates; it must complete, and restart the pod once.
async fn runs(rule: Rule) {
    let Some(scene) = Scene::new(1).await else { return };
    let proxy = Proxy::start(scene.client.clone(), scene.host(), scene.folder.path(), rule).await;
    let operator = Operator::start(&Start { kubeconfig: proxy.kubeconfig.clone(), ..scene.start(0) });
    scene.upgrade(json!({})).await;
    scene.complete().await;
    assert_eq!(scene.starts(1), [2]);
    operator.terminate().await;
}

/// About every third write is refused by this code.
fn every_third_write(code: u16) -> Rule {
    let mut random = Random::seeded(code.into());
    Box::new(move |asked: &Asked| match asked.write {
        0 => Fate::Passed,
        _ if random.within(0..3) == 0 => Fate::Refused(code),
        _ => Fate::Passed,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_are_read_again() {
    runs(every_third_write(409)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_with_too_much_to_do_is_asked_again() {
    runs(every_third_write(429)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_api_server_are_not_taken_for_refusals() {
    runs(every_third_write(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_done_once() {
    runs(Box::new(|asked| if asked.write % 5 == 4 { Fate::Lost } else { Fate::Passed })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_end_are_begun_again() {
    let mut watches = 0;
    runs(Box::new(move |asked| {
        watches += usize::from(asked.watch);
        if asked.watch && watches % 2 == 1 { Fate::CutShort } else { Fate::Passed }
    }))
    .await;
}

/// Nothing tells that such a watch is whole again before something changes, and what is watched here changes when the operator acts.
#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_refused_once_are_begun_again() {
    let mut refused = BTreeSet::new();
    runs(Box::new(move |asked| {
        let mut kinds = ["statefulsets", "poddisruptionbudgets", "controllerrevisions"].into_iter();
        let kind = kinds.find(|kind| asked.watch && asked.text.contains(kind));
        if kind.is_some_and(|kind| refused.insert(kind)) { Fate::Refused(503) } else { Fate::Passed }
    }))
    .await;
}
