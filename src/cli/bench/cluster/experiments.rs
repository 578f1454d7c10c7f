//! The controller while many experiments run at once, each on a StatefulSet of its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::super::super::console;
use super::super::super::proving_ground::{PATIENCE, ProvingGround, told, until};
use super::CONTROLLER;
use super::memory::{Row, Size, sizes};
use crate::resource::{ABORT_ANNOTATION, Experiment, Phase, RUN_LABEL};

/// How long a few of them may take to be in the middle of their faults.
const LIMIT: Duration = Duration::from_mins(5);
/// How many are started at once: what is measured is fifty that run, not a machine that starts a hundred pods.
const AT_ONCE: u32 = 5;

/// What the leader takes while `count` experiments have a fault in force, and at the most on the way there.
pub(super) async fn measure(ground: &ProvingGround, count: u32) -> Result<Vec<Row>, String> {
    let leader = [ground.installed.leader().await?];
    let began = Instant::now();
    let mut most = Vec::new();
    for first in (0..count).step_by(AT_ONCE as usize) {
        let last = count.min(first + AT_ONCE);
        for number in first..last {
            ground.start(&format!("target-{number}"), 1, None).await?;
        }
        ground.ready("target", last as usize).await?;
        most.extend(begin(ground, first..last, &leader).await?);
    }
    console::say(format_args!("all faults in force after {:.1} s", began.elapsed().as_secs_f64()));
    let then = sizes(ground, &leader).await?;
    let runners = runners(ground).await?;
    most.extend(&then);
    let rows = vec![
        Row::of(format!("controller that leads, with {count} experiments"), then, Some(CONTROLLER)),
        Row::of("the same, at the most", most, Some(CONTROLLER)),
        Row::of(format!("runner, largest of {count}"), runners, None),
    ];
    end(ground, count).await?;
    Ok(rows)
}

/// Starts these and waits until each has its fault in force; what the leader took meanwhile.
async fn begin(
    ground: &ProvingGround,
    numbers: std::ops::Range<u32>,
    leader: &[Pod],
) -> Result<Vec<Size>, String> {
    let objects = ground.objects::<Experiment>();
    let wanted = numbers.end as usize;
    for number in numbers {
        let object = experiment(number);
        objects.create(&PostParams::default(), &object).await.map_err(told("create an Experiment"))?;
    }
    let mut taken = Vec::new();
    let mut standing = String::new();
    let all = until(LIMIT, async || {
        taken.extend(sizes(ground, leader).await?);
        let found = objects.list(&ListParams::default()).await.map_err(told("list Experiments"))?;
        standing = tell(&found.items);
        Ok((found.items.iter().filter(|object| has_fault(object)).count() >= wanted).then_some(()))
    });
    match all.await? {
        Some(()) => Ok(taken),
        None => Err(format!("not every experiment has its fault within {} s: {standing}", LIMIT.as_secs())),
    }
}

async fn runners(ground: &ProvingGround) -> Result<Vec<Size>, String> {
    let ours = ListParams::default().labels(RUN_LABEL);
    let pods = ground.objects::<Pod>().list(&ours).await.map_err(told("list the runners"))?;
    sizes(ground, &pods.items).await
}

/// Aborts all of them and waits until each has its last word.
async fn end(ground: &ProvingGround, count: u32) -> Result<(), String> {
    let objects = ground.objects::<Experiment>();
    for number in 0..count {
        let patch = json!({ "metadata": { "annotations": { ABORT_ANNOTATION: "measured" } } });
        let patch = Patch::Merge(patch);
        let patched = objects.patch(&name(number), &PatchParams::default(), &patch).await;
        patched.map_err(told("abort an Experiment"))?;
    }
    let ended = until(PATIENCE, async || {
        let found = objects.list(&ListParams::default()).await.map_err(told("list Experiments"))?;
        Ok(found.items.iter().all(is_complete).then_some(()))
    });
    ended.await?.ok_or_else(|| format!("not every experiment has ended within {} s", PATIENCE.as_secs()))
}

fn name(number: u32) -> String {
    format!("hold-{number}")
}

/// Holds one pod still until somebody aborts it.
fn experiment(number: u32) -> Experiment {
    let object = json!({
        "apiVersion": crate::spec::API_VERSION,
        "kind": "Experiment",
        "metadata": { "name": name(number) },
        "spec": {
            "target": { "statefulSet": format!("target-{number}") },
            "baseline": "1s",
            "steps": [{
                "name": "hold", "for": "30m", "fault": { "processPause": { "members": { "count": 1 } } },
            }],
            "hypothesis": [{ "name": "it comes back", "sli": { "podAvailability": {} }, "after": { "min": 1 } }],
            "guards": { "allowQuorumLoss": true, "maxDuration": "40m" },
        },
    });
    serde_json::from_value(object).expect("written in the shape of an Experiment")
}

fn has_fault(object: &Experiment) -> bool {
    object.status.as_ref().is_some_and(|status| status.fault.is_some())
}

fn is_complete(object: &Experiment) -> bool {
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

/// The phases there are, and what one of those says that have no fault in force.
fn tell(objects: &[Experiment]) -> String {
    let phase = |object: &Experiment| object.status.as_ref().and_then(|status| status.phase);
    let phases: BTreeSet<String> = objects
        .iter()
        .map(|object| phase(object).map_or_else(|| "New".into(), |it: Phase| format!("{it:?}")))
        .collect();
    let late = objects.iter().find(|object| !has_fault(object));
    let late = late.map_or_else(String::new, |late| {
        let message = late.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
        format!("; {}: {message}", late.name_any())
    });
    format!("{}{late}", phases.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_is_a_valid_experiment() {
        let object = experiment(3);
        let read = crate::spec::resource::experiment(&object.name_any(), &object.spec.written);
        assert!(read.is_ok(), "{read:?}");
    }
}
