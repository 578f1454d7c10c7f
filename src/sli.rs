//! Samplers of service level indicators.
//!
//! A sample is a value, *unreachable* (the target's doing) or *not sampled* (ours). Samplers tell these apart where the
//! question is asked, because nobody can later.

pub mod members;
pub mod requests;
