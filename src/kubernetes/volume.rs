//! Where the volume of a pod can be used. Pure.

use super::pod;
use crate::observe::Machine;
use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, PersistentVolume};
use kube::ResourceExt as _;
use std::sync::Arc;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// Whether this volume can be used on named machines only, as a local one, and all of these are out of service. A volume of a whole zone proves
/// nothing: it may be in use on a machine that is gone from Kubernetes.
pub fn is_out_of_service(volume: &PersistentVolume, nodes: &[Arc<Node>]) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    let terms = affinity.map(|affinity| affinity.node_selector_terms.as_slice()).unwrap_or_default();
    let is_out = |name: &String| {
        let mut named = nodes.iter().filter(|node| node.labels().get(HOSTNAME) == Some(name)).peekable();
        named.peek().is_some() && named.all(|node| pod::machine(Some(name), Some(node)) == Machine::OutOfService)
    };
    !terms.is_empty() && terms.iter().all(|term| machines(term).is_some_and(|names| names.iter().all(is_out)))
}

/// The machines that a term names, if it does; what else it asks for only makes them fewer.
fn machines(term: &NodeSelectorTerm) -> Option<&Vec<String>> {
    let mut requirements = term.match_expressions.iter().flatten();
    requirements.find(|it| it.key == HOSTNAME && it.operator == "In")?.values.as_ref().filter(|names| !names.is_empty())
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
    fn a_volume_is_lost_with_all_machines_that_it_names() {
        let nodes = [node("w1", "a", true), node("w2", "a", false), node("w3", "b", true)];
        let lost = |terms: Value| is_out_of_service(&volume(&terms), &nodes);
        assert!(lost(label(HOSTNAME, "In", &["w1"])) && lost(label(HOSTNAME, "In", &["w1", "w3"])));
        assert!(!lost(label(HOSTNAME, "In", &["w2"])) && !lost(label(HOSTNAME, "In", &["w1", "w2"])));
        let either = |second: Value| json!([label(HOSTNAME, "In", &["w1"])[0], second[0]]);
        assert!(lost(either(label(HOSTNAME, "In", &["w3"]))) && !lost(either(label(HOSTNAME, "In", &["w2"]))));
    }

    /// In particular the machine that has it may be gone from Kubernetes, which says nothing about its containers.
    #[test]
    fn what_is_not_known_proves_nothing() {
        let nodes = [node("w1", "a", true), node("w3", "b", true)];
        let unbound: PersistentVolume = serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": {}})).unwrap();
        assert!(!is_out_of_service(&unbound, &nodes));
        let zone = label("zone", "In", &["b"]);
        for terms in [
            zone,
            label(HOSTNAME, "In", &["w1", "gone"]),
            label(HOSTNAME, "NotIn", &["w2"]),
            label(HOSTNAME, "In", &[]),
            json!([{}]),
            json!([]),
        ] {
            assert!(!is_out_of_service(&volume(&terms), &nodes), "{terms}");
        }
    }
}
