//! A real API server with its controllers plays the scripts that the simulator's Kubernetes plays in `tests/sim`, by the operator's own verbs.

use crate::{
    scene::{SET, Scene, UPGRADE},
    script::{Cluster, Deed, State, play, scripts},
};
use group0_operator::{
    crd::{Group0Upgrade, Group0UpgradeStatus},
    kubernetes::verbs,
};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::Pod,
    policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How many pods there are.
const PODS: usize = 3;
/// How long a change of pods takes at most.
const SETTLED_MAX: Duration = Duration::from_mins(1);
/// All is well if it was so this many times.
const QUIET: u32 = 5;
/// How long a budget takes to notice that.
const BUDGET_MAX: Duration = Duration::from_secs(5);
/// The epoch of the operator that is played.
const EPOCH: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_simulator_has_for_kubernetes_ends_as_it_does_there() {
    for (name, script) in scripts() {
        let Some(scene) = Scene::new(PODS).await else { return };
        scene.upgrade(json!({})).await;
        let mut real = Real { scene, set: None, pods: Vec::new(), object: None, count: 0 };
        real.settle().await;
        let wrong = play(&mut real, &script).await;
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

struct Real {
    scene: Scene,
    set: Option<StatefulSet>,
    pods: Vec<Pod>,
    object: Option<Group0Upgrade>,
    count: u32,
}

/// Versions are numbers here.
fn version(text: Option<String>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap()
}

impl Real {
    fn set_version(&self) -> u64 {
        version(self.set.as_ref().unwrap().resource_version())
    }

    /// Name, UID and version of a pod, as they were seen.
    fn pod(&self, number: usize) -> (String, String, u64) {
        let pod = &self.pods[number];
        (pod.name_any(), pod.uid().unwrap(), version(pod.resource_version()))
    }

    fn uid(&self) -> Option<String> {
        self.object.as_ref().and_then(ResourceExt::uid)
    }

    async fn write(&self) -> Result<(), String> {
        let mut object = self.object.clone().unwrap();
        object.status = Some(Group0UpgradeStatus { message: self.count.to_string(), ..Group0UpgradeStatus::default() });
        let written = self.scene.api::<Group0Upgrade>().replace_status(UPGRADE, &PostParams::default(), &object).await;
        written.map(drop).map_err(|error| error.to_string())
    }

    /// What a person does is not refused.
    async fn person(&self, deed: Deed) {
        match deed {
            Deed::DeletePod(number) => {
                let name = format!("{SET}-{number}");
                self.scene.api::<Pod>().delete(&name, &DeleteParams::default()).await.unwrap();
            }
            Deed::Template => {
                let patch = json!({"spec": {"template": {"metadata": {"annotations": {"changed": self.count.to_string()}}}}});
                self.scene.api::<StatefulSet>().patch(SET, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
            }
            Deed::Edit => self.scene.edit(json!({"pacing": {"bakeSeconds": self.count}})).await,
            Deed::Delete => self.scene.delete().await,
            _ => self.scene.upgrade(json!({})).await,
        }
    }

    async fn budget(&self) -> PodDisruptionBudgetStatus {
        self.scene.api::<PodDisruptionBudget>().get(SET).await.unwrap().status.unwrap_or_default()
    }

    async fn all_are_ready(&self) -> bool {
        let set = self.scene.set().await;
        let status = set.status.unwrap_or_default();
        usize::try_from(status.ready_replicas.unwrap_or_default()) == Ok(PODS)
            && status.observed_generation == set.metadata.generation
            && self.scene.pods().await.iter().all(|pod| pod.metadata.deletion_timestamp.is_none())
            && self.scene.pods_ready().await == PODS
    }
}

impl Cluster for Real {
    async fn see(&mut self) {
        self.set = Some(self.scene.set().await);
        self.pods = self.scene.pods().await;
        self.object = self.scene.object().await;
    }

    async fn settle(&mut self) {
        let begin = Instant::now();
        let mut quiet = 0;
        // A deletion may not have been heard of yet.
        while quiet < QUIET {
            assert!(begin.elapsed() < SETTLED_MAX, "not settled: {:?} {:?}", self.budget().await, self.scene.set().await.status);
            sleep(Duration::from_millis(100)).await;
            quiet = if self.all_are_ready().await { quiet + 1 } else { 0 };
            if self.budget().await.disruptions_allowed == 0 {
                quiet = quiet.min(QUIET - 1);
                // A pod made again before the controller has heard that it went counts as going for two minutes more.
                if begin.elapsed() > BUDGET_MAX {
                    self.scene.make_budget_anew().await;
                }
            }
        }
    }

    async fn attempt(&mut self, deed: Deed) -> Result<(), String> {
        self.count += 1;
        let (sets, pods) = (self.scene.api(), self.scene.api());
        let done = match deed {
            Deed::Own => verbs::own(&sets, SET, self.set_version(), self.uid().as_deref()).await,
            Deed::Disown => verbs::own(&sets, SET, self.set_version(), None).await,
            Deed::Flag => verbs::set_template(&sets, SET, self.set_version(), "node", true).await,
            Deed::Unflag => verbs::set_template(&sets, SET, self.set_version(), "node", false).await,
            Deed::TouchSet => verbs::touch_set(&sets, SET, self.set_version(), EPOCH).await,
            Deed::TouchPod(number) => {
                let (name, uid, _) = self.pod(number);
                verbs::touch_pod(&pods, &name, &uid, EPOCH).await
            }
            Deed::Evict(number) => {
                let (name, uid, version) = self.pod(number);
                verbs::evict(&pods, &name, &uid, version).await
            }
            Deed::Write => return self.write().await,
            deed => {
                self.person(deed).await;
                Ok(())
            }
        };
        done.map_err(|failure| failure.to_string())
    }

    async fn state(&mut self) -> State {
        let set = self.scene.set().await;
        let owner = set.annotations().get(verbs::OWNED_BY).cloned();
        let present = self.scene.object().await.and_then(|object| object.uid());
        let uid = |pods: &[Pod]| -> Vec<_> { pods.iter().map(ResourceExt::uid).collect() };
        State {
            flag: self.scene.template_has_the_flag().await,
            owner: match owner {
                None => "none",
                owner if owner == present => "ours",
                Some(_) => "gone",
            },
            another: uid(&self.scene.pods().await).into_iter().zip(uid(&self.pods)).map(|(now, before)| now != before).collect(),
        }
    }
}
