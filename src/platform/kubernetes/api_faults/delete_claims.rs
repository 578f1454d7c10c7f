//! The claims of a member are deleted, once.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Preconditions};
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
    pod: Option<Victim>,
    began: Instant,
    /// What is deleted; nothing until that is known.
    meant: Vec<Victim>,
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
        with_pod: bool,
    ) -> Self {
        let pod = Victim { name: spec.pod.name.clone(), uid: spec.pod.uid.clone() };
        Self {
            sets: Api::namespaced(site.client.clone(), &site.namespace),
            claims: Api::namespaced(site.client.clone(), &site.namespace),
            pods: Api::namespaced(site.client.clone(), &site.namespace),
            set,
            ordinal: spec.pod.ordinal,
            templates: templates.to_owned(),
            pod: with_pod.then_some(pod),
            began: Instant::now(),
            meant: Vec::new(),
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
        self.meant = meant;
        Ok(())
    }

    fn after(&self, eviction: Eviction) -> Result<(), Obstacle> {
        let refused = |why| Obstacle::Refused(format!("the pod may not be evicted: {why}"));
        match eviction {
            Eviction::Accepted => Ok(()),
            Eviction::Forbidden(why) if self.began.elapsed() >= PATIENCE => Err(refused(why)),
            Eviction::Forbidden(why) | Eviction::Unanswered(why) => Err(Obstacle::Later(why)),
            Eviction::Denied(why) => Err(refused(why)),
        }
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
    /// The pod goes after the claims, which it would otherwise get back; but nothing is deleted where it may not go.
    async fn inject(&mut self) -> Result<(), Obstacle> {
        self.decide().await?;
        if let Some(Victim { name, uid }) = &self.pod {
            self.after(may_evict(&self.pods, name, uid).await)?;
        }
        for Victim { name, uid } in &self.meant {
            let preconditions = Some(Preconditions { uid: Some(uid.clone()), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            match self.claims.delete(name, &parameters).await {
                Ok(_) => {}
                // Gone, or another claim of that name by now.
                Err(Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                Err(error) => return Err(obstacle(error)),
            }
        }
        match &self.pod {
            Some(Victim { name, uid }) => {
                self.after(evict(&self.pods, name, uid, DisruptionBudgets::Respect).await)
            }
            None => Ok(()),
        }
    }

    async fn look(&mut self) -> Look {
        let (mut seen, mut is_proven) = (Vec::new(), true);
        for meant in &self.meant {
            match self.stands(meant).await {
                Ok((told, fate)) => {
                    seen.push(told);
                    is_proven &= fate == Fate::Gone || fate == Fate::Going && self.pod.is_none();
                }
                Err(error) => return Look::Missed(words(&error)),
            }
        }
        if is_proven { Look::Seen(seen.join("; ")) } else { Look::Missed(seen.join("; ")) }
    }

    /// A deletion cannot be taken back.
    async fn revert(&mut self) -> Result<(), String> {
        Ok(())
    }
}
