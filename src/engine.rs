//! The pure state machine of a run.
