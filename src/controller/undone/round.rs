//! One round over everything that is to be put back, which goes on after whatever fails.

use crate::controller::trouble::{Answer, Doing, Trouble};

/// What was put back, and the first thing that could not be.
#[derive(Default)]
pub(super) struct Round {
    done: Vec<String>,
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
                self.done.push(object);
                true
            }
        }
    }

    /// A request failed.
    pub(super) fn fails(&mut self, error: kube::Error, doing: &'static str) {
        self.these::<()>(Err(error).doing(doing));
    }

    /// What was put back, if all of it was.
    pub(super) fn end(self) -> Result<Vec<String>, Trouble> {
        self.trouble.map_or(Ok(self.done), Err)
    }
}
