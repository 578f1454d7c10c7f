//! A StatefulSet on this machine, without Kubernetes: one process tree under an init of its own.

pub mod dns;
pub mod manifest;
pub mod pod_spec;
pub mod probe;
