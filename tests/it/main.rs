//! Integration tests: they drive the program and the library against the real kernel, and never enter namespaces
//! themselves.

mod node_faults;
mod node_fixture;
mod node_kill;
mod node_power;
mod sandbox_fixture;
mod sandbox_lifecycle;
