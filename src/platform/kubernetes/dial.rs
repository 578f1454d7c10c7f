//! Connections as a client of the store makes them: to a pod's own address, or to its Service.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::watching::{Known, watch};
use crate::api::{Ordinal, Snapshot};
use crate::platform::names::names;
use crate::platform::{Dial, Endpoint};

/// The ways to a StatefulSet's members.
pub struct Ways {
    service_name: String,
    snapshots: watch::Receiver<Snapshot>,
    service: watch::Receiver<Option<Service>>,
    turn: Arc<AtomicUsize>,
}

impl Ways {
    /// By the addresses of the newest snapshot, and by the Service `service` of the namespace.
    pub fn new(
        client: &Client,
        namespace: &str,
        service: &str,
        snapshots: watch::Receiver<Snapshot>,
    ) -> Self {
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let itself = Config::default().fields(&format!("metadata.name={service}"));
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let mut events = watch(services, itself, "the StatefulSet's Service");
            let mut known = Known::default();
            loop {
                tokio::select! {
                    Some(event) = events.next() => known.hear(event),
                    () = sender.closed() => return,
                }
                sender.send_replace(known.single().cloned());
            }
        });
        Self { service_name: service.to_owned(), snapshots, service: receiver, turn: Arc::default() }
    }

    fn member(&self, ordinal: Ordinal) -> io::Result<IpAddr> {
        let snapshot = self.snapshots.borrow();
        let address = snapshot.pod(ordinal).and_then(|pod| pod.ip);
        address.ok_or_else(|| unreachable(format!("ordinal {ordinal} has no address now")))
    }

    /// The Service's own address; of a headless one, or where there is none, a ready pod's, another one each time.
    fn service(&self, port: u16) -> io::Result<(IpAddr, u16)> {
        if let Some(found) = self.service.borrow().as_ref().and_then(|service| own_address(service, port)) {
            return Ok(found);
        }
        let snapshot = self.snapshots.borrow();
        let ready: Vec<IpAddr> =
            snapshot.pods.iter().filter(|pod| pod.ready).filter_map(|pod| pod.ip).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = ready.get(turn % ready.len().max(1)).copied();
        let chosen = chosen.ok_or_else(|| unreachable(format!("{} has no ready pod", snapshot.name)))?;
        Ok((chosen, port))
    }
}

fn unreachable(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::HostUnreachable, why)
}

/// The cluster IP of a Service, if it has one, and the port of it that leads to the container's `port`.
fn own_address(service: &Service, port: u16) -> Option<(IpAddr, u16)> {
    let spec = service.spec.as_ref()?;
    let address = spec.cluster_ip.as_deref()?.parse().ok()?;
    let ports = spec.ports.as_deref().unwrap_or_default();
    let number = |found: &ServicePort| u16::try_from(found.port).ok();
    let leads_there = |found: &&ServicePort| match &found.target_port {
        Some(IntOrString::Int(target)) => *target == i32::from(port),
        // A name is the container's to resolve: where only the name is known, the numbers are taken to be equal.
        Some(IntOrString::String(_)) | None => found.port == i32::from(port),
    };
    Some((address, ports.iter().find(leads_there).and_then(number).unwrap_or(port)))
}

#[async_trait]
impl Dial for Ways {
    async fn dial(&self, endpoint: Endpoint, port: u16) -> io::Result<TcpStream> {
        let address = match endpoint {
            Endpoint::Member(ordinal) => (self.member(ordinal)?, port),
            Endpoint::Service => self.service(port)?,
        };
        TcpStream::connect(address).await
    }

    fn names(&self, endpoint: Endpoint) -> Vec<String> {
        names(&self.snapshots.borrow(), endpoint, &self.service_name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: &Value) -> Service {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Service", "spec": spec}))
            .expect("it is a Service")
    }

    #[test]
    fn a_headless_service_has_no_address_of_its_own() {
        let headless = service(&json!({"clusterIP": "None", "ports": [{"port": 2379}]}));
        assert_eq!(own_address(&headless, 2379), None);
    }

    #[test]
    fn the_service_port_is_the_one_that_leads_to_the_container() {
        let ports = json!([{"port": 80, "targetPort": 2379}, {"port": 2379, "targetPort": 9}]);
        let found = own_address(&service(&json!({"clusterIP": "10.0.0.7", "ports": ports})), 2379);
        assert_eq!(found, Some(("10.0.0.7".parse().expect("an address"), 80)));
    }
}
