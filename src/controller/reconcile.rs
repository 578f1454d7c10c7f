//! One look at an Experiment, and what makes it necessary.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

use super::context::{Context, Scope};
use super::identity::Identity;
use super::target::TARGET_LABEL;
use super::trouble::{Answer, Trouble};
use super::{Experiments, admit, finish, follow, target, told};
use crate::resource::{Experiment, Halt, Phase, RUN_LABEL};

/// How long a failed reconciliation waits before it is tried again.
const AFTER_TROUBLE: Duration = Duration::from_secs(3);
/// The same after a lost race, where a newer object is on its way.
const AFTER_CONFLICT: Duration = Duration::from_millis(300);
/// How many Experiments are looked at at once.
const AT_ONCE: u16 = 16;

/// What has to be done for an Experiment now.
async fn reconcile(experiment: Arc<Experiment>, context: Arc<Context>) -> Result<Action, Trouble> {
    let began = Instant::now();
    let identity = Identity::of(&experiment);
    let action = match stage(&experiment) {
        Stage::New => admit::admit(&context, &experiment, &identity).await,
        Stage::Started => follow::follow(&context, &experiment, &identity).await,
        Stage::Over => finish::finish(&context, &experiment, &identity).await,
        Stage::Leaving => Ok(Action::await_change()),
    };
    let result = match &action {
        Ok(_) => "ok",
        Err(error) if error.source.is_conflict() => "conflict",
        Err(_) => "error",
    };
    context.metrics.reconciled(result, began.elapsed());
    action
}

/// Where an Experiment is in its life, by what its status says.
#[derive(Debug, PartialEq, Eq)]
enum Stage {
    New,
    Started,
    Over,
    /// Deleted before it began.
    Leaving,
}

fn stage(experiment: &Experiment) -> Stage {
    let started = experiment.status.as_ref().is_some_and(|status| status.runner.is_some());
    if target::is_over(experiment) {
        Stage::Over
    } else if started {
        Stage::Started
    } else if experiment.metadata.deletion_timestamp.is_some() {
        Stage::Leaving
    } else {
        Stage::New
    }
}

/// The controller with everything that triggers it, and the Experiments that it knows.
pub fn controller(client: &Client, scope: &Scope) -> (Controller<Experiment>, Experiments) {
    let controller = Controller::new(scope.api::<Experiment>(client), watcher::Config::default());
    let experiments = controller.store();
    let of_runs = watcher::Config::default().labels(RUN_LABEL);
    let of_targets = watcher::Config::default().labels(TARGET_LABEL);
    let waiting = experiments.clone();
    let halts = watcher(Api::<Halt>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .touched_objects()
        .map(|_| ());
    let controller = controller
        .with_config(kube::runtime::Config::default().concurrency(AT_ONCE))
        .owns(scope.api::<Pod>(client), of_runs)
        // A target that is given back is what the waiting wait for.
        .watches(scope.api::<Lease>(client), of_targets, move |lease: Lease| {
            let namespace = lease.metadata.namespace.unwrap_or_default();
            waiting
                .state()
                .into_iter()
                .filter(|experiment| experiment.metadata.namespace.as_deref() == Some(&namespace))
                .filter(|experiment| {
                    experiment.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Waiting))
                })
                .map(|experiment| ObjectRef::from_obj(&*experiment))
                .collect::<Vec<_>>()
        })
        .reconcile_all_on(halts);
    (controller, experiments)
}

/// Reconciles for ever.
pub async fn run(controller: Controller<Experiment>, context: Arc<Context>) {
    controller
        .run(reconcile, |_, error, _| after(error), context)
        .for_each(async |done| match done {
            Ok(_) | Err(kube::runtime::controller::Error::ObjectNotFound(_)) => {}
            Err(kube::runtime::controller::Error::ReconcilerFailed(error, object)) => {
                if error.source.is_conflict() {
                    tracing::debug!(%object, error = told(&error), "somebody was faster, looks again");
                } else {
                    tracing::warn!(%object, error = told(&error), "will be tried again");
                }
            }
            Err(error) => tracing::warn!(error = told(&error), "the watch will be tried again"),
        })
        .await;
}

fn after(error: &Trouble) -> Action {
    Action::requeue(if error.source.is_conflict() { AFTER_CONFLICT } else { AFTER_TROUBLE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{ExperimentSpec, ExperimentStatus};

    fn with(phase: Option<Phase>, runner: Option<&str>) -> Experiment {
        let mut experiment = Experiment::new("e", ExperimentSpec { written: serde_json::Map::new() });
        let runner = runner.map(str::to_owned);
        experiment.status = Some(ExperimentStatus { phase, runner, ..ExperimentStatus::default() });
        experiment
    }

    #[test]
    fn the_status_alone_says_where_an_experiment_is() {
        assert_eq!(stage(&with(None, None)), Stage::New);
        assert_eq!(stage(&with(Some(Phase::Waiting), None)), Stage::New);
        assert_eq!(stage(&with(Some(Phase::Starting), Some("pod"))), Stage::Started);
        assert_eq!(stage(&with(Some(Phase::Faulting), Some("pod"))), Stage::Started);
        assert_eq!(stage(&with(Some(Phase::Judged), Some("pod"))), Stage::Over);
        assert_eq!(stage(&with(Some(Phase::Refused), None)), Stage::Over);
    }
}
