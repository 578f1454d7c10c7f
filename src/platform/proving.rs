//! The status of what is done without a node, and how long its effect was proven. Only time between two looks that both
//! saw the effect counts.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::{InjectionState, InjectionStatus, Proof};

/// A status that grows.
#[derive(Debug, Clone)]
pub struct Proving {
    status: InjectionStatus,
    proven_at: Option<Instant>,
}

impl Default for Proving {
    fn default() -> Self {
        Self {
            status: InjectionStatus {
                state: InjectionState::Pending,
                since: Timestamp::now(),
                proof: None,
                effective_for: Duration::ZERO,
                error: None,
                done: false,
                measured: None,
            },
            proven_at: None,
        }
    }
}

impl Proving {
    /// As it is told.
    pub fn status(&self) -> InjectionStatus {
        self.status.clone()
    }

    /// The effect was seen.
    pub fn holds(&mut self, observed: String) {
        let now = Instant::now();
        if let Some(before) = self.proven_at {
            self.status.effective_for += now - before;
        }
        self.enter(InjectionState::Injected);
        self.proven_at = Some(now);
        self.status.proof = Some(Proof { at: Timestamp::now(), holds: true, observed });
        self.status.error = None;
    }

    /// The effect was looked for and not seen. Before it was ever seen that is not a loss.
    pub fn misses(&mut self, why: String) {
        self.proven_at = None;
        if self.status.proof.is_some() {
            self.enter(InjectionState::Lost);
        }
        self.status.error = Some(why);
    }

    /// It never came into force.
    pub fn failed(&mut self, why: String) {
        self.enter(InjectionState::Failed);
        self.status.error = Some(why);
    }

    /// Nothing of it is left.
    pub fn reverted(&mut self) {
        self.enter(InjectionState::Reverted);
        self.status.error = None;
    }

    /// Everything that was to be done was done, and there is nothing to take back.
    pub fn done(&mut self) {
        self.status.done = true;
        self.reverted();
    }

    /// Nothing of it is left, and this was measured by it. The moment of the proof stays what it was.
    pub fn taken_back(&mut self, outcome: Option<String>) {
        if let (Some(proof), Some(outcome)) = (&mut self.status.proof, outcome) {
            proof.observed = outcome;
        }
        self.reverted();
    }

    /// It could not be taken back yet.
    pub fn revert_failed(&mut self, why: String) {
        self.enter(InjectionState::RevertFailed);
        self.status.error = Some(why);
    }

    fn enter(&mut self, state: InjectionState) {
        if self.status.state != state {
            self.status.state = state;
            self.status.since = Timestamp::now();
        }
        if state != InjectionState::Injected {
            self.proven_at = None;
        }
    }
}
