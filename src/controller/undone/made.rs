//! Removes what runs made for themselves: snapshots, the claims that they were restored into, and the pods that read
//! those. An object of the target never carries the label by which they are found.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};

use super::Whose;
use super::round::Round;
use crate::controller::context::Scope;
use crate::controller::trouble::Answer;
use crate::platform::kubernetes::snapshots;
use crate::resource::{DEADLINE_ANNOTATION, MADE_LABEL};

/// Pods first, because a claim that a pod uses stays until that is gone.
pub(super) async fn remove(client: &Client, scope: &Scope, whose: Whose<'_>, round: &mut Round) {
    for kind in
        [ApiResource::erase::<Pod>(&()), ApiResource::erase::<PersistentVolumeClaim>(&()), snapshots::kind()]
    {
        of_kind(client, scope, whose, &kind, round).await;
    }
}

async fn of_kind(client: &Client, scope: &Scope, whose: Whose<'_>, kind: &ApiResource, round: &mut Round) {
    let objects: Api<DynamicObject> = match scope {
        Scope::Cluster => Api::all_with(client.clone(), kind),
        Scope::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
    };
    let selector = match whose {
        Whose::Run(run) => ListParams::default().labels(&format!("{MADE_LABEL}={run}")),
        Whose::PastDeadline(_) => ListParams::default().labels(MADE_LABEL),
    };
    let found = match objects.list_metadata(&selector).await {
        Ok(found) => found.items,
        // A cluster without VolumeSnapshots has none of ours.
        Err(error) if error.is_absent() => return,
        Err(error) => return round.fails(error, "list what runs made"),
    };
    for object in found {
        // One that does not say until when it may stay has no business to stay.
        let deadline = object.annotations().get(DEADLINE_ANNOTATION).and_then(|text| text.parse().ok());
        if !whose.includes(deadline.unwrap_or(Timestamp::MIN)) || object.metadata.deletion_timestamp.is_some()
        {
            continue;
        }
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let one: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, kind);
        let removed = one.delete(&name, &DeleteParams::background()).await;
        round.hear(format!("{} {name}", kind.kind), removed, "remove what a run made");
    }
}
