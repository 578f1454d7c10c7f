//! An admission policy that denies the creation of members' objects until a deadline that it carries itself.

mod meant;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;

use super::Site;
use super::effect::{Effect, Look, Obstacle};
use super::made::obstacle;
use super::policy::{Force, Policy, nudge};
use crate::api::{DeniedResource, InjectionSpec, Ordinal, counted};
use crate::platform::kubernetes::failure::words;
use crate::platform::kubernetes::snapshots;

/// One policy with its binding.
pub(super) struct Deny {
    site: Site,
    policy: Policy,
    resources: Vec<DeniedResource>,
    ordinals: Vec<Ordinal>,
    /// What comes before the ordinals in the names of the pods.
    group: String,
    /// How many creations were denied, once it is over.
    denied: Option<usize>,
}

impl Deny {
    pub(super) fn new(
        site: &Site,
        spec: &InjectionSpec,
        resources: &[DeniedResource],
        ordinals: &[Ordinal],
    ) -> Self {
        Self {
            site: site.clone(),
            policy: Policy::new(site, spec, None),
            resources: resources.to_vec(),
            ordinals: ordinals.to_vec(),
            group: site.set.clone().unwrap_or_else(|| spec.pod.name.clone()),
            denied: None,
        }
    }

    /// The claim templates, where any kind is told by them.
    async fn templates(&self) -> Result<Vec<String>, Obstacle> {
        if !self.resources.iter().any(|kind| kind.is_told_by_claims()) {
            return Ok(Vec::new());
        }
        let sets: Api<StatefulSet> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let set = sets.get(&self.group).await.map_err(obstacle)?;
        let templates = snapshots::templates_of(&set);
        if templates.is_empty() {
            return Err(Obstacle::Refused(format!("{} has no claim templates", self.group)));
        }
        Ok(templates)
    }

    /// How many creations were really denied, as far as events tell.
    async fn real_denials(&self) -> Result<usize, kube::Error> {
        let events: Api<Event> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let failed = ListParams::default().fields("reason=FailedCreate");
        let ours =
            |event: &&Event| event.message.as_ref().is_some_and(|words| self.policy.is_named_in(words));
        let found = events.list(&failed).await?.items;
        Ok(found
            .iter()
            .filter(ours)
            .map(|event| usize::try_from(event.count.unwrap_or(1)).unwrap_or(1))
            .sum())
    }

    async fn proof(&mut self) -> Result<Look, kube::Error> {
        Ok(match self.policy.ask().await? {
            Force::Denies => {
                let real = self.real_denials().await?;
                let name = self.policy.name();
                let real = counted(real, "creation");
                Look::Seen(format!("dry runs are denied by {name}; denied for real: {real}"))
            }
            Force::Not(why) => Look::Missed(why),
        })
    }
}

#[async_trait]
impl Effect for Deny {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        if self.resources.contains(&DeniedResource::VolumeSnapshots) {
            // Where nobody can take any, a denial would be in force and could be felt by nobody.
            let unknown = snapshots::obstacle(&self.site.client, &self.site.namespace, &[], None).await;
            if let Some(why) = unknown.map_err(obstacle)? {
                return Err(Obstacle::Refused(why));
            }
        }
        let templates = self.templates().await?;
        let condition = meant::condition(&self.resources, &self.group, &templates, &self.ordinals)
            .map_err(Obstacle::Refused)?;
        let kinds: Vec<_> = self.resources.iter().map(|&resource| kind(resource)).collect();
        self.policy.apply(&kinds, &condition).await
    }

    async fn look(&mut self) -> Look {
        self.proof().await.unwrap_or_else(|error| Look::Missed(words(&error)))
    }

    async fn revert(&mut self) -> Result<(), String> {
        self.policy.remove().await?;
        self.denied = self.real_denials().await.ok();
        nudge(&self.site).await
    }

    fn outcome(&self) -> Option<String> {
        let denied = counted(self.denied?, "creation");
        Some(format!("{} denied {denied} for real, as events tell", self.policy.name()))
    }
}

/// The group and plural of a kind.
fn kind(resource: DeniedResource) -> (&'static str, &'static str) {
    match resource {
        DeniedResource::Pods => ("", "pods"),
        DeniedResource::PersistentVolumeClaims => ("", "persistentvolumeclaims"),
        DeniedResource::VolumeSnapshots => (snapshots::GROUP, "volumesnapshots"),
    }
}
