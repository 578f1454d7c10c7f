//! What a person or a machine reads of a run.
//!
//! Everything here is made from a [`Judgement`](crate::judge::judgement::Judgement) or from the journal's lines, so that
//! a report made a year later on another machine says the same. Nothing here decides anything.

pub mod command;
pub mod compare;
#[cfg(test)]
pub(crate) mod fixture;
pub mod html;
pub mod junit;
pub mod live;
pub mod markdown;
pub mod paint;
pub mod repeated;
pub mod schema;
pub mod summary;
pub mod wrap;
