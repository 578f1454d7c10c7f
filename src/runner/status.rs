//! Writes the Experiment's status, as far as it is the runner's: server-side apply, so that the controller's fields stay.

use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::PATIENCE;
use super::closing::End;
use super::keep::KeepError;
use super::progress::Progress;
use crate::platform::PlatformError;
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{insist, insist_for};
use crate::resource::{Experiment, ExperimentStatus, JournalPlace, Phase};

/// Between two writes: people read them, and other controllers watch them.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest sentence of a status, in characters.
const LONGEST: usize = 1000;

/// Everything that the status says.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing {
    /// From the journal.
    pub(super) progress: Progress,
    /// What is said in the end.
    end: Option<ExperimentStatus>,
}

impl Standing {
    /// Nothing is run, for this reason.
    pub(super) fn refused(message: String) -> Self {
        let end =
            ExperimentStatus { phase: Some(Phase::Refused), message: Some(message), ..Default::default() };
        Self { progress: Progress::default(), end: Some(end) }
    }

    /// The run is over.
    pub(super) fn close(&mut self, end: End, kept: Result<JournalPlace, KeepError>, now: Timestamp) {
        let mut message = end.message;
        let journal = match kept {
            Ok(place) => Some(place),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                message =
                    format!("{message}; the journal was not kept: {error}{}", cause.unwrap_or_default());
                None
            }
        };
        self.end = Some(ExperimentStatus {
            phase: Some(Phase::Judged),
            verdict: Some(end.verdict),
            message: Some(message),
            outcomes: end.outcomes,
            revert_failed: end.revert_failed,
            finished_at: Some(now),
            journal,
            ..Default::default()
        });
    }

    /// The fields that are ours.
    fn status(&self) -> ExperimentStatus {
        let progress = &self.progress;
        let mut now = self.end.clone().unwrap_or_else(|| ExperimentStatus {
            phase: progress.phase.or(Some(Phase::Starting)),
            fault: progress.fault(),
            message: Some(progress.message()),
            revert_failed: progress.revert_failed,
            ..Default::default()
        });
        for text in now.fault.iter_mut().chain(&mut now.message) {
            shorten(text);
        }
        ExperimentStatus { seed: progress.seed, started_at: progress.started_at, ..now }
    }
}

/// What names a thousand pods is written many times and read by nobody; the journal has all of it.
fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
}

/// The way to one Experiment's status.
#[derive(Clone)]
pub(super) struct Reporter {
    objects: Api<Experiment>,
    name: String,
    uid: Option<String>,
}

impl Reporter {
    pub(super) fn new(objects: Api<Experiment>, object: &Experiment) -> Self {
        Self { objects, name: object.name_any(), uid: object.uid() }
    }

    /// Writes whatever is newest, again and again. What could not be written is said by the next one.
    pub(super) async fn report(self, mut newest: watch::Receiver<Standing>) {
        let mut written = None;
        while newest.changed().await.is_ok() {
            let now = newest.borrow_and_update().status();
            if written.as_ref() != Some(&now) {
                let patch = self.patch(&now);
                match insist(|| self.write(&patch)).await {
                    Ok(()) => written = Some(now),
                    Err(error) => tracing::warn!(%error, "the status was not written"),
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Writes the last word. An Experiment that is gone wants to hear nothing.
    pub(super) async fn finish(&self, standing: &Standing) -> Result<(), PlatformError> {
        let patch = self.patch(&standing.status());
        match insist_for(PATIENCE, || self.write(&patch)).await {
            Err(PlatformError::Refused(why)) if self.is_gone().await => {
                tracing::warn!("Experiment {} is gone: its verdict is in the log only ({why})", self.name);
                Ok(())
            }
            done => done,
        }
    }

    async fn is_gone(&self) -> bool {
        let found = insist(|| self.objects.get_opt(&self.name)).await;
        found.is_ok_and(|found| found.is_none_or(|found| found.uid() != self.uid))
    }

    fn patch(&self, status: &ExperimentStatus) -> Patch<serde_json::Value> {
        Patch::Apply(json!({
            "apiVersion": Experiment::api_version(&()),
            "kind": Experiment::kind(&()),
            // Another one of the same name is not ours to speak of.
            "metadata": {"name": self.name, "uid": self.uid},
            "status": status,
        }))
    }

    async fn write(&self, patch: &Patch<serde_json::Value>) -> kube::Result<()> {
        let parameters = PatchParams::apply(RUNNER).force();
        self.objects.patch_status(&self.name, &parameters, patch).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_about_a_thousand_pods_is_cut_between_its_letters() {
        let standing = Standing::refused("ü".repeat(5000));
        let message = standing.status().message.expect("it says why");
        assert_eq!(message.chars().count(), LONGEST + 1);
        assert!(message.ends_with("ü…"), "{message}");
        let standing = Standing::refused("as it is".into());
        assert_eq!(standing.status().message.as_deref(), Some("as it is"));
    }
}
