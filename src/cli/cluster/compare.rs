//! Manifests that are given along, against what the cluster has: every field that the manifest writes and the cluster
//! has otherwise. What the manifest leaves out is not looked at, because the API server fills in defaults.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::{Seat, told};
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::platform::kubernetes::failure::insist;
use crate::spec::document::Document;

/// Who applies manifests.
const MANAGER: &str = "seatrial";

/// A manifest of a command line.
struct Manifest {
    title: String,
    name: String,
    kind: ApiResource,
    written: Value,
}

/// Tells how the cluster differs from the manifests, or applies them.
pub(super) async fn manifests(seat: &Seat, documents: &[Document], is_applied: bool) -> Result<(), Exit> {
    for document in documents {
        let manifest = read(document).map_err(|why| console::error(why, Exit::Invalid))?;
        let client = seat.access.client.clone();
        let objects: Api<DynamicObject> = Api::namespaced_with(client, &seat.namespace, &manifest.kind);
        if is_applied {
            let parameters = PatchParams::apply(MANAGER).force();
            let patch = Patch::Apply(&manifest.written);
            insist(async || objects.patch(&manifest.name, &parameters, &patch).await.map(drop))
                .await
                .map_err(|error| told(&error))?;
            console::say(format_args!("applied {}", manifest.title));
            continue;
        }
        let found = insist(|| objects.get_opt(&manifest.name)).await.map_err(|error| told(&error))?;
        let Some(found) = found else {
            console::say(format_args!(
                "note: {}: namespace `{}` does not have it, and it is not applied without --apply",
                manifest.title, seat.namespace
            ));
            continue;
        };
        let live = serde_json::to_value(&found).unwrap_or_default();
        for difference in differences(&manifest.written["spec"], &live["spec"], "spec") {
            console::say(format_args!("note: {}: {difference}", manifest.title));
        }
    }
    Ok(())
}

fn read(document: &Document) -> Result<Manifest, String> {
    let place = format!("{}:{}", document.file, document.first_line);
    let written: Value =
        serde_saphyr::from_str(&document.text).map_err(|error| format!("{place}: {error}"))?;
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&written["kind"]), text(&written["metadata"]["name"]));
    if name.is_empty() {
        return Err(format!("{place}: metadata.name is missing"));
    }
    let version = text(&written["apiVersion"]);
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let known = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    Ok(Manifest { title: format!("{kind} {name}"), name, kind: known, written })
}

/// Every field of `written` that `live` has otherwise, in words.
fn differences(written: &Value, live: &Value, path: &str) -> Vec<String> {
    match (written, live) {
        (Value::Object(fields), Value::Object(live)) => fields
            .iter()
            .flat_map(|(key, value)| {
                differences(value, live.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"))
            })
            .collect(),
        (Value::Array(items), Value::Array(live)) if items.len() == live.len() => items
            .iter()
            .zip(live)
            .enumerate()
            .flat_map(|(index, (item, live))| differences(item, live, &format!("{path}[{index}]")))
            .collect(),
        (Value::Object(fields), Value::Null) if fields.is_empty() => Vec::new(),
        (written, live) if plain(written) == plain(live) => Vec::new(),
        (written, live) => {
            vec![format!("{path} is {} in the cluster, and {} in the manifest", short(live), short(written))]
        }
    }
}

/// A value as Kubernetes reads it: `8080` and `"8080"` are the same port.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    };
    if text.chars().count() > 80 { text.chars().take(79).chain(['…']).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_manifest_leaves_out_is_no_difference() {
        let written =
            json!({"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "env": {}}]}}});
        let live = json!({
            "replicas": 3, "revisionHistoryLimit": 10,
            "template": {"spec": {"containers": [{"name": "a", "imagePullPolicy": "Always"}], "dnsPolicy": "x"}}
        });
        assert_eq!(differences(&written, &live, "spec"), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_told_with_its_field() {
        let written = json!({"replicas": 3, "containers": [{"image": "a:1", "port": 80}], "x": [1, 2]});
        let live = json!({"replicas": 5, "containers": [{"image": "a:2", "port": "80"}], "x": [1]});
        let told = differences(&written, &live, "spec");
        let expected = [
            "spec.containers[0].image is `a:2` in the cluster, and `a:1` in the manifest",
            "spec.replicas is `5` in the cluster, and `3` in the manifest",
            "spec.x is `[1]` in the cluster, and `[1,2]` in the manifest",
        ];
        assert_eq!(told, expected);
    }
}
