//! Tests that need real processes.

mod store_adapter;
mod store_group;
mod store_workload;
