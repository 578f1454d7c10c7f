//! Who else loses something when a node is taken away: every other StatefulSet with pods on it is asked whether more than
//! half of its replicas are Ready elsewhere. One without a majority elsewhere would stop, or lose its only member. Nodes that
//! are marked by a run, this one or another, are taken away or about to be: nobody counts on what is there.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, Error, ResourceExt};

use crate::resource::RUN_LABEL;

/// A StatefulSet by namespace and name.
type Name = (String, String);

/// The StatefulSets that would lose their majority, one sentence each. `target` was asked by its own store.
pub(super) async fn endangered(
    client: &Client,
    node: &str,
    target: Option<&Name>,
) -> Result<Vec<String>, Error> {
    let marked = ListParams::default().labels(RUN_LABEL);
    let marked = Api::<Node>::all(client.clone()).list_metadata(&marked).await?.items;
    let mut away: BTreeSet<String> = marked.iter().map(ResourceExt::name_any).collect();
    away.insert(node.to_owned());
    let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let pods = Api::<Pod>::all(client.clone()).list(&on_node).await?.items;
    // A pod that is going already loses nothing by this.
    let staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let touched: BTreeSet<Name> = staying.filter_map(owner).filter(|name| Some(name) != target).collect();
    let mut namespaces: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    let mut endangered = Vec::new();
    for name in touched {
        let (namespace, set) = &name;
        let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
        let Some(found) = sets.get_opt(set).await? else { continue };
        if !namespaces.contains_key(namespace) {
            let all: Api<Pod> = Api::namespaced(client.clone(), namespace);
            namespaces.insert(namespace.clone(), all.list(&ListParams::default()).await?.items);
        }
        let replicas = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        endangered.extend(sentence(&name, replicas, elsewhere(&namespaces[namespace], &name, &away)));
    }
    Ok(endangered)
}

/// How many Ready pods a StatefulSet has on nodes that stay.
fn elsewhere(pods: &[Pod], of: &Name, away: &BTreeSet<String>) -> usize {
    let members = pods.iter().filter(|pod| owner(pod).as_ref() == Some(of));
    members.filter(|pod| is_ready(pod) && node_of(pod).is_none_or(|node| !away.contains(node))).count()
}

fn sentence((namespace, set): &Name, replicas: i32, elsewhere: usize) -> Option<String> {
    let replicas = usize::try_from(replicas).unwrap_or(0);
    let majority = replicas / 2 + 1;
    (elsewhere < majority).then(|| {
        format!(
            "StatefulSet {namespace}/{set} has pods there too, and only {elsewhere} of its {replicas} are Ready on nodes that no run takes away, a majority is {majority}"
        )
    })
}

/// The StatefulSet that a pod belongs to.
fn owner(pod: &Pod) -> Option<Name> {
    let owner = pod.owner_references().iter().find(|owner| owner.kind == "StatefulSet")?;
    Some((pod.namespace()?, owner.name.clone()))
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_set_without_a_majority_elsewhere_is_endangered() {
        let name = ("shop".to_string(), "db".to_string());
        assert_eq!(sentence(&name, 3, 2), None);
        assert!(sentence(&name, 3, 1).is_some_and(|why| why.contains("only 1 of its 3 are Ready on nodes")));
        assert!(sentence(&name, 1, 0).is_some());
        assert!(sentence(&name, 2, 1).is_some());
    }

    #[test]
    fn nobody_counts_on_nodes_that_are_taken_away_at_the_same_time() {
        let pod = |set: &str, node: &str| -> Pod {
            let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set, "uid": "u" });
            serde_json::from_value(json!({
                "metadata": { "name": format!("{set}-{node}"), "namespace": "shop", "ownerReferences": [owner] },
                "spec": { "nodeName": node, "containers": [] },
                "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
            }))
            .expect("a pod")
        };
        let pods = [pod("db", "a"), pod("db", "b"), pod("db", "c"), pod("web", "d")];
        let ready = |away: &[&str]| {
            let away = away.iter().copied().map(str::to_owned).collect();
            elsewhere(&pods, &("shop".into(), "db".into()), &away)
        };
        assert_eq!((ready(&["a"]), ready(&["a", "b"])), (2, 1));
    }
}
