//! The single record of a run: append-only JSON lines.

pub mod op;
