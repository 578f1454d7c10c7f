//! `schedulerPending`: for how long pods were Pending, from the snapshot that first showed it to the one that no longer
//! did. A pod that is replaced while it is Pending begins again.

use crate::api::{Nanos, Ordinal, PodPhase, Snapshot};
use crate::judge::signals::waits::{Wait, Waits};

/// Times in which pods were Pending.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    spans: Vec<Span>,
    is_known: bool,
}

#[derive(Debug, Clone)]
struct Span {
    wait: Wait,
    ordinal: Ordinal,
    uid: String,
}

impl Pending {
    pub(super) fn take(&mut self, time: Nanos, snapshot: &Snapshot) {
        self.is_known = true;
        for span in self.spans.iter_mut().filter(|span| span.wait.to.is_none()) {
            let is_still = snapshot
                .pod(span.ordinal)
                .is_some_and(|pod| pod.uid == span.uid && pod.phase == PodPhase::Pending);
            if !is_still {
                span.wait.to = Some(time);
            }
        }
        for pod in snapshot.pods.iter().filter(|pod| pod.phase == PodPhase::Pending) {
            let is_known = |span: &Span| span.uid == pod.uid && span.wait.to.is_none();
            if !self.spans.iter().any(is_known) {
                let (ordinal, uid) = (pod.ordinal, pod.uid.clone());
                let why = format!("the pod of member {ordinal} was Pending");
                self.spans.push(Span { wait: Wait { from: time, to: None, why }, ordinal, uid });
            }
        }
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        self.spans.retain(|span| span.wait.to.is_none_or(|to| to >= before));
    }

    /// How long each was Pending. Where none was, that is what was measured: pods were there all the time.
    pub(super) fn waits(&self) -> Waits<'_> {
        Waits {
            all: self.spans.iter().map(|span| &span.wait).collect(),
            is_known: self.is_known,
            none: self.is_known.then_some(0),
        }
    }
}
