//! The leading controller is killed over runs.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::super::console;
use super::super::super::proving_ground::{ProvingGround, container_process, invisible, told, until};
use super::super::super::wish::Fault;
use super::look::Target;
use super::moment::{RunPlan, RunStage};
use super::{MEMBERS, SET, Tally};
use crate::controller::TARGET_LABEL;
use crate::experiment::Verdict;
use crate::resource::{Experiment, ExperimentStatus, Injection, RUN_LABEL};

/// How long a run may take to get to the moment at which the controller is killed, and from there to its end: a Lease
/// that nobody gives back is free after fifteen seconds.
const LIMIT: Duration = Duration::from_mins(3);
/// How long what a run leaves may take to go when its Experiment is deleted.
const GONE: Duration = Duration::from_mins(1);
/// Between two looks at a status whose moments are short.
const PAUSE: Duration = Duration::from_millis(20);
/// The run ended before it got there.
const EARLY: &str = "too late";

pub(super) async fn soak(ground: &ProvingGround, rounds: u32, seed: u64) -> Result<Tally, String> {
    let stages: Vec<_> = RunStage::ALL.into_iter().map(RunStage::words).chain([EARLY]).collect();
    let mut tally = Tally::of(&stages);
    let targets: Vec<Target> =
        ground.ready(SET, MEMBERS).await?.into_iter().map(Target::new).collect::<Result<_, _>>()?;
    let controllers = ground.installed.controllers().await?.len();
    for round in 0..rounds {
        ground.installed.fresh_controllers(controllers).await?;
        let plan = RunPlan::new(seed, round);
        let (stage, end) = play(ground, round, plan, &targets).await?;
        tally.count(stage, end.is_ok());
        let end = end.unwrap_or_else(|wrong| format!("WRONG: {wrong}"));
        let width = rounds.to_string().len();
        let victims = if plan.with_runner { "controller+runner" } else { "controller" };
        console::data(format_args!(
            "{:>width$} of {rounds}  {:<16} {victims:<17} killed {stage:<23}  {end}\n",
            round + 1,
            plan.fault.name(),
        ));
    }
    Ok(tally)
}

/// One round: where the run was, and how it ended or what is wrong about that.
async fn play(
    ground: &ProvingGround,
    round: u32,
    plan: RunPlan,
    targets: &[Target],
) -> Result<(&'static str, Result<String, String>), String> {
    let objects = ground.objects::<Experiment>();
    let leader = ground.installed.leader().await?;
    let victim = container_process(&leader).ok_or_else(|| invisible(&leader))?;
    let object = experiment(round, plan.fault);
    let name = object.name_any();
    objects.create(&PostParams::default(), &object).await.map_err(told("create an Experiment"))?;
    let status = reach(ground, &name, plan.stage).await?;
    sleep(longest(plan.stage).mul_f64(plan.part)).await;
    signal(victim)?;
    let mut stage = plan.stage.words();
    let mut killed_runner = false;
    if status.verdict.is_some() && plan.stage != RunStage::Ending {
        stage = EARLY;
    } else if plan.with_runner {
        killed_runner = kill_runner(ground, status.runner.as_deref().unwrap_or_default()).await?;
    }
    let end = end(ground, &name, killed_runner, targets).await?;
    objects.delete(&name, &DeleteParams::background()).await.map_err(told("delete an Experiment"))?;
    let left = until(GONE, async || Ok(left_in_namespace(ground).await?.is_empty().then_some(())));
    let end = match left.await? {
        Some(()) => end,
        None => Err(format!("left: {}", left_in_namespace(ground).await?.join("; "))),
    };
    ground.installed.replace(&leader).await?;
    Ok((stage, end))
}

/// How long a stage lasts about.
fn longest(stage: RunStage) -> Duration {
    Duration::from_millis(match stage {
        RunStage::Admitting => 150,
        RunStage::Starting => 1000,
        RunStage::Holding => 1500,
        RunStage::Ending => 100,
    })
}

/// Waits until a run is in a stage, or beyond it.
async fn reach(ground: &ProvingGround, name: &str, stage: RunStage) -> Result<ExperimentStatus, String> {
    let objects = ground.objects::<Experiment>();
    let give_up = Instant::now() + LIMIT;
    loop {
        let found = objects.get_status(name).await.map_err(told("read an Experiment"))?;
        let status = found.status.unwrap_or_default();
        let is_there = match stage {
            RunStage::Admitting => true,
            RunStage::Starting => status.runner.is_some(),
            RunStage::Holding => status.fault.is_some(),
            RunStage::Ending => false,
        };
        if is_there || status.verdict.is_some() {
            return Ok(status);
        }
        if Instant::now() >= give_up {
            let message = status.message.unwrap_or_default();
            return Err(format!("a run does not get on: {:?}, {message}", status.phase));
        }
        sleep(PAUSE).await;
    }
}

async fn kill_runner(ground: &ProvingGround, runner: &str) -> Result<bool, String> {
    let pod = ground.objects::<Pod>().get_opt(runner).await.map_err(told("read the runner's pod"))?;
    let Some(process) = pod.as_ref().and_then(container_process) else {
        return Ok(false);
    };
    signal(process)?;
    Ok(true)
}

/// Waits until nothing more will happen to a run, and says what is wrong about its end.
async fn end(
    ground: &ProvingGround,
    name: &str,
    killed_runner: bool,
    targets: &[Target],
) -> Result<Result<String, String>, String> {
    let objects = ground.objects::<Experiment>();
    let began = Instant::now();
    let mut last = ExperimentStatus::default();
    let ended = until(LIMIT, async || {
        last = objects.get_status(name).await.map_err(told("read an Experiment"))?.status.unwrap_or_default();
        let complete = last.conditions.iter().find(|condition| condition.type_ == "Complete");
        Ok(complete.filter(|condition| condition.status == "True").map(|_| ()))
    });
    let took = match ended.await? {
        Some(()) => began.elapsed().as_secs_f64(),
        None => return Ok(Err(format!("not complete: {last:?}"))),
    };
    let message = last.message.unwrap_or_default();
    let Some(verdict) = last.verdict else {
        return Ok(Err(format!("it has no verdict: {message}")));
    };
    if killed_runner != (verdict >= Verdict::Aborted) {
        return Ok(Err(format!("its verdict is {verdict}: {message}")));
    }
    let mut left: Vec<String> = targets.iter().flat_map(Target::left).collect();
    left.extend(injections(ground).await?);
    left.extend(leases(ground).await?);
    Ok(if left.is_empty() {
        Ok(format!("ok, {verdict}, complete {took:.1} s after the kill"))
    } else {
        Err(format!("left: {}", left.join("; ")))
    })
}

async fn injections(ground: &ProvingGround) -> Result<Vec<String>, String> {
    let found = ground.objects::<Injection>().list_metadata(&ListParams::default()).await;
    let found = found.map_err(told("list Injections"))?.items;
    Ok(found.iter().map(|found| format!("Injection {}", found.name_any())).collect())
}

async fn leases(ground: &ProvingGround) -> Result<Vec<String>, String> {
    let ours = ListParams::default().labels(TARGET_LABEL);
    let found = ground.objects::<Lease>().list_metadata(&ours).await;
    let found = found.map_err(told("list Leases"))?.items;
    Ok(found.iter().map(|found| format!("Lease {}", found.name_any())).collect())
}

/// Everything of a run that goes with its Experiment at the latest.
async fn left_in_namespace(ground: &ProvingGround) -> Result<Vec<String>, String> {
    let mut left = injections(ground).await?;
    left.extend(leases(ground).await?);
    let of_runs = ListParams::default().labels(RUN_LABEL);
    let pods = ground.objects::<Pod>().list_metadata(&of_runs).await.map_err(told("list runners"))?;
    left.extend(pods.items.iter().map(|pod| format!("pod {}", pod.name_any())));
    let all = ListParams::default();
    let experiments = ground.objects::<Experiment>().list_metadata(&all).await;
    let experiments = experiments.map_err(told("list Experiments"))?.items;
    left.extend(experiments.iter().map(|found| format!("Experiment {}", found.name_any())));
    Ok(left)
}

fn signal(process: crate::host::process::ProcessId) -> Result<(), String> {
    let sent = process.open().and_then(|handle| match handle {
        Some(handle) => handle.signal(Signal::SIGKILL),
        None => Ok(()),
    });
    sent.map_err(|error| format!("cannot kill {process}: {error}"))
}

/// Breaks one member for two seconds.
fn experiment(round: u32, fault: Fault) -> Experiment {
    let ordinal = round as usize % MEMBERS;
    let fault = match fault {
        Fault::Cut => json!({ "networkPartition": { "isolate": { "ordinals": [ordinal] } } }),
        Fault::Pause => json!({ "processPause": { "members": { "ordinals": [ordinal] } } }),
    };
    let object = json!({
        "apiVersion": crate::spec::API_VERSION,
        "kind": "Experiment",
        "metadata": { "name": format!("run-{round}") },
        "spec": {
            "target": { "statefulSet": SET },
            "baseline": "500ms",
            "steps": [{ "name": "break", "for": "2s", "fault": fault }],
            "hypothesis": [{ "name": "all come back", "sli": { "podAvailability": {} }, "after": { "min": 1 } }],
            "guards": { "maxDuration": "5m" },
        },
    });
    serde_json::from_value(object).expect("written in the shape of an Experiment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_a_valid_experiment() {
        for (round, fault) in (0..).zip(Fault::ALL) {
            let object = experiment(round, fault);
            let read = crate::spec::resource::experiment(&object.name_any(), &object.spec.written);
            assert!(read.is_ok(), "{read:?}");
        }
    }
}
