//! From a journal to a verdict, purely.

pub mod bench;
pub mod durability;
pub mod history;
pub mod linearizability;
