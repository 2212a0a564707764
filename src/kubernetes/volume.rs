//! Where the volume of a pod can be used. Pure.

use super::pod;
use crate::observe::Machine;
use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume};
use kube::ResourceExt as _;
use std::sync::Arc;

/// Whether all machines on which this volume can be used are out of service, and there is one.
pub fn is_out_of_service(volume: &PersistentVolume, nodes: &[Arc<Node>]) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    let Some(affinity) = affinity else { return false };
    let mut usable = nodes.iter().filter(|node| selects(affinity, node)).peekable();
    let is_somewhere = usable.peek().is_some();
    is_somewhere && usable.all(|node| pod::machine(Some(&node.name_any()), Some(node)) == Machine::OutOfService)
}

fn selects(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| matches(term, node))
}

/// As the scheduler reads it: a term without requirements selects nothing.
fn matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let name = node.name_any();
    let labels: Vec<_> = term.match_expressions.iter().flatten().collect();
    let fields: Vec<_> = term.match_fields.iter().flatten().collect();
    let has_label = |it: &&NodeSelectorRequirement| holds(it, node.labels().get(&it.key).map(String::as_str));
    let has_field = |it: &&NodeSelectorRequirement| it.key == "metadata.name" && holds(it, Some(&name));
    !(labels.is_empty() && fields.is_empty()) && labels.iter().all(has_label) && fields.iter().all(has_field)
}

/// An operator that is not known here selects: a machine too many keeps the others from being all.
fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let is_named = || value.is_some_and(|value| requirement.values.iter().flatten().any(|named| named == value));
    match requirement.operator.as_str() {
        "In" => is_named(),
        "NotIn" => !is_named(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(name: &str, zone: &str, is_out: bool) -> Arc<Node> {
        let taints =
            if is_out { json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]) } else { json!([]) };
        let labels = json!({"kubernetes.io/hostname": name, "zone": zone});
        let node = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}});
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn volume(terms: &Value) -> PersistentVolume {
        let spec = json!({"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}});
        serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": spec})).unwrap()
    }

    fn label(key: &str, operator: &str, values: &[&str]) -> Value {
        json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}])
    }

    #[test]
    fn a_volume_is_lost_with_all_machines_that_can_use_it() {
        let nodes = [node("w1", "a", true), node("w2", "a", false), node("w3", "b", true)];
        let lost = |terms: Value| is_out_of_service(&volume(&terms), &nodes);
        assert!(lost(label("kubernetes.io/hostname", "In", &["w1"])) && !lost(label("kubernetes.io/hostname", "In", &["w2"])));
        assert!(lost(json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w3"]}]}])));
        assert!(lost(label("zone", "In", &["b"])) && !lost(label("zone", "In", &["a"])));
        assert!(lost(label("zone", "NotIn", &["a"])) && !lost(label("zone", "Exists", &[])));
    }

    #[test]
    fn what_is_not_known_proves_nothing() {
        let nodes = [node("w1", "a", true), node("w2", "a", false)];
        let unbound: PersistentVolume = serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": {}})).unwrap();
        assert!(!is_out_of_service(&unbound, &nodes));
        for terms in [label("kubernetes.io/hostname", "In", &["gone"]), label("zone", "Gt", &["1"]), json!([{}]), json!([])] {
            assert!(!is_out_of_service(&volume(&terms), &nodes), "{terms}");
        }
    }
}
