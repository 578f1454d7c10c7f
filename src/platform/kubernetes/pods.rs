//! A StatefulSet and its pods as a snapshot: pure, from what the API server says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{self, ContainerState};
use kube::ResourceExt;

use crate::api::{ContainerStatus, Ordinal, Pod, PodPhase, Rollout, Snapshot};
use crate::experiment::OrdinalFrom;
use crate::spec::TargetFacts;

/// The snapshot of a StatefulSet with those of `pods` that belong to it.
pub fn snapshot<'a>(set: &StatefulSet, pods: impl Iterator<Item = &'a v1::Pod>) -> Snapshot {
    let spec = set.spec.as_ref();
    let ordinals = spec.and_then(|spec| spec.ordinals.as_ref()).and_then(|ordinals| ordinals.start);
    let name = set.name_any();
    let mut pods: Vec<Pod> = pods.filter_map(|pod| member(&name, pod)).collect();
    pods.sort_by_key(|pod| pod.ordinal);
    Snapshot {
        namespace: set.namespace().unwrap_or_default(),
        replicas: whole(spec.and_then(|spec| spec.replicas).unwrap_or(1)),
        first_ordinal: whole(ordinals.unwrap_or(0)),
        numbered: None,
        rollout: rollout(set),
        name,
        pods,
        ..Snapshot::default()
    }
}

/// What an experiment has to know of a StatefulSet before it meets it.
pub fn facts(set: &StatefulSet) -> TargetFacts {
    let Snapshot { name, replicas, first_ordinal, .. } = snapshot(set, std::iter::empty());
    let spec = set.spec.as_ref();
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    let claims = spec.and_then(|spec| spec.volume_claim_templates.as_deref()).unwrap_or_default();
    TargetFacts {
        name,
        first: first_ordinal,
        replicas,
        containers: pod
            .map(|pod| pod.containers.iter().map(|container| container.name.clone()).collect())
            .unwrap_or_default(),
        claims: claims.iter().map(ResourceExt::name_any).collect(),
    }
}

/// The label in which the StatefulSet controller says what a pod was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// What the pods are to become; unknown until the controller has seen the newest template.
fn rollout(set: &StatefulSet) -> Option<Rollout> {
    let status = set.status.as_ref()?;
    let is_seen = status.observed_generation >= set.metadata.generation;
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let revision = status.update_revision.clone().filter(|_| is_seen)?;
    Some(Rollout { revision, partition: whole(rolling.and_then(|rolling| rolling.partition).unwrap_or(0)) })
}

fn whole(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// A pod of the StatefulSet; nothing where it is somebody else's, whatever its labels say.
fn member(set: &str, pod: &v1::Pod) -> Option<Pod> {
    let ordinal = ordinal(set, &pod.name_any())?;
    let is_ours = pod
        .owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.kind == "StatefulSet" && owner.name == set);
    is_ours.then(|| seen(ordinal, pod))
}

/// Leaves of a pod what a snapshot is made of, and the claims that it mounts. The rest is most of it, and a group can have thousands.
pub fn lean(pod: &mut v1::Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    let v1::PodSpec { node_name, containers, volumes, .. } = pod.spec.take().unwrap_or_default();
    let name_only =
        |container: v1::Container| v1::Container { name: container.name, ..v1::Container::default() };
    let containers = containers.into_iter().map(name_only).collect();
    let volumes = volumes.map(|mut volumes| {
        volumes.retain(|volume| volume.persistent_volume_claim.is_some());
        volumes.shrink_to_fit();
        volumes
    });
    pod.spec = Some(v1::PodSpec { node_name, containers, volumes, ..v1::PodSpec::default() });
}

fn seen(ordinal: Ordinal, pod: &v1::Pod) -> Pod {
    let status = pod.status.as_ref();
    Pod {
        name: pod.name_any(),
        ordinal,
        uid: pod.uid().unwrap_or_default(),
        ip: status.and_then(|status| status.pod_ip.as_deref()).and_then(|ip| ip.parse::<IpAddr>().ok()),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        phase: phase(pod),
        ready: is_ready(pod),
        revision: pod.labels().get(REVISION_LABEL).cloned(),
        containers: containers(pod),
    }
}

/// The snapshot of pods that something else numbers. `before` is the snapshot before this one: an ordinal that was seen
/// once is asked for from then on, so that a member which is gone counts as missing. The first snapshot says which group
/// of names is meant, where the labels are those of several: the largest.
pub fn group<'a>(
    namespace: &str,
    how: OrdinalFrom,
    pods: impl Iterator<Item = &'a v1::Pod>,
    before: &Snapshot,
) -> Snapshot {
    let mut groups: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in pods {
        if let Some((group, ordinal)) = how.read(&pod.name_any()) {
            groups.entry(group.to_owned()).or_default().push(seen(ordinal, pod));
        }
    }
    let largest = groups.iter().max_by_key(|(_, pods)| pods.len()).map(|(name, _)| name.clone());
    let name = if before.name.is_empty() { largest.unwrap_or_default() } else { before.name.clone() };
    let mut pods = groups.remove(&name).unwrap_or_default();
    pods.sort_by_key(|pod| pod.ordinal);
    let mut numbered = before.numbered.clone().unwrap_or_default();
    numbered.extend(pods.iter().map(|pod| pod.ordinal));
    Snapshot {
        name,
        namespace: namespace.to_owned(),
        replicas: u32::try_from(numbered.len()).unwrap_or(u32::MAX),
        first_ordinal: numbered.first().copied().unwrap_or(0),
        numbered: Some(numbered),
        rollout: None,
        pods,
        ..Snapshot::default()
    }
}

/// The same of such a group as [`facts`] of a StatefulSet.
pub fn group_facts(group: &Snapshot) -> TargetFacts {
    let containers: BTreeSet<&str> =
        group.pods.iter().flat_map(|pod| &pod.containers).map(|container| container.name.as_str()).collect();
    let last = group.ordinals().last().unwrap_or(group.first_ordinal);
    TargetFacts {
        name: group.name.clone(),
        first: group.first_ordinal,
        replicas: last.saturating_sub(group.first_ordinal).saturating_add(1),
        containers: containers.into_iter().map(str::to_owned).collect(),
        claims: Vec::new(),
    }
}

/// The number at the end of `NAME-NUMBER`, as Kubernetes writes it.
pub(super) fn ordinal(set: &str, pod: &str) -> Option<Ordinal> {
    let number = pod.strip_prefix(set)?.strip_prefix('-')?;
    let ordinal = number.parse::<Ordinal>().ok()?;
    (ordinal.to_string() == number).then_some(ordinal)
}

/// A pod that ended (evicted, for example) counts as one that does not run yet: its successor will.
fn phase(pod: &v1::Pod) -> PodPhase {
    if pod.metadata.deletion_timestamp.is_some() {
        return PodPhase::Terminating;
    }
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Running") => PodPhase::Running,
        Some(_) | None => PodPhase::Pending,
    }
}

/// A pod that is being deleted gets no traffic any more, whatever its condition still says (EndpointSlices: `ready` is never
/// true of it), and a disruption budget does not count it.
fn is_ready(pod: &v1::Pod) -> bool {
    if pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// In the order of the template; those that the kubelet has not told of yet wait.
fn containers(pod: &v1::Pod) -> Vec<ContainerStatus> {
    let told =
        pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let asked = pod.spec.iter().flat_map(|spec| &spec.containers);
    asked
        .map(|container| match told.iter().find(|status| status.name == container.name) {
            None => ContainerStatus {
                name: container.name.clone(),
                running: false,
                ready: false,
                restarts: 0,
                waiting: Some("not created yet".into()),
            },
            Some(status) => ContainerStatus {
                name: status.name.clone(),
                running: status.state.as_ref().is_some_and(|state| state.running.is_some()),
                ready: status.ready,
                restarts: whole(status.restart_count),
                waiting: status
                    .state
                    .as_ref()
                    .and_then(|state| why_not_running(state, status.last_state.as_ref())),
            },
        })
        .collect()
}

/// `CrashLoopBackOff (exit code 1)`.
fn why_not_running(state: &ContainerState, last: Option<&ContainerState>) -> Option<String> {
    if state.running.is_some() {
        return None;
    }
    let ended = state.terminated.as_ref().or(last.and_then(|last| last.terminated.as_ref()));
    let reason = state
        .waiting
        .as_ref()
        .and_then(|waiting| waiting.reason.clone())
        .or_else(|| ended.and_then(|ended| ended.reason.clone()))
        .unwrap_or_else(|| "waiting".into());
    Some(match ended {
        Some(ended) => format!("{reason} (exit code {})", ended.exit_code),
        None => reason,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(replicas: i32, start: i32) -> StatefulSet {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "etcd", "namespace": "db"},
            "spec": {
                "replicas": replicas, "ordinals": {"start": start}, "serviceName": "etcd",
                "selector": {"matchLabels": {"app": "etcd"}},
                "template": {"metadata": {"labels": {"app": "etcd"}}, "spec": {"containers": []}}
            }
        }))
        .expect("it is a StatefulSet")
    }

    fn pod(name: &str, owner: &str, status: &serde_json::Value) -> v1::Pod {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "uid": format!("uid-{name}"),
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": "u", "controller": true
                }]
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "etcd"}, {"name": "sidecar"}]},
            "status": status
        }))
        .expect("it is a pod")
    }

    fn running() -> serde_json::Value {
        json!({
            "phase": "Running", "podIP": "10.1.2.3",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "sidecar", "ready": false, "restartCount": 3, "image": "", "imageID": "",
                 "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                 "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}},
                {"name": "etcd", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                 "state": {"running": {}}}
            ]
        })
    }

    #[test]
    fn members_are_found_by_owner_and_ordinal() {
        let pods = [
            pod("etcd-10", "etcd", &running()),
            pod("etcd-2", "etcd", &running()),
            pod("etcd-02", "etcd", &running()),
            pod("etcd-backup-1", "etcd-backup", &running()),
            pod("etcd-1", "another", &running()),
        ];
        let snapshot = snapshot(&set(3, 2), pods.iter());
        assert_eq!((snapshot.replicas, snapshot.first_ordinal), (3, 2));
        let ordinals: Vec<_> = snapshot.pods.iter().map(|pod| pod.ordinal).collect();
        assert_eq!(ordinals, [2, 10]);
    }

    #[test]
    fn a_pod_is_told_with_its_address_node_and_containers_in_order() {
        let snapshot = snapshot(&set(3, 0), [pod("etcd-0", "etcd", &running())].iter());
        let pod = snapshot.pod(0).expect("it is there");
        assert_eq!(pod.ip, Some("10.1.2.3".parse().expect("an address")));
        assert_eq!((pod.node.as_str(), pod.phase, pod.ready), ("n1", PodPhase::Running, true));
        let containers: Vec<_> =
            pod.containers.iter().map(|found| (found.name.as_str(), found.waiting.as_deref())).collect();
        assert_eq!(containers, [("etcd", None), ("sidecar", Some("CrashLoopBackOff (exit code 1)"))]);
    }

    #[test]
    fn a_lean_pod_is_told_as_the_whole_one_is() {
        let whole = pod("etcd-0", "etcd", &running());
        let mut lean_one = whole.clone();
        lean(&mut lean_one);
        assert_eq!(snapshot(&set(3, 0), [lean_one].iter()), snapshot(&set(3, 0), [whole].iter()));
    }

    #[test]
    fn an_ordinal_that_was_seen_once_is_asked_for_from_then_on() {
        let pods =
            [pod("pg-1", "x", &running()), pod("pg-3", "x", &running()), pod("pg-backup-7", "x", &running())];
        let how = OrdinalFrom::NameSuffix;
        let first = group("db", how, pods.iter(), &Snapshot::default());
        assert_eq!((first.name.as_str(), first.ordinals().collect()), ("pg", vec![1, 3]));
        let facts = group_facts(&first);
        assert_eq!((facts.first, facts.replicas, facts.containers.len()), (1, 3, 2));
        let next = group("db", how, pods[2..].iter(), &first);
        assert_eq!((next.name.as_str(), next.replicas, next.pods.len()), ("pg", 2, 0));
    }

    #[test]
    fn a_deleted_pod_is_terminating_and_not_ready_whatever_is_said_of_it() {
        let mut deleted = pod("etcd-0", "etcd", &running());
        deleted.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        let evicted = pod("etcd-1", "etcd", &json!({"phase": "Failed"}));
        let snapshot = snapshot(&set(3, 0), [deleted, evicted].iter());
        let seen: Vec<_> = snapshot.pods.iter().map(|pod| (pod.phase, pod.ready)).collect();
        assert_eq!(seen, [(PodPhase::Terminating, false), (PodPhase::Pending, false)]);
    }
}
