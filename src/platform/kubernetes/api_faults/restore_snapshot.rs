//! What a step of this run took is restored into new claims, never over those of the target. Proven once they are asked
//! for; over when every one of them is Bound and, where that is asked, a pod has read every file. The status says how long
//! that took.
//!
//! Nobody uses the new claims, so a class that waits for its first consumer would wait for ever: the claim is told the node
//! of the member that it comes from, as the scheduler tells it for a pod.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, PodSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::effect::{Effect, Look, Obstacle};
use super::take_snapshot::{ONE_LOOK, POLL};
use super::{Site, made};
use crate::api::InjectionSpec;
use crate::experiment::duration;
use crate::platform::kubernetes::failure::words;
use crate::platform::kubernetes::{reading, snapshots};
use crate::resource::{MADE_LABEL, STEP_LABEL};

/// By which the scheduler tells a provisioner where a claim is going to be used.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Where a reader has the volume.
const MOUNTED: &str = "/restored";

/// The restores of one step.
pub(super) struct RestoreSnapshot {
    site: Site,
    spec: InjectionSpec,
    from: String,
    read: bool,
    claims: Api<PersistentVolumeClaim>,
    pods: Api<Pod>,
    /// By the claims that the snapshots are of.
    restored: BTreeMap<String, Restored>,
    was_seen: bool,
}

/// One new claim.
struct Restored {
    name: String,
    asked: Instant,
    /// How long it took to be Bound.
    bound: Option<Duration>,
    /// How long it took to be read as well, and what was read.
    read: Option<(Duration, String)>,
}

impl RestoreSnapshot {
    pub(super) fn new(site: &Site, spec: &InjectionSpec, from: &str, read: bool) -> Self {
        Self {
            claims: Api::namespaced(site.client.clone(), &site.namespace),
            pods: Api::namespaced(site.client.clone(), &site.namespace),
            site: site.clone(),
            spec: spec.clone(),
            from: from.to_owned(),
            read,
            restored: BTreeMap::new(),
            was_seen: false,
        }
    }

    /// What there is to restore of each claim that the step took a snapshot of.
    async fn taken(&self) -> Result<BTreeMap<String, DynamicObject>, Obstacle> {
        let ours = format!("{MADE_LABEL}={},{STEP_LABEL}={}", self.spec.run, self.from);
        let objects = snapshots::snapshots(&self.site.client, &self.site.namespace);
        let found = objects.list(&ListParams::default().labels(&ours)).await.map_err(made::obstacle)?;
        newest(found.items).map_err(|claims| {
            let of = if claims.is_empty() { String::new() } else { format!(" of {}", claims.join(", ")) };
            Obstacle::Later(format!("step {} has taken no snapshot{of} that is ready", self.from))
        })
    }

    /// The node of the pod that uses a claim, or any one, where the claim's class asks for that.
    async fn node_for(&self, source: &PersistentVolumeClaim) -> Result<Option<String>, kube::Error> {
        let class = source.spec.as_ref().and_then(|spec| spec.storage_class_name.clone());
        let classes: Api<StorageClass> = Api::all(self.site.client.clone());
        let class = match class {
            Some(name) => classes.get_opt(&name).await?,
            None => None,
        };
        let waits = class
            .and_then(|class| class.volume_binding_mode)
            .is_some_and(|mode| mode == "WaitForFirstConsumer");
        if !waits {
            return Ok(None);
        }
        let name = source.name_any();
        let uses = |pod: &Pod| {
            let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
            let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
            claims.any(|claim| claim.claim_name == name)
        };
        let pods = self.pods.list(&ListParams::default()).await?;
        if let Some(node) = pods.items.into_iter().filter(uses).find_map(|pod| pod.spec?.node_name) {
            return Ok(Some(node));
        }
        let nodes: Api<Node> = Api::all(self.site.client.clone());
        let nodes = nodes.list(&ListParams::default()).await?;
        let may_run = |node: &Node| {
            node.spec.as_ref().is_none_or(|spec| {
                spec.unschedulable != Some(true) && spec.taints.as_ref().is_none_or(Vec::is_empty)
            })
        };
        Ok(nodes.items.into_iter().find(may_run).map(|node| node.name_any()))
    }

    async fn restore(&mut self, source: &str, snapshot: &DynamicObject) -> Result<(), Obstacle> {
        let claim = self.claims.get(source).await.map_err(made::obstacle)?;
        let node = self.node_for(&claim).await.map_err(made::obstacle)?;
        let asked = Instant::now();
        let mut object = new_claim(&claim, snapshot);
        object["metadata"] = made::metadata(&self.site, &self.spec, source);
        if let Some(node) = node {
            object["metadata"]["annotations"][SELECTED_NODE] = json!(node);
        }
        made::make(&self.claims, object, &self.spec).await?;
        let name = made::name(&self.spec, source);
        if self.read {
            let pod = self.reader(&name).await?;
            made::make(&self.pods, pod, &self.spec).await?;
        }
        let restored = Restored { name, asked, bound: None, read: None };
        self.restored.entry(source.to_owned()).or_insert(restored);
        Ok(())
    }

    /// A pod of this program's image that reads the claim with the identity of the target, whose files they are.
    async fn reader(&self, claim: &str) -> Result<Value, Obstacle> {
        let own = match &self.site.own_pod {
            Some(name) => self.pods.get_opt(name).await.map_err(made::obstacle)?.and_then(|pod| pod.spec),
            None => None,
        };
        let Some((own, image)) = own.and_then(|own| {
            let image = own.containers.first()?.image.clone()?;
            Some((own, image))
        }) else {
            return Err(Obstacle::Refused(
                "this process has no image that a pod could read the volumes with: leave `read` out".into(),
            ));
        };
        let sets: Api<StatefulSet> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let target = match &self.site.set {
            Some(set) => sets.get(set).await.map_err(made::obstacle)?.spec,
            None => None,
        };
        let target = target.and_then(|spec| spec.template.spec).unwrap_or_default();
        let mut pod = reader_spec(&own, &image, &target, self.spec.container.as_deref(), claim);
        pod["metadata"] = made::metadata(&self.site, &self.spec, claim_of_reader(claim, &self.spec));
        Ok(pod)
    }

    /// Looks once at those that are not done. What is wrong with them, if anything.
    async fn progress(&mut self) -> Result<Vec<String>, kube::Error> {
        let mut trouble = Vec::new();
        for restored in self.restored.values_mut() {
            if restored.bound.is_none() {
                let phase = self.claims.get_opt(&restored.name).await?.map(|claim| claim.status);
                let Some(phase) = phase.map(|status| status.and_then(|status| status.phase)) else {
                    trouble.push(format!("somebody deleted claim {}", restored.name));
                    continue;
                };
                if phase.as_deref() == Some("Bound") {
                    restored.bound = Some(restored.asked.elapsed());
                }
            }
            if self.read && restored.read.is_none() {
                let pod = self.pods.get_opt(&restored.name).await?.unwrap_or_default();
                let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
                let said = last_words(&pod).unwrap_or_default();
                match phase.as_str() {
                    "Succeeded" => restored.read = Some((restored.asked.elapsed(), said)),
                    "Failed" => trouble.push(format!("pod {} could not read: {said}", restored.name)),
                    _ => {}
                }
            }
        }
        Ok(trouble)
    }

    fn is_done(&self) -> bool {
        self.restored
            .values()
            .all(|restored| restored.bound.is_some() && (!self.read || restored.read.is_some()))
    }

    fn told(&self, trouble: &[String]) -> String {
        let each = self.restored.iter().map(|(source, restored)| {
            let mut told = format!("claim {} as {source} was", restored.name);
            match restored.bound {
                Some(took) => told += &format!(": Bound after {}", duration::format(took)),
                None => told += ": not Bound yet",
            }
            if let Some((took, what)) = &restored.read {
                told += &format!(", read after {} ({what})", duration::format(*took));
            }
            told
        });
        each.chain(trouble.iter().cloned()).collect::<Vec<_>>().join("; ")
    }
}

/// The part of a reader's name that follows the Injection's: it has the name of its claim.
fn claim_of_reader<'a>(claim: &'a str, spec: &InjectionSpec) -> &'a str {
    claim.get(spec.name.len() + 1..).unwrap_or(claim)
}

#[async_trait]
impl Effect for RestoreSnapshot {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        for (source, snapshot) in self.taken().await? {
            if !self.restored.contains_key(&source) {
                self.restore(&source, &snapshot).await?;
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Look {
        let began = Instant::now();
        loop {
            let trouble = match self.progress().await {
                Ok(trouble) => trouble,
                Err(error) => return Look::Missed(words(&error)),
            };
            if self.is_done() {
                return Look::Done(self.told(&[]));
            }
            if !std::mem::replace(&mut self.was_seen, true) || began.elapsed() >= ONE_LOOK {
                return Look::Seen(self.told(&trouble));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn pace(&self) -> Duration {
        POLL
    }

    /// What was made stays until the run is over.
    async fn revert(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// The newest of each claim's snapshots that are ready; else the claims that have none, because a part is not the whole.
fn newest(snapshots: Vec<DynamicObject>) -> Result<BTreeMap<String, DynamicObject>, Vec<String>> {
    let mut by_claim: BTreeMap<String, Option<DynamicObject>> = BTreeMap::new();
    for snapshot in snapshots {
        let Some(claim) = snapshot.data["spec"]["source"]["persistentVolumeClaimName"].as_str() else {
            continue;
        };
        let known = by_claim.entry(claim.to_owned()).or_default();
        let is_newer = known
            .as_ref()
            .is_none_or(|known| known.metadata.creation_timestamp < snapshot.metadata.creation_timestamp);
        if snapshot.data["status"]["readyToUse"] == json!(true) && is_newer {
            *known = Some(snapshot);
        }
    }
    let missing = by_claim.iter().filter(|(_, found)| found.is_none()).map(|(claim, _)| claim.clone());
    let missing: Vec<String> = missing.collect();
    if by_claim.is_empty() || !missing.is_empty() {
        return Err(missing);
    }
    Ok(by_claim.into_iter().filter_map(|(claim, found)| Some((claim, found?))).collect())
}

/// A claim like this one, that begins as the snapshot.
fn new_claim(source: &PersistentVolumeClaim, snapshot: &DynamicObject) -> Value {
    let spec = source.spec.clone().unwrap_or_default();
    let asked = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
    let asked = asked.get("storage").cloned().unwrap_or_default();
    // A volume may have become larger than its claim first asked for; its snapshot needs all of that.
    let has = source.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage").cloned());
    let needs = snapshot.data["status"]["restoreSize"].as_str().map(|size| Quantity(size.to_owned()));
    let size = [Some(asked), has, needs].into_iter().flatten().max_by_key(bytes).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "spec": {
            "accessModes": spec.access_modes,
            "volumeMode": spec.volume_mode,
            "storageClassName": spec.storage_class_name,
            "resources": { "requests": { "storage": size } },
            "dataSource": { "apiGroup": snapshots::GROUP, "kind": "VolumeSnapshot", "name": snapshot.name_any() },
        },
    })
}

/// How much a quantity of storage is; nothing where it is not written as one.
fn bytes(quantity: &Quantity) -> u128 {
    let text = &quantity.0;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u128 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => 0,
    };
    number.parse::<u128>().unwrap_or(0) * factor
}

/// The pod that reads a restored claim.
fn reader_spec(own: &PodSpec, image: &str, target: &PodSpec, container: Option<&str>, claim: &str) -> Value {
    let writer = match container {
        Some(name) => target.containers.iter().find(|container| container.name == name),
        None => target.containers.first(),
    };
    let identity = writer.and_then(|writer| writer.security_context.clone()).unwrap_or_default();
    let of_pod = target.security_context.clone().unwrap_or_default();
    let user = identity.run_as_user.or(of_pod.run_as_user);
    let is_never_root = identity.run_as_non_root.or(of_pod.run_as_non_root) == Some(true);
    // Where the target's image says who it is, or it begins as root and becomes somebody else, nobody here knows whose the
    // files are: root reads them all, on a mount that is read-only.
    let is_root = user.unwrap_or(0) == 0 && !is_never_root;
    let user = if is_root { Some(0) } else { user };
    let added: &[&str] = if is_root { &["DAC_OVERRIDE"] } else { &[] };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": target.security_context,
            "imagePullSecrets": own.image_pull_secrets,
            "tolerations": target.tolerations,
            "containers": [{
                "name": "reader",
                "image": image,
                "imagePullPolicy": own.containers.first().and_then(|own| own.image_pull_policy.clone()),
                "args": [reading::SUBCOMMAND, MOUNTED],
                "volumeMounts": [{ "name": "restored", "mountPath": MOUNTED, "readOnly": true }],
                "resources": {
                    "requests": { "cpu": "50m", "memory": "32Mi" },
                    "limits": { "memory": "256Mi" },
                },
                "securityContext": {
                    "runAsUser": user,
                    "runAsGroup": identity.run_as_group,
                    "runAsNonRoot": identity.run_as_non_root,
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"], "add": added },
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
            }],
            "volumes": [{ "name": "restored", "persistentVolumeClaim": { "claimName": claim, "readOnly": false } }],
        },
    })
}

/// What the reader said when it ended.
fn last_words(pod: &Pod) -> Option<String> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    ended.message.clone().or_else(|| ended.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_claim_is_like_its_source_and_as_large_as_it_has_become() {
        let source = json!({
            "metadata": { "name": "data-db-0", "labels": { "app": "db" } },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "storageClassName": "fast",
                "volumeName": "pv-1", "resources": { "requests": { "storage": "500M" } },
            },
            "status": { "capacity": { "storage": "1Gi" } },
        });
        let source: PersistentVolumeClaim = serde_json::from_value(source).expect("a claim");
        let snapshot = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": { "name": "one" }, "status": { "readyToUse": true, "restoreSize": "600Mi" },
        });
        let snapshot: DynamicObject = serde_json::from_value(snapshot).expect("an object");
        let spec = &new_claim(&source, &snapshot)["spec"];
        assert_eq!(spec["resources"]["requests"]["storage"], "1Gi");
        assert_eq!(spec["storageClassName"], "fast");
        assert_eq!(spec["dataSource"]["name"], "one");
        // The volume of the target is not asked for again.
        assert_eq!(spec.get("volumeName"), None);
    }

    #[test]
    fn the_newest_that_is_ready_is_restored_of_every_claim_or_nothing() {
        let snapshot = |name: &str, claim: &str, hour: u8, is_ready: bool| -> DynamicObject {
            let object = json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "metadata": { "name": name, "creationTimestamp": format!("2026-01-01T{hour:02}:00:00Z") },
                "spec": { "source": { "persistentVolumeClaimName": claim } },
                "status": { "readyToUse": is_ready },
            });
            serde_json::from_value(object).expect("an object")
        };
        let older = snapshot("older", "a", 1, true);
        let newer = snapshot("newer", "a", 2, true);
        let newest_of_all = snapshot("newest", "a", 3, false);
        let found = newest(vec![newer.clone(), older, newest_of_all]).expect("one is ready");
        assert_eq!(found.values().map(ResourceExt::name_any).collect::<Vec<_>>(), ["newer"]);
        assert_eq!(newest(vec![newer, snapshot("other", "b", 1, false)]), Err(vec!["b".to_owned()]));
        assert_eq!(newest(Vec::new()), Err(Vec::new()));
    }

    #[test]
    fn a_reader_has_the_identity_of_the_target_and_nothing_else_of_it() {
        let target = json!({
            "securityContext": { "fsGroup": 7 },
            "serviceAccountName": "db",
            "containers": [{ "name": "db", "image": "db:1", "securityContext": { "runAsUser": 70, "privileged": true } }],
        });
        let target: PodSpec = serde_json::from_value(target).expect("a pod's spec");
        let own = json!({ "containers": [{ "name": "runner", "image": "s:1", "imagePullPolicy": "Never" }] });
        let own: PodSpec = serde_json::from_value(own).expect("a pod's spec");
        let spec = &reader_spec(&own, "s:1", &target, None, "claim")["spec"];
        assert_eq!(spec["securityContext"]["fsGroup"], 7);
        let container = &spec["containers"][0];
        assert_eq!(container["securityContext"]["runAsUser"], 70);
        assert_eq!(container["securityContext"].get("privileged"), None);
        assert_eq!(container["securityContext"]["capabilities"]["add"], json!([]));
        assert_eq!(container["imagePullPolicy"], "Never");
        assert_eq!(spec.get("serviceAccountName"), None);
        assert_eq!(spec["automountServiceAccountToken"], false);
    }

    #[test]
    fn a_target_that_does_not_say_who_it_is_is_read_by_root_unless_it_forbids_that() {
        let own: PodSpec = serde_json::from_value(json!({ "containers": [] })).expect("a pod's spec");
        let reader = |target: Value| {
            let target: PodSpec = serde_json::from_value(target).expect("a pod's spec");
            reader_spec(&own, "s:1", &target, None, "claim")["spec"]["containers"][0]["securityContext"]
                .clone()
        };
        let plain = reader(json!({ "containers": [{ "name": "db" }] }));
        assert_eq!(
            (&plain["runAsUser"], &plain["capabilities"]["add"]),
            (&json!(0), &json!(["DAC_OVERRIDE"]))
        );
        let strict = json!({ "securityContext": { "runAsNonRoot": true }, "containers": [{ "name": "db" }] });
        let strict = reader(strict);
        assert_eq!((&strict["runAsUser"], &strict["capabilities"]["add"]), (&Value::Null, &json!([])));
    }
}
