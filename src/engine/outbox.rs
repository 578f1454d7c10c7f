//! Effects on their way out, and the answers to those that need one. An answer that does not come in time is an error
//! like any other; one that comes twice, or late, is ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use super::limits::after;
use crate::api::Nanos;
use crate::experiment::duration;
use crate::journal::entry::Effect;

/// What is asked, and what is answered.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    next: u64,
    out: Vec<(u64, Effect)>,
    open: BTreeMap<u64, (Nanos, Duration)>,
    answers: BTreeMap<u64, Result<(), String>>,
}

impl Outbox {
    /// Sends an effect whose answer does not matter.
    pub(super) fn say(&mut self, effect: Effect) {
        self.out.push((self.next, effect));
        self.next += 1;
    }

    /// Sends an effect and waits for its answer, at most for `limit`.
    pub(super) fn ask(&mut self, effect: Effect, now: Nanos, limit: Duration) -> u64 {
        let id = self.next;
        self.open.insert(id, (after(now, limit), limit));
        self.say(effect);
        id
    }

    /// Takes an answer in.
    pub(super) fn hear(&mut self, id: u64, error: Option<&String>) {
        if self.open.remove(&id).is_some() {
            let answer = error.map_or(Ok(()), |error| Err(error.clone()));
            self.answers.insert(id, answer);
        }
    }

    /// Turns what was not answered by `now` into errors.
    pub(super) fn expire(&mut self, now: Nanos) {
        let late: Vec<_> = self
            .open
            .iter()
            .filter(|&(_, &(due, _))| due <= now)
            .map(|(&id, &(_, limit))| (id, limit))
            .collect();
        for (id, limit) in late {
            self.open.remove(&id);
            let answer = format!("no answer within {}", duration::format(limit));
            self.answers.insert(id, Err(answer));
        }
    }

    /// The answer, once: afterwards it is forgotten.
    pub(super) fn take(&mut self, id: u64) -> Option<Result<(), String>> {
        self.answers.remove(&id)
    }

    /// Does not wait for this answer any more.
    pub(super) fn ignore(&mut self, id: u64) {
        self.open.remove(&id);
        self.answers.remove(&id);
    }

    /// What was sent since the last call.
    pub(super) fn drain(&mut self) -> Vec<(u64, Effect)> {
        std::mem::take(&mut self.out)
    }

    /// When the next answer is late.
    pub(super) fn timers(&self) -> impl Iterator<Item = Nanos> {
        self.open.values().map(|&(due, _)| due)
    }
}
