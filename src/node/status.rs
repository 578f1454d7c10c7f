//! The status of one Injection, and how long its effect was proven.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{InjectionState, InjectionStatus, Measured, Proof, Seen};
use crate::fault::host::Look;
use crate::host::process::boot::uptime;

/// Only time between two looks that both saw the effect counts as proven.
pub(super) struct Status {
    current: InjectionStatus,
    /// Time since boot of the last look, if that saw the effect.
    proven_at: Option<Duration>,
    /// What takes long just now.
    slow: Option<String>,
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            current: InjectionStatus {
                state: InjectionState::Pending,
                since: Timestamp::now(),
                proof: None,
                effective_for: Duration::ZERO,
                error: None,
                done: false,
                measured: None,
            },
            proven_at: None,
            slow: None,
        }
    }

    pub(super) fn get(&self) -> InjectionStatus {
        let parts = [&self.current.error, &self.slow].into_iter().flatten().cloned().collect::<Vec<_>>();
        let error = (!parts.is_empty()).then(|| parts.join("; "));
        InjectionStatus { error, ..self.current.clone() }
    }

    /// Says what takes long just now, or that nothing does any more: that is no error, and nothing to remember.
    pub(super) fn slow(&mut self, what: Option<String>) {
        self.slow = what;
    }

    pub(super) fn state(&self) -> InjectionState {
        self.current.state
    }

    pub(super) fn enter(&mut self, state: InjectionState) {
        if self.current.state != state {
            self.current.state = state;
            self.current.since = Timestamp::now();
        }
        if state != InjectionState::Injected {
            self.proven_at = None;
        }
    }

    pub(super) fn fail(&mut self, state: InjectionState, error: &impl ToString) {
        self.enter(state);
        self.current.error = Some(error.to_string());
    }

    /// Adds a remark that does not change the state.
    pub(super) fn note(&mut self, remark: &str) {
        self.current.error = Some(match self.current.error.take() {
            Some(earlier) if earlier.ends_with(remark) => earlier,
            // A long history would hide the newest remark and grow without end.
            Some(earlier) if earlier.len() < 2000 => format!("{earlier}; {remark}"),
            Some(_) | None => remark.to_owned(),
        });
    }

    /// The effect is lost, from the last look that saw it to now at the latest.
    pub(super) fn lose(&mut self, why: &str) {
        if self.current.state == InjectionState::Lost {
            return;
        }
        let now = Timestamp::now();
        let seen = self.current.proof.as_ref().filter(|proof| proof.holds).map(|proof| proof.at);
        let lost = match seen {
            Some(seen) => format!("lost between {seen:.3} and {now:.3}: {why}"),
            None => format!("lost before {now:.3}: {why}"),
        };
        self.enter(InjectionState::Lost);
        self.note(&lost);
    }

    /// What was read of volumes.
    pub(super) fn measured(&mut self, measured: Measured) {
        let (state, error) = match measured.seen() {
            Seen::Volumes(..) => (InjectionState::Injected, None),
            Seen::NoPod => {
                (InjectionState::Pending, Some("the pod does not run on this node now".to_owned()))
            }
            Seen::Unknown(why) => (InjectionState::Pending, Some(why.to_owned())),
        };
        self.enter(state);
        self.current.error = error;
        self.current.measured = Some(measured);
    }

    /// What a look showed.
    pub(super) fn see(&mut self, look: Look) {
        let now = uptime();
        let (holds, observed) = match look {
            Look::NotYet => return,
            Look::Holds(observed) => {
                if let Some(before) = self.proven_at {
                    self.current.effective_for += now.saturating_sub(before);
                }
                self.enter(InjectionState::Injected);
                self.proven_at = Some(now);
                (true, observed)
            }
            Look::Fails(observed) => {
                self.lose(&observed);
                (false, observed)
            }
        };
        self.current.proof = Some(Proof { at: Timestamp::now(), holds, observed });
    }
}
