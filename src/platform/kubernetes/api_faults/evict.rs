//! A pod is evicted, once.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use super::Site;
use super::budget::{Eviction, evict};
use super::effect::{Effect, Look, Obstacle};
use crate::api::{DisruptionBudgets, InjectionSpec};
use crate::platform::kubernetes::failure::words;

/// For how long a budget that forbids it is asked again.
const PATIENCE: Duration = Duration::from_secs(20);

/// The eviction of one pod, by its UID.
pub(super) struct Evict {
    pods: Api<Pod>,
    name: String,
    uid: String,
    budgets: DisruptionBudgets,
    began: Instant,
}

impl Evict {
    pub(super) fn new(site: &Site, spec: &InjectionSpec, budgets: DisruptionBudgets) -> Self {
        Self {
            pods: Api::namespaced(site.client.clone(), &site.namespace),
            name: spec.pod.name.clone(),
            uid: spec.pod.uid.clone(),
            budgets,
            began: Instant::now(),
        }
    }
}

#[async_trait]
impl Effect for Evict {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        match evict(&self.pods, &self.name, &self.uid, self.budgets).await {
            Eviction::Accepted => Ok(()),
            Eviction::Forbidden(why) if self.began.elapsed() >= PATIENCE => {
                Err(Obstacle::Refused(format!("{} was not evicted: {why}", self.name)))
            }
            Eviction::Forbidden(why) | Eviction::Unanswered(why) => Err(Obstacle::Later(why)),
            Eviction::Denied(why) => Err(Obstacle::Refused(format!("{} was not evicted: {why}", self.name))),
        }
    }

    async fn look(&mut self) -> Look {
        match self.pods.get_opt(&self.name).await {
            Ok(None) => Look::Seen(format!("{} is gone", self.name)),
            Ok(Some(pod)) if pod.metadata.uid.as_ref() != Some(&self.uid) => {
                Look::Seen(format!("{} was replaced", self.name))
            }
            Ok(Some(pod)) if pod.metadata.deletion_timestamp.is_some() => {
                Look::Seen(format!("{} is terminating", self.name))
            }
            Ok(Some(_)) => Look::Missed(format!("{} is still there", self.name)),
            Err(error) => Look::Missed(words(&error)),
        }
    }

    async fn revert(&mut self) -> Result<(), String> {
        Ok(())
    }
}
