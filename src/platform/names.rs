//! The names by which a cluster's DNS knows pods and their Service, which is what their certificates carry.

use super::Endpoint;
use crate::api::{Ordinal, Snapshot};

/// The domain of a cluster that says nothing else.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Every name of `endpoint`, the whole one first. A member is known by its own names and by those of its Service, because
/// many certificates name only that; the Service is known by the names of all its members, because others name only them.
pub fn names(snapshot: &Snapshot, endpoint: Endpoint, service: &str) -> Vec<String> {
    let name = |ordinal: Ordinal| match snapshot.pod(ordinal) {
        Some(pod) => pod.name.clone(),
        None => format!("{}-{ordinal}", snapshot.name),
    };
    let services = if service.is_empty() { Vec::new() } else { of_service(service, &snapshot.namespace) };
    match endpoint {
        Endpoint::Member(ordinal) => of_pod(&name(ordinal), &services).chain(services.clone()).collect(),
        Endpoint::Service => {
            let pods = snapshot.ordinals().flat_map(|ordinal| {
                let pod = name(ordinal);
                of_pod(&pod, &services).collect::<Vec<_>>()
            });
            services.iter().cloned().chain(pods).collect()
        }
    }
}

fn of_service(service: &str, namespace: &str) -> Vec<String> {
    vec![
        format!("{service}.{namespace}.svc.{CLUSTER_DOMAIN}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}"),
        service.to_owned(),
    ]
}

fn of_pod(pod: &str, services: &[String]) -> impl Iterator<Item = String> {
    services.iter().map(move |service| format!("{pod}.{service}")).chain([pod.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_known_by_its_own_names_and_those_of_its_service() {
        let target =
            Snapshot { name: "db".into(), namespace: "shop".into(), replicas: 2, ..Snapshot::default() };
        let whole = [
            "db-0.db.shop.svc.cluster.local",
            "db-0.db.shop.svc",
            "db-0.db.shop",
            "db-0.db",
            "db-0",
            "db.shop.svc.cluster.local",
            "db.shop.svc",
            "db.shop",
            "db",
        ];
        assert_eq!(names(&target, Endpoint::Member(0), "db"), whole);
        let service = names(&target, Endpoint::Service, "db");
        assert_eq!(service[..4], whole[5..]);
        assert!(service.contains(&"db-1.db.shop.svc".to_owned()), "{service:?}");
        assert_eq!(names(&target, Endpoint::Member(1), ""), ["db-1"]);
    }
}
