//! What a run needs of the cluster, looked at before anything is broken; and the journal of a run that lacks it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Options;
use crate::api::Snapshot;
use crate::experiment::{Change, Experiment, Work};
use crate::fault::Fault;
use crate::journal::entry::{Effect, Entry, Header, Input, Phase, SCHEMA};
use crate::journal::write::{WriteError, Writer};
use crate::platform::PlatformError;
use crate::platform::kubernetes::attachable;
use crate::platform::kubernetes::cluster::Cluster;
use crate::platform::kubernetes::failure::{insist, is_absent};
use crate::platform::kubernetes::rights::needed;
use crate::platform::kubernetes::snapshots::{claims_of, obstacle};
use crate::resource::NodeAgent;
use crate::{sli, spec};

/// How long agents may take to appear: some are started only while a run needs them.
const APPEAR: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// An agent that said nothing for longer is gone.
const ALIVE: SignedDuration = SignedDuration::from_mins(1);

/// The faults that need an agent on the target's nodes, nothing where no agent is needed; or what does not fit the target.
pub(super) fn needs(
    experiment: &Experiment,
    written: &serde_json::Map<String, serde_json::Value>,
    cluster: &Cluster,
) -> Result<Option<BTreeSet<String>>, String> {
    spec::resource::against_target(&experiment.name, written, experiment, cluster.facts())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    experiment.needs_sandbox().map_or(Ok(()), Err)?;
    let faults = experiment.works().filter_map(|(_, work)| match work {
        Work::Fault(fault) => Some(fault),
        Work::Action(_) => None,
    });
    let faults: BTreeSet<_> = faults.filter(|fault| fault.acts_on_a_node()).map(Fault::capability).collect();
    Ok((!faults.is_empty() || sli::disks::is_asked(experiment)).then_some(faults))
}

/// Whether everything that the experiment names beside its target is there.
pub(super) async fn fits(
    client: &Client,
    namespace: &str,
    experiment: &Experiment,
    target: &Snapshot,
) -> Result<(), String> {
    sli::disks::hindrance(experiment, target).map_or(Ok(()), Err)?;
    service(client, namespace, experiment).await?;
    rights(client, namespace, experiment).await?;
    snapshots(client, namespace, experiment, target).await?;
    attach(client, namespace, experiment, target).await
}

/// Whether the Service is there that clients are to come by.
async fn service(client: &Client, namespace: &str, experiment: &Experiment) -> Result<(), String> {
    let Some(name) = &experiment.target.service else {
        return Ok(());
    };
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    match insist(|| services.get_opt(name)).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            Err(format!("namespace {namespace} has no Service `{name}`, which spec.target.service names"))
        }
        Err(error) => Err(format!("Service `{name}` cannot be read: {error}")),
    }
}

/// Whether this runner may do what the steps do.
async fn rights(client: &Client, namespace: &str, experiment: &Experiment) -> Result<(), String> {
    for (step, work) in experiment.works() {
        let Some(right) = needed(work) else { continue };
        match insist(|| right.is_ours(client, namespace)).await {
            Ok(None) => {}
            Ok(Some(why)) => return Err(format!("step {}: {why}", step.name)),
            Err(error) => return Err(format!("step {}: its rights are not known: {error}", step.name)),
        }
    }
    Ok(())
}

/// Waits until an agent that can inject these faults is alive on each node of the target; else says where none is.
pub(super) async fn agents(
    client: &Client,
    faults: Option<&BTreeSet<String>>,
    snapshots: watch::Receiver<Snapshot>,
) -> Result<(), String> {
    let Some(faults) = faults else {
        return Ok(());
    };
    let objects: Api<NodeAgent> = Api::all(client.clone());
    let deadline = Instant::now() + APPEAR;
    loop {
        let found = insist(async || match objects.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        });
        let found = found.await.map_err(|error| format!("agents cannot be asked for: {error}"))?;
        let nodes: BTreeSet<String> = snapshots
            .borrow()
            .pods
            .iter()
            .map(|pod| pod.node.clone())
            .filter(|node| !node.is_empty())
            .collect();
        let missing = missing(&nodes, faults, &found, Timestamp::now());
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(missing.join("; "));
        }
        sleep(PAUSE).await;
    }
}

/// What each node lacks, in sentences.
fn missing(
    nodes: &BTreeSet<String>,
    faults: &BTreeSet<String>,
    agents: &[NodeAgent],
    now: Timestamp,
) -> Vec<String> {
    let lacks = |node: &String| {
        let agent = agents.iter().find(|agent| agent.name_any() == *node);
        let Some(status) = agent.and_then(|agent| agent.status.as_ref()) else {
            return vec![format!("node {node} has no agent: does the DaemonSet `seatrial-agent` run there?")];
        };
        if now.duration_since(status.seen_at) > ALIVE {
            let seen = status.seen_at;
            return vec![format!("the agent of node {node} was last seen at {seen}: does its pod run?")];
        }
        let unable = faults.iter().filter(|fault| !status.faults.iter().any(|able| able == *fault));
        unable
            .map(|fault| {
                let why = status.missing.iter().find(|why| why.starts_with(&format!("{fault}:")));
                match why {
                    Some(why) => format!("node {node} cannot inject {why}"),
                    None => {
                        format!("the agent of node {node} does not know {fault}: is it of another version?")
                    }
                }
            })
            .collect()
    };
    nodes.iter().flat_map(lacks).collect()
}

/// Whether snapshots of the target can be taken, where a step takes any, and whether there are any where a step denies
/// them; else why not and what to do.
async fn snapshots(
    client: &Client,
    namespace: &str,
    experiment: &Experiment,
    target: &Snapshot,
) -> Result<(), String> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    for (step, work) in experiment.works() {
        let told = |error: PlatformError| format!("whether snapshots can be taken is not known: {error}");
        if work.denies_snapshots() {
            let unknown = insist(|| obstacle(client, namespace, &[], None)).await.map_err(told)?;
            if let Some(why) = unknown {
                return Err(format!("step {}: {why}", step.name));
            }
        }
        let Work::Action(Change::TakeSnapshot { claims, class, .. }) = work else {
            continue;
        };
        let Some(name) = experiment.target.stateful_set() else {
            continue;
        };
        let set = insist(|| sets.get(name)).await.map_err(told)?;
        let ordinals: Vec<_> = target.ordinals().collect();
        let claims = claims_of(&set, &ordinals, claims);
        let found = insist(|| obstacle(client, namespace, &claims, class.as_deref())).await.map_err(told)?;
        if let Some(why) = found {
            return Err(format!("step {}: {why}", step.name));
        }
    }
    Ok(())
}

/// Whether the volumes that a step means are attached to nodes, and for these members alone; else why not.
async fn attach(
    client: &Client,
    namespace: &str,
    experiment: &Experiment,
    target: &Snapshot,
) -> Result<(), String> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    for (step, work) in experiment.works() {
        let Some(name) = experiment.target.stateful_set() else { continue };
        let Some((members, claims)) = attachable::meant(work) else { continue };
        let ordinals = members.among(target.ordinals());
        let told = |error: PlatformError| format!("whether volumes are attached is not known: {error}");
        let set = insist(|| sets.get(name)).await.map_err(told)?;
        let found = insist(|| attachable::volumes(client, namespace, &set, &ordinals, claims));
        if let Err(why) = found.await.map_err(told)? {
            return Err(format!("step {}: {why}", step.name));
        }
    }
    Ok(())
}

/// Writes the journal of a run that cannot begin, with the reason.
pub(super) fn refuse(
    experiment: Experiment,
    options: &Options,
    seed: u64,
    environment: String,
    target: Option<Snapshot>,
    reason: &str,
) -> Result<(), WriteError> {
    let target = target.unwrap_or_else(|| Snapshot {
        name: experiment.target.name(),
        namespace: options.namespace.clone(),
        ..Snapshot::default()
    });
    let header = Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        run: options.run.clone(),
        started_at: Timestamp::now(),
        experiment,
        seed,
        environment,
        target: target.clone(),
    };
    let writer = Writer::create(&options.journal, &header)?;
    let reason = format!("nothing was broken: {reason}");
    let effects = [
        Effect::Phase(Phase::Preflight),
        Effect::Doubt { reason },
        Effect::Phase(Phase::Judged),
        Effect::Finish {},
    ];
    writer.entry(0, &Entry::Input(Input::Pods(target)))?;
    for (id, effect) in (0..).zip(effects) {
        writer.entry(0, &Entry::Effect { id, effect })?;
    }
    writer.sync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{NodeAgentSpec, NodeAgentStatus};

    fn agent(node: &str, seen_at: &str) -> NodeAgent {
        let mut agent = NodeAgent::new(node, NodeAgentSpec {});
        agent.status = Some(NodeAgentStatus {
            version: "1".into(),
            kernel: "6".into(),
            cgroups: "v2".into(),
            faults: vec!["processPause".into()],
            missing: vec!["networkPartition: the kernel has no nf_tables".into()],
            injections: 0,
            seen_at: seen_at.parse().expect("a time"),
        });
        agent
    }

    #[test]
    fn every_node_is_named_with_what_it_lacks() {
        let now = "2026-01-01T00:02:00Z".parse().expect("a time");
        let nodes = ["a", "b", "c"].map(str::to_owned).into_iter().collect();
        let agents = [agent("a", "2026-01-01T00:01:50Z"), agent("b", "2026-01-01T00:00:00Z")];
        let faults = ["networkPartition", "processPause"].map(str::to_owned).into_iter().collect();
        let told = missing(&nodes, &faults, &agents, now);
        let expected = [
            "node a cannot inject networkPartition: the kernel has no nf_tables",
            "the agent of node b was last seen at 2026-01-01T00:00:00Z: does its pod run?",
            "node c has no agent: does the DaemonSet `seatrial-agent` run there?",
        ];
        assert_eq!(told, expected);
        let faults = ["processPause".to_owned()].into_iter().collect();
        assert!(missing(&["a".to_owned()].into(), &faults, &agents, now).is_empty());
    }
}
