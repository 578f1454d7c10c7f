//! The cluster's DNS, as far as headless Services need it.
//!
//! An authoritative responder for the names that Kubernetes gives to the pods of StatefulSets, over UDP and TCP:
//!
//! - `pod.service.namespace.svc.cluster.local`: the pod's A record, if it is ready or the Service publishes all,
//! - `service.namespace.svc.cluster.local`: the A records of all such pods, beginning with another one each time,
//! - `_port._protocol.service.namespace.svc.cluster.local`: SRV records of a named port,
//! - the PTR record of each pod's address.
//!
//! Everything else does not exist: nothing is forwarded, so that a sandbox never asks a resolver of the host. AAAA is
//! answered with no records, because a missing name would make a resolver give up on A as well.
//!
//! Names follow the specification of DNS-based service discovery of Kubernetes
//! (<https://github.com/kubernetes/dns/blob/master/docs/specification.md>).

mod client;
mod records;
mod server;

pub use client::lookup;
pub use records::{PodRecord, Records};
pub use server::serve;

#[cfg(test)]
mod tests;
