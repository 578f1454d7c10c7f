//! How a command ends: one enum, one match, one table in the README that a test holds equal.

use std::process::ExitCode;

use crate::experiment::Verdict;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The verdict is Pass, or the command did what it was asked.
    Pass,
    /// An error that nobody expected.
    Unexpected,
    /// The command line is wrong.
    Usage,
    /// The verdict is Fail.
    Failed,
    /// The verdict is Inconclusive.
    Inconclusive,
    /// The verdict is Aborted.
    Aborted,
    /// The experiment or a manifest is not valid.
    Invalid,
    /// A guard refused the experiment.
    Refused,
    /// Something that the experiment needs is not there.
    PreflightUnmet,
    /// The cluster does not answer.
    Unreachable,
    /// A fault could not be taken back.
    RevertFailed,
}

impl Exit {
    /// Every way to end, by code.
    pub const ALL: [Self; 11] = [
        Self::Pass,
        Self::Unexpected,
        Self::Usage,
        Self::Failed,
        Self::Inconclusive,
        Self::Aborted,
        Self::Invalid,
        Self::Refused,
        Self::PreflightUnmet,
        Self::Unreachable,
        Self::RevertFailed,
    ];

    /// The process's exit code and what it means.
    pub const fn meaning(self) -> (u8, &'static str) {
        match self {
            Self::Pass => (0, "pass"),
            Self::Unexpected => (1, "unexpected error"),
            Self::Usage => (2, "usage"),
            Self::Failed => (10, "hypothesis failed"),
            Self::Inconclusive => (11, "inconclusive"),
            Self::Aborted => (12, "aborted"),
            Self::Invalid => (20, "invalid experiment"),
            Self::Refused => (21, "refused by a guard"),
            Self::PreflightUnmet => (22, "preflight unmet"),
            Self::Unreachable => (30, "cluster unreachable"),
            Self::RevertFailed => (40, "a revert failed"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.meaning().0)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Aborted => Self::Aborted,
            Verdict::Fail => Self::Failed,
        }
    }
}
