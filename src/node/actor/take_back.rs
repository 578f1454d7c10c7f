//! Taking back, for as long as it takes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Actor, Next, Phase, Wish};
use crate::api::{Desired, InjectionState};
use crate::node::blocking::blocking;
use crate::node::standing::Leftover;
use crate::node::{Channel, Locate};

/// The waits between attempts grow from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl<C: Channel + 'static, L: Locate + 'static> Actor<C, L> {
    /// Takes back, for as long as it takes.
    pub(super) async fn take_back(&mut self, mut left: Box<Leftover>, mut next: Next) -> Phase {
        let mut pause = RETRY.0;
        loop {
            let error = match blocking(move || left.take_back()).await {
                Ok(()) => break,
                Err((same, error)) => {
                    left = same;
                    error
                }
            };
            let failure = format!("cannot be taken back yet: {error}");
            if self.status.state() == InjectionState::RevertFailed {
                self.status.note(&failure);
            } else {
                let before = self.status.get().error.map(|before| format!("{before}; ")).unwrap_or_default();
                self.status.fail(InjectionState::RevertFailed, &format!("{before}{failure}"));
            }
            self.report().await;
            let retry = Instant::now() + pause;
            pause = (pause * 2).min(RETRY.1);
            next = self.hear_until(retry, next).await;
        }
        self.taken_back(next).await
    }

    /// What comes next, by what is wished until then.
    async fn hear_until(&mut self, retry: Instant, mut next: Next) -> Next {
        while let Ok(wish) = timeout_at(retry, self.wishes.recv()).await {
            match wish {
                Some(Wish::Put(spec)) => {
                    if spec.desired == Desired::Reverted && matches!(next, Next::Again | Next::Lost(_)) {
                        next = Next::Reverted;
                    }
                    self.spec = Some(spec);
                }
                Some(Wish::Gone) => next = Next::End,
                None => {
                    // A closed channel answers at once, for ever: waiting on it would never come to the next attempt.
                    sleep_until(retry).await;
                    return Next::End;
                }
            }
        }
        next
    }

    async fn taken_back(&mut self, next: Next) -> Phase {
        match next {
            Next::Again => return Phase::Waiting,
            Next::Reverted => self.status.enter(InjectionState::Reverted),
            Next::Failed(why) => self.status.fail(InjectionState::Failed, &why),
            Next::Lost(why) => self.status.lose(&why),
            Next::End => {
                self.status.enter(InjectionState::Reverted);
                self.report().await;
                return Phase::End;
            }
        }
        self.report().await;
        Phase::Over
    }
}
