//! The four answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a run says in the end. Ordered: the worst one of its parts wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Everything that was asked was measured and held.
    Pass,
    /// It could not be told.
    Inconclusive,
    /// A guard or a person stopped it.
    Aborted,
    /// Something that had to hold did not.
    Fail,
}

impl Verdict {
    /// The worse of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Pass => "Pass",
            Self::Inconclusive => "Inconclusive",
            Self::Aborted => "Aborted",
            Self::Fail => "Fail",
        })
    }
}
