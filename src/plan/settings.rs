//! Everything that has a default, as it is in force.

use serde::Serialize;

use crate::experiment::{Experiment, Step, StepTarget, Work, duration};
use crate::judge::defaults::STABLE_FOR;

/// Field and value of everything that has a default.
pub(super) fn settings(experiment: &Experiment) -> Vec<(String, String)> {
    let mut settings = vec![
        ("baseline", duration::format(experiment.baseline)),
        ("recovery", duration::format(experiment.recovery)),
        ("guards.maxDuration", duration::format(experiment.guards.max_duration)),
        ("guards.allowQuorumLoss", experiment.guards.allow_quorum_loss.to_string()),
        // Of budgets that do not say otherwise, as `must hold` shows where they do.
        ("budgets.stableFor", duration::format(STABLE_FOR)),
        ("budgets.window", "the whole phase".to_owned()),
        ("budgets.minSamples", "1".to_owned()),
        ("budgets.excludeFaulted", false.to_string()),
    ];
    if let Some(workload) = &experiment.workload {
        settings.extend([
            ("workload.clients", workload.clients.to_string()),
            ("workload.rate", format!("{} operations/s", workload.rate)),
            ("workload.registers", workload.registers.to_string()),
            ("workload.timeout", duration::format(workload.timeout)),
            ("workload.scope.prefix", workload.scope.prefix.clone()),
            ("workload.scope.keep", workload.scope.keep.to_string()),
            ("workload.reads", name_of(&workload.reads)),
            ("workload.through", name_of(&workload.through)),
        ]);
    }
    let settings = settings.into_iter().map(|(field, value)| (field.to_string(), value));
    let steps = experiment.steps.iter();
    let of_steps = steps.flat_map(|step| [place(step), apart(step), between(step), choice(step)]).flatten();
    let of_steps = of_steps.chain(experiment.works().filter_map(driver));
    settings.chain(of_steps).collect()
}

/// Where a step acts, if not where the experiment does.
fn place(step: &Step) -> Option<(String, String)> {
    let StepTarget { stateful_set, container } = step.target.as_ref()?;
    let set = stateful_set.as_ref().map(|set| format!("StatefulSet {set}"));
    let container = match (container, stateful_set) {
        (Some(container), _) => Some(format!("container {container}")),
        (None, Some(_)) => Some("all containers".to_owned()),
        (None, None) => None,
    };
    let all: Vec<String> = set.into_iter().chain(container).collect();
    Some((format!("{}.target", step.name), all.join(", ")))
}

/// How far occurrences are apart, where that is drawn.
fn apart(step: &Step) -> Option<(String, String)> {
    let every = step.repeat.every;
    every.jitter.map(|_| (format!("{}.every", step.name), every.to_string()))
}

/// How long an occurrence waits for recovery from the one before.
fn between(step: &Step) -> Option<(String, String)> {
    let limit = duration::format(step.repeat.recover_between?);
    Some((format!("{}.recoverBetween", step.name), format!("{limit} at most, then nothing more is broken")))
}

/// What a step chooses from, with the weights.
fn choice(step: &Step) -> Option<(String, String)> {
    let weighted = step.alternatives().iter().map(|one| format!("{} ({})", one.work.name(), one.weight));
    step.has_choice()
        .then(|| (format!("{}.oneOf, by weight", step.name), weighted.collect::<Vec<_>>().join(", ")))
}

/// By what a step does it, where nodes have a choice: which of it is possible, each finds out on its own.
fn driver((step, work): (&Step, &Work)) -> Option<(String, String)> {
    let Work::Fault(fault) = work else { return None };
    let drivers = fault.drivers();
    (drivers.len() > 1).then(|| (format!("{}.driver", step.name), drivers.join(", else ")))
}

/// A value of a document as it is written there.
fn name_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
