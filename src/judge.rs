//! From a journal to a verdict, purely.

pub mod history;
pub mod linearizability;
