//! What the agent says about its node, in the NodeAgent of the node's name: what can be done here, and that somebody is
//! there to do it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::capabilities::Capabilities;
use super::machine::Machine;
use crate::host::process::boot::uptime;
use crate::platform::kubernetes::channel::Injections;
use crate::resource::{NodeAgent, NodeAgentStatus};
use crate::undo::guardian::Launch;

/// How often it says so.
const BEAT: Duration = Duration::from_secs(20);
/// How often it looks whether the number of Injections has changed, which is told at once.
const LOOK: Duration = Duration::from_secs(1);
/// How long the API server may take for one request.
const ANSWER: Duration = Duration::from_secs(5);
/// Who writes these fields.
const MANAGER: &str = "seatrial-agent";

/// The presence of one agent. Clones are the same.
#[derive(Clone)]
pub(super) struct Presence {
    client: Client,
    node: String,
    injections: Injections,
    /// When the API server last took it, in milliseconds since boot; 0 before.
    told_at: Arc<AtomicU64>,
}

impl Presence {
    pub(super) fn new(client: Client, node: &str, injections: Injections) -> Self {
        Self { client, node: node.to_owned(), injections, told_at: Arc::default() }
    }

    /// How long ago the API server last answered; `None` where it never has.
    pub(super) fn silence(&self) -> Option<Duration> {
        match self.told_at.load(Ordering::Relaxed) {
            0 => None,
            told_at => Some(uptime().saturating_sub(Duration::from_millis(told_at))),
        }
    }

    /// Says it again and again.
    pub(super) async fn keep(self, machine: Machine, guardian: Launch) {
        let probe = tokio::task::spawn_blocking(move || Capabilities::probe(&machine, &guardian));
        let Ok(capabilities) = probe.await else {
            return;
        };
        for missing in &capabilities.missing {
            tracing::info!("{missing}");
        }
        let mut is_made = false;
        loop {
            let injections = self.injections.in_force();
            let told = timeout(ANSWER, self.tell(&capabilities, injections, &mut is_made)).await;
            match told {
                Ok(Ok(())) => self.told_at.store(uptime().as_millis() as u64, Ordering::Relaxed),
                Ok(Err(error)) => tracing::warn!(%error, "cannot say that this agent is there"),
                Err(_) => {
                    tracing::warn!("cannot say that this agent is there: the API server does not answer");
                }
            }
            let next = Instant::now() + BEAT;
            while Instant::now() < next && self.injections.in_force() == injections {
                sleep(LOOK).await;
            }
        }
    }

    async fn tell(
        &self,
        capabilities: &Capabilities,
        injections: usize,
        is_made: &mut bool,
    ) -> Result<(), kube::Error> {
        let agents: Api<NodeAgent> = Api::all(self.client.clone());
        let apply = PatchParams::apply(MANAGER).force();
        let kind = json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "NodeAgent" });
        if !*is_made {
            let mut object = kind.clone();
            object["metadata"] = json!({ "name": self.node, "ownerReferences": self.owner().await? });
            object["spec"] = json!({});
            agents.patch(&self.node, &apply, &Patch::Apply(object)).await?;
            *is_made = true;
        }
        let mut object = kind;
        object["status"] = json!(NodeAgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: capabilities.kernel.clone(),
            cgroups: capabilities.cgroups.clone(),
            faults: capabilities.faults.clone(),
            missing: capabilities.missing.clone(),
            injections: u32::try_from(injections).unwrap_or(u32::MAX),
            seen_at: Timestamp::now(),
        });
        let told = agents.patch_status(&self.node, &apply, &Patch::Apply(object)).await;
        // Somebody has removed it; the next time it is made anew.
        *is_made &= !matches!(&told, Err(kube::Error::Api(answer)) if answer.code == 404);
        told.map(drop)
    }

    /// The node, so that what is said about it goes with it.
    async fn owner(&self) -> Result<serde_json::Value, kube::Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.get_metadata(&self.node).await?;
        Ok(json!([{ "apiVersion": "v1", "kind": "Node", "name": self.node, "uid": node.uid() }]))
    }
}
