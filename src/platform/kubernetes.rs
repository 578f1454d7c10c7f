//! A StatefulSet in a Kubernetes cluster.

pub mod channel;
pub mod locate;
