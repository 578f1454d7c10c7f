//! VolumeSnapshots of members' claims. Proven once they are asked for; over when every one of them is ready to use, which is
//! when the status says how long that took. They stay for the steps that restore them, until the run is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::effect::{Effect, Look, Obstacle};
use super::{Site, made};
use crate::api::{InjectionSpec, Ordinal};
use crate::experiment::duration;
use crate::platform::kubernetes::failure::words;
use crate::platform::kubernetes::snapshots;

/// Between two looks: what is measured is told this exactly.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// How long one look may take, because a wish is heard only between two.
pub(super) const ONE_LOOK: Duration = Duration::from_secs(1);

/// The snapshots of one step.
pub(super) struct TakeSnapshot {
    site: Site,
    spec: InjectionSpec,
    set: String,
    ordinals: Vec<Ordinal>,
    templates: Vec<String>,
    class: Option<String>,
    objects: Api<DynamicObject>,
    /// By their claims.
    taken: BTreeMap<String, Taken>,
    was_seen: bool,
}

/// One snapshot.
struct Taken {
    name: String,
    asked: Instant,
    /// How long it took, and what it says of itself.
    ready: Option<(Duration, String)>,
}

impl TakeSnapshot {
    pub(super) fn new(
        site: &Site,
        spec: &InjectionSpec,
        set: String,
        ordinals: &[Ordinal],
        templates: &[String],
        class: Option<&str>,
    ) -> Self {
        Self {
            objects: snapshots::snapshots(&site.client, &site.namespace),
            site: site.clone(),
            spec: spec.clone(),
            set,
            ordinals: ordinals.to_vec(),
            templates: templates.to_vec(),
            class: class.map(str::to_owned),
            taken: BTreeMap::new(),
            was_seen: false,
        }
    }

    fn object(&self, claim: &str) -> Value {
        let mut spec = json!({ "source": { "persistentVolumeClaimName": claim } });
        if let Some(class) = &self.class {
            spec["volumeSnapshotClassName"] = json!(class);
        }
        json!({
            "apiVersion": format!("{}/v1", snapshots::GROUP),
            "kind": "VolumeSnapshot",
            "metadata": made::metadata(&self.site, &self.spec, claim),
            "spec": spec,
        })
    }

    /// Looks once at those that are not ready. What is wrong with them, if anything.
    async fn progress(&mut self) -> Result<Vec<String>, kube::Error> {
        let mut trouble = Vec::new();
        for taken in self.taken.values_mut().filter(|taken| taken.ready.is_none()) {
            let Some(found) = self.objects.get_opt(&taken.name).await? else {
                trouble.push(format!("somebody deleted {}", taken.name));
                continue;
            };
            let status = &found.data["status"];
            if status["readyToUse"] == json!(true) {
                let size = status["restoreSize"].as_str().unwrap_or("an unknown size");
                taken.ready = Some((taken.asked.elapsed(), size.to_owned()));
            } else if let Some(why) = status["error"]["message"].as_str() {
                trouble.push(format!("{}: {why}", taken.name));
            }
        }
        Ok(trouble)
    }

    fn told(&self, trouble: &[String]) -> String {
        let each = self.taken.iter().map(|(claim, taken)| match &taken.ready {
            Some((took, size)) => {
                format!(
                    "{} of claim {claim} was ready to use after {}, {size}",
                    taken.name,
                    duration::format(*took)
                )
            }
            None => format!("{} of claim {claim} is asked for", taken.name),
        });
        each.chain(trouble.iter().cloned()).collect::<Vec<_>>().join("; ")
    }
}

#[async_trait]
impl Effect for TakeSnapshot {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        let sets: Api<StatefulSet> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let set = sets.get(&self.set).await.map_err(made::obstacle)?;
        let claims = snapshots::claims_of(&set, &self.ordinals, &self.templates);
        if claims.is_empty() {
            return Err(Obstacle::Refused(format!("{} has no claims of these templates", self.set)));
        }
        let class = self.class.as_deref();
        let found = snapshots::obstacle(&self.site.client, &self.site.namespace, &claims, class).await;
        if let Some(why) = found.map_err(made::obstacle)? {
            return Err(Obstacle::Refused(why));
        }
        for claim in claims {
            let asked = Instant::now();
            made::make(&self.objects, self.object(&claim), &self.spec).await?;
            let name = made::name(&self.spec, &claim);
            self.taken.entry(claim).or_insert(Taken { name, asked, ready: None });
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
            if self.taken.values().all(|taken| taken.ready.is_some()) {
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

    /// What was made stays until the run is over: a snapshot that was cut short is removed then as well.
    async fn revert(&mut self) -> Result<(), String> {
        Ok(())
    }
}
