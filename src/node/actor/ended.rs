//! A target that may have ended of what was done to it, as a store does whose sync fails. For as long as it is not started
//! again, nobody is there who would not be hit: the effect lasts, and its proof is renewed.

use std::io;

use tokio::time::Instant;

use super::Actor;
use super::hold::PROOF;
use crate::api::{InjectionSpec, InjectionState};
use crate::fault::host::{ContainerError, Look, Running};
use crate::node::blocking::blocking;
use crate::node::{Channel, Locate, LocatedPod};
use crate::undo::Record;

/// What had been done to it.
pub(in crate::node) struct Ended {
    /// The uid of its pod.
    pod: String,
    /// When its processes were started, at the latest, in ticks since boot.
    started: u64,
    told: String,
    next_report: Instant,
}

impl Ended {
    pub(super) fn new(record: &Record, told: String) -> Self {
        let anchors = record.target.undo().anchors();
        let started = anchors.iter().map(|process| process.start).max().unwrap_or(0);
        Self { pod: record.pod.clone(), started, told, next_report: Instant::now() + PROOF }
    }

    /// Whether a container runs of which nobody says yet which one it is, and that was not there before.
    fn has_successor(&self, pod: &LocatedPod) -> bool {
        pod.unnamed.iter().any(|process| process.start > self.started)
    }
}

impl<C: Channel + 'static, L: Locate + 'static> Actor<C, L> {
    /// Whether there is nobody yet whom it could be done to again, by what was `found`.
    pub(super) async fn is_still_ended(
        &mut self,
        spec: &InjectionSpec,
        found: &io::Result<Option<LocatedPod>>,
    ) -> bool {
        let Some(ended) = &mut self.ended_of_it else { return false };
        match found {
            Ok(Some(pod)) if pod.uid == ended.pod && has_ended(spec, pod).await => {
                if ended.has_successor(pod) {
                    self.ended_of_it = None;
                    self.status.lose("it was started again, and nobody says yet which container that is");
                    self.report().await;
                    return false;
                }
                self.status.see(Look::Holds(ended.told.clone()));
                if Instant::now() >= ended.next_report {
                    ended.next_report = Instant::now() + PROOF;
                    self.report().await;
                }
                true
            }
            Ok(_) => {
                self.ended_of_it = None;
                false
            }
            // Nobody says what runs, so there is nothing to see and nobody to do it to: the proof grows old meanwhile.
            Err(error) => {
                // That its processes are gone is what ended means.
                if error.kind() != io::ErrorKind::NotFound {
                    self.status.note(&error.to_string());
                }
                true
            }
        }
    }

    /// It could not be done, or not again, and is tried once more.
    pub(super) async fn not_now(&mut self, failure: &str) {
        let state = self.status.state();
        if state == InjectionState::Injected {
            self.status.lose(failure);
            self.report().await;
            return;
        }
        let before = self.status.get().error;
        self.status.note(failure);
        // Where it never was in force, nobody knows yet that it is not.
        if state == InjectionState::Pending && self.status.get().error != before {
            self.report().await;
        }
    }
}

async fn has_ended(spec: &InjectionSpec, pod: &LocatedPod) -> bool {
    let (container, pod) = (spec.container.clone(), pod.clone());
    let found = blocking(move || Running::find(&pod, container.as_deref())).await;
    matches!(found, Err(ContainerError::NoContainer(_)))
}
