//! The StatefulSet and its pods: a watch on each, folded into snapshots; deletions by UID.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::Selector;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::sync::watch;

use super::failure::{insist, is_absent};
use super::pods::{facts, group_snapshot, snapshot};
use super::watching::{Known, watch};
use crate::api::{Ordinal, Snapshot};
use crate::experiment::{Group, Pods, Target};
use crate::platform::PlatformError;
use crate::spec::TargetFacts;

/// How long the first snapshot may take.
const FIRST: Duration = Duration::from_secs(20);

/// A StatefulSet that is followed.
#[derive(Clone)]
pub struct Cluster {
    pods: Api<Pod>,
    snapshots: watch::Receiver<Snapshot>,
    facts: Option<TargetFacts>,
    service: String,
}

/// Why a StatefulSet cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is none of that name.
    #[error("namespace `{namespace}` has no StatefulSet `{name}`")]
    Absent {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// It selects its pods in a way that cannot be asked for.
    #[error("the selector of StatefulSet `{name}` is not understood")]
    Selector {
        /// The name.
        name: String,
    },
    /// Nothing has these labels.
    #[error("namespace `{namespace}` has no pods {query} with ordinals in their names")]
    Nobody {
        /// The namespace.
        namespace: String,
        /// The labels.
        query: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl Cluster {
    /// Follows a StatefulSet; its first snapshot is there when this returns. While the StatefulSet itself is deleted,
    /// snapshots go on to ask for the replicas that it had, so that its members count as missing and not as unwanted.
    pub async fn follow(client: &Client, namespace: &str, target: &Target) -> Result<Self, FollowError> {
        let name = match &target.group {
            Group::StatefulSet(name) => name,
            Group::Pods(group) => return Self::follow_pods(client, namespace, group).await,
        };
        let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
        let set = insist(|| sets.get_opt(name)).await?;
        let absent = || FollowError::Absent { namespace: namespace.into(), name: name.clone() };
        let set = set.ok_or_else(absent)?;
        let asked = set.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
        let selector = Selector::try_from(asked).map_err(|_| FollowError::Selector { name: name.clone() })?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let facts = facts(&set);
        let service = set.spec.as_ref().and_then(|spec| spec.service_name.clone()).unwrap_or_default();
        let (sender, mut snapshots) = watch::channel(Snapshot::default());
        let followed = follow(set, sets, pods.clone(), Config::default().labels_from(&selector), sender);
        tokio::spawn(followed);
        tokio::time::timeout(FIRST, snapshots.wait_for(|snapshot| !snapshot.name.is_empty()))
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| PlatformError::Unreachable("the list of pods does not come".into()))?;
        Ok(Self { pods, snapshots, facts: Some(facts), service })
    }

    /// Follows pods that something else makes and numbers. A member that was seen once is asked for from then on.
    async fn follow_pods(client: &Client, namespace: &str, group: &Pods) -> Result<Self, FollowError> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let query = group.selector.query();
        let (sender, mut snapshots) = watch::channel(Snapshot::default());
        let ours = Config::default().labels(&query);
        let mut events = watch(pods.clone(), ours, "the target's pods");
        let (place, from) = (namespace.to_owned(), group.ordinal_from);
        tokio::spawn(async move {
            let mut known = Known::default();
            let mut numbered = BTreeSet::new();
            loop {
                tokio::select! {
                    Some(event) = events.next() => known.hear(event),
                    () = sender.closed() => return,
                }
                if known.is_complete() {
                    let now = group_snapshot(&place, known.iter(), from, &mut numbered);
                    sender.send_if_modified(|before| {
                        let is_new = *before != now;
                        *before = now;
                        is_new
                    });
                }
            }
        });
        let nobody = || FollowError::Nobody { namespace: namespace.into(), query: query.clone() };
        let first = tokio::time::timeout(FIRST, snapshots.wait_for(|snapshot| !snapshot.pods.is_empty()));
        let Ok(Ok(_)) = first.await else {
            return Err(nobody());
        };
        Ok(Self { pods, snapshots, facts: None, service: String::new() })
    }

    /// What an experiment has to know of the StatefulSet, as it was when it was first seen; nothing of other pods.
    pub fn facts(&self) -> Option<&TargetFacts> {
        self.facts.as_ref()
    }

    /// The name of its Service.
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// Sends a snapshot whenever it differs from the one before, until nobody listens.
async fn follow(
    mut set: StatefulSet,
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    ours: Config,
    sender: watch::Sender<Snapshot>,
) {
    let name = set.metadata.name.clone().unwrap_or_default();
    let itself = Config::default().fields(&format!("metadata.name={name}"));
    let mut set_events = watch(sets, itself, "the StatefulSet");
    let mut pod_events = watch(pods, ours, "the StatefulSet's pods");
    let (mut known_sets, mut known_pods) = (Known::default(), Known::default());
    loop {
        tokio::select! {
            Some(event) = set_events.next() => {
                known_sets.hear(event);
                if let Some(newest) = known_sets.single() {
                    set.clone_from(newest);
                }
            }
            Some(event) = pod_events.next() => known_pods.hear(event),
            () = sender.closed() => return,
        }
        if known_pods.is_complete() {
            let now = snapshot(&set, known_pods.iter());
            sender.send_if_modified(|before| {
                let is_new = *before != now;
                *before = now;
                is_new
            });
        }
    }
}

#[async_trait]
impl crate::platform::Cluster for Cluster {
    fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// A quorum read: no resource version is named.
    async fn ask(&self) -> Result<(), PlatformError> {
        self.pods.list_metadata(&ListParams::default().limit(1)).await?;
        Ok(())
    }

    /// Deletes the pod that the newest snapshot shows, and never its successor.
    async fn delete_pod(&self, ordinal: Ordinal, grace: Option<Duration>) -> Result<(), PlatformError> {
        let found = self.snapshots.borrow().pod(ordinal).map(|pod| (pod.name.clone(), pod.uid.clone()));
        let Some((name, uid)) = found else {
            return Err(PlatformError::Refused(format!("ordinal {ordinal} has no pod now")));
        };
        let parameters = DeleteParams {
            grace_period_seconds: grace.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX)),
            preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
            ..DeleteParams::default()
        };
        insist(async || match self.pods.delete(&name, &parameters).await {
            Ok(_) => Ok(()),
            // An earlier try was heard, or somebody else was faster.
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }
}
