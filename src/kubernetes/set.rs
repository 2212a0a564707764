//! A StatefulSet of Kubernetes → [`Set`], and the budgets that select its pods. Pure.

use super::{FIELD_MANAGER, pod::version, template};
use crate::observe::{Owner, Set};
use k8s_openapi::{
    api::{apps::v1::StatefulSet, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use std::collections::BTreeMap;

/// The annotation that says which upgrade owns a StatefulSet.
pub const OWNED_BY: &str = "group0.dev/owned-by";

/// As the planner sees it. `exists` says whether an upgrade with that UID is there.
pub fn seen(set: &StatefulSet, container: &str, exists: impl Fn(&str) -> bool) -> Set {
    let spec = set.spec.clone().unwrap_or_default();
    let containers = spec.template.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let (flag, hold) = template::flag_and_hold(containers, container);
    let strategy = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    let observed = set.status.as_ref().and_then(|status| status.observed_generation);
    let owner = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(OWNED_BY)).filter(|uid| !uid.is_empty());
    Set {
        name: set.metadata.name.clone().unwrap_or_default(),
        version: version(set.metadata.resource_version.as_ref()),
        replicas: spec.replicas.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        flag,
        hold,
        kept: (flag || hold) && !is_ours(set),
        template_hash: template::of_set(set),
        on_delete: strategy == Some("OnDelete"),
        parallel: spec.pod_management_policy.as_deref() == Some("Parallel"),
        settled: observed >= set.metadata.generation,
        owner: owner.map(|uid| Owner { uid: uid.clone(), exists: exists(uid) }),
    }
}

/// Whether fields of its template are ours: that is flag and hold.
fn is_ours(set: &StatefulSet) -> bool {
    let fields = set.metadata.managed_fields.iter().flatten().filter(|fields| fields.manager.as_deref() == Some(FIELD_MANAGER));
    fields.filter_map(|fields| fields.fields_v1.as_ref()).any(|fields| fields.0.get("f:spec").is_some())
}

/// The names of the budgets that select any of these pods, by their labels.
pub fn budgets<'a>(budgets: impl IntoIterator<Item = &'a PodDisruptionBudget>, pods: &[BTreeMap<String, String>]) -> Vec<String> {
    let selects = |budget: &&PodDisruptionBudget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| pods.iter().any(|labels| matches(selector, labels)))
    };
    let mut names: Vec<_> = budgets.into_iter().filter(selects).filter_map(|budget| budget.metadata.name.clone()).collect();
    names.sort();
    names
}

/// Whether the labels satisfy every requirement. A selector without any selects everything.
fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let satisfied = selector.match_expressions.iter().flatten().all(|requirement| {
        let value = labels.get(&requirement.key);
        let listed = || requirement.values.iter().flatten().any(|allowed| Some(allowed) == value);
        match requirement.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    });
    equal && satisfied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::FLAG;
    use serde_json::json;

    #[test]
    fn a_set_is_read_with_its_strategy_policy_and_owner() {
        let set = json!({
            "metadata": {"name": "db", "resourceVersion": "12", "generation": 3, "annotations": {OWNED_BY: "u1"}},
            "spec": {"selector": {}, "serviceName": "db", "replicas": 3, "podManagementPolicy": "Parallel",
                "updateStrategy": {"type": "OnDelete"}, "template": {"metadata": {}, "spec": {"containers": []}}},
            "status": {"replicas": 3, "observedGeneration": 2}
        });
        let set = seen(&serde_json::from_value(set).unwrap(), "node", |uid| uid == "u1");
        assert!(set.on_delete && set.parallel && !set.settled && !set.flag);
        assert_eq!((set.replicas, set.version), (3, 12));
        assert_eq!(set.owner, Some(Owner { uid: "u1".into(), exists: true }));
    }

    #[test]
    fn a_flag_that_somebody_else_has_set_is_not_ours_to_take_back() {
        let set = |manager: &str| {
            let env = json!([{"name": FLAG, "value": "true"}]);
            let set = json!({
                "metadata": {"name": "db", "managedFields": [{"manager": manager, "fieldsV1": {"f:spec": {}}}]},
                "spec": {"selector": {}, "serviceName": "db",
                    "template": {"metadata": {}, "spec": {"containers": [{"name": "node", "env": env}]}}},
            });
            seen(&serde_json::from_value(set).unwrap(), "node", |_| false)
        };
        assert!(set("helm").kept && !set(FIELD_MANAGER).kept);
    }

    #[test]
    fn budgets_are_found_by_labels_and_expressions() {
        let budget = |name: &str, selector: serde_json::Value| {
            serde_json::from_value::<PodDisruptionBudget>(json!({"metadata": {"name": name}, "spec": {"selector": selector}}))
                .unwrap()
        };
        let all = [
            budget("labels", json!({"matchLabels": {"app": "db"}})),
            budget("everything", json!({})),
            budget("expression", json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]})),
            budget("others", json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})),
        ];
        let pods = [BTreeMap::from([("app".to_owned(), "db".to_owned())])];
        assert_eq!(budgets(&all, &pods), ["everything", "expression", "labels"]);
        assert!(budgets(&all, &[]).is_empty());
    }
}
