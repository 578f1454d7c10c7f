//! Takes back what nobody is left to take back: the work of `seatrial reap`, a CronJob that needs neither controller nor
//! runner, and of the leader now and then.
//!
//! It touches only what is past its own deadline, or whose Experiment is gone or has its last word. What it finds it
//! finds by the labels and annotations of the objects alone.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};

use super::context::Scope;
use super::trouble::{Answer, Doing, Trouble};
use super::{sweep, target, undone};
use crate::resource::{Experiment, Injection};

/// How long after its deadline an Injection may still be somebody's work in progress.
const AFTER_DEADLINE: SignedDuration = SignedDuration::from_secs(30);

/// One round. Says what was put back or removed, one sentence each; the first trouble where there was any.
pub async fn reap(client: &Client, scope: &Scope, now: Timestamp) -> Result<Vec<String>, Trouble> {
    // What fails keeps nobody from the rest.
    let undone = undone::past_deadline(client, scope, now).await;
    let reverted = injections(client, scope, now).await;
    let released = target::sweep(client, scope.api::<Lease>(client)).await;
    Ok([undone?.back, reverted?, released?].concat())
}

/// Injections past their deadline are reverted; those without an Experiment that needs them are also deleted.
async fn injections(client: &Client, scope: &Scope, now: Timestamp) -> Result<Vec<String>, Trouble> {
    let mut orphans = Vec::new();
    let all = scope.api::<Injection>(client).list(&ListParams::default()).await.doing("list Injections")?;
    for injection in all {
        let past = now >= injection.spec.injection.deadline.at + AFTER_DEADLINE;
        if past && !is_wanted(client, &injection).await? {
            orphans.push(injection);
        }
    }
    let names: Vec<_> = orphans.iter().map(|found| (found.namespace(), found.name_any())).collect();
    let left = sweep::settle(client, orphans, now).await?;
    for failing in &left.failing {
        tracing::error!(injection = failing, "cannot be taken back, somebody has to look");
    }
    let told = |(namespace, name): (Option<String>, String)| {
        format!("Injection {}/{name}", namespace.unwrap_or_default())
    };
    let waits =
        |name: &str| [&left.waiting, &left.failing].into_iter().flatten().any(|left| left.starts_with(name));
    Ok(names.into_iter().filter(|(_, name)| !waits(name)).map(told).collect())
}

/// Whether an Experiment without its last word owns the Injection.
async fn is_wanted(client: &Client, injection: &Injection) -> Result<bool, Trouble> {
    let experiments: Api<Experiment> =
        Api::namespaced(client.clone(), &injection.namespace().unwrap_or_default());
    for owner in injection.owner_references().iter().filter(|owner| owner.kind == "Experiment") {
        let found = experiments.get_opt(&owner.name).await.doing("read the Experiment of an Injection")?;
        if found.is_some_and(|found| found.uid().as_ref() == Some(&owner.uid) && !target::is_over(&found)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes everything of ours that is in force, whatever its deadline: for `seatrial uninstall`. Says what is left.
pub async fn take_everything_back(client: &Client, scope: &Scope) -> Result<Vec<String>, Trouble> {
    let undone = undone::past_deadline(client, scope, Timestamp::MAX).await;
    let all = scope.api::<Injection>(client).list(&ListParams::default()).await.doing("list Injections")?;
    let left = sweep::settle(client, all.items, Timestamp::now()).await?;
    Ok([left.waiting, left.failing, undone?.stuck].concat())
}

/// Deletes every Experiment, so that no run begins or goes on.
pub async fn delete_experiments(client: &Client, scope: &Scope) -> Result<usize, Trouble> {
    let all = scope.api::<Experiment>(client).list_metadata(&ListParams::default()).await;
    let all = all.doing("list Experiments")?.items;
    for experiment in &all {
        let namespace = experiment.namespace().unwrap_or_default();
        let experiments: Api<Experiment> = Api::namespaced(client.clone(), &namespace);
        match experiments.delete(&experiment.name_any(), &DeleteParams::background()).await {
            Err(error) if !error.is_absent() => return Err(error).doing("delete an Experiment"),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(all.len())
}
