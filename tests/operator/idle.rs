//! Many upgrades in one namespace: each goes its way beside one that cannot, and when all is done nothing is written any more.

use crate::{
    operator::{Operator, Start},
    proxy::{Fate, Proxy},
    scene::Scene,
};
use group0_operator::crd::{Group0Upgrade, Phase};
use kube::api::ListParams;
use serde_json::json;
use std::{
    env,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// An upgrade of a StatefulSet that is not there.
const BROKEN: &str = "broken";
/// What was done last is over then.
const SETTLED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_that_are_complete_cost_no_write() {
    let (count, seconds) = (asked("GROUP0_IDLE_OBJECTS", 6), asked("GROUP0_IDLE_SECONDS", 10));
    let Some(scene) = Scene::of_clusters(count).await else { return };
    let proxy = Proxy::start(scene.client.clone(), scene.host(), scene.folder.path(), Box::new(|_| Fate::Passed)).await;
    let operator = Operator::start(&Start { kubeconfig: proxy.kubeconfig.clone(), ..scene.start(0) });
    let begin = Instant::now();
    scene.upgrade_of(BROKEN, "nowhere", json!({})).await;
    for number in 0..count {
        scene.upgrade_of(&format!("upgrade{number}"), &format!("db{number}"), json!({})).await;
    }
    while completed(&scene).await < count {
        assert!(begin.elapsed() < Duration::from_secs(60 + 5 * count as u64), "not all complete\n{}", scene.logged());
        sleep(Duration::from_millis(200)).await;
    }
    let taken = begin.elapsed();
    sleep(SETTLED).await;
    let (writes, reads, memory) = (proxy.writes().len(), proxy.reads(), operator.memory());
    sleep(Duration::from_secs(seconds as u64)).await;
    // The broken one may say that it has waited for long.
    let of_complete = |write: &String| !write.contains(BROKEN);
    let written: Vec<_> = proxy.writes()[writes..].iter().filter(|write| of_complete(write)).cloned().collect();
    eprintln!(
        "{count} upgrades complete after {:.1} s; then in {seconds} s {} writes, {} reads; operator: {memory} KiB, {} KiB in the end",
        taken.as_secs_f64(),
        written.len(),
        proxy.reads() - reads,
        operator.memory(),
    );
    assert!(written.is_empty(), "written though nothing has changed: {written:#?}");
    operator.terminate().await;
}

fn asked(variable: &str, usual: usize) -> usize {
    env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

async fn completed(scene: &Scene) -> usize {
    let upgrades = scene.api::<Group0Upgrade>().list(&ListParams::default()).await.unwrap();
    upgrades.items.iter().filter(|object| object.status.as_ref().is_some_and(|status| status.phase == Phase::Complete)).count()
}
