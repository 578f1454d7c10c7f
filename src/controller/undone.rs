//! Puts back what control-plane faults changed, with nothing but what the changed objects themselves say: the annotation
//! `seatrial.dev/undo`, and for admission policies, which are removed, `seatrial.dev/deadline`. Also removes what a run made for itself.
//!
//! One object that cannot be put back keeps nobody from the others: the first trouble is told at the end.

mod made;
mod round;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use self::round::Round;
pub use self::round::Undone;
use super::context::Scope;
use super::status::MANAGER;
use super::trouble::{Answer, Doing, Trouble};
use crate::resource::{
    DEADLINE_ANNOTATION, NUDGED_ANNOTATION, RUN_LABEL, SET_ANNOTATION, UNDO_ANNOTATION, Undo,
};

/// How long API servers may take to notice that a policy is gone.
const LIFTED: Duration = Duration::from_secs(2);

/// Which changes are put back.
#[derive(Debug, Clone, Copy)]
enum Whose<'a> {
    /// Those of this run, whatever their deadline.
    Run(&'a str),
    /// Those whose deadline has passed, of any run.
    PastDeadline(Timestamp),
}

impl Whose<'_> {
    fn selector(self) -> ListParams {
        match self {
            Self::Run(run) => ListParams::default().labels(&format!("{RUN_LABEL}={run}")),
            Self::PastDeadline(_) => ListParams::default().labels(RUN_LABEL),
        }
    }

    fn includes(self, deadline: Timestamp) -> bool {
        match self {
            Self::Run(_) => true,
            Self::PastDeadline(now) => deadline <= now,
        }
    }
}

/// Puts back every change of one run. Says what was put back.
pub async fn of_run(client: &Client, namespace: &str, run: &str) -> Result<Undone, Trouble> {
    all(client, &Scope::Namespace(namespace.into()), Whose::Run(run)).await
}

/// Puts back every change whose deadline has passed. Says what was put back.
pub async fn past_deadline(client: &Client, scope: &Scope, now: Timestamp) -> Result<Undone, Trouble> {
    all(client, scope, Whose::PastDeadline(now)).await
}

async fn all(client: &Client, scope: &Scope, whose: Whose<'_>) -> Result<Undone, Trouble> {
    let mut round = Round::default();
    // Bindings first: a policy without a binding denies nothing.
    let mut denied = Vec::new();
    remove::<ValidatingAdmissionPolicyBinding>(client, whose, &mut denied, &mut round).await;
    remove::<ValidatingAdmissionPolicy>(client, whose, &mut denied, &mut round).await;
    nudge(client, &denied, &mut round).await;
    nodes(client, whose, &mut round).await;
    namespaced::<StatefulSet>(client, scope, whose, &mut round).await;
    namespaced::<Pod>(client, scope, whose, &mut round).await;
    namespaced::<PersistentVolumeClaim>(client, scope, whose, &mut round).await;
    made::remove(client, scope, whose, &mut round).await;
    round.end()
}

async fn namespaced<K>(client: &Client, scope: &Scope, whose: Whose<'_>, round: &mut Round)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let one = |namespace: Option<String>| Api::namespaced(client.clone(), &namespace.unwrap_or_default());
    put_back(&scope.api::<K>(client), whose, one, round).await;
}

/// Gives back the nodes that were taken away.
async fn nodes(client: &Client, whose: Whose<'_>, round: &mut Round) {
    let nodes: Api<Node> = Api::all(client.clone());
    let found = nodes.list_metadata(&whose.selector()).await.doing("list nodes that faults took away");
    for found in round.these(found.map(|found| found.items)) {
        let name = found.name_any();
        let node = nodes.get_opt(&name).await.doing("read a node that a fault took away");
        let Some(node) = round.these(node) else { continue };
        let told = format!("Node {name}");
        let undo = match Undo::beside_node(&node) {
            Ok(Some(undo)) if whose.includes(undo.deadline) => undo,
            Ok(Some(_) | None) => continue,
            Err(error) => {
                round.is_stuck(&told, error);
                continue;
            }
        };
        let patch = Patch::Merge(undo.of_node(&node));
        round.hear(told, nodes.patch_metadata(&name, &params(), &patch).await, "give a node back");
    }
}

/// Applies what the annotations of these objects say.
async fn put_back<K>(
    list: &Api<K>,
    whose: Whose<'_>,
    one: impl Fn(Option<String>) -> Api<K>,
    round: &mut Round,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let found = list.list_metadata(&whose.selector()).await.doing("list objects that faults changed");
    for object in round.these(found.map(|found| found.items)) {
        let Some(annotation) = object.annotations().get(UNDO_ANNOTATION) else {
            continue;
        };
        let name = object.name_any();
        let told = format!("{} {name}", K::kind(&()));
        let undo = match Undo::read(annotation) {
            Ok(undo) => undo,
            Err(error) => {
                round.is_stuck(&told, error);
                continue;
            }
        };
        if !whose.includes(undo.deadline) {
            continue;
        }
        let (api, patch) = (one(object.namespace()), Patch::Merge(undo.whole_patch()));
        round.hear(told, api.patch_metadata(&name, &params(), &patch).await, "put an object back");
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

/// Touches StatefulSets, each as `NAMESPACE/NAME`, whose controllers were denied what they make, once that is over.
async fn nudge(client: &Client, sets: &[String], round: &mut Round) {
    if sets.is_empty() {
        return;
    }
    tokio::time::sleep(LIFTED).await;
    for (namespace, name) in sets.iter().filter_map(|set| set.split_once('/')) {
        let touch = json!({ "metadata": { "annotations": { NUDGED_ANNOTATION: Timestamp::now() } } });
        let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
        match sets.patch_metadata(name, &params(), &Patch::Merge(touch)).await {
            Err(error) if !error.is_absent() => round.fails(error, "touch a StatefulSet"),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Removes admission policies or bindings of faults, and notes whose controllers they denied something.
async fn remove<K>(client: &Client, whose: Whose<'_>, denied: &mut Vec<String>, round: &mut Round)
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let objects: Api<K> = Api::all(client.clone());
    let found = objects.list_metadata(&whose.selector()).await.doing("list admission policies of faults");
    for object in round.these(found.map(|found| found.items)) {
        let name = object.name_any();
        // One that does not say until when it may stay has no business to stay.
        let deadline = object.annotations().get(DEADLINE_ANNOTATION).and_then(|text| text.parse().ok());
        if !whose.includes(deadline.unwrap_or(Timestamp::MIN)) {
            continue;
        }
        let removed = objects.delete(&name, &DeleteParams::default()).await;
        if round.hear(format!("{} {name}", K::kind(&())), removed, "remove an admission policy of a fault") {
            denied.extend(object.annotations().get(SET_ANNOTATION).cloned());
        }
    }
    denied.sort_unstable();
    denied.dedup();
}

#[cfg(test)]
mod tests;
