//! A rolling restart, as `kubectl rollout restart` does it: an annotation of the template changes. There is nothing to
//! put back; it is over when every pod has the new revision and is Ready.

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::Site;
use super::effect::{Effect, Look, Obstacle};
use crate::api::InjectionSpec;
use crate::platform::kubernetes::failure::{is_silence, words};

/// The annotation that `kubectl rollout restart` writes.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// One restart.
pub(super) struct Restart {
    sets: Api<StatefulSet>,
    set: String,
    /// The same for a request that is made twice, so that pods restart once.
    at: String,
}

impl Restart {
    pub(super) fn new(site: &Site, spec: &InjectionSpec, set: String) -> Self {
        let sets = Api::namespaced(site.client.clone(), &site.namespace);
        Self { sets, set, at: format!("{} ({})", Timestamp::now(), spec.name) }
    }
}

#[async_trait]
impl Effect for Restart {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        let patch = json!({
            "spec": { "template": { "metadata": { "annotations": { RESTARTED: self.at } } } }
        });
        match self.sets.patch(&self.set, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(()),
            Err(error) if is_silence(&error) => Err(Obstacle::Later(words(&error))),
            Err(error) => Err(Obstacle::Refused(words(&error))),
        }
    }

    async fn look(&mut self) -> Look {
        let set = match self.sets.get(&self.set).await {
            Ok(set) => set,
            Err(error) => return Look::Missed(words(&error)),
        };
        rolled_out(&set)
    }

    async fn revert(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// How far the newest template is, as the controller says it.
fn rolled_out(set: &StatefulSet) -> Look {
    let Some(status) =
        set.status.as_ref().filter(|status| status.observed_generation >= set.metadata.generation)
    else {
        return Look::Missed("the controller has not seen the new template yet".into());
    };
    let spec = set.spec.as_ref();
    let asked = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    // Pods below the partition keep their revision, and the set never gets a single one.
    let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
    let updated = status.updated_replicas.unwrap_or(0);
    let ready = status.ready_replicas.unwrap_or(0);
    let is_current = status.current_revision == status.update_revision;
    let revision = status.update_revision.as_deref().unwrap_or("unknown");
    let words =
        format!("revision {revision} is asked for, {updated} of {asked} pods have it, {ready} are Ready");
    let is_updated =
        if partition == 0 { is_current && updated >= asked } else { updated >= asked - partition };
    if is_updated && ready >= asked { Look::Done(words) } else { Look::Seen(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "it reads better with `json!` in place")]
    fn set(status: serde_json::Value) -> StatefulSet {
        let set = json!({
            "metadata": { "name": "db", "generation": 4 },
            "spec": { "replicas": 3, "selector": {}, "template": {} },
            "status": status,
        });
        serde_json::from_value(set).expect("a StatefulSet")
    }

    #[test]
    fn a_restart_is_over_when_the_controller_has_seen_it_and_every_pod_is_new_and_ready() {
        let old = json!({ "observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
            "currentRevision": "db-1", "updateRevision": "db-1" });
        assert!(matches!(rolled_out(&set(old)), Look::Missed(_)));
        let going = json!({ "observedGeneration": 4, "replicas": 3, "updatedReplicas": 1, "readyReplicas": 2,
            "currentRevision": "db-1", "updateRevision": "db-2" });
        assert_eq!(
            rolled_out(&set(going)),
            Look::Seen("revision db-2 is asked for, 1 of 3 pods have it, 2 are Ready".into())
        );
        let done = json!({ "observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3,
            "currentRevision": "db-2", "updateRevision": "db-2" });
        assert!(matches!(rolled_out(&set(done)), Look::Done(_)));
    }
}
