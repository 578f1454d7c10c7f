//! Integration tests: they drive the program and the library against the real kernel and real stores, and never enter
//! namespaces themselves.

mod purity;
mod sandbox_fixture;
mod sandbox_lifecycle;
mod store_adapter;
mod store_group;
mod store_workload;
