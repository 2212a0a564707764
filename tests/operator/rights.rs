//! What the chart lets the operator do is what it needs: with all of it a run completes, and without any single verb the operator says
//! which one it lacks.

use crate::{
    operator::{Operator, Start},
    proxy::{Asked, Fate, Proxy},
    recovery::{lose_a_majority, unattended},
    scene::{LIMIT, Scene, is_true},
};
use futures::{StreamExt as _, stream};
use group0_operator::crd::Phase;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding},
};
use kube::{
    Api,
    api::PostParams,
    config::{AuthInfo, Kubeconfig},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The operator's name in a scene.
const ACCOUNT: &str = "operator";
/// So many scenes at once.
const TOGETHER: usize = 4;

/// The files of the chart that have rules.
const FILES: [&str; 3] = ["namespace", "cluster", "home"];

/// The chart's rules, by file.
#[derive(Clone)]
struct Rights([Vec<PolicyRule>; FILES.len()]);

/// One verb of one rule.
#[derive(Clone, Debug)]
struct Right {
    file: usize,
    rule: usize,
    verb: String,
    resource: String,
}

impl Rights {
    fn of_the_chart() -> Self {
        Self(FILES.map(|file| {
            let path = format!("{}/charts/group0-operator/rules/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
            serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
        }))
    }

    fn each(&self) -> Vec<Right> {
        let rules =
            self.0.iter().enumerate().flat_map(|(file, rules)| rules.iter().enumerate().map(move |(n, rule)| (file, n, rule)));
        rules
            .flat_map(|(file, number, rule)| {
                let resource = rule.resources.as_ref().unwrap()[0].clone();
                rule.verbs.iter().map(move |verb| Right { file, rule: number, verb: verb.clone(), resource: resource.clone() })
            })
            .collect()
    }

    fn without(mut self, right: &Right) -> Self {
        self.0[right.file][right.rule].verbs.retain(|verb| *verb != right.verb);
        // A rule without verbs is no rule.
        self.0[right.file].retain(|rule| !rule.verbs.is_empty());
        self
    }

    /// An account that has them in this scene, as a kubeconfig.
    async fn account(&self, scene: &Scene) -> PathBuf {
        let [namespaced, everywhere, home] = &self.0;
        let parameters = PostParams::default();
        let metadata = json!({"name": ACCOUNT});
        let subjects = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": scene.namespace}]);
        let group = "rbac.authorization.k8s.io";
        let accounts = scene.api::<ServiceAccount>();
        accounts.create(&parameters, &made(json!({"metadata": metadata}))).await.unwrap();
        let here: Vec<_> = namespaced.iter().chain(home).collect();
        scene.api::<Role>().create(&parameters, &made(json!({"metadata": metadata, "rules": here}))).await.unwrap();
        let role = json!({"apiGroup": group, "kind": "Role", "name": ACCOUNT});
        let binding = json!({"metadata": metadata, "roleRef": role, "subjects": subjects});
        scene.api::<RoleBinding>().create(&parameters, &made(binding)).await.unwrap();
        let metadata = json!({"name": scene.namespace});
        let roles = Api::<ClusterRole>::all(scene.client.clone());
        roles.create(&parameters, &made(json!({"metadata": metadata, "rules": everywhere}))).await.unwrap();
        let role = json!({"apiGroup": group, "kind": "ClusterRole", "name": scene.namespace});
        let binding = json!({"metadata": metadata, "roleRef": role, "subjects": subjects});
        Api::<ClusterRoleBinding>::all(scene.client.clone()).create(&parameters, &made(binding)).await.unwrap();
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let token = accounts.create_token_request(ACCOUNT, &parameters, &request).await.unwrap().status.unwrap().token;
        kubeconfig(scene, &token)
    }
}

fn made<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn kubeconfig(scene: &Scene, token: &str) -> PathBuf {
    let mut config = Kubeconfig::read_from(scene.start(0).kubeconfig).unwrap();
    for user in &mut config.auth_infos {
        user.auth_info = Some(AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() });
    }
    let path = scene.folder.path().join("account.kubeconfig");
    fs::write(&path, serde_json::to_string(&config).unwrap()).unwrap();
    path
}

/// An operator with what the chart lets it do, and nothing else.
pub async fn as_installed(scene: &Scene) -> Operator {
    operator(scene, &Rights::of_the_chart()).await
}

async fn operator(scene: &Scene, rights: &Rights) -> Operator {
    Operator::start(&Start { kubeconfig: rights.account(scene).await, ..scene.start(0) })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_allows_is_enough() {
    let Some(scene) = Scene::new(1).await else { return };
    let operator = as_installed(&scene).await;
    run_twice(&scene).await;
    operator.terminate().await;
    assert!(!scene.logged().contains("forbidden"), "{}", scene.logged());
}

/// Nothing but a replacement of lost members deletes anything.
async fn lose_members(scene: &Scene) {
    scene.upgrade(unattended()).await;
    scene.complete().await;
    lose_a_majority(scene).await;
}

/// Cancelled once, so that an event is told for the second time.
async fn run_twice(scene: &Scene) {
    scene.upgrade(json!({"mode": "Supervised"})).await;
    scene.until("waiting for approval", |status| is_true(status, "AwaitingApproval")).await;
    scene.turn_round(json!({"cancel": true})).await;
    scene.until("cancelled", |status| status.phase == Phase::Cancelled).await;
    scene.turn_round(json!({"cancel": false, "mode": "Automatic"})).await;
    scene.complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_one_verb_that_the_chart_allows_the_operator_says_which_it_lacks() {
    let rights = Rights::of_the_chart();
    let tried = stream::iter(rights.each()).map(|right| is_missed(rights.clone().without(&right), right));
    let missed: Vec<_> = tried.buffer_unordered(TOGETHER).collect().await;
    let silent: Vec<_> = missed.into_iter().flatten().collect();
    assert!(silent.is_empty(), "superfluous, or missing without a word: {silent:#?}");
}

/// Pods are patched by whoever comes after one that may still be about to evict.
async fn die_before_an_eviction(scene: &Scene) {
    let rule = |asked: &Asked| if asked.write > 0 && asked.text.ends_with("/eviction") { Fate::Held } else { Fate::Passed };
    let proxy = Proxy::start(scene.client.clone(), scene.host(), scene.folder.path(), Box::new(rule)).await;
    let first = Operator::start(&Start { kubeconfig: proxy.kubeconfig.clone(), ..scene.start(1) });
    scene.upgrade(json!({})).await;
    proxy.stuck().wait_for(|stuck| *stuck).await.unwrap();
    first.kill().await;
}

/// Something if it is not said.
async fn is_missed(rights: Rights, right: Right) -> Option<Right> {
    let deletes = right.verb == "delete";
    let scene = if deletes { Scene::with_volumes(3).await? } else { Scene::new(1).await? };
    if right.resource == "pods" && right.verb == "patch" {
        die_before_an_eviction(&scene).await;
    }
    let operator = operator(&scene, &rights).await;
    let expected = format!("cannot {} resource \"{}\"", right.verb, right.resource);
    let begin = Instant::now();
    let said = async {
        while !scene.logged().replace('\\', "").contains(&expected) && begin.elapsed() < LIMIT {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let run = async {
        match right.resource.as_str() {
            _ if deletes => lose_members(&scene).await,
            "secrets" => scene.upgrade(json!({"clusterRef": {"tlsSecretRef": "client"}})).await,
            _ => run_twice(&scene).await,
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = said => {}
        () = run => {}
    }
    operator.kill().await;
    eprintln!("without {} {}: {:.1} s", right.verb, right.resource, begin.elapsed().as_secs_f64());
    if begin.elapsed() < LIMIT {
        return None;
    }
    eprintln!("what it wrote instead: {}", scene.logged());
    Some(right)
}
