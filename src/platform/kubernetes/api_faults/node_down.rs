//! A node is taken away: cordoned, emptied, and tainted so that nothing stays or comes back.
//!
//! Whether others can do without it is asked once it is cordoned and marked, and before anything goes: of several nodes
//! that are taken away at the same time each sees those that were marked before, whoever takes them.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::Site;
use super::budget::{Eviction, evict};
use super::effect::{Effect, Look, Obstacle};
use super::neighbours::endangered;
use crate::api::{DisruptionBudgets, InjectionSpec};
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{is_silence, words};
use crate::resource::{
    NODE_DOWN_TAINT, OUT_OF_SERVICE_TAINT, OUT_OF_SERVICE_VALUE, RUN_LABEL, UNDO_ANNOTATION, Undo,
};

/// One node.
pub(super) struct NodeDown {
    site: Site,
    nodes: Api<Node>,
    pods: Api<Pod>,
    node: String,
    budgets: DisruptionBudgets,
    is_out_of_service: bool,
    /// Whether everybody else can do without it, as was asked once.
    may_go: bool,
    spec: InjectionSpec,
}

fn obstacle(error: &kube::Error) -> Obstacle {
    match error {
        kube::Error::Api(status) if status.code == 409 => Obstacle::Later(status.message.clone()),
        error if is_silence(error) => Obstacle::Later(words(error)),
        error => Obstacle::Refused(words(error)),
    }
}

impl NodeDown {
    pub(super) fn new(
        site: &Site,
        spec: &InjectionSpec,
        node: &str,
        budgets: DisruptionBudgets,
        is_out_of_service: bool,
    ) -> Self {
        Self {
            nodes: Api::all(site.client.clone()),
            pods: Api::all(site.client.clone()),
            site: site.clone(),
            node: node.to_owned(),
            budgets,
            is_out_of_service,
            may_go: false,
            spec: spec.clone(),
        }
    }

    async fn patch(&self, patch: Value) -> Result<Node, kube::Error> {
        let parameters = PatchParams { field_manager: Some(RUNNER.into()), ..PatchParams::default() };
        self.nodes.patch(&self.node, &parameters, &Patch::Merge(patch)).await
    }

    async fn pods_there(&self) -> Result<Vec<Pod>, kube::Error> {
        let there = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        Ok(self.pods.list(&there).await?.items)
    }

    /// Refuses the node that this runs on, before it is touched.
    async fn is_another(&self) -> Result<(), Obstacle> {
        let there = self.pods_there().await.map_err(|error| obstacle(&error))?;
        let is_own = |pod: &Pod| {
            pod.namespace().as_deref() == Some(&self.site.namespace)
                && Some(pod.name_any()) == self.site.own_pod
        };
        if there.iter().any(is_own) {
            return Err(Obstacle::Refused(format!(
                "{} is the node that this run runs on: name the members by ordinals, so that the runner is started elsewhere, \
                 or give the cluster a node without members",
                self.node
            )));
        }
        Ok(())
    }

    /// Why this node must not be taken away now, because of others who have pods there. To be asked once it is marked.
    async fn guard(&self) -> Result<(), Obstacle> {
        if self.site.allow_quorum_loss {
            return Ok(());
        }
        let target = self.site.set.clone().map(|set| (self.site.namespace.clone(), set));
        let endangered = endangered(&self.site.client, &self.node, target.as_ref())
            .await
            .map_err(|error| obstacle(&error))?;
        if endangered.is_empty() {
            return Ok(());
        }
        Err(Obstacle::Refused(format!(
            "{}: {}; {} allows it",
            self.node,
            endangered.join("; "),
            crate::plan::guard::ALLOWED_BY
        )))
    }

    /// Cordons the node; the way back is written in the same request.
    async fn cordon(&self) -> Result<Node, Obstacle> {
        let node = self.nodes.get(&self.node).await.map_err(|error| obstacle(&error))?;
        match Undo::beside(&node.metadata) {
            Some(undo) if undo.injection == self.spec.name => return Ok(node),
            Some(undo) => {
                return Err(Obstacle::Refused(format!(
                    "{} was taken away already by {}",
                    self.node, undo.injection
                )));
            }
            None => {}
        }
        self.is_another().await?;
        let spec = node.spec.clone().unwrap_or_default();
        let undo = Undo {
            run: self.spec.run.clone(),
            injection: self.spec.name.clone(),
            deadline: self.spec.deadline.at,
            patch: json!({ "spec": { "unschedulable": spec.unschedulable } }),
        };
        let patch = json!({
            "metadata": {
                "resourceVersion": node.resource_version(),
                "labels": { RUN_LABEL: self.spec.run },
                "annotations": { UNDO_ANNOTATION: undo.write() },
            },
            "spec": { "unschedulable": true },
        });
        self.patch(patch).await.map_err(|error| obstacle(&error))
    }

    /// Evicts what can be evicted. An obstacle while a budget forbids it, or while pods are still going.
    async fn drain(&self) -> Result<(), Obstacle> {
        let mut left = Vec::new();
        for pod in self.pods_there().await.map_err(|error| obstacle(&error))? {
            if !is_evictable(&pod) {
                continue;
            }
            let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
            let namespace = pod.namespace().unwrap_or_default();
            let there: Api<Pod> = Api::namespaced(self.site.client.clone(), &namespace);
            match evict(&there, &name, &uid, DisruptionBudgets::Respect).await {
                Eviction::Accepted => {}
                Eviction::Forbidden(why) | Eviction::Unanswered(why) | Eviction::Denied(why) => {
                    left.push(format!("{namespace}/{name}: {why}"));
                }
            }
        }
        if left.is_empty() { Ok(()) } else { Err(Obstacle::Later(left.join("; "))) }
    }

    /// The taints that the node is meant to have, each with its key and value.
    fn wanted(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        let off = self.is_out_of_service.then_some((OUT_OF_SERVICE_TAINT, Some(OUT_OF_SERVICE_VALUE)));
        [(NODE_DOWN_TAINT, None)].into_iter().chain(off)
    }

    /// Adds what is missing; whoever has given the node such a taint before keeps their own.
    async fn taint(&self, node: &Node) -> Result<(), Obstacle> {
        let mut taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let missing: Vec<_> = self.wanted().filter(|(key, _)| !is_tainted(&taints, key)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        taints.extend(missing.into_iter().map(|(key, value)| Taint {
            key: key.into(),
            value: value.map(Into::into),
            effect: "NoExecute".into(),
            time_added: None,
        }));
        let patch = json!({
            "metadata": { "resourceVersion": node.resource_version() },
            "spec": { "taints": taints },
        });
        self.patch(patch).await.map(drop).map_err(|error| obstacle(&error))
    }

    fn is_of_target(&self, pod: &Pod) -> bool {
        let owner = pod.owner_references().iter().find(|owner| owner.kind == "StatefulSet");
        pod.namespace().as_deref() == Some(&self.site.namespace)
            && match &self.site.set {
                Some(set) => owner.is_some_and(|owner| owner.name == *set),
                None => pod.name_any() == self.spec.pod.name,
            }
    }
}

fn is_tainted(taints: &[Taint], key: &str) -> bool {
    taints.iter().any(|taint| taint.key == key)
}

/// What a drain takes away: neither a DaemonSet's pod, nor a static one, nor one that ended or is going.
fn is_evictable(pod: &Pod) -> bool {
    let is_bound =
        pod.owner_references().iter().any(|owner| owner.kind == "DaemonSet" || owner.kind == "Node");
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !is_bound && pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

#[async_trait]
impl Effect for NodeDown {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        let mut node = self.cordon().await?;
        if !self.may_go {
            self.guard().await?;
            self.may_go = true;
        }
        if self.budgets == DisruptionBudgets::Respect {
            self.drain().await?;
            node = self.nodes.get(&self.node).await.map_err(|error| obstacle(&error))?;
        }
        self.taint(&node).await
    }

    async fn look(&mut self) -> Look {
        let node = match self.nodes.get(&self.node).await {
            Ok(node) => node,
            Err(error) => return Look::Missed(words(&error)),
        };
        let spec = node.spec.unwrap_or_default();
        let taints = spec.taints.unwrap_or_default();
        if !self.wanted().all(|(key, _)| is_tainted(&taints, key)) || spec.unschedulable != Some(true) {
            return Look::Missed(format!("somebody gave {} back", self.node));
        }
        let pods = match self.pods_there().await {
            Ok(pods) => pods,
            Err(error) => return Look::Missed(words(&error)),
        };
        let stays =
            pods.iter().find(|pod| self.is_of_target(pod) && pod.metadata.deletion_timestamp.is_none());
        if let Some(pod) = stays {
            return Look::Missed(format!("{} is still on {}", pod.name_any(), self.node));
        }
        let off = if self.is_out_of_service { ", and Kubernetes is told that it is off" } else { "" };
        Look::Seen(format!("{} is cordoned and tainted, no pod of the target stays{off}", self.node))
    }

    async fn revert(&mut self) -> Result<(), String> {
        let told = |error: kube::Error| words(&error);
        let Some(node) = self.nodes.get_opt(&self.node).await.map_err(told)? else {
            return Ok(());
        };
        let undo = match Undo::beside_node(&node) {
            Ok(Some(undo)) if undo.injection == self.spec.name => undo,
            Ok(Some(_) | None) => return Ok(()),
            Err(error) => return Err(format!("{}: {error}", self.node)),
        };
        // Kubernetes takes its own taint away when the node can be scheduled on again.
        let node = self.patch(undo.of_node(&node)).await.map_err(told)?;
        match Undo::beside_node(&node) {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(format!("{} still carries our taint or mark", self.node)),
        }
    }
}
