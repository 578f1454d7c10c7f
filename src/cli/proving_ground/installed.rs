//! What is installed in the cluster: its agents and controllers, by the labels that deploy/ gives them.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};

use super::{PATIENCE, gone, is_ready, told, until};
use crate::controller::LEADER;

/// How long a pod that was replaced may take.
const REPLACED: Duration = Duration::from_mins(2);

/// Who is there.
pub(in super::super) struct Installed {
    pods: Api<Pod>,
    leases: Api<Lease>,
    namespace: String,
}

impl Installed {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            leases: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        }
    }

    async fn component(&self, component: &str) -> Result<Vec<Pod>, String> {
        let ours = ListParams::default()
            .labels(&format!("app.kubernetes.io/name=seatrial,app.kubernetes.io/component={component}"));
        Ok(self.pods.list(&ours).await.map_err(told("list what is installed"))?.items)
    }

    /// Every agent that is Ready.
    pub(in super::super) async fn agents(&self) -> Result<Vec<Pod>, String> {
        let mut agents = self.component("agent").await?;
        agents.retain(is_ready);
        if agents.is_empty() {
            return Err(format!(
                "no agent is Ready in namespace {}: seatrial install | kubectl apply --server-side -f -",
                self.namespace
            ));
        }
        Ok(agents)
    }

    /// Replaces what the kubelet has restarted in place: it would restart it the next time only after a pause that grows.
    pub(in super::super) async fn renew(&self) -> Result<(), String> {
        for component in ["agent", "controller"] {
            for restarted in self.component(component).await?.iter().filter(|pod| !is_fresh(pod)) {
                self.replace(restarted).await?;
            }
        }
        Ok(())
    }

    /// The agent of a node, once it is Ready and has not been restarted.
    pub(in super::super) async fn fresh_agent(&self, node: &str) -> Result<Pod, String> {
        let found = until(REPLACED, async || {
            let agents = self.component("agent").await?;
            let ours = agents.into_iter().find(|agent| node_of(agent) == node && is_fresh(agent));
            Ok(ours.filter(is_ready))
        });
        found.await?.ok_or_else(|| format!("the agent on {node} is not Ready again"))
    }

    /// Waits until there are so many controllers, all of them Ready and never restarted.
    pub(in super::super) async fn fresh_controllers(&self, count: usize) -> Result<(), String> {
        let found = until(REPLACED, async || {
            let mut controllers = self.component("controller").await?;
            controllers.retain(|controller| is_ready(controller) && is_fresh(controller));
            Ok((controllers.len() >= count).then_some(()))
        });
        found.await?.ok_or_else(|| "the controllers are not Ready again".to_owned())
    }

    /// Every controller that is Ready.
    pub(in super::super) async fn controllers(&self) -> Result<Vec<Pod>, String> {
        let mut controllers = self.component("controller").await?;
        controllers.retain(is_ready);
        Ok(controllers)
    }

    /// The controller that leads.
    pub(in super::super) async fn leader(&self) -> Result<Pod, String> {
        let found = until(PATIENCE, async || {
            let lease = self.leases.get_opt(LEADER).await.map_err(told("read the controllers' Lease"))?;
            let Some(holder) = lease.and_then(|lease| lease.spec?.holder_identity) else {
                return Ok(None);
            };
            let pod = self.pods.get_opt(&holder).await.map_err(told("read the leader's pod"))?;
            Ok(pod.filter(is_ready))
        });
        found.await?.ok_or_else(|| format!("no controller leads in namespace {}", self.namespace))
    }

    /// The image of what is installed.
    pub(super) async fn image(&self) -> Result<String, String> {
        let agents = self.agents().await?;
        let container = agents.first().and_then(|agent| agent.spec.as_ref()?.containers.first());
        container.and_then(|container| container.image.clone()).ok_or_else(|| "agents have no image".into())
    }

    /// Deletes a pod, which somebody makes anew without the kubelet's back-off.
    pub(in super::super) async fn replace(&self, pod: &Pod) -> Result<(), String> {
        gone(self.pods.delete(&pod.name_any(), &DeleteParams::default()).await)
    }

    /// The pod as it is now.
    pub(in super::super) async fn again(&self, pod: &Pod) -> Result<Option<Pod>, String> {
        let found = self.pods.get_opt(&pod.name_any()).await.map_err(told("read a pod again"))?;
        Ok(found.filter(|found| found.uid() == pod.uid()))
    }
}

/// The node of a pod.
pub(in super::super) fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

fn is_fresh(pod: &Pod) -> bool {
    let containers = pod.status.iter().filter_map(|status| status.container_statuses.as_ref()).flatten();
    containers.into_iter().all(|container| container.restart_count == 0)
}
