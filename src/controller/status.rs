//! What the controller writes of an Experiment, by server-side apply.
//!
//! Before the runner has written anything, phase and message are ours; from then on they are the runner's, until it is
//! gone without a verdict. An apply that would overwrite what the runner wrote meanwhile is refused by the API server
//! (it is not forced), and the next reconciliation looks again.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Map, Value, json};

use super::identity::Identity;
use super::trouble::{Doing, Trouble};
use crate::experiment::Verdict;
use crate::resource::{Experiment, Phase};

/// The field manager of everything that the controller applies.
pub const MANAGER: &str = "seatrial-controller";

/// The longest message that is written; the events and the runner's log have the rest.
const LONGEST_MESSAGE: usize = 8 * 1024;

/// A condition's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// The Experiment is valid and allowed.
    Accepted,
    /// A runner carries it out.
    Running,
    /// Somebody asked the run to end.
    AbortRequested,
    /// Every fault of the run is taken back.
    Reverted,
    /// Nothing more will happen, and nothing of the run is left but its record.
    Complete,
}

impl Aspect {
    /// Its name in `status.conditions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Running => "Running",
            Self::AbortRequested => "AbortRequested",
            Self::Reverted => "Reverted",
            Self::Complete => "Complete",
        }
    }

    /// The condition as the API server has it.
    pub fn find(self, experiment: &Experiment) -> Option<&Condition> {
        let conditions = &experiment.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == self.name())
    }

    /// Whether it is True.
    pub fn holds(self, experiment: &Experiment) -> bool {
        self.find(experiment).is_some_and(|condition| condition.status == "True")
    }
}

/// What is written.
#[derive(Debug, Clone)]
pub struct Update {
    fields: Map<String, Value>,
    conditions: Vec<Condition>,
    generation: Option<i64>,
    force: bool,
}

impl Update {
    /// Everything that the controller has written before, so that nothing of it is lost.
    pub fn of(experiment: &Experiment, identity: &Identity) -> Self {
        let status = experiment.status.clone().unwrap_or_default();
        let written = serde_json::to_value(&status).expect("a status is JSON");
        // Server-side apply removes what an owner leaves out.
        let mut fields: Map<String, Value> = owned(experiment)
            .into_iter()
            .filter_map(|field| written.get(&field).map(|value| (field, value.clone())))
            .collect();
        fields.insert("run".into(), identity.run.clone().into());
        Self { fields, conditions: status.conditions, generation: experiment.meta().generation, force: false }
    }

    fn set(&mut self, field: &str, value: impl serde::Serialize) {
        self.fields.insert(field.into(), serde_json::to_value(value).expect("a field is JSON"));
    }

    /// Where the run is, while that is ours to say.
    #[must_use]
    pub fn phase(mut self, phase: Phase, message: &str) -> Self {
        self.set("phase", phase);
        self.set("message", shortened(message));
        self
    }

    /// The pod that will carry out the run.
    #[must_use]
    pub fn runner(mut self, pod: &str) -> Self {
        self.set("runner", pod);
        self
    }

    /// Takes the runner's fields over: it is gone.
    #[must_use]
    pub fn instead_of_the_runner(mut self) -> Self {
        self.force = true;
        self
    }

    /// The last word on a run whose runner had none.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict, now: Timestamp) -> Self {
        self.set("finishedAt", now);
        self.set("verdict", verdict);
        self
    }

    /// Whether some fault could not be taken back. Takes the field over.
    #[must_use]
    pub fn revert_failed(mut self, failed: bool) -> Self {
        self.force = true;
        self.set("revertFailed", failed);
        self
    }

    /// One aspect; the time changes only with the status.
    #[must_use]
    pub fn condition(
        mut self,
        aspect: Aspect,
        holds: bool,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Self {
        let status = if holds { "True" } else { "False" };
        let before = self.conditions.iter().find(|condition| condition.type_ == aspect.name());
        let since =
            before.filter(|found| found.status == status).map(|found| found.last_transition_time.clone());
        let condition = Condition {
            type_: aspect.name().into(),
            status: status.into(),
            reason: reason.into(),
            message: shortened(message),
            last_transition_time: since.unwrap_or(Time(now)),
            observed_generation: self.generation,
        };
        self.conditions.retain(|found| found.type_ != aspect.name());
        self.conditions.push(condition);
        self
    }

    /// Writes it, unless it is there already.
    pub async fn write(self, client: &Client, experiment: &Experiment) -> Result<(), Trouble> {
        let mut status = self.fields;
        status.insert("conditions".into(), json!(self.conditions));
        status.insert("observedGeneration".into(), json!(self.generation));
        if is_written(experiment, &status) {
            return Ok(());
        }
        let object = json!({
            "apiVersion": Experiment::api_version(&()),
            "kind": Experiment::kind(&()),
            // The UID makes the API server refuse to speak of another Experiment of the same name.
            "metadata": { "name": experiment.name_any(), "uid": experiment.uid() },
            "status": status,
        });
        let experiments: Api<Experiment> =
            Api::namespaced(client.clone(), &experiment.namespace().unwrap_or_default());
        let params = PatchParams { force: self.force, ..PatchParams::apply(MANAGER) };
        experiments
            .patch_status(&experiment.name_any(), &params, &Patch::Apply(&object))
            .await
            .map(drop)
            .doing("write the status of the Experiment")
    }
}

/// The fields of the status that are the controller's now, by the API server's own record.
fn owned(experiment: &Experiment) -> Vec<String> {
    let managed = experiment.meta().managed_fields.iter().flatten();
    managed
        .filter(|entry| {
            entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Apply")
        })
        .filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:status")?.as_object())
        .flat_map(Map::keys)
        .filter_map(|key| key.strip_prefix("f:"))
        .filter(|field| !["conditions", "observedGeneration"].contains(field))
        .map(str::to_owned)
        .collect()
}

fn is_written(experiment: &Experiment, status: &Map<String, Value>) -> bool {
    let found = serde_json::to_value(&experiment.status).unwrap_or_default();
    status.iter().all(|(field, value)| {
        let found = found.get(field).unwrap_or(&Value::Null);
        // What is left out of a status reads as its default.
        found == value || (found.is_null() && *value == Value::Bool(false))
    })
}

fn shortened(message: &str) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message.into();
    }
    let end = (0..=LONGEST_MESSAGE).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{ExperimentSpec, ExperimentStatus};

    fn experiment(status: ExperimentStatus) -> Experiment {
        let mut experiment = Experiment::new("e", ExperimentSpec { written: Map::new() });
        experiment.status = Some(status);
        experiment
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let experiment = experiment(ExperimentStatus::default());
        let identity = Identity::of(&experiment);
        let update = Update::of(&experiment, &identity)
            .condition(Aspect::Running, true, "Started", "", at(1))
            .condition(Aspect::Running, true, "Restarted", "", at(2));
        assert_eq!(update.conditions[0].last_transition_time, Time(at(1)));
        assert_eq!(update.conditions[0].reason, "Restarted");
        let update = update.condition(Aspect::Running, false, "Ended", "", at(3));
        assert_eq!(update.conditions.len(), 1);
        assert_eq!(update.conditions[0].last_transition_time, Time(at(3)));
    }

    #[test]
    fn what_the_runner_wrote_is_not_written_again() {
        let running = ExperimentStatus {
            phase: Some(Phase::Faulting),
            message: Some("the runner's".into()),
            runner: Some("pod".into()),
            ..ExperimentStatus::default()
        };
        let experiment = experiment(running);
        let update = Update::of(&experiment, &Identity::of(&experiment));
        assert!(!update.fields.contains_key("phase") && !update.fields.contains_key("message"));
        assert!(!update.force);
    }

    #[test]
    fn what_is_ours_is_written_again_because_leaving_it_out_would_remove_it() {
        let judged = ExperimentStatus {
            phase: Some(Phase::Judged),
            verdict: Some(Verdict::Aborted),
            fault: Some("the runner's".into()),
            ..ExperimentStatus::default()
        };
        let mut experiment = experiment(judged);
        experiment.metadata.managed_fields = serde_json::from_value(json!([{
            "manager": MANAGER, "operation": "Apply", "subresource": "status",
            "fieldsV1": { "f:status": { "f:phase": {}, "f:verdict": {}, "f:conditions": {} } },
        }]))
        .expect("managed fields");
        let update = Update::of(&experiment, &Identity::of(&experiment));
        assert_eq!(
            (&update.fields["phase"], &update.fields["verdict"]),
            (&json!("Judged"), &json!("Aborted"))
        );
        assert!(!update.fields.contains_key("fault"));
    }

    #[test]
    fn long_messages_end_between_characters() {
        let text = "é".repeat(LONGEST_MESSAGE);
        assert!(shortened(&text).ends_with("é…"));
    }
}
