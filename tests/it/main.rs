//! Integration tests: they drive the program and the library against the real kernel and real stores, and never enter
//! namespaces themselves.

mod cluster_fixture;
mod cluster_machines;
mod e2e_experiments;
mod e2e_fixture;
mod e2e_fooling;
mod e2e_guards;
mod e2e_input;
mod e2e_live;
mod e2e_recorded;
mod e2e_reports;
mod e2e_texts;
mod e2e_unseen;
mod e2e_user;
mod kill_host;
mod kill_soak;
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
