//! What of ours is left in the API and on the machine when all rounds are over.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::super::super::proving_ground::{ProvingGround, told};
use super::look::Target;
use super::{MEMBERS, SET};
use crate::controller::TARGET_LABEL;
use crate::resource::{Experiment, Injection, RUN_LABEL};

/// Everything outside the namespace that carries the label of a run: policies that faults have made, nodes that faults
/// have changed.
pub(super) async fn marks(ground: &ProvingGround) -> Result<BTreeSet<String>, String> {
    let client = ground.client();
    let mut found = BTreeSet::new();
    found.extend(labelled(&Api::<ValidatingAdmissionPolicy>::all(client.clone()), RUN_LABEL).await?);
    found.extend(labelled(&Api::<ValidatingAdmissionPolicyBinding>::all(client.clone()), RUN_LABEL).await?);
    found.extend(labelled(&Api::<Node>::all(client.clone()), RUN_LABEL).await?);
    Ok(found)
}

/// What is there that was not there before, in the namespace, outside it, and on the machine.
pub(super) async fn left(ground: &ProvingGround, before: &BTreeSet<String>) -> Result<Vec<String>, String> {
    let mut left: Vec<String> = marks(ground).await?.difference(before).cloned().collect();
    left.extend(labelled(&ground.objects::<Pod>(), RUN_LABEL).await?);
    left.extend(labelled(&ground.objects::<StatefulSet>(), RUN_LABEL).await?);
    left.extend(labelled(&ground.objects::<PersistentVolumeClaim>(), RUN_LABEL).await?);
    left.extend(labelled(&ground.objects::<Lease>(), TARGET_LABEL).await?);
    left.extend(labelled(&ground.objects::<Injection>(), "").await?);
    left.extend(labelled(&ground.objects::<Experiment>(), "").await?);
    left.extend(finalizers(&ground.objects::<Pod>()).await?);
    left.extend(finalizers(&ground.objects::<StatefulSet>()).await?);
    for pod in ground.ready(SET, MEMBERS).await? {
        left.extend(Target::new(pod)?.left());
    }
    Ok(left)
}

async fn labelled<K>(objects: &Api<K>, label: &str) -> Result<Vec<String>, String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let asked = ListParams::default().labels(label);
    let found = objects.list_metadata(&asked).await.map_err(told("look for what is left"))?;
    Ok(found.items.iter().map(|object| format!("{} {}", K::kind(&()), object.name_any())).collect())
}

async fn finalizers<K>(objects: &Api<K>) -> Result<Vec<String>, String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let found = objects.list_metadata(&ListParams::default()).await.map_err(told("look for finalizers"))?;
    let with = found.items.iter().filter(|object| !object.finalizers().is_empty());
    Ok(with.map(|object| format!("finalizers {:?} of {}", object.finalizers(), object.name_any())).collect())
}
