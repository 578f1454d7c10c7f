//! VolumeSnapshots: an API that a cluster may lack, made by a CSI driver that may not take any. What is missing is found
//! before anything is done, with what to do about it.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client, Error, ResourceExt};

use super::failure::is_absent;
use crate::api::Ordinal;

/// The API group of snapshots.
pub const GROUP: &str = "snapshot.storage.k8s.io";

/// The annotation of the class that is meant where none is named.
const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

const INSTALL: &str = "install the definitions and the snapshot controller of kubernetes-csi/external-snapshotter, and a CSI \
                       driver that takes snapshots";

/// VolumeSnapshots as a kind that is known at run time only.
pub fn kind() -> ApiResource {
    resource("VolumeSnapshot", "volumesnapshots")
}

fn resource(kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1", kind), plural)
}

/// The VolumeSnapshots of a namespace.
pub fn snapshots(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind())
}

/// The names of a StatefulSet's claim templates.
pub fn templates_of(set: &StatefulSet) -> Vec<String> {
    let templates = set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten());
    templates.map(ResourceExt::name_any).collect()
}

/// The claims of these members, by the names that a StatefulSet gives them; all templates where none is named.
pub fn claims_of(set: &StatefulSet, ordinals: &[Ordinal], templates: &[String]) -> Vec<String> {
    let name = set.name_any();
    let known = templates_of(set);
    let asked = known.iter().filter(|known| templates.is_empty() || templates.contains(known));
    asked
        .flat_map(|template| ordinals.iter().map(move |ordinal| (template, ordinal)))
        .map(|(template, ordinal)| format!("{template}-{name}-{ordinal}"))
        .collect()
}

/// Why no snapshot of these claims can be taken, or of any where none is named, and what to do; nothing where they can.
pub async fn obstacle(
    client: &Client,
    namespace: &str,
    claims: &[String],
    class: Option<&str>,
) -> Result<Option<String>, Error> {
    let classes: Api<DynamicObject> =
        Api::all_with(client.clone(), &resource("VolumeSnapshotClass", "volumesnapshotclasses"));
    let classes = match classes.list(&ListParams::default()).await {
        Ok(found) => found.items.iter().map(Class::of).collect::<Vec<_>>(),
        Err(error) if is_absent(&error) => {
            return Ok(Some(format!("this cluster knows no VolumeSnapshots: {INSTALL}")));
        }
        Err(error) => return Err(error),
    };
    let objects: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for name in claims {
        let Some(claim) = objects.get_opt(name).await? else {
            return Ok(Some(format!("there is no claim {name}")));
        };
        let Some(volume) = claim.spec.and_then(|spec| spec.volume_name) else {
            return Ok(Some(format!("claim {name} has no volume yet")));
        };
        let driver = match volumes.get_opt(&volume).await? {
            Some(volume) => volume.spec.and_then(|spec| spec.csi).map(|csi| csi.driver),
            None => None,
        };
        let Some(driver) = driver else {
            return Ok(Some(format!(
                "the volume of claim {name} is not one of a CSI driver, and only those have snapshots"
            )));
        };
        if let Err(why) = choose(&classes, class, &driver) {
            return Ok(Some(format!("claim {name}: {why}")));
        }
    }
    Ok(None)
}

/// What a VolumeSnapshotClass says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Class {
    name: String,
    driver: String,
    is_default: bool,
}

impl Class {
    fn of(object: &DynamicObject) -> Self {
        Self {
            name: object.name_any(),
            driver: object.data["driver"].as_str().unwrap_or_default().to_owned(),
            is_default: object.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true"),
        }
    }
}

/// Whether a class fits the driver of a volume; else why not.
fn choose(classes: &[Class], named: Option<&str>, driver: &str) -> Result<(), String> {
    let fitting: Vec<&str> =
        classes.iter().filter(|class| class.driver == driver).map(|class| class.name.as_str()).collect();
    let instead = if fitting.is_empty() {
        format!("make a VolumeSnapshotClass of driver {driver}, if it takes snapshots")
    } else {
        format!("name one by `class`, of {}", fitting.join(", "))
    };
    match named {
        Some(name) => match classes.iter().find(|class| class.name == name) {
            Some(class) if class.driver == driver => Ok(()),
            Some(class) => Err(format!(
                "VolumeSnapshotClass {name} is of driver {}, the volume of {driver}: {instead}",
                class.driver
            )),
            None => Err(format!("there is no VolumeSnapshotClass {name}: {instead}")),
        },
        None if classes.iter().any(|class| class.driver == driver && class.is_default) => Ok(()),
        None => Err(format!("there is no default VolumeSnapshotClass for driver {driver}: {instead}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn class(name: &str, driver: &str, is_default: bool) -> Class {
        Class { name: name.into(), driver: driver.into(), is_default }
    }

    #[test]
    fn a_class_that_does_not_fit_is_told_with_those_that_would() {
        let classes = [class("slow", "a", true), class("fast", "b", false)];
        assert_eq!(choose(&classes, None, "a"), Ok(()));
        assert_eq!(choose(&classes, Some("fast"), "b"), Ok(()));
        let told = |named, driver| choose(&classes, named, driver).expect_err("it does not fit");
        assert_eq!(
            told(None, "b"),
            "there is no default VolumeSnapshotClass for driver b: name one by `class`, of fast"
        );
        assert_eq!(
            told(Some("slow"), "b"),
            "VolumeSnapshotClass slow is of driver a, the volume of b: name one by `class`, of fast"
        );
        assert_eq!(
            told(Some("gone"), "c"),
            "there is no VolumeSnapshotClass gone: make a VolumeSnapshotClass of driver c, if it takes snapshots"
        );
    }

    #[test]
    fn claims_are_named_as_the_controller_names_them() {
        let set = json!({
            "metadata": { "name": "db" },
            "spec": { "selector": {}, "template": {}, "volumeClaimTemplates": [
                { "metadata": { "name": "data" } }, { "metadata": { "name": "log" } },
            ] },
        });
        let set: StatefulSet = serde_json::from_value(set).expect("a StatefulSet");
        assert_eq!(claims_of(&set, &[0, 2], &["data".into()]), ["data-db-0", "data-db-2"]);
        assert_eq!(claims_of(&set, &[1], &[]), ["data-db-1", "log-db-1"]);
    }
}
