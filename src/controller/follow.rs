//! Looks after an Experiment whose runner was started: lets it be while it lives, and takes over when it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Api, ResourceExt};

use super::context::Context;
use super::identity::Identity;
use super::runner::{Runner, Where};
use super::status::{Aspect, Update};
use super::trouble::{Answer, Doing, Trouble};
use super::{CALM, SOON, admit, hindrance, runner_pod, sweep, target, undone, validate};
use crate::experiment::Verdict;
use crate::resource::{ABORT_ANNOTATION, Experiment, Injection, Phase, RUN_LABEL};

/// How long a runner that was asked to abort has before its pod is deleted, which asks it once more.
const ABORT_PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// How long a pod usually takes to start; what keeps a slower one is looked for.
const USUAL_START: SignedDuration = SignedDuration::from_secs(3);
/// How often.
const LOOK: Duration = Duration::from_secs(4);

/// One look.
pub async fn follow(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
) -> Result<Action, Trouble> {
    let now = Timestamp::now();
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
    let pod = pods.get_opt(&identity.run).await.doing("read the runner's pod")?;
    let pod = pod.filter(|pod| pod.owner_references().iter().any(|owner| owner.uid == identity.uid));
    let node = node_of(context, pod.as_ref()).await?;
    match Runner::of(pod.as_ref(), node.as_ref().map_or(Where::Unknown, Found::place), now) {
        Runner::Absent if never_ran(context, experiment, identity).await? => {
            let Ok(valid) = validate::read(experiment) else {
                return Ok(Action::requeue(SOON));
            };
            admit::create_runner(context, identity, &valid).await?;
            Ok(Action::requeue(SOON))
        }
        Runner::Absent => take_over(context, identity, "its pod is gone", now).await,
        Runner::Starting => {
            watch_over(context, experiment, identity, now).await?;
            tell_hindrance(context, experiment, identity, pod.as_ref(), now).await?;
            Ok(Action::requeue(LOOK))
        }
        Runner::Running => watch_over(context, experiment, identity, now).await,
        Runner::Stuck(why) => {
            let why = hindrance(context, pod.as_ref()).await?.unwrap_or(why);
            delete(&pods, &identity.run).await?;
            let message = format!("the runner did not start: {why}");
            admit::refuse(context, experiment, identity, "RunnerNotStarted", &message, now).await
        }
        Runner::Ended(why) => take_over(context, identity, &why, now).await,
        Runner::Lost(why) => {
            delete(&pods, &identity.run).await?;
            take_over(context, identity, &why, now).await
        }
    }
}

/// Says in the Experiment what a pod waits for that does not start.
async fn tell_hindrance(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    pod: Option<&Pod>,
    now: Timestamp,
) -> Result<(), Trouble> {
    let created = pod.and_then(ResourceExt::creation_timestamp).map_or(now, |time| time.0);
    if now.duration_since(created) < USUAL_START {
        return Ok(());
    }
    let Some(why) = hindrance(context, pod).await? else {
        return Ok(());
    };
    let message = format!("runner {} does not start yet: {why}", identity.run);
    if experiment.status.as_ref().and_then(|status| status.message.as_ref()) == Some(&message) {
        return Ok(());
    }
    Update::of(experiment, identity)
        .phase(Phase::Starting, &message)
        .condition(Aspect::Running, true, "Starting", &message, now)
        .write(&context.client, experiment)
        .await?;
    context.news.of_experiment(experiment, EventType::Warning, "RunnerWaits", &message).await;
    Ok(())
}

async fn hindrance(context: &Context, pod: Option<&Pod>) -> Result<Option<String>, Trouble> {
    match pod {
        Some(pod) => hindrance::of(&context.client, pod).await,
        None => Ok(None),
    }
}

/// The runner lives: it is asked again to abort where that was ignored, and otherwise left alone.
async fn watch_over(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
    now: Timestamp,
) -> Result<Action, Trouble> {
    let Some((reason, message)) = abort_reason(context, experiment).await? else {
        return Ok(Action::requeue(CALM));
    };
    match Aspect::AbortRequested.find(experiment).filter(|condition| condition.status == "True") {
        None => {
            Update::of(experiment, identity)
                .condition(Aspect::AbortRequested, true, reason, &message, now)
                .write(&context.client, experiment)
                .await?;
            context.news.of_experiment(experiment, EventType::Warning, "AbortRequested", &message).await;
        }
        Some(asked) if now.duration_since(asked.last_transition_time.0) >= ABORT_PATIENCE => {
            let pods: Api<Pod> = Api::namespaced(context.client.clone(), &identity.namespace);
            delete(&pods, &identity.run).await?;
        }
        Some(_) => {}
    }
    Ok(Action::requeue(CALM))
}

/// Who asked the run to end, in a word and a sentence.
async fn abort_reason(
    context: &Context,
    experiment: &Experiment,
) -> Result<Option<(&'static str, String)>, Trouble> {
    if let Some(reason) = experiment.annotations().get(ABORT_ANNOTATION) {
        return Ok(Some(("Asked", format!("asked to abort: {reason}"))));
    }
    if experiment.metadata.deletion_timestamp.is_some() {
        return Ok(Some(("Deleted", "the Experiment is being deleted".into())));
    }
    Ok(admit::halted(context).await?.map(|message| ("Halted", message)))
}

/// The runner is gone without a verdict: everything is taken back, and the verdict is Aborted.
async fn take_over(
    context: &Context,
    identity: &Identity,
    why: &str,
    now: Timestamp,
) -> Result<Action, Trouble> {
    // The news of the pod's end can be faster than that of the verdict which it wrote before.
    let experiments: Api<Experiment> = Api::namespaced(context.client.clone(), &identity.namespace);
    let Some(fresh) = experiments.get_opt(&identity.experiment).await.doing("read the Experiment again")?
    else {
        return Ok(Action::await_change());
    };
    if target::is_over(&fresh) || fresh.uid().as_ref() != Some(&identity.uid) {
        return Ok(Action::requeue(SOON));
    }
    let left = sweep::sweep(&context.client, &identity.namespace, &identity.run, now).await?;
    undone::of_run(&context.client, &identity.namespace, &identity.run).await?;
    let asked = Aspect::AbortRequested.find(&fresh).map(|condition| condition.message.clone());
    let asked = asked.map(|message| format!(" ({message})")).unwrap_or_default();
    let message = format!("the runner is gone without a verdict: {why}{asked}");
    if !left.waiting.is_empty() {
        let message = format!("{message}; taking back {}", left.waiting.join("; "));
        Update::of(&fresh, identity)
            .phase(Phase::Reverting, &message)
            .instead_of_the_runner()
            .condition(Aspect::Running, false, "RunnerGone", &message, now)
            .write(&context.client, &fresh)
            .await?;
        return Ok(Action::requeue(SOON));
    }
    let verdict = fresh.status.as_ref().and_then(|status| status.verdict);
    let end = if left.failing.is_empty() {
        format!("{message}; every fault was taken back")
    } else {
        format!("{message}; not taken back yet: {}", left.failing.join("; "))
    };
    Update::of(&fresh, identity)
        .phase(Phase::Judged, &end)
        .instead_of_the_runner()
        .verdict(verdict.map_or(Verdict::Aborted, |found| found.max(Verdict::Aborted)), now)
        .revert_failed(!left.failing.is_empty())
        .condition(Aspect::Running, false, "RunnerGone", &message, now)
        .write(&context.client, &fresh)
        .await?;
    context.metrics.runner_lost();
    context.news.of_experiment(&fresh, EventType::Warning, "RunnerGone", &end).await;
    Ok(Action::requeue(SOON))
}

/// Whether no runner of this run has done anything: then one can be made, again or for the first time.
async fn never_ran(context: &Context, experiment: &Experiment, identity: &Identity) -> Result<bool, Trouble> {
    if experiment.metadata.deletion_timestamp.is_some()
        || experiment.annotations().contains_key(ABORT_ANNOTATION)
    {
        return Ok(false);
    }
    if experiment.status.as_ref().is_some_and(|status| status.started_at.is_some()) {
        return Ok(false);
    }
    let injections: Api<Injection> = Api::namespaced(context.client.clone(), &identity.namespace);
    let ours = ListParams::default().labels(&format!("{RUN_LABEL}={}", identity.run));
    Ok(injections.list_metadata(&ours).await.doing("look for the run's Injections")?.items.is_empty())
}

/// What a valid Experiment has for itself while it runs, one word for each; nothing of one that is not valid.
pub fn targets(experiment: &Experiment) -> BTreeSet<String> {
    validate::read(experiment).map(|valid| valid.keys()).unwrap_or_default()
}

/// The node of a pod, if it is on one.
pub enum Found {
    /// There is no such node any more.
    Gone,
    /// As the API server has it.
    There(Box<Node>),
}

impl Found {
    /// Where that is.
    pub fn place(&self) -> Where<'_> {
        match self {
            Self::Gone => Where::Gone,
            Self::There(node) => Where::On(node),
        }
    }
}

/// The node of a runner's pod.
pub async fn node_of(context: &Context, pod: Option<&Pod>) -> Result<Option<Found>, Trouble> {
    let Some(name) = pod.and_then(|pod| pod.spec.as_ref()?.node_name.as_deref()) else {
        return Ok(None);
    };
    let nodes: Api<Node> = Api::all(context.client.clone());
    let node = nodes.get_opt(name).await.doing("read the runner's node")?;
    Ok(Some(node.map_or(Found::Gone, |node| Found::There(Box::new(node)))))
}

async fn delete(pods: &Api<Pod>, name: &str) -> Result<(), Trouble> {
    let patient = DeleteParams::default().grace_period(u32::try_from(runner_pod::GRACE).unwrap_or(60));
    match pods.delete(name, &patient).await {
        Err(error) if !error.is_absent() => Err(error).doing("delete the runner's pod"),
        Ok(_) | Err(_) => Ok(()),
    }
}
