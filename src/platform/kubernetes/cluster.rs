//! The StatefulSet (or a group of numbered pods), its pods and what is around them: a watch on each, folded into
//! snapshots; deletions by UID.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::Selector;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::sync::{mpsc, watch};

use super::claims::{Mounts, Owners, mounts};
use super::failure::{insist, is_gone};
use super::pods::{facts, group, group_facts, lean, snapshot};
use super::surroundings::Surroundings;
use super::watching::{Known, watch};
use crate::api::{Ordinal, Snapshot, Volumes};
use crate::experiment::{Experiment, Group, Pods};
use crate::platform::PlatformError;
use crate::spec::TargetFacts;

/// How long the first snapshot may take.
const FIRST: Duration = Duration::from_secs(20);
/// How many pods come in one answer: all of a large group at once would be most of a runner's memory.
const PAGE: u32 = 500;

/// A StatefulSet that is followed.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    pods: Api<Pod>,
    snapshots: watch::Receiver<Snapshot>,
    mounts: watch::Receiver<Mounts>,
    facts: TargetFacts,
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
    /// No pod has these labels.
    #[error("namespace `{namespace}` has no numbered pods with the labels {query}")]
    NoPods {
        /// The namespace.
        namespace: String,
        /// The labels.
        query: String,
    },
    /// It selects its pods in a way that cannot be asked for.
    #[error("the selector of StatefulSet `{name}` is not understood")]
    Selector {
        /// The name.
        name: String,
    },
    /// It could not be read.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl Cluster {
    /// Follows the target of `run`; its first snapshot is there when this returns. What other runs do to the same pods
    /// is in each snapshot; without a run of its own, what all of them do.
    pub async fn follow(
        client: &Client,
        namespace: &str,
        group: &Group,
        run: Option<&str>,
    ) -> Result<Self, FollowError> {
        let around = || Surroundings::watch(client, namespace, run);
        match group {
            Group::StatefulSet(name) => Self::follow_set(client, namespace, name, around).await,
            Group::Pods(pods) => Self::follow_pods(client, namespace, pods, around).await,
        }
    }

    /// While the StatefulSet itself is deleted, snapshots go on to ask for the replicas that it had, so that its members
    /// count as missing and not as unwanted.
    async fn follow_set(
        client: &Client,
        namespace: &str,
        name: &str,
        around: impl AsyncFnOnce() -> Result<Surroundings, PlatformError>,
    ) -> Result<Self, FollowError> {
        let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
        let set = insist(|| sets.get_opt(name)).await?;
        let absent = || FollowError::Absent { namespace: namespace.into(), name: name.into() };
        let set = set.ok_or_else(absent)?;
        let asked = set.spec.as_ref().map(|spec| spec.selector.clone()).unwrap_or_default();
        let selector = Selector::try_from(asked).map_err(|_| FollowError::Selector { name: name.into() })?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let facts = facts(&set);
        let service = set.spec.as_ref().and_then(|spec| spec.service_name.clone()).unwrap_or_default();
        let (tell, snapshots, mounts) = Telling::channel();
        let ours = Config::default().labels(&selector.to_string());
        tokio::spawn(follow_set(set, sets, pods.clone(), ours, around().await?, tell));
        let (client, namespace) = (client.clone(), namespace.to_owned());
        let mut cluster = Self { client, namespace, pods, snapshots, mounts, facts, service };
        cluster.first().await?;
        Ok(cluster)
    }

    async fn follow_pods(
        client: &Client,
        namespace: &str,
        asked: &Pods,
        around: impl AsyncFnOnce() -> Result<Surroundings, PlatformError>,
    ) -> Result<Self, FollowError> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let query = asked.selector.query();
        let how = asked.ordinal_from;
        let found = list(&pods, &query, leaned).await?;
        let first = group(namespace, how, found.iter(), &Snapshot::default());
        if first.pods.is_empty() {
            return Err(FollowError::NoPods { namespace: namespace.into(), query });
        }
        let facts = group_facts(&first);
        let (tell, snapshots, mounts) = Telling::channel();
        let (all, ours) = (pods.clone(), Config::default().labels(&query));
        let (of, mut around) = (namespace.to_owned(), around().await?);
        tokio::spawn(async move {
            let mut events = watch(all, ours, "the target's pods");
            let mut known = Known::default();
            let mut last = first;
            loop {
                tokio::select! {
                    Some(event) = events.next() => known.hear(event.modify(lean)),
                    () = around.changed() => {}
                    () = tell.snapshots.closed() => return,
                }
                if known.is_complete() && around.is_complete() {
                    let mut now = group(&of, how, known.iter(), &last);
                    around.describe(&mut now, &known.iter().collect::<Vec<_>>(), None, &last);
                    last.clone_from(&now);
                    tell.tell(now, known.iter());
                }
            }
        });
        let (client, namespace) = (client.clone(), namespace.to_owned());
        let service = String::new();
        let mut cluster = Self { client, namespace, pods, snapshots, mounts, facts, service };
        cluster.first().await?;
        Ok(cluster)
    }

    async fn first(&mut self) -> Result<(), PlatformError> {
        tokio::time::timeout(FIRST, self.snapshots.wait_for(|snapshot| !snapshot.name.is_empty()))
            .await
            .ok()
            .and_then(Result::ok)
            .map(drop)
            .ok_or_else(|| PlatformError::Unreachable("the list of pods does not come".into()))
    }

    /// The StatefulSets that there are in a namespace beside its target, where a step of an experiment acts on one.
    pub async fn others_of(
        client: &Client,
        namespace: &str,
        experiment: &Experiment,
    ) -> Result<Vec<TargetFacts>, PlatformError> {
        if experiment.other_sets().is_empty() {
            return Ok(Vec::new());
        }
        let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
        let everything = ListParams::default();
        let all = insist(|| sets.list(&everything)).await?;
        let own = experiment.target.stateful_set();
        Ok(all.items.iter().map(facts).filter(|other| Some(other.name.as_str()) != own).collect())
    }

    /// What an experiment has to know of the target, as it was when it was first seen.
    pub fn facts(&self) -> &TargetFacts {
        &self.facts
    }

    /// The name of its Service; empty where none is known.
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// What is wanted of all pods with these labels.
async fn list<T>(pods: &Api<Pod>, query: &str, part: fn(Pod) -> T) -> Result<Vec<T>, PlatformError> {
    let mut asked = ListParams::default().labels(query).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = insist(|| pods.list(&asked)).await?;
        found.extend(page.items.into_iter().map(part));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => asked = asked.continue_token(&token),
            None => return Ok(found),
        }
    }
}

fn leaned(mut pod: Pod) -> Pod {
    lean(&mut pod);
    pod
}

/// Who listens to what the pods are.
struct Telling {
    snapshots: watch::Sender<Snapshot>,
    mounts: watch::Sender<Mounts>,
}

impl Telling {
    fn channel() -> (Self, watch::Receiver<Snapshot>, watch::Receiver<Mounts>) {
        let (snapshots, told) = watch::channel(Snapshot::default());
        let (mounts, mounted) = watch::channel(Mounts::default());
        (Self { snapshots, mounts }, told, mounted)
    }

    /// Tells a snapshot of some pods, and what they mount.
    fn tell<'a>(&self, snapshot: Snapshot, pods: impl Iterator<Item = &'a Pod>) {
        send(&self.mounts, mounts(&snapshot, pods));
        send(&self.snapshots, snapshot);
    }
}

/// Sends what differs from what was sent before.
fn send<T: PartialEq>(sender: &watch::Sender<T>, now: T) {
    sender.send_if_modified(|before| {
        let is_new = *before != now;
        *before = now;
        is_new
    });
}

/// Sends snapshots until nobody listens.
async fn follow_set(
    mut set: StatefulSet,
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    ours: Config,
    mut around: Surroundings,
    tell: Telling,
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
            Some(event) = pod_events.next() => known_pods.hear(event.modify(lean)),
            () = around.changed() => {}
            () = tell.snapshots.closed() => return,
        }
        if known_pods.is_complete() && around.is_complete() {
            let mut now = snapshot(&set, known_pods.iter());
            let template = set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
            let labels = template.and_then(|template| template.labels.as_ref());
            let pods: Vec<&Pod> = known_pods.iter().collect();
            around.describe(&mut now, &pods, labels, &tell.snapshots.borrow());
            tell.tell(now, pods.into_iter());
        }
    }
}

#[async_trait]
impl crate::platform::Cluster for Cluster {
    fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
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
            // An earlier try was heard and its answer lost, or somebody else was faster: there may be a successor already.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }

    async fn ask(&self) -> Result<(), PlatformError> {
        // Without a resource version the answer comes from the store, past the API server's caches.
        let one = ListParams::default().limit(1);
        Ok(self.pods.list_metadata(&one).await.map(drop)?)
    }

    async fn volumes(&self) -> Result<Option<mpsc::Receiver<Volumes>>, PlatformError> {
        let owners = Owners::new(self.facts.name.clone(), self.facts.claims.clone(), self.mounts.clone());
        Ok(Some(super::volumes::follow(self.client.clone(), &self.namespace, owners)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::api::{Pod, PodPhase};
    use crate::platform::Cluster as _;

    fn with_one_pod(client: Client) -> Cluster {
        let (tell, snapshots, mounts) = Telling::channel();
        let pod = Pod {
            name: "db-0".into(),
            ordinal: 0,
            uid: "first".into(),
            ip: None,
            node: "node".into(),
            phase: PodPhase::Running,
            ready: true,
            revision: None,
            containers: Vec::new(),
        };
        let now = Snapshot { name: "db".into(), pods: vec![pod], ..Snapshot::default() };
        tell.tell(now.clone(), std::iter::empty());
        Cluster {
            pods: Api::namespaced(client.clone(), "shop"),
            client,
            namespace: "shop".into(),
            snapshots,
            mounts,
            facts: group_facts(&now),
            service: String::new(),
        }
    }

    /// A first answer is lost; the pod has its successor when the request is made again.
    #[tokio::test]
    async fn a_deletion_that_was_heard_is_done_also_where_its_answer_was_lost() {
        let asked = AtomicU32::new(0);
        let service = tower::service_fn(move |_: Request<Body>| {
            let code = if asked.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 409 };
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code });
            std::future::ready(
                Response::builder().status(code).body(Full::new(Bytes::from(status.to_string()))),
            )
        });
        let cluster = with_one_pod(Client::new(service, "shop"));
        assert!(cluster.delete_pod(0, None).await.is_ok());
    }
}
