//! Which merge patch changes a StatefulSet, and which one puts it back: pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

use crate::api::{ApiFault, Breakage};

/// A change and its way back, both as merge patches (RFC 7386).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) patch: Value,
    pub(super) undo: Value,
}

/// What `fault` changes of `set`. `container` is the one that the target names; the first one where it names none.
pub(super) fn change(set: &StatefulSet, fault: &ApiFault, container: Option<&str>) -> Result<Change, String> {
    match fault {
        ApiFault::Scale { replicas } => {
            let now = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            Ok(Change {
                patch: json!({ "spec": { "replicas": replicas } }),
                undo: json!({ "spec": { "replicas": now } }),
            })
        }
        ApiFault::SetImage { container, image } => containers(set, Some(container), |found| {
            found.insert("image".into(), json!(image));
        }),
        ApiFault::SetEnv { container, name, value } => containers(set, Some(container), |found| {
            let mut all: Vec<Value> = found.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
            let is_it = |variable: &Value| variable.get("name").and_then(Value::as_str) == Some(name);
            // In its own place, so that later ones may refer to it.
            let at = all.iter().position(is_it).unwrap_or(all.len());
            all.retain(|variable| !is_it(variable));
            all.insert(at, json!({ "name": name, "value": value }));
            found.insert("env".into(), Value::Array(all));
        }),
        ApiFault::BreakRollout { partition, by } => {
            let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
            if let Some(kind) = strategy.and_then(|strategy| strategy.type_.as_deref())
                && kind != "RollingUpdate"
            {
                return Err(format!(
                    "its update strategy is {kind}, so that nothing rolls out: RollingUpdate is needed"
                ));
            }
            let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
            let before = rolling.and_then(|rolling| rolling.partition);
            let mut change = containers(set, container, |found| match by {
                Breakage::Image => {
                    found.insert("image".into(), json!("seatrial.dev/this-image-does-not-exist:broken"));
                }
                Breakage::Command => {
                    found.insert("command".into(), json!(["/seatrial-this-command-does-not-exist"]));
                }
            })?;
            change.patch["spec"]["updateStrategy"] = json!({ "rollingUpdate": { "partition": partition } });
            change.undo["spec"]["updateStrategy"] =
                json!({ "rollingUpdate": { "partition": before.unwrap_or(0) } });
            Ok(change)
        }
        ApiFault::Evict { .. }
        | ApiFault::DeleteClaims { .. }
        | ApiFault::NodeDown { .. }
        | ApiFault::Deny { .. }
        | ApiFault::BlockAttach { .. }
        | ApiFault::TakeSnapshot { .. }
        | ApiFault::RestoreSnapshot { .. }
        | ApiFault::Restart {} => Err("this changes no StatefulSet".into()),
    }
}

/// Changes one container. A merge patch replaces lists as a whole, so that both ways carry all containers.
fn containers(
    set: &StatefulSet,
    name: Option<&str>,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Result<Change, String> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let before = template.map(|template| template.containers.clone()).unwrap_or_default();
    let place = match name {
        Some(name) => before.iter().position(|found| found.name == name),
        None => (!before.is_empty()).then_some(0),
    };
    let place = place.ok_or_else(|| match name {
        Some(name) => format!("it has no container `{name}`"),
        None => "it has no container".into(),
    })?;
    let before = serde_json::to_value(before).map_err(|error| error.to_string())?;
    let mut after = before.clone();
    if let Some(found) = after.get_mut(place).and_then(Value::as_object_mut) {
        change(found);
    }
    let whole = |containers| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
    Ok(Change { patch: whole(after), undo: whole(before) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> StatefulSet {
        let set = json!({
            "metadata": { "name": "db" },
            "spec": {
                "replicas": 3, "selector": {},
                "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } },
                "template": { "spec": { "containers": [
                    { "name": "sidecar", "image": "s:1" },
                    { "name": "db", "image": "db:1", "env": [
                        { "name": "A", "value": "1" }, { "name": "B", "value": "$(A)" },
                    ] },
                ] } },
            },
        });
        serde_json::from_value(set).expect("a StatefulSet")
    }

    #[test]
    fn a_change_of_one_container_keeps_the_others_and_knows_the_way_back() {
        let fault = ApiFault::SetImage { container: "db".into(), image: "db:2".into() };
        let Change { patch, undo } = change(&set(), &fault, None).expect("possible");
        let containers = |patch: &Value| patch["spec"]["template"]["spec"]["containers"].clone();
        assert_eq!(containers(&patch)[0]["image"], "s:1");
        assert_eq!(containers(&patch)[1]["image"], "db:2");
        assert_eq!(containers(&patch)[1]["env"][0], json!({ "name": "A", "value": "1" }));
        assert_eq!(containers(&undo)[1]["image"], "db:1");
        let fault = ApiFault::SetImage { container: "web".into(), image: "db:2".into() };
        assert_eq!(change(&set(), &fault, None), Err("it has no container `web`".into()));
    }

    #[test]
    fn a_variable_that_is_set_takes_the_place_of_its_namesake() {
        let env = |name: &str| {
            let fault = ApiFault::SetEnv { container: "db".into(), name: name.into(), value: "2".into() };
            let Change { patch, .. } = change(&set(), &fault, None).expect("possible");
            patch["spec"]["template"]["spec"]["containers"][1]["env"].clone()
        };
        let named = |name: &str, value: &str| json!({ "name": name, "value": value });
        // What refers to it comes after it.
        assert_eq!(env("A"), json!([named("A", "2"), named("B", "$(A)")]));
        assert_eq!(env("C"), json!([named("A", "1"), named("B", "$(A)"), named("C", "2")]));
    }

    #[test]
    fn a_broken_rollout_touches_pods_from_its_partition_on_and_remembers_the_old_one() {
        let fault = ApiFault::BreakRollout { partition: 2, by: Breakage::Command };
        let Change { patch, undo } = change(&set(), &fault, Some("db")).expect("possible");
        assert_eq!(patch["spec"]["updateStrategy"]["rollingUpdate"]["partition"], 2);
        assert_eq!(undo["spec"]["updateStrategy"]["rollingUpdate"]["partition"], 1);
        let broken = &patch["spec"]["template"]["spec"]["containers"][1]["command"];
        assert_eq!(*broken, json!(["/seatrial-this-command-does-not-exist"]));
    }

    #[test]
    fn a_set_that_is_updated_by_hand_cannot_have_a_broken_rollout() {
        let mut by_hand = set();
        if let Some(strategy) = by_hand.spec.as_mut().and_then(|spec| spec.update_strategy.as_mut()) {
            strategy.type_ = Some("OnDelete".into());
        }
        let fault = ApiFault::BreakRollout { partition: 2, by: Breakage::Image };
        assert!(change(&by_hand, &fault, None).is_err_and(|why| why.contains("OnDelete")));
    }
}
