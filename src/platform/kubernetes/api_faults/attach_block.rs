//! Members' volumes are detached, and cannot be attached again: two admission policies, and the deletion of the pods.
//!
//! In this order: both policies are made, and asked by dry runs until both deny; the pods are deleted; when none of the
//! old VolumeAttachments is left, the policy that holds the pods back is taken away, and the StatefulSet's controller
//! makes them; the attach of their volumes is denied, which is the proof. A revert needs none of that in memory.

mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, ResourceExt};

use self::times::Times;
use super::Site;
use super::effect::{Effect, Look, Obstacle};
use super::made::obstacle;
use super::policy::{Force, Policy, nudge, quoted};
use crate::api::{InjectionSpec, Ordinal};
use crate::platform::kubernetes::attachable::{Volume, volumes};
use crate::platform::kubernetes::failure::{is_absent, words};

/// For how long a revert waits for the attach. A run waits longer for the revert, and Kubernetes may take longer for the
/// attach: then that is told.
const ATTACH: Duration = Duration::from_secs(20);
/// Between two looks while it is waited for, because the time is told.
const POLL: Duration = Duration::from_millis(200);

/// The block of one step.
pub(super) struct AttachBlock {
    site: Site,
    set: String,
    ordinals: Vec<Ordinal>,
    templates: Vec<String>,
    /// Denies the attach.
    block: Policy,
    /// Denies the pods.
    hold: Policy,
    stage: Stage,
    times: Times,
}

/// How far it has come.
enum Stage {
    /// Nothing was looked at.
    New,
    /// The policies are made, and are not in force everywhere yet.
    Made(Vec<Volume>),
    /// The pods are being deleted; they are held back until these VolumeAttachments are gone.
    Detaching { volumes: Vec<Volume>, old: BTreeSet<String> },
    /// The pods may come back.
    Attaching(Vec<Volume>),
}

/// A volume that is attached, or being attached.
struct Attachment {
    uid: String,
    volume: String,
    is_attached: bool,
}

impl AttachBlock {
    pub(super) fn new(
        site: &Site,
        spec: &InjectionSpec,
        set: String,
        ordinals: &[Ordinal],
        templates: &[String],
    ) -> Self {
        Self {
            site: site.clone(),
            set,
            ordinals: ordinals.to_vec(),
            templates: templates.to_vec(),
            block: Policy::new(site, spec, Some("attach")),
            hold: Policy::new(site, spec, Some("hold")),
            stage: Stage::New,
            times: Times::default(),
        }
    }

    fn name(&self, ordinal: Ordinal) -> String {
        format!("{}-{ordinal}", self.set)
    }

    async fn the_set(&self) -> Result<StatefulSet, kube::Error> {
        Api::namespaced(self.site.client.clone(), &self.site.namespace).get(&self.set).await
    }

    /// The volumes that are meant, as things are now.
    async fn volumes(&self) -> Result<Result<Vec<Volume>, String>, kube::Error> {
        let set = self.the_set().await?;
        volumes(&self.site.client, &self.site.namespace, &set, &self.ordinals, &self.templates).await
    }

    /// The VolumeAttachments of these volumes.
    async fn attachments(&self, volumes: &[Volume]) -> Result<Vec<Attachment>, kube::Error> {
        let all: Api<VolumeAttachment> = Api::all(self.site.client.clone());
        let ours = |object: VolumeAttachment| {
            let volume = object.spec.source.persistent_volume_name.clone()?;
            let is_attached = object.status.as_ref().is_some_and(|status| status.attached);
            let uid = object.uid().unwrap_or_default();
            volumes.iter().any(|one| one.name == volume).then_some(Attachment { uid, volume, is_attached })
        };
        Ok(all.list(&ListParams::default()).await?.items.into_iter().filter_map(ours).collect())
    }

    /// The set's pods of the ordinals that are hit.
    async fn pods(&self) -> Result<BTreeMap<Ordinal, Pod>, kube::Error> {
        let pods: Api<Pod> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let is_ours = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.name == self.set);
        let mut found = BTreeMap::new();
        for &ordinal in &self.ordinals {
            if let Some(pod) = pods.get_opt(&self.name(ordinal)).await?.filter(is_ours) {
                found.insert(ordinal, pod);
            }
        }
        Ok(found)
    }

    async fn make_policies(&self, volumes: &[Volume]) -> Result<(), Obstacle> {
        let listed = quoted(volumes.iter().map(|volume| volume.name.as_str())).map_err(Obstacle::Refused)?;
        let source = "object.spec.source";
        let is_meant = format!(
            "(request.resource.resource == 'volumeattachments' && has({source}.persistentVolumeName) \
             && {source}.persistentVolumeName in {listed})"
        );
        self.block.apply(&[("storage.k8s.io", "volumeattachments")], &is_meant).await?;
        let names: Vec<String> = self.ordinals.iter().map(|&ordinal| self.name(ordinal)).collect();
        let listed = quoted(names.iter().map(String::as_str)).map_err(Obstacle::Refused)?;
        let is_meant = format!("(request.resource.resource == 'pods' && object.metadata.name in {listed})");
        self.hold.apply(&[("", "pods")], &is_meant).await
    }

    /// Deletes the pods that are there, and never their successors.
    async fn delete_pods(&self) -> Result<(), Obstacle> {
        let pods: Api<Pod> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        for pod in self.pods().await.map_err(obstacle)?.into_values() {
            let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            match pods.delete(&pod.name_any(), &parameters).await {
                Err(error) if !is_absent(&error) => return Err(obstacle(error)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// What is still missing of the proof, or the proof.
    async fn proof(&mut self) -> Result<Look, kube::Error> {
        if let Force::Not(why) = self.block.ask().await? {
            return Ok(Look::Missed(why));
        }
        let (volumes, old) = match &self.stage {
            Stage::New | Stage::Made(_) => return Ok(Look::Missed("no pod is deleted yet".into())),
            Stage::Detaching { volumes, old } => (volumes.clone(), old.clone()),
            Stage::Attaching(volumes) => (volumes.clone(), BTreeSet::new()),
        };
        let attachments = self.attachments(&volumes).await?;
        let names = |attachments: &[&Attachment]| -> String {
            attachments.iter().map(|one| one.volume.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (still, again): (Vec<_>, Vec<_>) = attachments.iter().partition(|one| old.contains(&one.uid));
        if !again.is_empty() {
            return Ok(Look::Missed(format!(
                "attached in spite of {}: {}",
                self.block.name(),
                names(&again)
            )));
        }
        if !still.is_empty() {
            return Ok(Look::Missed(format!("not detached yet: {}", names(&still))));
        }
        if matches!(self.stage, Stage::Detaching { .. }) {
            self.times.detached.get_or_insert_with(Instant::now);
            if let Err(why) = async {
                self.hold.remove().await?;
                nudge(&self.site).await
            }
            .await
            {
                return Ok(Look::Missed(why));
            }
            self.stage = Stage::Attaching(volumes.clone());
        }
        self.denials(&volumes).await
    }

    /// Whether the attach of every volume was denied to the pod that is there now.
    async fn denials(&mut self, volumes: &[Volume]) -> Result<Look, kube::Error> {
        let events: Api<Event> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let failed = ListParams::default().fields("reason=FailedAttachVolume");
        let events = events.list(&failed).await?.items;
        let pods = self.pods().await?;
        let set = self.the_set().await?;
        let policy = set.spec.as_ref().and_then(|spec| spec.pod_management_policy.as_deref());
        let is_in_order = policy != Some("Parallel");
        let mut denied = BTreeMap::new();
        for volume in volumes {
            let name = self.name(volume.ordinal);
            let Some(pod) = pods.get(&volume.ordinal) else {
                // The controller makes pods in order, each when the one before is Ready.
                if is_in_order && pods.keys().any(|&other| other < volume.ordinal) {
                    continue;
                }
                return Ok(Look::Missed(format!("{name} is not made again yet")));
            };
            let uid = pod.uid();
            let is_denial = |event: &&Event| {
                let text = event.message.as_deref().unwrap_or_default();
                event.involved_object.uid == uid
                    && self.block.is_named_in(text)
                    && text.contains(&format!("\"{}\"", volume.name))
            };
            let count: i32 =
                events.iter().filter(is_denial).map(|event| event.count.unwrap_or(1).max(1)).sum();
            if count == 0 {
                return Ok(Look::Missed(format!("no attach of {} to {name} was denied yet", volume.name)));
            }
            denied.insert(volume.claim.clone(), count);
        }
        self.times.denied(&denied);
        Ok(Look::Seen(self.times.during(self.block.name(), &denied)))
    }

    /// Waits until every volume is attached again, or for as long as a revert may wait.
    async fn wait_for_attach(&mut self) -> Result<(), kube::Error> {
        // A set that is gone, or that has other volumes now, attaches nothing that could be waited for.
        let volumes = match (&self.stage, self.volumes().await) {
            (Stage::Made(known) | Stage::Attaching(known), _) => known.clone(),
            (Stage::Detaching { volumes, .. }, _) => volumes.clone(),
            (Stage::New, Ok(Ok(found))) => found,
            (Stage::New, Ok(Err(_))) => return Ok(()),
            (Stage::New, Err(error)) if is_absent(&error) => return Ok(()),
            (Stage::New, Err(error)) => return Err(error),
        };
        loop {
            let attachments = self.attachments(&volumes).await?;
            for volume in &volumes {
                if attachments.iter().any(|one| one.is_attached && one.volume == volume.name) {
                    self.times.attached(&volume.claim);
                }
            }
            let missing = volumes.iter().any(|volume| !self.times.is_attached(&volume.claim));
            if !missing {
                return Ok(());
            }
            if self.times.since_lifted() >= ATTACH {
                self.times.gave_up(volumes.iter().map(|volume| volume.claim.as_str()));
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[async_trait]
impl Effect for AttachBlock {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        if matches!(self.stage, Stage::New) {
            let volumes = self.volumes().await.map_err(obstacle)?.map_err(Obstacle::Refused)?;
            self.make_policies(&volumes).await?;
            self.stage = Stage::Made(volumes);
        }
        if let Stage::Made(volumes) = &self.stage {
            let volumes = volumes.clone();
            for policy in [&mut self.block, &mut self.hold] {
                // Each must deny several times in a row before anybody loses a pod.
                if let Force::Not(why) = policy.ask().await.map_err(obstacle)? {
                    return Err(Obstacle::Later(why));
                }
            }
            let old = self.attachments(&volumes).await.map_err(obstacle)?;
            let old = old.into_iter().map(|one| one.uid).collect();
            self.times.deleted = Some(Instant::now());
            self.stage = Stage::Detaching { volumes, old };
        }
        self.delete_pods().await
    }

    async fn look(&mut self) -> Look {
        self.proof().await.unwrap_or_else(|error| Look::Missed(words(&error)))
    }

    async fn revert(&mut self) -> Result<(), String> {
        self.block.remove().await?;
        self.hold.remove().await?;
        self.times.lifted.get_or_insert_with(Instant::now);
        nudge(&self.site).await?;
        self.wait_for_attach().await.map_err(|error| words(&error))
    }

    fn outcome(&self) -> Option<String> {
        self.times.told()
    }
}
