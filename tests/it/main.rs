//! Integration tests: they drive the program and the library against the real kernel and real stores, and never enter
//! namespaces themselves.

mod node_faults;
mod node_fixture;
mod node_kill;
mod node_pod;
mod node_power;
mod purity;
mod sandbox_containers;
mod sandbox_end;
mod sandbox_fixture;
mod sandbox_lifecycle;
mod sandbox_manifest;
mod sandbox_platform;
mod sandbox_unprivileged;
mod sandbox_volumes;
mod store_adapter;
mod store_group;
mod store_workload;
