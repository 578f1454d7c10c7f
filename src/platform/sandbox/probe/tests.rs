//! Probes against real sockets, and the thresholds with a clock of their own.

mod checks;
mod thresholds;
