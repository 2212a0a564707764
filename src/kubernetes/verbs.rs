//! What is done to objects of the API server: each with its precondition, and told apart by what is known of its outcome.

use super::FIELD_MANAGER;
pub use super::set::OWNED_BY;
use crate::{
    act::Failure,
    crd::{FLAG, HOLD},
};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, Pod},
        policy::v1::Eviction,
    },
    apimachinery::pkg::apis::meta::v1::{DeleteOptions, Preconditions},
    jiff::Timestamp,
};
use kube::{
    Api, Error,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// The annotation whose change makes every older version of an object unusable. Its value is new each time: what changes nothing makes no
/// new version.
const TOUCHED: &str = "group0.dev/epoch";

/// What is known of an outcome: what the API server refused did not take place, of everything else nothing is known.
pub fn failure(error: &Error) -> Failure {
    match error {
        Error::Api(status) if (400..500).contains(&status.code) && status.code != 408 => {
            Failure::Refused(super::in_words_of(error))
        }
        Error::BuildRequest(_) | Error::SerdeError(_) => Failure::Refused(super::in_words_of(error)),
        error => Failure::Unknown(super::in_words_of(error)),
    }
}

fn done<T>(result: Result<T, Error>) -> Result<(), Failure> {
    result.map(drop).map_err(|error| failure(&error))
}

/// Says in a StatefulSet of this version which upgrade owns it, or that none does.
pub async fn own(sets: &Api<StatefulSet>, name: &str, version: u64, uid: Option<&str>) -> Result<(), Failure> {
    annotate_set(sets, name, version, OWNED_BY, uid.map_or(Value::Null, Value::from)).await
}

/// Changes a StatefulSet of this version without changing anything of it.
pub async fn touch_set(sets: &Api<StatefulSet>, name: &str, version: u64, epoch: u64) -> Result<(), Failure> {
    annotate_set(sets, name, version, TOUCHED, touch(epoch).into()).await
}

async fn annotate_set(sets: &Api<StatefulSet>, name: &str, version: u64, key: &str, value: Value) -> Result<(), Failure> {
    let patch = json!({"metadata": {"resourceVersion": version.to_string(), "annotations": {key: value}}});
    done(sets.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await)
}

fn touch(epoch: u64) -> String {
    format!("{epoch} {}", Timestamp::now())
}

/// Changes the pod with this UID without changing anything of it.
pub async fn touch_pod(pods: &Api<Pod>, name: &str, uid: &str, epoch: u64) -> Result<(), Failure> {
    let patch = json!({"metadata": {"uid": uid, "annotations": {TOUCHED: touch(epoch)}}});
    done(pods.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await)
}

/// Puts flag and hold into the template of a StatefulSet of this version, as its own fields beside those of the owner, or takes
/// them out.
pub async fn set_template(sets: &Api<StatefulSet>, name: &str, version: u64, container: &str, flag: bool) -> Result<(), Failure> {
    let mut applied = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "resourceVersion": version.to_string()},
    });
    if flag {
        let env = json!([{"name": FLAG, "value": "true"}, {"name": HOLD, "value": "true"}]);
        applied["spec"] = json!({"template": {"spec": {"containers": [{"name": container, "env": env}]}}});
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    done(sets.patch(name, &parameters, &Patch::Apply(applied)).await)
}

/// Evicts the pod with this UID in this version, if its budget allows it.
///
/// The API server takes an eviction out of the budget before it looks at the preconditions, and when they fail the budget gets it back
/// after two minutes. So it is asked first whether it would; whatever comes of that, nothing has taken place.
pub async fn evict(pods: &Api<Pod>, name: &str, uid: &str, version: u64) -> Result<(), Failure> {
    let preconditions = Preconditions { uid: Some(uid.into()), resource_version: Some(version.to_string()) };
    // `Api::evict` of kube 5.0 loses its preconditions.
    let eviction = Eviction {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        delete_options: Some(DeleteOptions { preconditions: Some(preconditions), ..DeleteOptions::default() }),
    };
    let ask = async |dry_run| {
        let parameters = PostParams { dry_run, ..PostParams::default() };
        pods.create_subresource::<_, Value>("eviction", name, &parameters, &eviction).await
    };
    ask(true).await.map_err(|error| Failure::Refused(super::in_words_of(&error)))?;
    done(ask(false).await)
}

/// Deletes the object with this UID. That it is gone already is as good.
pub async fn delete<K>(objects: &Api<K>, name: &str, uid: Option<&str>) -> Result<(), Failure>
where
    K: Clone + DeserializeOwned + Debug,
{
    let preconditions = kube::api::Preconditions { uid: uid.map(Into::into), ..kube::api::Preconditions::default() };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match objects.delete(name, &parameters).await {
        Err(Error::Api(status)) if status.code == 404 => Ok(()),
        result => done(result),
    }
}

/// Makes a ConfigMap so, whatever it was.
pub async fn write_map(maps: &Api<ConfigMap>, map: &ConfigMap) -> Result<(), Failure> {
    let name = map.metadata.name.as_deref().unwrap_or_default();
    done(maps.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(map)).await)
}
