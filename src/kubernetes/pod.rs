//! A pod of Kubernetes → [`Pod`]. Pure.

use super::template;
use crate::observe::{Machine, Pod, PodState};
use k8s_openapi::{
    api::core::v1::{ContainerStateWaiting, ContainerStatus, Node, Pod as ApiPod},
    jiff::Timestamp,
};

/// The taint by which a human says that a machine will not come back.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Why a container waits, where waiting longer changes nothing.
const BROKEN: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];
/// A pod that finds no machine for so long is taken for one that will find none.
const SCHEDULING_SECONDS: i64 = 60;

/// What a pod is seen with besides itself.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The hash of the template that it was made from.
    pub template_hash: String,
    /// Its machine.
    pub machine: Machine,
    /// Whether its volume is gone.
    pub volume_gone: bool,
    /// The container that carries the flag.
    pub container: String,
    /// The present time.
    pub now: Timestamp,
}

/// As the planner sees it.
pub fn seen(pod: &ApiPod, around: Surroundings) -> Pod {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let (flag, hold) = template::flag_and_hold(containers, &around.container);
    Pod {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        version: version(pod.metadata.resource_version.as_ref()),
        state: state(pod, &around),
        since: since(pod, &around.container),
        flag,
        hold,
        template_hash: around.template_hash,
        machine: around.machine,
        volume_gone: around.volume_gone,
    }
}

/// Versions of one object are numbers that grow.
pub fn version(text: Option<&String>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn container_status<'a>(pod: &'a ApiPod, container: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == container)
}

fn state(pod: &ApiPod, around: &Surroundings) -> PodState {
    if pod.metadata.deletion_timestamp.is_some() {
        return PodState::Ending;
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    match phase {
        "Failed" | "Succeeded" => return PodState::Down(format!("its pod has {}", phase.to_lowercase())),
        "Unknown" => return PodState::Down("its machine does not answer".into()),
        _ => {}
    }
    let state = container_status(pod, &around.container).and_then(|status| status.state.as_ref());
    if state.is_some_and(|state| state.running.is_some()) {
        return PodState::Running;
    }
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        return PodState::Down(format!("its container has ended with code {}", ended.exit_code));
    }
    let waits = || state?.waiting.as_ref().and_then(broken);
    let finds_none = || unschedulable(pod, around.now).filter(|_| state.is_none());
    waits().or_else(|| broken_before(pod)).or_else(finds_none).map_or(PodState::Changing, PodState::Broken)
}

/// Why what waits for that does not come by itself.
fn broken(waiting: &ContainerStateWaiting) -> Option<String> {
    let reason = waiting.reason.clone().filter(|reason| BROKEN.contains(&reason.as_str()))?;
    Some(waiting.message.as_ref().map_or_else(|| reason.clone(), |message| format!("{reason}: {message}")))
}

/// An init container that cannot run: the container itself waits for it, and says nothing of that.
fn broken_before(pod: &ApiPod) -> Option<String> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let waits = |status: &ContainerStatus| broken(status.state.as_ref()?.waiting.as_ref()?);
    statuses.iter().find_map(|status| Some(format!("init container {}: {}", status.name, waits(status)?)))
}

fn unschedulable(pod: &ApiPod, now: Timestamp) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    let since = scheduled.last_transition_time.as_ref().map_or(now, |time| time.0);
    let message = scheduled.message.clone().unwrap_or_default();
    (now.duration_since(since).as_secs() >= SCHEDULING_SECONDS).then(|| format!("it finds no machine: {message}"))
}

/// When its container was started last, else when the pod was made.
fn since(pod: &ApiPod, container: &str) -> Timestamp {
    let started = container_status(pod, container).and_then(|status| status.state.as_ref()?.running.as_ref()?.started_at.clone());
    let made = pod.metadata.creation_timestamp.clone();
    started.or(made).map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// The claims that its StatefulSet has made for this pod alone, of its `volumeClaimTemplates`. It may mount others, with other pods: their loss
/// is not its own, and they are nobody's to delete.
pub fn own_claims(pod: &ApiPod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    volumes.filter_map(move |volume| {
        let claim = volume.persistent_volume_claim.as_ref()?.claim_name.as_str();
        let is_own = claim.strip_prefix(volume.name.as_str())?.strip_prefix('-')? == name;
        is_own.then_some(claim)
    })
}

/// The machine of a pod. A pod that has none yet has lost none.
pub fn machine(node_name: Option<&str>, node: Option<&Node>) -> Machine {
    match (node_name, node) {
        (None, _) => Machine::There,
        (Some(_), None) => Machine::Gone,
        (Some(_), Some(node)) => {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
            let is_out = taints.is_some_and(|taints| taints.iter().any(|taint| taint.key == OUT_OF_SERVICE));
            if is_out { Machine::OutOfService } else { Machine::There }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn around() -> Surroundings {
        Surroundings {
            template_hash: "abc".into(),
            machine: Machine::There,
            volume_gone: false,
            container: "node".into(),
            now: "2026-01-01T01:00:00Z".parse().unwrap(),
        }
    }

    fn state_of(status: &Value) -> PodState {
        let pod = json!({"metadata": {"name": "db-0", "uid": "u", "resourceVersion": "17"}, "status": status});
        seen(&serde_json::from_value(pod).unwrap(), around()).state
    }

    fn waiting(reason: &str) -> Value {
        json!({"phase": "Pending", "containerStatuses": [{"name": "node", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"waiting": {"reason": reason}}}]})
    }

    #[test]
    fn only_what_was_made_for_a_pod_alone_is_its_own_claim() {
        let claim = |volume: &str, claim: &str| json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}});
        let volumes =
            [claim("data", "data-db-0"), claim("backups", "backups"), claim("other", "data-db-1"), json!({"name": "tmp"})];
        let pod = json!({"metadata": {"name": "db-0"}, "spec": {"containers": [], "volumes": volumes}});
        let pod = serde_json::from_value(pod).unwrap();
        assert_eq!(own_claims(&pod).collect::<Vec<_>>(), ["data-db-0"]);
    }

    #[test]
    fn a_pod_that_waits_in_vain_is_broken() {
        assert_eq!(state_of(&waiting("ContainerCreating")), PodState::Changing);
        assert_eq!(state_of(&waiting("ImagePullBackOff")), PodState::Broken("ImagePullBackOff".into()));
        assert_eq!(state_of(&waiting("CrashLoopBackOff")), PodState::Broken("CrashLoopBackOff".into()));
    }

    #[test]
    fn a_pod_without_a_machine_is_broken_after_a_while() {
        let pending = |since: &str| {
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "lastTransitionTime": since, "message": "0/3 nodes are available"}]})
        };
        assert_eq!(state_of(&pending("2026-01-01T00:59:30Z")), PodState::Changing);
        let PodState::Broken(why) = state_of(&pending("2026-01-01T00:58:00Z")) else { panic!("it is to be broken") };
        assert_eq!(why, "it finds no machine: 0/3 nodes are available");
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_ending_whatever_its_container_says() {
        let pod =
            json!({"metadata": {"name": "db-0", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
        assert_eq!(seen(&serde_json::from_value(pod).unwrap(), around()).state, PodState::Ending);
    }

    /// One that goes on beside the container is not waited for.
    #[test]
    fn a_pod_whose_init_container_waits_in_vain_is_broken() {
        let mut status = waiting("PodInitializing");
        let init = json!([{"name": "seeds", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]);
        status["initContainerStatuses"] = init;
        let why = "init container seeds: ImagePullBackOff: no such image";
        assert_eq!(state_of(&status), PodState::Broken(why.into()));
        status["containerStatuses"][0]["state"] = json!({"running": {}});
        assert_eq!(state_of(&status), PodState::Running);
    }

    #[test]
    fn a_machine_is_out_of_service_only_by_its_taint() {
        let node = |taints: Value| serde_json::from_value::<Node>(json!({"metadata": {}, "spec": {"taints": taints}})).unwrap();
        assert_eq!(machine(None, None), Machine::There);
        assert_eq!(machine(Some("w"), None), Machine::Gone);
        let unreachable = node(json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]));
        assert_eq!(machine(Some("w"), Some(&unreachable)), Machine::There);
        let out = node(json!([{"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}]));
        assert_eq!(machine(Some("w"), Some(&out)), Machine::OutOfService);
    }
}
