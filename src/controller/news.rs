//! Events: what people see with `kubectl describe`, on the Experiment and on its target.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource};

use super::identity::Identity;
use crate::resource::Experiment;

/// The longest text of an event that the API server takes.
const LONGEST_NOTE: usize = 1000;

/// Tells events. One that cannot be told is logged: it is no reason to stop.
#[derive(Clone)]
pub struct News {
    client: Client,
    recorder: Recorder,
}

impl News {
    /// Events of this controller.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: "seatrial-controller".into(), instance: Some(instance.into()) };
        Self { recorder: Recorder::new(client.clone(), reporter), client }
    }

    /// On the Experiment.
    pub async fn of_experiment(&self, experiment: &Experiment, kind: EventType, reason: &str, note: &str) {
        self.tell(&experiment.object_ref(&()), None, kind, reason, note).await;
    }

    /// On the Experiment and on every StatefulSet that it breaks.
    pub async fn of_all(
        &self,
        experiment: &Experiment,
        identity: &Identity,
        targets: &BTreeSet<String>,
        kind: EventType,
        reason: &str,
        note: &str,
    ) {
        self.of_experiment(experiment, kind, reason, note).await;
        for target in targets {
            self.of_set(experiment, identity, target, kind, reason, note).await;
        }
    }

    async fn of_set(
        &self,
        experiment: &Experiment,
        identity: &Identity,
        target: &str,
        kind: EventType,
        reason: &str,
        note: &str,
    ) {
        // `kubectl describe` shows the events of this very object, by its UID. Pods by selector have no such object.
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &identity.namespace);
        let Ok(Some(set)) = sets.get_metadata_opt(target).await else {
            return;
        };
        let set = ObjectReference {
            api_version: Some("apps/v1".into()),
            kind: Some("StatefulSet".into()),
            name: Some(target.into()),
            namespace: Some(identity.namespace.clone()),
            uid: set.metadata.uid,
            ..ObjectReference::default()
        };
        let note = format!("Experiment {}: {note}", identity.experiment);
        self.tell(&set, Some(experiment.object_ref(&())), kind, reason, &note).await;
    }

    async fn tell(
        &self,
        about: &ObjectReference,
        related: Option<ObjectReference>,
        kind: EventType,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_: kind,
            reason: reason.into(),
            note: Some(note.chars().take(LONGEST_NOTE).collect()),
            action: reason.into(),
            secondary: related,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason, "an event could not be told");
        }
    }
}
