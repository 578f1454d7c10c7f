//! Integration tests: they drive the program and the library against the real kernel, and never enter namespaces
//! themselves.

mod sandbox_fixture;
mod sandbox_lifecycle;
