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

/// What had been done to it.
pub(in crate::node) struct Ended {
    /// The uid of its pod.
    pod: String,
    told: String,
    next_report: Instant,
}

impl Ended {
    pub(super) fn new(pod: String, told: String) -> Self {
        Self { pod, told, next_report: Instant::now() + PROOF }
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
        let is_known = match found {
            Ok(Some(pod)) if pod.uid == ended.pod => {
                if !has_ended(spec, pod).await {
                    self.ended_of_it = None;
                    return false;
                }
                !pod.is_starting
            }
            Ok(Some(_) | None) => {
                self.ended_of_it = None;
                return false;
            }
            // Where nobody says what runs, there is nobody to inject into either.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_known {
            self.status.see(Look::Holds(ended.told.clone()));
            if Instant::now() >= ended.next_report {
                ended.next_report = Instant::now() + PROOF;
                self.report().await;
            }
        }
        true
    }

    /// It could not be done again.
    pub(super) async fn not_again(&mut self, failure: &str) {
        if self.status.state() == InjectionState::Injected {
            self.status.lose(failure);
            self.report().await;
        } else {
            self.status.note(failure);
        }
    }
}

async fn has_ended(spec: &InjectionSpec, pod: &LocatedPod) -> bool {
    let (container, pod) = (spec.container.clone(), pod.clone());
    let found = blocking(move || Running::find(&pod, container.as_deref())).await;
    matches!(found, Err(ContainerError::NoContainer(_)))
}
