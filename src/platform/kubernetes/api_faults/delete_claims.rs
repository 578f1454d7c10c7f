//! The claims of a member are deleted, once. Everything that can be in the way is asked for before the first of them goes,
//! by requests that are dry runs, because what has begun cannot be taken back and so has to be done whole.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, Error, ResourceExt};

use super::Site;
use super::budget::{Eviction, evict, may_evict};
use super::effect::{Effect, Look, Obstacle};
use super::made::obstacle;
use crate::api::{DisruptionBudgets, InjectionSpec, Ordinal};
use crate::platform::kubernetes::failure::words;
use crate::platform::kubernetes::snapshots::claims_of;

/// For how long a budget that forbids the eviction is asked again.
const PATIENCE: Duration = Duration::from_secs(20);

/// The deletion of one member's claims, by their UIDs.
pub(super) struct DeleteClaims {
    sets: Api<StatefulSet>,
    claims: Api<PersistentVolumeClaim>,
    pods: Api<Pod>,
    set: String,
    ordinal: Ordinal,
    templates: Vec<String>,
    /// Whose they are.
    pod: Victim,
    /// How the pod is evicted, if it is.
    eviction: Option<DisruptionBudgets>,
    began: Instant,
    /// What is deleted; nothing until that is known.
    meant: Vec<Victim>,
    /// Nothing was in the way, and the first of them may be gone.
    has_begun: bool,
}

/// An object, and never another of its name.
struct Victim {
    name: String,
    uid: String,
}

impl DeleteClaims {
    pub(super) fn new(
        site: &Site,
        spec: &InjectionSpec,
        set: String,
        templates: &[String],
        eviction: Option<DisruptionBudgets>,
    ) -> Self {
        let pod = Victim { name: spec.pod.name.clone(), uid: spec.pod.uid.clone() };
        Self {
            sets: Api::namespaced(site.client.clone(), &site.namespace),
            claims: Api::namespaced(site.client.clone(), &site.namespace),
            pods: Api::namespaced(site.client.clone(), &site.namespace),
            set,
            ordinal: spec.pod.ordinal,
            templates: templates.to_owned(),
            pod,
            eviction,
            began: Instant::now(),
            meant: Vec::new(),
            has_begun: false,
        }
    }

    /// The claims that are there now. Decided once: those that the StatefulSet makes instead are not meant.
    async fn decide(&mut self) -> Result<(), Obstacle> {
        if !self.meant.is_empty() {
            return Ok(());
        }
        let set = self.sets.get(&self.set).await.map_err(obstacle)?;
        let names = claims_of(&set, &[self.ordinal], &self.templates);
        let mut meant = Vec::new();
        for name in &names {
            let Some(claim) = self.claims.get_opt(name).await.map_err(obstacle)? else {
                return Err(Obstacle::Refused(format!("there is no claim {name}")));
            };
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(Obstacle::Refused(format!("claim {name} is being deleted already")));
            }
            meant.push(Victim { name: name.clone(), uid: claim.uid().unwrap_or_default() });
        }
        if meant.is_empty() {
            return Err(Obstacle::Refused(format!("StatefulSet {} has no such claim template", self.set)));
        }
        if let Some(other) = self.used_by_others(&meant).await? {
            return Err(Obstacle::Refused(other));
        }
        self.meant = meant;
        Ok(())
    }

    /// Another pod that mounts one of the claims: it would keep the claim, and the member would not come back.
    async fn used_by_others(&self, meant: &[Victim]) -> Result<Option<String>, Obstacle> {
        let pods = self.pods.list(&ListParams::default()).await.map_err(obstacle)?;
        for pod in pods.items.iter().filter(|pod| pod.name_any() != self.pod.name) {
            let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
            let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
            let is_meant = |name: &str| meant.iter().any(|claim| claim.name == name);
            if let Some(claim) = claims.find(|claim| is_meant(&claim.claim_name)) {
                let (claim, pod) = (&claim.claim_name, pod.name_any());
                return Ok(Some(format!("claim {claim} is used by pod {pod} as well")));
            }
        }
        Ok(None)
    }

    /// Asks for all of it without doing any of it.
    async fn rehearse(&self) -> Result<(), Obstacle> {
        let refused = |why| Obstacle::Refused(format!("the pod may not be evicted: {why}"));
        if self.eviction == Some(DisruptionBudgets::Respect) {
            match may_evict(&self.pods, &self.pod.name, &self.pod.uid).await {
                Eviction::Accepted => {}
                Eviction::Forbidden(why) if self.began.elapsed() >= PATIENCE => return Err(refused(why)),
                Eviction::Forbidden(why) | Eviction::Unanswered(why) => return Err(Obstacle::Later(why)),
                Eviction::Denied(why) => return Err(refused(why)),
            }
        }
        for claim in &self.meant {
            self.delete(claim, true).await.map_err(obstacle)?;
        }
        Ok(())
    }

    async fn delete(&self, claim: &Victim, is_rehearsal: bool) -> Result<(), Error> {
        let preconditions = Some(Preconditions { uid: Some(claim.uid.clone()), resource_version: None });
        let parameters = DeleteParams { preconditions, dry_run: is_rehearsal, ..DeleteParams::default() };
        match self.claims.delete(&claim.name, &parameters).await {
            Ok(_) => Ok(()),
            // Gone, or another claim of that name by now.
            Err(Error::Api(status)) if !is_rehearsal && matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Does all of it, again and again until it is done: there is no way back.
    async fn perform(&self) -> Result<(), String> {
        for claim in &self.meant {
            self.delete(claim, false)
                .await
                .map_err(|error| format!("claim {} is not deleted yet: {}", claim.name, words(&error)))?;
        }
        let Some(budgets) = self.eviction else { return Ok(()) };
        match evict(&self.pods, &self.pod.name, &self.pod.uid, budgets).await {
            Eviction::Accepted => Ok(()),
            Eviction::Forbidden(why) | Eviction::Unanswered(why) | Eviction::Denied(why) => {
                Err(format!("the pod is not evicted yet: {why}"))
            }
        }
    }

    /// Whether the pod that had the claims is going, or gone.
    async fn is_pod_going(&self) -> Result<bool, Error> {
        let pod = self.pods.get_opt(&self.pod.name).await?;
        Ok(pod.is_none_or(|pod| {
            pod.metadata.uid.as_ref() != Some(&self.pod.uid) || pod.metadata.deletion_timestamp.is_some()
        }))
    }

    /// How one claim stands, and whether it is over.
    async fn stands(&self, meant: &Victim) -> Result<(String, Fate), Error> {
        let Victim { name, uid } = meant;
        let told = |how: &str| format!("claim {name} {how}");
        Ok(match self.claims.get_opt(name).await? {
            None => (told("is gone"), Fate::Gone),
            Some(claim) if claim.metadata.uid.as_ref() != Some(uid) => {
                (told("is another one now, with an empty volume"), Fate::Gone)
            }
            Some(claim) if claim.metadata.deletion_timestamp.is_some() => {
                (told("is terminating, and goes when its pod ends"), Fate::Going)
            }
            Some(_) => (told("is still there"), Fate::There),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    There,
    Going,
    Gone,
}

#[async_trait]
impl Effect for DeleteClaims {
    /// The pod goes after the claims, which it would otherwise get back.
    async fn inject(&mut self) -> Result<(), Obstacle> {
        self.decide().await?;
        if !self.has_begun {
            self.rehearse().await?;
            self.has_begun = true;
        }
        self.perform().await.map_err(|why| Obstacle::Later(format!("claims are being deleted, and {why}")))
    }

    async fn look(&mut self) -> Look {
        let is_pod_going = match self.is_pod_going().await {
            Ok(is_going) => is_going,
            Err(error) => return Look::Missed(words(&error)),
        };
        let (mut seen, mut is_proven) = (Vec::new(), true);
        for meant in &self.meant {
            match self.stands(meant).await {
                Ok((told, fate)) => {
                    seen.push(told);
                    is_proven &= fate == Fate::Gone
                        || fate == Fate::Going && (is_pod_going || self.eviction.is_none());
                }
                Err(error) => return Look::Missed(words(&error)),
            }
        }
        if self.eviction.is_some() && is_pod_going {
            seen.push(format!("pod {} is terminating or gone", self.pod.name));
        }
        if is_proven { Look::Seen(seen.join("; ")) } else { Look::Missed(seen.join("; ")) }
    }

    /// A deletion cannot be taken back.
    async fn revert(&mut self) -> Result<(), String> {
        Ok(())
    }
}
