//! After the last word: nothing of the run may be left but its record.

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use super::agents::{self, Wanted};
use super::context::Context;
use super::identity::Identity;
use super::status::{Aspect, Update};
use super::trouble::Trouble;
use super::{CALM, SOON, follow, sweep, target, undone};
use crate::experiment::Verdict;
use crate::resource::{Experiment, Phase};

/// Takes back what may be left, gives the target back, and says that nothing more will happen.
pub async fn finish(
    context: &Context,
    experiment: &Experiment,
    identity: &Identity,
) -> Result<Action, Trouble> {
    if Aspect::Complete.holds(experiment) {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let status = experiment.status.clone().unwrap_or_default();
    let left = sweep::sweep(&context.client, &identity.namespace, &identity.run, now).await?;
    undone::of_run(&context.client, &identity.namespace, &identity.run).await?;
    if !left.is_nothing() {
        let told = [left.waiting.clone(), left.failing.clone()].concat().join("; ");
        let failed = !left.failing.is_empty();
        Update::of(experiment, identity)
            .revert_failed(failed || status.revert_failed)
            .condition(Aspect::Reverted, false, if failed { "RevertFailed" } else { "Reverting" }, &told, now)
            .write(&context.client, experiment)
            .await?;
        if failed && !status.revert_failed {
            context.news.of_experiment(experiment, EventType::Warning, "RevertFailed", &told).await;
        }
        return Ok(Action::requeue(if left.waiting.is_empty() { CALM } else { SOON }));
    }
    target::release(&context.client, identity).await?;
    let is_last = context
        .experiments
        .state()
        .iter()
        .all(|other| other.metadata.uid == experiment.metadata.uid || target::is_over(other));
    if is_last {
        agents::ensure(&context.client, &context.namespace, Wanted::No).await?;
    }
    let (reason, message) = match (status.phase, status.verdict) {
        (Some(Phase::Refused), _) => ("Refused", "nothing was injected".to_owned()),
        (_, Some(verdict)) => (word(verdict), format!("the verdict is {}", word(verdict))),
        (_, None) => ("Judged", "there is no verdict".to_owned()),
    };
    Update::of(experiment, identity)
        .condition(Aspect::Running, false, reason, &message, now)
        .condition(Aspect::Reverted, true, "NothingLeft", "no fault of the run is in force", now)
        .condition(Aspect::Complete, true, reason, &message, now)
        .write(&context.client, experiment)
        .await?;
    let Some(verdict) = status.verdict.filter(|_| status.phase != Some(Phase::Refused)) else {
        return Ok(Action::await_change());
    };
    context.metrics.judged(verdict);
    let kind = if verdict == Verdict::Pass { EventType::Normal } else { EventType::Warning };
    let note = match status.message {
        Some(said) => format!("{message}: {said}"),
        None => message,
    };
    let targets = follow::targets(experiment);
    if !targets.is_empty() {
        context.news.of_all(experiment, identity, &targets, kind, "Judged", &note).await;
    }
    Ok(Action::await_change())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Inconclusive => "Inconclusive",
        Verdict::Aborted => "Aborted",
        Verdict::Fail => "Fail",
    }
}
