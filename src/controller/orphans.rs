//! Runs whose Experiment was deleted: no reconciliation sees them any more. They are found by the Leases of their targets,
//! which are watched, so that nothing is asked of the API server while every Lease has its Experiment.
//!
//! A Lease is given back when its runner is gone and everything of the run is taken back, and then at once.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};

use super::context::{Context, Scope};
use super::follow::{Found, node_of};
use super::runner::{Runner, Where};
use super::target::{self, TARGET_LABEL};
use super::trouble::{Doing, Trouble};
use super::{sweep, told, undone};

/// Between two looks at what is known already.
const LOOK: Duration = Duration::from_secs(1);

/// Looks after them for ever.
pub async fn look_after(context: &Arc<Context>, scope: &Scope) {
    let (leases, writer) = reflector::store::<Lease>();
    let of_targets = watcher::Config::default().labels(TARGET_LABEL);
    let events = watcher(scope.api::<Lease>(&context.client), of_targets).default_backoff();
    let kept = events.reflect(writer).for_each(async |event| {
        if let Err(error) = event {
            tracing::warn!(error = told(&error), "cannot watch the Leases of targets, tries again");
        }
    });
    tokio::select! {
        () = kept => {}
        () = clear_all(context, &leases) => {}
    }
}

async fn clear_all(context: &Context, leases: &Store<Lease>) {
    if context.experiments.wait_until_ready().await.is_err() {
        return;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        for lease in leases.state().into_iter().filter(|lease| !has_experiment(context, lease)) {
            if let Err(error) = clear(context, &lease).await {
                let lease = lease.name_any();
                tracing::warn!(lease, error = told(&error), "cannot clear up after a deleted Experiment yet");
            }
        }
    }
}

/// Whether the Experiment that took a Lease is there, as far as is known.
fn has_experiment(context: &Context, lease: &Lease) -> bool {
    let holder = target::holder(lease);
    let object = ObjectRef::new(&holder.experiment).within(&holder.namespace);
    context.experiments.get(&object).is_some_and(|found| found.metadata.uid.as_ref() == Some(&holder.uid))
}

/// Takes back what the run has left, and gives its target back once nothing is.
async fn clear(context: &Context, lease: &Lease) -> Result<(), Trouble> {
    let client = &context.client;
    let holder = target::holder(lease);
    // What is known may be older than the Lease.
    if target::has_unfinished_experiment(client, lease).await? {
        return Ok(());
    }
    let now = Timestamp::now();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &holder.namespace);
    let pod = pods.get_opt(&holder.run).await.doing("read the runner of a deleted Experiment")?;
    let node = node_of(context, pod.as_ref()).await?;
    match Runner::of(pod.as_ref(), node.as_ref().map_or(Where::Unknown, Found::place), now) {
        // It takes everything back itself.
        Runner::Starting | Runner::Running | Runner::Stuck(_) => return Ok(()),
        Runner::Absent | Runner::Ended(_) | Runner::Lost(_) => {}
    }
    let left = sweep::sweep(client, &holder.namespace, &holder.run, now).await?;
    undone::of_run(client, &holder.namespace, &holder.run).await?;
    if left.is_nothing() {
        target::give_back(client, lease).await?;
        tracing::info!(run = holder.run, "its Experiment was deleted; its target is free again");
    }
    Ok(())
}
