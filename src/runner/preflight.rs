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
use crate::experiment::{Change, Experiment, Step, Work};
use crate::fault::Fault;
use crate::journal::entry::{Effect, Entry, Header, Input, Phase, SCHEMA};
use crate::journal::write::{WriteError, Writer};
use crate::platform::PlatformError;
use crate::platform::kubernetes::attachable;
use crate::platform::kubernetes::failure::{insist, is_absent};
use crate::platform::kubernetes::rights::needed;
use crate::platform::kubernetes::snapshots::{claims_of, obstacle};
use crate::resource::NodeAgent;
use crate::spec::TargetFacts;
use crate::{sli, spec};

/// How long agents may take to appear: some are started only while a run needs them.
const APPEAR: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// An agent that said nothing for longer is gone.
const ALIVE: SignedDuration = SignedDuration::from_mins(1);

/// What does not fit the target, or the StatefulSets beside it, `others`.
pub(super) fn fits_sets(
    experiment: &Experiment,
    written: &serde_json::Map<String, serde_json::Value>,
    target: &TargetFacts,
    others: &[TargetFacts],
) -> Result<(), String> {
    spec::resource::against_target(&experiment.name, written, experiment, target, others)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    // Pods by labels are told by the beginning of their names.
    if let Some(twice) = experiment.other_sets().into_iter().find(|&other| other == target.name) {
        return Err(format!(
            "the pods of spec.target are those of StatefulSet `{twice}`: leave statefulSet out of the steps that name it"
        ));
    }
    experiment.needs_sandbox().map_or(Ok(()), Err)
}

/// Faults that need an agent on each node of a StatefulSet.
pub(super) struct NeedsAgents {
    pub(super) faults: BTreeSet<String>,
    pub(super) pods: watch::Receiver<Snapshot>,
}

impl NeedsAgents {
    /// What is done to the target, or to a further StatefulSet; nothing where no agent is needed for that.
    pub(super) fn of(
        experiment: &Experiment,
        set: Option<&str>,
        pods: watch::Receiver<Snapshot>,
    ) -> Option<Self> {
        let faults = experiment.works().filter_map(|(step, work)| match work {
            Work::Fault(fault) => (experiment.other_set(step) == set).then_some(fault),
            Work::Action(_) => None,
        });
        let faults: BTreeSet<_> =
            faults.filter(|fault| fault.acts_on_a_node()).map(Fault::capability).collect();
        let is_measured = set.is_none() && sli::disks::is_asked(experiment);
        (!faults.is_empty() || is_measured).then_some(Self { faults, pods })
    }
}

/// Whether everything that the experiment names beside its target is there.
pub(super) async fn fits(
    client: &Client,
    namespace: &str,
    experiment: &Experiment,
    target: &Snapshot,
    others: &[Snapshot],
) -> Result<(), String> {
    sli::disks::hindrance(experiment, target).map_or(Ok(()), Err)?;
    service(client, namespace, experiment).await?;
    rights(client, namespace, experiment).await?;
    let place = |step: &Step| match experiment.other_set(step) {
        None => experiment.target.stateful_set().map(|name| (name.to_owned(), target)),
        Some(name) => others.iter().find(|other| other.name == name).map(|other| (name.to_owned(), other)),
    };
    snapshots(client, namespace, experiment, place).await?;
    attach(client, namespace, experiment, place).await
}

/// The StatefulSet on which a step acts, with its pods.
type Place<'a> = (String, &'a Snapshot);

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

/// Waits until an agent that can inject these faults is alive on each node of the StatefulSets; else says where none is.
pub(super) async fn agents(client: &Client, needs: &[NeedsAgents]) -> Result<(), String> {
    if needs.is_empty() {
        return Ok(());
    }
    let objects: Api<NodeAgent> = Api::all(client.clone());
    let deadline = Instant::now() + APPEAR;
    loop {
        let found = insist(async || match objects.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(error) if is_absent(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        });
        let found = found.await.map_err(|error| format!("agents cannot be asked for: {error}"))?;
        let lacking = needs.iter().flat_map(|NeedsAgents { faults, pods }| {
            let nodes = pods.borrow().pods.iter().map(|pod| pod.node.clone()).collect::<BTreeSet<_>>();
            let nodes = nodes.into_iter().filter(|node| !node.is_empty()).collect();
            missing(&nodes, faults, &found, Timestamp::now())
        });
        // Members of several share nodes.
        let missing: BTreeSet<String> = lacking.collect();
        if missing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(missing.into_iter().collect::<Vec<_>>().join("; "));
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
async fn snapshots<'a>(
    client: &Client,
    namespace: &str,
    experiment: &Experiment,
    place: impl Fn(&Step) -> Option<Place<'a>>,
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
        let Some((name, target)) = place(step) else {
            continue;
        };
        let set = insist(|| sets.get(&name)).await.map_err(told)?;
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
async fn attach<'a>(
    client: &Client,
    namespace: &str,
    experiment: &Experiment,
    place: impl Fn(&Step) -> Option<Place<'a>>,
) -> Result<(), String> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    for (step, work) in experiment.works() {
        let Some((name, target)) = place(step) else { continue };
        let Some((members, claims)) = attachable::meant(work) else { continue };
        let ordinals = members.among(target.ordinals());
        let told = |error: PlatformError| format!("whether volumes are attached is not known: {error}");
        let set = insist(|| sets.get(&name)).await.map_err(told)?;
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
        others: Vec::new(),
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
    fn agents_are_asked_for_where_a_step_acts() {
        let text = r#"{"name":"e","target":{"statefulSet":"kafka"},"hypothesis":[],"steps":[
            {"name":"own","action":{"rolloutRestart":{}}},
            {"name":"cut","for":"5s","target":{"statefulSet":"zookeeper"},
             "fault":{"networkPartition":{"isolate":{"ordinals":[0]}}}}]}"#;
        let experiment: Experiment = serde_json::from_str(text).expect("an experiment");
        let needs = |set| {
            let pods = watch::channel(Snapshot::default()).1;
            NeedsAgents::of(&experiment, set, pods).map(|needs| needs.faults.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(needs(None), None);
        assert_eq!(needs(Some("zookeeper")), Some(vec!["networkPartition".to_owned()]));
    }

    #[test]
    fn pods_by_labels_are_no_further_set() {
        let text = r#"{"name":"e","target":{"pods":{"selector":{"matchLabels":{"app":"kafka"}}}},"hypothesis":[],
            "steps":[{"name":"own","target":{"statefulSet":"kafka"},"fault":{"podKill":{"members":{"count":1}}}}]}"#;
        let experiment: Experiment = serde_json::from_str(text).expect("an experiment");
        let spec = serde_json::Map::new();
        let facts = |name: &str| TargetFacts {
            name: name.into(),
            first: 0,
            replicas: 3,
            containers: Vec::new(),
            claims: Vec::new(),
        };
        let refused = fits_sets(&experiment, &spec, &facts("kafka"), &[facts("kafka")]);
        assert!(
            refused.is_err_and(|why| why.contains("are those of StatefulSet `kafka`: leave statefulSet out"))
        );
        assert_eq!(fits_sets(&experiment, &spec, &facts("pods"), &[facts("kafka")]), Ok(()));
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
