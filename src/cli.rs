//! The command line: arguments in, exit codes out. The edges: they wire things together and decide nothing.

pub mod args;
pub mod exit;
pub mod input;
