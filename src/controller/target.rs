//! One run at a time per target, and per further StatefulSet that a run acts on: a Lease that its run holds from before the
//! runner starts until nothing of the run is left.
//!
//! It is not renewed. Whether its holder still counts is asked of the holder's Experiment, runner and Injections, so
//! that a controller that was away for an hour neither loses a Lease nor leaves one behind.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};

use super::identity::Identity;
use super::trouble::{Answer, Doing, Trouble};
use crate::resource::{Experiment, Injection, Phase, RUN_LABEL};

/// The label of every Lease of a target, with its StatefulSet.
pub const TARGET_LABEL: &str = "seatrial.dev/target";
/// Which Experiment holds it.
const EXPERIMENT_ANNOTATION: &str = "seatrial.dev/experiment";
/// Which one of that name.
const UID_ANNOTATION: &str = "seatrial.dev/experiment-uid";

/// A target that another run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The target.
    pub target: String,
    /// That run.
    pub run: String,
    /// Its Experiment.
    pub experiment: String,
}

fn lease_name(target: &str) -> String {
    format!("seatrial-target-{target}")
}

/// Takes the Leases of all these targets for a run, or none of them and says who has one: a run that waits for one target
/// keeps nobody from another. They are taken in order, so that of two runs which want the same ones the first gets all.
pub async fn take(
    client: &Client,
    identity: &Identity,
    targets: &BTreeSet<String>,
) -> Result<Option<Held>, Trouble> {
    let held = take_in_order(client, identity, targets).await?;
    if held.is_some() && targets.len() > 1 {
        release(client, identity).await?;
    }
    Ok(held)
}

async fn take_in_order(
    client: &Client,
    identity: &Identity,
    targets: &BTreeSet<String>,
) -> Result<Option<Held>, Trouble> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
    // Looked at before any is taken: one that is taken and given back is news to everybody who waits.
    for target in targets.iter().filter(|_| targets.len() > 1) {
        let found = leases.get_opt(&lease_name(target)).await.doing("read the Lease of a target")?;
        let others = found.filter(|found| held_by(found) != identity.run);
        if let Some(others) = others
            && !is_left_over(client, &others).await?
        {
            return Ok(Some(held(target, &others)));
        }
    }
    for target in targets {
        if let Some(held) = take_one(client, identity, target).await? {
            return Ok(Some(held));
        }
    }
    Ok(None)
}

/// Takes the Lease of `target` for a run, or says who has it.
async fn take_one(client: &Client, identity: &Identity, target: &str) -> Result<Option<Held>, Trouble> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
    // A holder that is found to be over is removed, and then there is one more try. Losing that one too means that a
    // third run was faster.
    for _ in 0..2 {
        match leases.create(&PostParams::default(), &ours(identity, target)).await {
            Ok(_) => return Ok(None),
            Err(error) if error.is_there() => {}
            Err(error) => return Err(error).doing("take the Lease of the target"),
        }
        let Some(found) = leases.get_opt(&lease_name(target)).await.doing("read the Lease of the target")?
        else {
            continue;
        };
        if held_by(&found) == identity.run {
            return Ok(None);
        }
        if !is_left_over(client, &found).await? {
            return Ok(Some(held(target, &found)));
        }
        remove(&leases, &found).await?;
    }
    let (run, experiment) = ("another run".into(), "that was faster".into());
    Ok(Some(Held { target: target.into(), run, experiment }))
}

/// Gives back every Lease that the run holds.
pub async fn release(client: &Client, identity: &Identity) -> Result<(), Trouble> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
    for lease in held_by_run(&leases, identity).await? {
        remove(&leases, &lease).await?;
    }
    Ok(())
}

/// Whether the run has all of these targets, as it may have of an attempt to start it that came no further. If it has some
/// alone, they are given back: who waits keeps nobody from them.
pub async fn has_all(
    client: &Client,
    identity: &Identity,
    targets: &BTreeSet<String>,
) -> Result<bool, Trouble> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &identity.namespace);
    let found = held_by_run(&leases, identity).await?;
    if targets.iter().all(|target| found.iter().any(|lease| lease.name_any() == lease_name(target))) {
        return Ok(true);
    }
    for lease in found {
        remove(&leases, &lease).await?;
    }
    Ok(false)
}

async fn held_by_run(leases: &Api<Lease>, identity: &Identity) -> Result<Vec<Lease>, Trouble> {
    let ours = ListParams::default().labels(&format!("{RUN_LABEL}={},{TARGET_LABEL}", identity.run));
    Ok(leases.list(&ours).await.doing("list Leases of the run")?.items)
}

/// Removes Leases whose run is over or gone and has nothing left. Says which.
pub async fn sweep(client: &Client, leases: Api<Lease>) -> Result<Vec<String>, Trouble> {
    let mut removed = Vec::new();
    for lease in
        leases.list(&ListParams::default().labels(TARGET_LABEL)).await.doing("list Leases of targets")?
    {
        if is_left_over(client, &lease).await? {
            let namespace = lease.namespace().unwrap_or_default();
            remove(&Api::namespaced(client.clone(), &namespace), &lease).await?;
            removed.push(format!("Lease {namespace}/{}", lease.name_any()));
        }
    }
    Ok(removed)
}

/// The run that has a Lease.
pub fn holder(lease: &Lease) -> Identity {
    let annotation = |key: &str| lease.annotations().get(key).cloned().unwrap_or_default();
    Identity {
        namespace: lease.namespace().unwrap_or_default(),
        experiment: annotation(EXPERIMENT_ANNOTATION),
        uid: annotation(UID_ANNOTATION),
        run: held_by(lease),
    }
}

/// Whether the Experiment that took a Lease is there and has not its last word.
pub async fn has_unfinished_experiment(client: &Client, lease: &Lease) -> Result<bool, Trouble> {
    let Identity { namespace, experiment, uid, .. } = holder(lease);
    let experiments: Api<Experiment> = Api::namespaced(client.clone(), &namespace);
    let found = experiments.get_opt(&experiment).await.doing("read the Experiment that holds the target")?;
    Ok(found.is_some_and(|found| found.uid() == Some(uid) && !is_over(&found)))
}

/// Gives back this very Lease.
pub async fn give_back(client: &Client, lease: &Lease) -> Result<(), Trouble> {
    let namespace = lease.namespace().unwrap_or_default();
    remove(&Api::namespaced(client.clone(), &namespace), lease).await
}

/// Whether nothing of a Lease's holder is left: no unfinished Experiment, no runner, no Injection.
async fn is_left_over(client: &Client, lease: &Lease) -> Result<bool, Trouble> {
    if has_unfinished_experiment(client, lease).await? {
        return Ok(false);
    }
    let namespace = lease.namespace().unwrap_or_default();
    let run = ListParams::default().labels(&format!("{RUN_LABEL}={}", held_by(lease)));
    let injections: Api<Injection> = Api::namespaced(client.clone(), &namespace);
    if !injections.list_metadata(&run).await.doing("list Injections of the holder")?.items.is_empty() {
        return Ok(false);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let pods = pods.list(&run).await.doing("list the holder's runner")?;
    Ok(pods.items.iter().all(has_ended))
}

/// Whether a run has its last word.
pub fn is_over(experiment: &Experiment) -> bool {
    let phase = experiment.status.as_ref().and_then(|status| status.phase);
    matches!(phase, Some(Phase::Judged | Phase::Refused))
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

async fn remove(leases: &Api<Lease>, lease: &Lease) -> Result<(), Trouble> {
    // Only this very Lease: between the look and the deletion another run may have taken the target.
    let exactly = DeleteParams::default()
        .preconditions(Preconditions { uid: lease.uid(), resource_version: lease.resource_version() });
    match leases.delete(&lease.name_any(), &exactly).await {
        Err(error) if !error.is_absent() && !error.is_conflict() => {
            Err(error).doing("give back the Lease of the target")
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

fn held(target: &str, lease: &Lease) -> Held {
    let experiment = lease.annotations().get(EXPERIMENT_ANNOTATION).cloned().unwrap_or_default();
    Held { target: target.into(), run: held_by(lease), experiment }
}

fn held_by(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

fn ours(identity: &Identity, target: &str) -> Lease {
    let labels = [(RUN_LABEL, identity.run.as_str()), (TARGET_LABEL, target)];
    let annotations = [(EXPERIMENT_ANNOTATION, &identity.experiment), (UID_ANNOTATION, &identity.uid)];
    Lease {
        metadata: ObjectMeta {
            name: Some(lease_name(target)),
            labels: Some(labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect()),
            annotations: Some(
                annotations.into_iter().map(|(key, value)| (key.into(), value.clone())).collect(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.run.clone()),
            acquire_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}
