//! Takes a pod away, respecting PodDisruptionBudgets or not.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Error};
use serde_json::{Value, json};

use crate::api::DisruptionBudgets;
use crate::platform::kubernetes::failure::{is_gone, is_silence, words};

/// What came of it.
pub(super) enum Eviction {
    /// The pod is going, or was gone already.
    Accepted,
    /// A budget does not allow it now.
    Forbidden(String),
    /// Nobody answered.
    Unanswered(String),
    /// The API server says no for another reason.
    Denied(String),
}

/// Whether the budgets would let the pod of this name and UID go now. Nothing is done. One that is gone may not go.
pub(super) async fn may_evict(pods: &Api<Pod>, name: &str, uid: &str) -> Eviction {
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    match ask(pods, name, uid, &parameters).await {
        Err(error) if is_gone(&error) => Eviction::Denied(format!("{name} is gone, or another pod by now")),
        asked => answer(asked),
    }
}

/// Takes away the pod of this name and UID, and never its successor.
pub(super) async fn evict(pods: &Api<Pod>, name: &str, uid: &str, budgets: DisruptionBudgets) -> Eviction {
    let done = match budgets {
        DisruptionBudgets::Respect => ask(pods, name, uid, &PostParams::default()).await,
        DisruptionBudgets::Ignore => {
            let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            pods.delete(name, &parameters).await.map(drop)
        }
    };
    answer(done)
}

async fn ask(pods: &Api<Pod>, name: &str, uid: &str, parameters: &PostParams) -> Result<(), Error> {
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": name },
        "deleteOptions": { "preconditions": { "uid": uid } },
    });
    let done: Result<Value, Error> = pods.create_subresource("eviction", name, parameters, &body).await;
    done.map(drop)
}

fn answer(done: Result<(), Error>) -> Eviction {
    match done {
        Ok(()) => Eviction::Accepted,
        Err(error) if is_gone(&error) => Eviction::Accepted,
        Err(Error::Api(status)) if status.code == 429 => Eviction::Forbidden(status.message.clone()),
        Err(error) if is_silence(&error) => Eviction::Unanswered(words(&error)),
        Err(error) => Eviction::Denied(words(&error)),
    }
}
