//! Which volumes of a StatefulSet Kubernetes attaches, so that their attach can be denied. What cannot be is found before
//! anything is done, with the reason.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::CSIDriver;
use kube::api::ListParams;
use kube::{Api, Client, Error, ResourceExt};

use super::snapshots::claims_of;
use crate::api::Ordinal;
use crate::experiment::{Selection, Work};
use crate::fault::Fault;

/// Whose volumes, of which claim templates, are kept on the way to or from a node.
pub fn meant(work: &Work) -> Option<(&Selection, &[String])> {
    match work {
        Work::Fault(Fault::VolumeAttachBlock(block)) => Some((&block.members, &block.claims)),
        Work::Fault(Fault::VolumeDetachStuck(stuck)) => Some((&stuck.members, &stuck.claims)),
        Work::Fault(_) | Work::Action(_) => None,
    }
}

/// A member's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Whose.
    pub ordinal: Ordinal,
    /// Its claim.
    pub claim: String,
    /// Its PersistentVolume.
    pub name: String,
}

/// The volumes of these members, of these claim templates or of all where none is named; or why not all of them are
/// attached by Kubernetes for these members alone.
pub async fn volumes(
    client: &Client,
    namespace: &str,
    set: &StatefulSet,
    ordinals: &[Ordinal],
    templates: &[String],
) -> Result<Result<Vec<Volume>, String>, Error> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let drivers: Api<CSIDriver> = Api::all(client.clone());
    let mut known_drivers = BTreeMap::new();
    let mut found = Vec::new();
    for &ordinal in ordinals {
        for claim in claims_of(set, &[ordinal], templates) {
            let Some(object) = claims.get_opt(&claim).await? else {
                return Ok(Err(format!("there is no claim {claim}")));
            };
            let Some(name) = object.spec.and_then(|spec| spec.volume_name) else {
                return Ok(Err(format!("claim {claim} has no volume yet")));
            };
            let driver = match volumes.get_opt(&name).await? {
                Some(volume) if !is_of(&volume, namespace, &claim) => {
                    Err(format!("the volume {name} that claim {claim} names is not bound to it"))
                }
                Some(volume) => driver(&claim, &volume),
                None => Err(format!("the volume {name} of claim {claim} does not exist")),
            };
            let driver = match driver {
                Ok(driver) => driver,
                Err(why) => return Ok(Err(why)),
            };
            if !known_drivers.contains_key(&driver) {
                known_drivers.insert(driver.clone(), drivers.get_opt(&driver).await?);
            }
            if let Some(why) = known_drivers[&driver].as_ref().and_then(needs_no_attach) {
                return Ok(Err(why));
            }
            found.push(Volume { ordinal, claim, name });
        }
    }
    if found.is_empty() {
        return Ok(Err(format!(
            "the pods of {} have no claims of templates of theirs: there is nothing to attach",
            set.name_any()
        )));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = pods.list(&ListParams::default()).await?.items;
    Ok(match shared(&set.name_any(), &found, &pods) {
        Some(why) => Err(why),
        None => Ok(found),
    })
}

/// Whether a volume is a claim's: a claim may name any volume, and somebody else's must not be hit.
fn is_of(volume: &PersistentVolume, namespace: &str, claim: &str) -> bool {
    let owner = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    owner.is_some_and(|owner| {
        owner.namespace.as_deref() == Some(namespace) && owner.name.as_deref() == Some(claim)
    })
}

/// The CSI driver of a claim's volume; else what it is instead.
fn driver(claim: &str, volume: &PersistentVolume) -> Result<String, String> {
    let spec = volume.spec.clone().unwrap_or_default();
    let what = match () {
        () if spec.host_path.is_some() => "a hostPath, and is never attached",
        () if spec.local.is_some() => "local, and is never attached",
        // Some are migrated to CSI by the cluster, and others attached without any VolumeAttachment: it does not say.
        () => "of a kind that is built into Kubernetes, and does not say what attaches it",
    };
    let other =
        || format!("the volume of claim {claim} is {what}: only those that name a CSI driver can be blocked");
    spec.csi.map(|csi| csi.driver).ok_or_else(other)
}

/// Why the attach of a driver's volumes cannot be denied, if there is none. A driver that registered nothing is attached.
fn needs_no_attach(driver: &CSIDriver) -> Option<String> {
    let name = driver.name_any();
    (driver.spec.attach_required == Some(false)).then(|| {
        format!(
            "volumes of the driver {name} are never attached (its CSIDriver says attachRequired: false), so that there is \
             nothing to block"
        )
    })
}

/// A pod of somebody else that would lose one of these volumes as well, in a sentence.
fn shared(set: &str, volumes: &[Volume], pods: &[Pod]) -> Option<String> {
    pods.iter().find_map(|pod| {
        let name = pod.name_any();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed"));
        let is_hit = volumes.iter().any(|volume| name == format!("{set}-{}", volume.ordinal));
        let mounted = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let mut claims = mounted.filter_map(|volume| Some(&volume.persistent_volume_claim.as_ref()?.claim_name));
        let theirs = claims.find(|claim| volumes.iter().any(|volume| volume.claim == **claim))?;
        (!is_over && !is_hit).then(|| {
            format!("claim {theirs} is used by pod {name} as well, which is none of the members that are to be hit")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).expect("an object of Kubernetes")
    }

    #[test]
    fn refuses_volumes_that_no_csi_driver_attaches() {
        let of = |source: Value| driver("data-db-0", &read(json!({ "metadata": {}, "spec": source })));
        assert_eq!(of(json!({ "csi": { "driver": "d", "volumeHandle": "v" } })), Ok("d".into()));
        for (source, what) in [
            (json!({ "hostPath": { "path": "/x" } }), "is a hostPath, and is never attached"),
            (json!({ "local": { "path": "/x" } }), "is local, and is never attached"),
            (json!({ "gcePersistentDisk": { "pdName": "x" } }), "built into Kubernetes"),
        ] {
            let why = of(source).expect_err("it is not attached by a CSI driver");
            assert!(why.contains(what) && why.contains("data-db-0"), "{why}");
        }
    }

    #[test]
    fn a_volume_that_a_claim_only_names_is_not_its_own() {
        let of = |owner: Value| read::<PersistentVolume>(json!({ "metadata": {}, "spec": owner }));
        let bound =
            |namespace: &str| of(json!({ "claimRef": { "namespace": namespace, "name": "data-db-0" } }));
        assert!(is_of(&bound("here"), "here", "data-db-0"));
        assert!(!is_of(&bound("there"), "here", "data-db-0"));
        assert!(!is_of(&of(json!({})), "here", "data-db-0"));
    }

    #[test]
    fn refuses_a_driver_that_attaches_nothing() {
        let driver = |spec: Value| read(json!({ "metadata": { "name": "nfs.example" }, "spec": spec }));
        let why = needs_no_attach(&driver(json!({ "attachRequired": false }))).expect("nothing is attached");
        assert!(why.contains("nfs.example") && why.contains("attachRequired: false"), "{why}");
        assert_eq!(needs_no_attach(&driver(json!({ "attachRequired": true }))), None);
        assert_eq!(needs_no_attach(&driver(json!({}))), None);
    }

    #[test]
    fn refuses_a_volume_that_somebody_else_uses_as_well() {
        let pod = |name: &str, phase: &str| -> Pod {
            read(json!({
                "metadata": { "name": name },
                "spec": { "containers": [], "volumes": [
                    { "name": "data", "persistentVolumeClaim": { "claimName": "data-db-0" } },
                ] },
                "status": { "phase": phase },
            }))
        };
        let volumes = [Volume { ordinal: 0, claim: "data-db-0".into(), name: "pv".into() }];
        let told = |pods: &[Pod]| shared("db", &volumes, pods);
        assert_eq!(told(&[pod("db-0", "Running")]), None);
        assert_eq!(told(&[pod("backup", "Succeeded")]), None);
        let why = told(&[pod("db-0", "Running"), pod("backup", "Running")]).expect("it is shared");
        assert!(why.starts_with("claim data-db-0 is used by pod backup"), "{why}");
    }
}
