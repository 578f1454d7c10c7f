//! From a journal to a verdict, purely.
//!
//! Guarantees: [`judge`] reads facts of the journal only, never runs the engine, never reads a judgement back, and gives
//! the same answer for the same journal on every machine. Verdicts: Pass < Inconclusive < Aborted < Fail, the worst one
//! wins. Whatever could not be shown is never a Pass: no data, no target, no operation, a fault that was not proven or
//! proven for less than 90 % of its time, a record that is torn or has no end.

pub mod affected;
mod bound;
mod claim;
pub mod comeback;
mod data;
pub mod defaults;
pub mod durability;
pub mod facts;
pub mod history;
pub mod judgement;
mod limits;
pub mod linearizability;
pub mod live;
mod proof;
mod recovery;
pub mod series;
pub mod signals;
mod summary;
mod windows;
pub mod words;

pub use judgement::Judgement;
pub use summary::judge;

#[cfg(test)]
pub(crate) mod tests;
