//! Takes back what a run has left: sets its Injections to Reverted, waits until nothing of them is in force, and
//! deletes them.
//!
//! It never waits for what cannot answer: a pod that is gone, a node that is gone, or an agent that is silent past the
//! deadline (the guardian has ended the fault by then) count as reverted. So no fault needs a dead pod to end.

use std::collections::BTreeMap;

use futures::stream::{self, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::status::MANAGER;
use super::trouble::{Answer, Doing, Trouble};
use crate::api::{Desired, InjectionState};
use crate::resource::{Injection, NodeAgent, RUN_LABEL};

/// How long after a deadline everything that ends by itself has ended.
const AFTER_DEADLINE: SignedDuration = SignedDuration::from_secs(30);
/// An agent that has not been heard of for this long is gone.
const SILENCE: SignedDuration = SignedDuration::from_mins(1);

/// How many requests are under way at once: a fault on a thousand pods is taken back as quickly as it was made.
const AT_ONCE: usize = 16;

/// What is left of a run's faults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// Injections that are being reverted, with what is waited for.
    pub waiting: Vec<String>,
    /// Injections whose revert failed, with the agent's words. The agent goes on trying.
    pub failing: Vec<String>,
}

impl Left {
    /// Whether nothing is left.
    pub fn is_nothing(&self) -> bool {
        self.waiting.is_empty() && self.failing.is_empty()
    }
}

/// One round. To be called again until nothing is left.
pub async fn sweep(client: &Client, namespace: &str, run: &str, now: Timestamp) -> Result<Left, Trouble> {
    let injections: Api<Injection> = Api::namespaced(client.clone(), namespace);
    let ours = ListParams::default().labels(&format!("{RUN_LABEL}={run}"));
    let found = injections.list(&ours).await.doing("list the run's Injections")?.items;
    settle(client, found, now).await
}

/// One round over these Injections, of any run and namespace.
pub async fn settle(client: &Client, found: Vec<Injection>, now: Timestamp) -> Result<Left, Trouble> {
    let mut left = Left::default();
    let mut hosts = Hosts { client, nodes: BTreeMap::new() };
    let among = |injection: &Injection| -> Api<Injection> {
        Api::namespaced(client.clone(), &injection.namespace().unwrap_or_default())
    };
    // What only measures is settled as it is.
    let unasked = found
        .iter()
        .map(|injection| (injection, &injection.spec.injection))
        .filter(|(_, spec)| spec.desired != Desired::Reverted && !spec.fault.changes_nothing());
    let unasked = unasked.map(|(injection, _)| injection);
    stream::iter(unasked.map(Ok))
        .try_for_each_concurrent(AT_ONCE, async |injection| {
            revert(&among(injection), &injection.name_any()).await
        })
        .await?;
    let mut settled = Vec::new();
    for injection in found {
        let name = injection.name_any();
        let standing = match standing(&injection, now) {
            // Asked only where the answer matters: most Injections are settled by their own status.
            Standing::Waiting(why) => {
                if hosts.cannot_answer(&injection, now).await? {
                    Standing::Settled
                } else {
                    Standing::Waiting(why)
                }
            }
            Standing::Failing(why) if hosts.is_target_gone(&injection).await? => {
                tracing::info!(injection = name, why, "the target is gone, and its fault with it");
                Standing::Settled
            }
            told @ (Standing::Settled | Standing::Failing(_)) => told,
        };
        match standing {
            Standing::Settled => settled.push(injection),
            Standing::Waiting(why) => left.waiting.push(format!("{name}: {why}")),
            Standing::Failing(why) => left.failing.push(format!("{name}: {why}")),
        }
    }
    stream::iter(settled.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, async |injection| {
            forget(&among(injection), &injection.name_any()).await
        })
        .await?;
    Ok(left)
}

/// What an Injection's own status says.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Settled,
    Waiting(String),
    Failing(String),
}

fn standing(injection: &Injection, now: Timestamp) -> Standing {
    let node = &injection.spec.injection.pod.node;
    if injection.spec.injection.fault.changes_nothing() {
        return Standing::Settled;
    }
    let Some(status) = &injection.status else {
        // What runs through the API alone and has no status was never begun: the object comes first.
        return if node.is_empty() {
            Standing::Settled
        } else {
            Standing::Waiting(format!("the agent on {node} has not answered"))
        };
    };
    match status.state {
        InjectionState::Reverted | InjectionState::Failed => Standing::Settled,
        // Changes of API objects are put back by their undo annotations, which the caller sees to.
        _ if node.is_empty() => Standing::Settled,
        InjectionState::Pending | InjectionState::Injected | InjectionState::Lost => {
            Standing::Waiting(format!("{:?} since {:.0}, asked to revert", status.state, status.since))
        }
        InjectionState::RevertFailed => {
            let why = status.error.clone().unwrap_or_else(|| "the revert failed".into());
            let since = now.duration_since(status.since).as_secs();
            Standing::Failing(format!("{why} (for {since}s)"))
        }
    }
}

/// What is known of nodes, asked once each.
struct Hosts<'a> {
    client: &'a Client,
    nodes: BTreeMap<String, Silence>,
}

/// Whether a node can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Answers,
    Silent,
    Gone,
}

impl Hosts<'_> {
    /// Whether nobody will ever report of this Injection, and nothing of it can be in force.
    async fn cannot_answer(&mut self, injection: &Injection, now: Timestamp) -> Result<bool, Trouble> {
        if self.is_target_gone(injection).await? {
            return Ok(true);
        }
        let node = injection.spec.injection.pod.node.clone();
        let past = now >= injection.spec.injection.deadline.at + AFTER_DEADLINE;
        Ok(match self.node(&node, now).await? {
            Silence::Answers => false,
            Silence::Silent => past,
            Silence::Gone => true,
        })
    }

    /// Whether the fault ended with its pod.
    async fn is_target_gone(&self, injection: &Injection) -> Result<bool, Trouble> {
        let spec = &injection.spec.injection;
        if !spec.ends_with_its_pod() {
            return Ok(false);
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &injection.namespace().unwrap_or_default());
        let pod = pods.get_metadata_opt(&spec.pod.name).await.doing("look for the pod of an Injection")?;
        Ok(pod.is_none_or(|pod| pod.metadata.uid.as_ref() != Some(&spec.pod.uid)))
    }

    async fn node(&mut self, name: &str, now: Timestamp) -> Result<Silence, Trouble> {
        if let Some(known) = self.nodes.get(name) {
            return Ok(*known);
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let silence = if nodes.get_metadata_opt(name).await.doing("look for a node")?.is_none() {
            Silence::Gone
        } else {
            let agents: Api<NodeAgent> = Api::all(self.client.clone());
            let agent = agents.get_opt(name).await.doing("look for a node's agent")?;
            let seen = agent.and_then(|agent| agent.status).map(|status| status.seen_at);
            match seen {
                Some(seen) if now.duration_since(seen) < SILENCE => Silence::Answers,
                Some(_) | None => Silence::Silent,
            }
        };
        self.nodes.insert(name.into(), silence);
        Ok(silence)
    }
}

async fn revert(injections: &Api<Injection>, name: &str) -> Result<(), Trouble> {
    let patch = Patch::Merge(json!({ "spec": { "desired": Desired::Reverted } }));
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    match injections.patch(name, &params, &patch).await {
        Err(error) if !error.is_absent() => Err(error).doing("ask for the revert of an Injection"),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn forget(injections: &Api<Injection>, name: &str) -> Result<(), Trouble> {
    match injections.delete(name, &DeleteParams::default()).await {
        Err(error) if !error.is_absent() => Err(error).doing("delete a reverted Injection"),
        Ok(_) | Err(_) => Ok(()),
    }
}
