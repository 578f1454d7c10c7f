//! The one loop that owns clock, seed, tasks and journal.
