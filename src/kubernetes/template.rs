//! The pod template: whether it carries flag and hold, and its hash without them.
//!
//! A StatefulSet has its present template in `spec`; a pod was made from the one in its ControllerRevision. Both are hashed alike, so
//! that it can be told whether a pod was made from the present one. Pure.

use crate::crd::{FLAG, HOLD};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{Container, EnvVar, PodTemplateSpec},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Digits of a hash: enough to tell the templates of one StatefulSet apart, short enough to be kept sixteen times in a journal.
const DIGITS: usize = 7;

/// Whether a variable of the operator is on.
pub fn is_on(containers: &[Container], container: &str, variable: &str) -> bool {
    let env = containers.iter().filter(|it| it.name == container).flat_map(|it| it.env.iter().flatten());
    env.filter(|it| it.name == variable)
        .any(|it: &EnvVar| it.value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

/// Flag and hold, as containers have them.
pub fn flag_and_hold(containers: &[Container], container: &str) -> (bool, bool) {
    (is_on(containers, container, FLAG), is_on(containers, container, HOLD))
}

/// The hash of a StatefulSet's present template.
pub fn of_set(set: &StatefulSet) -> String {
    let template = set.spec.as_ref().map(|spec| &spec.template);
    hash(serde_json::to_value(template).unwrap_or_default())
}

/// The hash of the template that a revision holds; `None` if it holds none. Fields of a newer Kubernetes count in neither form.
pub fn of_revision(revision: &ControllerRevision) -> Option<String> {
    let data = serde_json::to_value(revision.data.as_ref()?).ok()?;
    let known: PodTemplateSpec = serde_json::from_value(data.get("spec")?.get("template")?.clone()).ok()?;
    Some(hash(serde_json::to_value(known).ok()?))
}

fn hash(mut template: Value) -> String {
    strip(&mut template);
    let digest = Sha256::digest(template.to_string().as_bytes());
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(DIGITS)
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Takes out what is ours, and what is empty. Maps of `serde_json` are ordered.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(env)) = map.get_mut("env") {
                env.retain(|entry| !matches!(entry.get("name").and_then(Value::as_str), Some(FLAG | HOLD)));
            }
            map.values_mut().for_each(strip);
            map.retain(|_, value| !is_empty(value));
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(env: &Value, image: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "db"},
            "spec": {"selector": {}, "serviceName": "db", "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "node", "image": image, "env": env}]}
            }}
        }))
        .unwrap()
    }

    #[test]
    fn our_variables_do_not_count() {
        let without = of_set(&set(&json!([]), "a:1"));
        let with = of_set(&set(&json!([{"name": FLAG, "value": "true"}, {"name": HOLD, "value": "true"}]), "a:1"));
        assert_eq!(without, with);
        assert_ne!(without, of_set(&set(&json!([]), "a:2")));
        assert_ne!(without, of_set(&set(&json!([{"name": "OTHER", "value": "true"}]), "a:1")));
    }

    #[test]
    fn a_revision_has_the_hash_of_the_set_that_it_was_made_of() {
        let set = set(&json!([{"name": FLAG, "value": "true"}]), "a:1");
        let mut template = serde_json::to_value(&set.spec.as_ref().unwrap().template).unwrap();
        template["$patch"] = "replace".into();
        template["metadata"]["creationTimestamp"] = Value::Null;
        template["spec"]["aFieldOfLater"] = "x".into();
        let revision = json!({"metadata": {"name": "db-1"}, "revision": 1, "data": {"spec": {"template": template}}});
        let revision = serde_json::from_value(revision).unwrap();
        assert_eq!(of_revision(&revision), Some(of_set(&set)));
    }

    #[test]
    fn a_variable_counts_only_in_its_container_and_when_it_is_true() {
        let spec = set(&json!([{"name": FLAG, "value": "True"}, {"name": HOLD, "value": "no"}]), "a:1")
            .spec
            .unwrap()
            .template
            .spec
            .unwrap();
        assert_eq!(flag_and_hold(&spec.containers, "node"), (true, false));
        assert_eq!(flag_and_hold(&spec.containers, "sidecar"), (false, false));
    }
}
