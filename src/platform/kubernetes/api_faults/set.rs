//! A change of the StatefulSet that is put back: scale, image, variable, broken template.

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::effect::{Effect, Look, Obstacle};
use super::{Site, template};
use crate::api::{ApiFault, InjectionSpec, are, counted};
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{is_silence, words};
use crate::resource::{NUDGED_ANNOTATION, RUN_LABEL, UNDO_ANNOTATION, Undo};

/// The label in which the StatefulSet controller says what a pod was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// One change.
pub(super) struct SetChange {
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    set: String,
    fault: ApiFault,
    spec: InjectionSpec,
}

impl SetChange {
    pub(super) fn new(site: &Site, spec: &InjectionSpec, set: String, fault: ApiFault) -> Self {
        Self {
            sets: Api::namespaced(site.client.clone(), &site.namespace),
            pods: Api::namespaced(site.client.clone(), &site.namespace),
            set,
            fault,
            spec: spec.clone(),
        }
    }

    async fn patch(&self, patch: Value) -> Result<StatefulSet, kube::Error> {
        let parameters = PatchParams { field_manager: Some(RUNNER.into()), ..PatchParams::default() };
        self.sets.patch(&self.set, &parameters, &Patch::Merge(patch)).await
    }

    /// The set's pods.
    async fn members(&self) -> Result<Vec<Pod>, kube::Error> {
        let pods = self.pods.list(&ListParams::default()).await?;
        let is_ours = |pod: &Pod| pod.owner_references().iter().any(|owner| owner.name == self.set);
        Ok(pods.items.into_iter().filter(is_ours).collect())
    }

    /// Deletes pods that the controller waits for in vain: not Ready, of another revision than the one that is asked
    /// for again. It would never replace them by itself.
    async fn unblock(&self, set: &StatefulSet) -> Result<(), kube::Error> {
        let asked = set.status.as_ref().and_then(|status| status.update_revision.clone());
        for pod in self.members().await? {
            let is_old = pod.labels().get(REVISION_LABEL) != asked.as_ref();
            if is_old && !is_ready(&pod) && pod.metadata.deletion_timestamp.is_none() {
                let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
                let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
                self.pods.delete(&pod.name_any(), &parameters).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Effect for SetChange {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        let refuse = |error: kube::Error| {
            if is_silence(&error) { Obstacle::Later(words(&error)) } else { Obstacle::Refused(words(&error)) }
        };
        let set = self.sets.get(&self.set).await.map_err(refuse)?;
        match Undo::beside(&set.metadata) {
            Some(undo) if undo.injection == self.spec.name => return Ok(()),
            Some(undo) => {
                return Err(Obstacle::Refused(format!(
                    "{} was changed already by {}: one change at a time",
                    self.set, undo.injection
                )));
            }
            None => {}
        }
        let container = self.spec.container.as_deref();
        let change = template::change(&set, &self.fault, container)
            .map_err(|why| Obstacle::Refused(format!("{}: {why}", self.set)))?;
        let undo = Undo {
            run: self.spec.run.clone(),
            injection: self.spec.name.clone(),
            deadline: self.spec.deadline.at,
            patch: change.undo,
        };
        let mut patch = change.patch;
        patch["metadata"] = json!({
            // Refused where somebody changed it meanwhile: then it is read again.
            "resourceVersion": set.resource_version(),
            "labels": { RUN_LABEL: self.spec.run },
            "annotations": { UNDO_ANNOTATION: undo.write() },
        });
        match self.patch(patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(Obstacle::Later(status.message.clone()))
            }
            Err(error) => Err(refuse(error)),
        }
    }

    async fn look(&mut self) -> Look {
        let set = match self.sets.get(&self.set).await {
            Ok(set) => set,
            Err(error) => return Look::Missed(words(&error)),
        };
        if Undo::beside(&set.metadata).is_none_or(|undo| undo.injection != self.spec.name) {
            return Look::Missed("somebody put the StatefulSet back".into());
        }
        let status = set.status.clone().unwrap_or_default();
        if status.observed_generation < set.metadata.generation {
            return Look::Missed("the controller has not seen the change yet".into());
        }
        let revision = status.update_revision.unwrap_or_default();
        let updated = status.updated_replicas.unwrap_or(0);
        let asked = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        match &self.fault {
            ApiFault::Scale { .. } => {
                let (told, there) = (counted(asked, "replica"), status.replicas);
                Look::Seen(format!("{told} {} asked for, {there} {} there", are(asked), are(there)))
            }
            ApiFault::BreakRollout { .. } => match self.members().await {
                Ok(pods) => broken(&pods, &revision),
                Err(error) => Look::Missed(words(&error)),
            },
            ApiFault::SetImage { .. }
            | ApiFault::SetEnv { .. }
            | ApiFault::Evict { .. }
            | ApiFault::DeleteClaims { .. }
            | ApiFault::NodeDown { .. }
            | ApiFault::Deny { .. }
            | ApiFault::BlockAttach { .. }
            | ApiFault::TakeSnapshot { .. }
            | ApiFault::RestoreSnapshot { .. }
            | ApiFault::Restart {} => {
                Look::Seen(format!("revision {revision} is asked for, {updated} of {asked} pods have it"))
            }
        }
    }

    async fn revert(&mut self) -> Result<(), String> {
        let told = |error: kube::Error| words(&error);
        let Some(mut set) = self.sets.get_opt(&self.set).await.map_err(told)? else {
            return Ok(());
        };
        // Somebody else's change is not ours to look after.
        if Undo::beside(&set.metadata).is_some_and(|undo| undo.injection != self.spec.name) {
            return Ok(());
        }
        if let Some(undo) = Undo::beside(&set.metadata) {
            let mut patch = undo.whole_patch();
            patch["metadata"]["annotations"][NUDGED_ANNOTATION] = json!(Timestamp::now());
            set = self.patch(patch).await.map_err(told)?;
        }
        if Undo::beside(&set.metadata).is_some_and(|undo| undo.injection == self.spec.name) {
            return Err(format!("{} still carries the mark of {}", self.set, self.spec.name));
        }
        if matches!(self.fault, ApiFault::Scale { .. }) {
            return Ok(());
        }
        let is_seen =
            set.status.as_ref().is_some_and(|status| status.observed_generation >= set.metadata.generation);
        if !is_seen {
            return Err("the controller has not seen yet that the template is back".into());
        }
        self.unblock(&set).await.map_err(told)
    }
}

/// Whether a pod of the new revision is there and does not start.
fn broken(pods: &[Pod], revision: &str) -> Look {
    let of_revision: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.labels().get(REVISION_LABEL).is_some_and(|found| found == revision))
        .collect();
    let Some(pod) = of_revision.first() else {
        return Look::Missed(format!("no pod has revision {revision} yet"));
    };
    if let Some(ready) = of_revision.iter().find(|pod| is_ready(pod)) {
        return Look::Missed(format!("{} of revision {revision} is Ready all the same", ready.name_any()));
    }
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let why = statuses
        .filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone())
        .find(|reason| reason != "ContainerCreating" && reason != "PodInitializing");
    match why {
        Some(why) => Look::Seen(format!("{} of revision {revision} does not start: {why}", pod.name_any())),
        None => Look::Missed(format!("{} of revision {revision} has not failed yet", pod.name_any())),
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
