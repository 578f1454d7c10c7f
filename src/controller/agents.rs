//! Agents on demand: the DaemonSet is kept from every node by a label that no node has, and let onto all of them while a
//! run needs it. Where agents are resident, or where there are none, nothing is done.

use k8s_openapi::api::apps::v1::DaemonSet;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::status::MANAGER;
use super::trouble::{Doing, Trouble};

/// The DaemonSet of install.
const NAME: &str = "seatrial-agent";
/// The label that no node has.
const LABEL: &str = "seatrial.dev/agents";
/// What marks a DaemonSet that was let out, so that one which is always there is told from it.
const AWAKE: &str = "seatrial.dev/agents-awake";

/// Whether agents are wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A run begins.
    Yes,
    /// The last run has ended.
    No,
}

/// Lets agents onto the nodes, or takes them away.
pub async fn ensure(client: &Client, namespace: &str, wanted: Wanted) -> Result<(), Trouble> {
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let Some(set) = sets.get_opt(NAME).await.doing("read the agents' DaemonSet")? else {
        return Ok(());
    };
    let Some(patch) = change(&set, wanted) else {
        return Ok(());
    };
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    sets.patch(NAME, &params, &Patch::Merge(patch))
        .await
        .map(drop)
        .doing("let agents onto the nodes, or take them away")
}

/// What has to change, if anything.
fn change(set: &DaemonSet, wanted: Wanted) -> Option<serde_json::Value> {
    let template = set.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let asleep = template
        .and_then(|spec| spec.node_selector.as_ref())
        .is_some_and(|labels| labels.contains_key(LABEL));
    let awake = set.metadata.annotations.as_ref().is_some_and(|found| found.contains_key(AWAKE));
    let (mark, label) = match wanted {
        Wanted::Yes if asleep => (json!("true"), json!(null)),
        Wanted::No if awake => (json!(null), json!("asleep")),
        Wanted::Yes | Wanted::No => return None,
    };
    Some(json!({
        "metadata": { "annotations": { AWAKE: mark } },
        "spec": { "template": { "spec": { "nodeSelector": { LABEL: label } } } },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "it reads better with `json!` in place")]
    fn set(selector: serde_json::Value, annotations: serde_json::Value) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": { "annotations": annotations },
            "spec": {
                "selector": {},
                "template": { "spec": { "containers": [], "nodeSelector": selector } },
            },
        }))
        .expect("a DaemonSet")
    }

    #[test]
    fn only_agents_on_demand_come_and_go() {
        let resident = set(json!({}), json!({}));
        assert_eq!((change(&resident, Wanted::Yes), change(&resident, Wanted::No)), (None, None));
        let asleep = set(json!({ LABEL: "asleep" }), json!({}));
        assert!(change(&asleep, Wanted::Yes).is_some());
        assert_eq!(change(&asleep, Wanted::No), None);
        let awake = set(json!({}), json!({ AWAKE: "true" }));
        assert_eq!(change(&awake, Wanted::Yes), None);
        assert!(change(&awake, Wanted::No).is_some());
    }
}
