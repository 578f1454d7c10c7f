//! From a new Experiment to its runner: everything that can be said no to, then what the runner needs, then the runner.
//!
//! The status names the runner before the pod is made, so that a controller that dies in between finds what it meant to
//! do.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Api, ResourceExt};

use super::agents::{self, Wanted};
use super::context::Context;
use super::identity::Identity;
use super::status::{Aspect, Update};
use super::target::{self, Held};
use super::trouble::{Answer, Doing, Trouble};
use super::{SOON, follow, rights, runner_pod, validate};
use crate::experiment::{Experiment as Valid, Group, Selection, Store, Work};
use crate::fault::Fault;
use crate::resource::{ABORT_ANNOTATION, ALLOW_LABEL, Experiment, Halt, Phase};
use crate::spec;

mod fits;

/// The reason of an Experiment that waits for another one to end.
const TAKEN: &str = "TargetTaken";

/// Why an Experiment does not start now.
enum Obstacle {
    /// It never will. A word for programs, a sentence for people.
    Refused(&'static str, String),
    /// It may, later.
    Waiting(&'static str, String),
}

/// Admits an Experiment, or says why not.
pub async fn admit(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
) -> Result<Action, Trouble> {
    let now = Timestamp::now();
    match prepare(context, experiment, identity, now).await? {
        Ok(valid) => start(context, experiment, identity, &valid, now).await,
        Err(Obstacle::Refused(reason, message)) => {
            refuse(context, experiment, identity, reason, &message, now).await
        }
        Err(Obstacle::Waiting(reason, message)) => {
            let update = Update::of(experiment, identity).phase(Phase::Waiting, &message).condition(
                Aspect::Running,
                false,
                reason,
                &message,
                now,
            );
            update.write(&context.client, experiment).await?;
            let told = Aspect::Running.find(experiment).is_some_and(|condition| condition.reason == reason);
            if !told {
                context.news.of_experiment(experiment, EventType::Normal, reason, &message).await;
            }
            Ok(Action::requeue(SOON))
        }
    }
}

/// Says no for good.
pub async fn refuse(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Result<Action, Trouble> {
    let update = Update::of(experiment, identity)
        .phase(Phase::Refused, message)
        .condition(Aspect::Accepted, false, reason, message, now)
        .condition(Aspect::Running, false, reason, message, now);
    update.write(&context.client, experiment).await?;
    context.metrics.refused();
    context.news.of_experiment(experiment, EventType::Warning, reason, message).await;
    Ok(Action::requeue(SOON))
}

/// Everything that must be so before a runner is made. Takes the target last.
async fn prepare(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    now: Timestamp,
) -> Result<Result<Valid, Obstacle>, Trouble> {
    let valid = match validate::read(experiment) {
        Ok(valid) => valid,
        Err(problems) => return Ok(Err(Obstacle::Refused("Invalid", problems))),
    };
    if let Some(reason) = experiment.annotations().get(ABORT_ANNOTATION) {
        let message = format!("aborted before it began: {reason}");
        return Ok(Err(Obstacle::Refused("Aborted", message)));
    }
    if !is_allowed(context, &identity.namespace).await? {
        return Ok(Err(Obstacle::Refused("NotAllowed", not_allowed(&identity.namespace))));
    }
    if let Some(message) = halted(context).await? {
        return Ok(Err(Obstacle::Refused("Halted", message)));
    }
    if let Err(obstacle) = fits_sets(context, experiment, identity, &valid, now).await? {
        return Ok(Err(obstacle));
    }
    let targets = valid.keys();
    // Who has its targets already goes on: whoever was there before waits for them by now.
    if let Some((first, target)) = ahead(context, experiment, identity, &targets)
        && !target::has_all(&context.client, identity, &targets).await?
    {
        let message = format!("Experiment {first} waits for {target} too, and for longer");
        return Ok(Err(Obstacle::Waiting(TAKEN, message)));
    }
    // Before the target is taken, which nobody is kept from by who cannot start; and only for whoever is next, since it takes
    // three requests each time.
    if let Err(trouble) = rights::ensure(&context.client, &identity.namespace).await {
        let message = format!("the run cannot start: {}", super::told(&trouble));
        return Ok(Err(Obstacle::Waiting("NoRights", message)));
    }
    Ok(match target::take(&context.client, identity, &targets).await? {
        None => Ok(valid),
        Some(Held { target, run, experiment }) => Err(Obstacle::Waiting(
            TAKEN,
            format!(
                "{target} is being broken by Experiment {experiment} (run {run}); this one begins when that one has ended"
            ),
        )),
    })
}

/// Whether the StatefulSets are there and have what the Experiment names.
async fn fits_sets(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    valid: &Valid,
    now: Timestamp,
) -> Result<Result<(), Obstacle>, Trouble> {
    let age = experiment.creation_timestamp().map_or(SignedDuration::ZERO, |time| now.duration_since(time.0));
    let own = match valid.target.stateful_set() {
        Some(name) => match stateful_set(context, identity, name).await? {
            Some(set) => Some(facts(&set)),
            None => return Ok(Err(fits::absent(name, &identity.namespace, age))),
        },
        None => None,
    };
    let others = other_sets(context, identity, valid).await?;
    Ok(fits::all(experiment, valid, (own.as_ref(), &others), &identity.namespace, age))
}

/// The StatefulSets that there are beside the target, where a step acts on one.
async fn other_sets(
    context: &Context,
    identity: &Identity,
    valid: &Valid,
) -> Result<Vec<spec::TargetFacts>, Trouble> {
    if valid.other_sets().is_empty() {
        return Ok(Vec::new());
    }
    let sets: Api<StatefulSet> = Api::namespaced(context.client.clone(), &identity.namespace);
    let all = sets.list(&ListParams::default()).await.doing("list StatefulSets")?;
    let others = all.items.iter().filter(|set| Some(set.name_any().as_str()) != valid.target.stateful_set());
    Ok(others.map(facts).collect())
}

/// Who waits for one of the same targets and was there before, and for which: the oldest is served first.
fn ahead(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    targets: &BTreeSet<String>,
) -> Option<(String, String)> {
    let place = |of: &Experiment| (of.creation_timestamp().map(|time| time.0), of.name_any());
    let waits = |other: &Experiment| {
        let is_waiting = other.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Waiting));
        is_waiting && Aspect::Running.find(other).is_some_and(|condition| condition.reason == TAKEN)
    };
    let shared = |other: &Experiment| follow::targets(other).intersection(targets).next().cloned();
    let before = context.experiments.find(|other| {
        other.namespace().as_deref() == Some(&identity.namespace)
            && waits(other)
            && place(other) < place(experiment)
            && shared(other).is_some()
    })?;
    Some((before.name_any(), shared(&before)?))
}

/// Makes what the runner needs, and the runner.
async fn start(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    valid: &Valid,
    now: Timestamp,
) -> Result<Action, Trouble> {
    agents::ensure(&context.client, &context.namespace, Wanted::Yes).await?;
    let message = format!("runner {} is starting", identity.run);
    Update::of(experiment, identity)
        .phase(Phase::Starting, &message)
        .runner(&identity.run)
        .condition(Aspect::Accepted, true, "Valid", "the experiment is valid and allowed here", now)
        .condition(Aspect::Running, true, "Starting", &message, now)
        .write(&context.client, experiment)
        .await?;
    create_runner(context, identity, valid).await?;
    let note = format!("{message} in namespace {}", identity.namespace);
    context.news.of_all(experiment, identity, &valid.keys(), EventType::Normal, "Started", &note).await;
    Ok(Action::requeue(SOON))
}

/// Makes the runner's pod where it is missing.
pub async fn create_runner(context: &Context, identity: &Identity, valid: &Valid) -> Result<(), Trouble> {
    let mut members = Vec::new();
    if let Group::Pods(pods) = &valid.target.group {
        let match_labels = Some(pods.selector.match_labels.clone());
        members.push(LabelSelector { match_labels, ..LabelSelector::default() });
    }
    for name in valid.target.stateful_set().into_iter().chain(valid.other_sets()) {
        let set = stateful_set(context, identity, name).await?;
        members.extend(set.and_then(|set| set.spec).map(|spec| spec.selector));
    }
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
    let secrets = valid.target.store.as_ref().map(Store::secrets).unwrap_or_default();
    let doomed = pods_of_lost_nodes(valid);
    let pod = runner_pod::runner_pod(identity, &context.image, &members, &doomed, &secrets);
    match pods.create(&PostParams::default(), &pod).await {
        Err(error) if !error.is_there() => Err(error).doing("create the runner's pod"),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The members of a StatefulSet whose nodes the run names to take away, by their pods' names. Who leads by then, or is
/// chosen by the seed, is not known yet.
fn pods_of_lost_nodes(valid: &Valid) -> BTreeSet<String> {
    let takes_a_node = |work: &Work| matches!(work, Work::Fault(Fault::NodeDown(_) | Fault::KubeletStop(_)));
    let chosen = valid.works().filter(|(_, work)| takes_a_node(work));
    chosen
        .filter_map(|(step, work)| {
            let set = valid.other_set(step).or(valid.target.stateful_set())?;
            match work.selection()? {
                Selection::Ordinals(ordinals) => {
                    Some(ordinals.iter().map(move |ordinal| format!("{set}-{ordinal}")))
                }
                Selection::Role { .. } | Selection::Count(_) => None,
            }
        })
        .flatten()
        .collect()
}

async fn stateful_set(
    context: &Context,
    identity: &Identity,
    name: &str,
) -> Result<Option<StatefulSet>, Trouble> {
    let sets: Api<StatefulSet> = Api::namespaced(context.client.clone(), &identity.namespace);
    sets.get_opt(name).await.doing("read the target")
}

async fn is_allowed(context: &Context, namespace: &str) -> Result<bool, Trouble> {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let found = namespaces.get_metadata_opt(namespace).await.doing("read the namespace")?;
    Ok(found.is_some_and(|found| found.labels().get(ALLOW_LABEL).is_some_and(|value| value == "true")))
}

fn not_allowed(namespace: &str) -> String {
    format!(
        "namespace {namespace} has not agreed to be broken: whoever owns it runs `kubectl label namespace {namespace} {ALLOW_LABEL}=true`, then create the Experiment again"
    )
}

/// Which Halt is in force, for a person.
pub async fn halted(context: &Context) -> Result<Option<String>, Trouble> {
    let halts: Api<Halt> = Api::all(context.client.clone());
    let found = halts.list(&ListParams::default()).await.doing("look for Halts")?;
    Ok(found.items.first().map(|halt| {
        let reason = halt.spec.reason.as_deref().unwrap_or("no reason given");
        format!("Halt {} is in force: {reason}", halt.name_any())
    }))
}

/// What rules ask of a StatefulSet.
fn facts(set: &StatefulSet) -> spec::TargetFacts {
    let spec = set.spec.clone().unwrap_or_default();
    let containers = spec.template.spec.map(|pod| pod.containers).unwrap_or_default();
    let claims = spec.volume_claim_templates.unwrap_or_default();
    spec::TargetFacts {
        name: set.name_any(),
        first: spec
            .ordinals
            .and_then(|ordinals| ordinals.start)
            .and_then(|start| u32::try_from(start).ok())
            .unwrap_or(0),
        replicas: spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(1),
        containers: containers.into_iter().map(|container| container.name).collect(),
        claims: claims.into_iter().filter_map(|claim| claim.metadata.name).collect(),
    }
}
