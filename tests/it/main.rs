//! Integration tests: they drive the program and the library against the real kernel, and never enter namespaces
//! themselves.

mod node_faults;
mod node_fixture;
mod sandbox_fixture;
mod sandbox_lifecycle;
