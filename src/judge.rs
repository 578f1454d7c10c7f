//! From a journal to a verdict, purely.

pub mod durability;
pub mod history;
pub mod linearizability;
