//! Takes back every Injection of a run, whoever asked for it, and waits until nothing of them is left.
//!
//! What counts as taken back: the agent says that it is verified, or this process where it was done through the API server;
//! or the pod that the fault ends with, or its node, does not exist any more, and no agent contradicts. What only measured, and injections that are taken back, are deleted; the others stay, so that their agents go on trying.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep};

use super::failure::is_absent;
use super::nodes::Injections;
use crate::api::{Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus};
use crate::platform::{Nodes, PlatformError};
use crate::resource;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// How long an agent may take to speak for a pod that is gone, before its absence is believed.
const LAST_WORD: Duration = Duration::from_secs(3);

/// What became of an Injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// Its agent says that nothing of it is left.
    Back(InjectionStatus),
    /// What it was done to is gone.
    Gone(String),
    /// It is not known to be taken back, for this reason.
    Not(String),
}

/// Takes back the Injections of `namespace` that these are, and waits for it at most for `limit`.
pub async fn revert(
    client: &Client,
    namespace: &str,
    injections: &Injections,
    limit: Duration,
) -> Result<Vec<(InjectionSpec, Taken)>, PlatformError> {
    let begin = Instant::now();
    let (harmless, faults): (Vec<_>, Vec<_>) =
        injections.list().await?.into_iter().partition(|found| found.spec.injection.fault.changes_nothing());
    let mut asked = Vec::new();
    for found in faults {
        let spec = InjectionSpec { desired: Desired::Reverted, ..found.spec.injection.clone() };
        // What is done through the API server is taken back by this process, whoever asked for it before.
        if found.spec.injection.desired != Desired::Reverted || matches!(spec.fault, HostFault::Api(_)) {
            injections.apply(spec.clone()).await?;
        }
        asked.push(spec);
    }
    for found in harmless {
        let name = found.name_any();
        if let Err(error) = injections.forget(&name).await {
            tracing::warn!(name, %error, "what only measures is left; it ends by its deadline");
        }
    }
    let mut done = Vec::new();
    loop {
        let now = injections.list().await;
        let mut open = Vec::new();
        for spec in asked {
            let taken = match &now {
                Ok(now) => match injections.said(&spec.name) {
                    Some(said) => of_status(&spec, &said),
                    None => look(client, namespace, &spec, now, begin.elapsed() > LAST_WORD).await,
                },
                Err(error) => Taken::Not(error.to_string()),
            };
            match taken {
                Taken::Back(_) | Taken::Gone(_) => {
                    injections.forget(&spec.name).await?;
                    done.push((spec, taken));
                }
                Taken::Not(why) => open.push((spec, Taken::Not(why))),
            }
        }
        if open.is_empty() || begin.elapsed() >= limit {
            done.extend(open);
            return Ok(done);
        }
        asked = open.into_iter().map(|(spec, _)| spec).collect();
        sleep(PAUSE).await;
    }
}

async fn look(
    client: &Client,
    namespace: &str,
    spec: &InjectionSpec,
    now: &[resource::Injection],
    may_be_silent: bool,
) -> Taken {
    let Some(found) = now.iter().find(|found| found.name_any() == spec.name) else {
        return Taken::Gone("somebody deleted it, which its agent takes for the order to revert".into());
    };
    let taken = match &found.status {
        Some(status) => of_status(spec, status),
        None => Taken::Not(format!("{} says nothing", speaker(spec))),
    };
    if may_be_silent
        && let Taken::Not(_) = taken
        && let Some(gone) = what_is_gone(client, namespace, spec).await
    {
        return Taken::Gone(gone);
    }
    taken
}

fn of_status(spec: &InjectionSpec, status: &InjectionStatus) -> Taken {
    match status.state {
        InjectionState::Reverted | InjectionState::Failed => Taken::Back(status.clone()),
        InjectionState::Pending
        | InjectionState::Injected
        | InjectionState::Lost
        | InjectionState::RevertFailed => {
            let why = status.error.as_deref().unwrap_or("no error is told");
            Taken::Not(format!("{} says {:?}: {why}", speaker(spec), status.state))
        }
    }
}

/// Whose word counts.
fn speaker(spec: &InjectionSpec) -> String {
    match spec.pod.node.as_str() {
        "" => "the run".into(),
        node => format!("the agent of {node}"),
    }
}

/// The pod or the node, if one of them does not exist any more.
async fn what_is_gone(client: &Client, namespace: &str, spec: &InjectionSpec) -> Option<String> {
    if spec.pod.node.is_empty() {
        return None;
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let is_gone = spec.ends_with_its_pod()
        && match pods.get(&spec.pod.name).await {
            Ok(pod) => pod.uid().as_deref() != Some(spec.pod.uid.as_str()),
            Err(error) => is_absent(&error),
        };
    if is_gone {
        return Some(format!("pod {} with UID {} is gone", spec.pod.name, spec.pod.uid));
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let absent = nodes.get(&spec.pod.node).await.is_err_and(|error| is_absent(&error));
    absent.then(|| format!("node {} is gone", spec.pod.node))
}
