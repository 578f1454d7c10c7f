//! One round over everything that is to be put back, which goes on after whatever fails.

use crate::controller::trouble::{Answer, Doing, Trouble};

/// What became of what had to be put back.
#[derive(Debug, Default)]
pub struct Undone {
    /// What was.
    pub back: Vec<String>,
    /// What only a person can put back, and why.
    pub stuck: Vec<String>,
}

/// What was put back, and the first thing that could not be.
#[derive(Default)]
pub(super) struct Round {
    done: Undone,
    trouble: Option<Trouble>,
}

impl Round {
    /// What was found, or nothing.
    pub(super) fn these<T: Default>(&mut self, found: Result<T, Trouble>) -> T {
        found.unwrap_or_else(|trouble| {
            self.keep(trouble);
            T::default()
        })
    }

    /// The first one is told by whoever asked for the round.
    fn keep(&mut self, trouble: Trouble) {
        if self.trouble.is_none() {
            self.trouble = Some(trouble);
        } else {
            tracing::error!(error = &trouble as &dyn std::error::Error, "this could not be put back either");
        }
    }

    /// How a request for this object ended; whether it is as it should be. One that is gone is.
    pub(super) fn hear<T>(
        &mut self,
        object: String,
        answer: Result<T, kube::Error>,
        doing: &'static str,
    ) -> bool {
        match answer {
            Err(error) if !error.is_absent() => {
                self.fails(error, doing);
                false
            }
            Ok(_) | Err(_) => {
                self.done.back.push(object);
                true
            }
        }
    }

    /// A request failed.
    pub(super) fn fails(&mut self, error: kube::Error, doing: &'static str) {
        self.these::<()>(Err(error).doing(doing));
    }

    /// It does not say how it is put back.
    pub(super) fn is_stuck(&mut self, object: &str, why: impl std::fmt::Display) {
        let told = format!("{object}: {why}");
        tracing::error!("cannot be put back, somebody has to look: {told}");
        self.done.stuck.push(told);
    }

    /// What was put back, if no request failed.
    pub(super) fn end(self) -> Result<Undone, Trouble> {
        self.trouble.map_or(Ok(self.done), Err)
    }
}
