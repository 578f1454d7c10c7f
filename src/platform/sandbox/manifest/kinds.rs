//! Which documents there are, and what becomes of those that are not read further.

use super::Document;
use super::report::{Findings, Report};
use super::tree::{Node, Value, shortened};
use crate::platform::sandbox::pod_spec::KeyedKind;
use crate::yaml::nearest;

/// The documents that are read further.
pub(super) struct Sorted<'a> {
    pub sets: Vec<(&'a Document<'a>, Node)>,
    pub services: Vec<(&'a Document<'a>, Node)>,
    pub keyed: Vec<(KeyedKind, &'a Document<'a>, Node)>,
}

/// Kinds whose absence changes nothing that a test in the sandbox can tell.
const NOTED: &[(&str, &str)] = &[
    ("ClusterRole", "the sandbox has no API server to ask"),
    ("ClusterRoleBinding", "the sandbox has no API server to ask"),
    ("HorizontalPodAutoscaler", "the sandbox does not scale by load"),
    ("Ingress", "the sandbox is not reached from outside"),
    ("LimitRange", "not enforced in the sandbox"),
    ("Namespace", "the set's namespace exists as a part of its names"),
    ("NetworkPolicy", "not enforced in the sandbox"),
    ("PodDisruptionBudget", "the sandbox evicts nobody"),
    ("PodMonitor", "the sandbox has no Prometheus"),
    ("PriorityClass", "nothing is scheduled in the sandbox"),
    ("PrometheusRule", "the sandbox has no Prometheus"),
    ("ResourceQuota", "not enforced in the sandbox"),
    ("Role", "the sandbox has no API server to ask"),
    ("RoleBinding", "the sandbox has no API server to ask"),
    ("ServiceAccount", "the sandbox has no API server to ask"),
    ("ServiceMonitor", "the sandbox has no Prometheus"),
    ("StorageClass", "volumes are ext4 images or folders on this machine's disk"),
];

const REFUSED: &[(&str, &str, &str)] = &[
    ("CronJob", NOT_RUN, LEAVE_OUT),
    ("DaemonSet", NOT_RUN, LEAVE_OUT),
    ("Deployment", NOT_RUN, LEAVE_OUT),
    ("Job", NOT_RUN, LEAVE_OUT),
    ("PersistentVolume", "is not made in the sandbox", "write a volumeClaimTemplate"),
    ("PersistentVolumeClaim", "is not made in the sandbox", "write a volumeClaimTemplate"),
    ("Pod", NOT_RUN, LEAVE_OUT),
    ("ReplicaSet", NOT_RUN, LEAVE_OUT),
];

const NOT_RUN: &str = "is not run in the sandbox, which runs StatefulSets";

const LEAVE_OUT: &str = "leave it out in the sandbox, or make it a container of the set";

/// Reads the documents and sorts them by kind; empty ones say nothing.
pub(super) fn sort<'a>(documents: &'a [Document<'a>], findings: &mut Findings) -> Sorted<'a> {
    let mut sorted = Sorted { sets: Vec::new(), services: Vec::new(), keyed: Vec::new() };
    for document in documents {
        if document.text.trim().is_empty() {
            continue;
        }
        let tree = match Node::read(document.text) {
            Ok(Node { value: Value::Null, .. }) => continue,
            Ok(tree) => tree,
            Err(unreadable) => {
                findings.unreadable(document, &unreadable);
                continue;
            }
        };
        match kind(&mut Report::new(*document, &tree, findings)) {
            Some(Kind::Set) => sorted.sets.push((document, tree)),
            Some(Kind::Service) => sorted.services.push((document, tree)),
            Some(Kind::Keyed(kind)) => sorted.keyed.push((kind, document, tree)),
            None => {}
        }
    }
    sorted
}

enum Kind {
    Set,
    Service,
    Keyed(KeyedKind),
}

fn kind(report: &mut Report<'_>) -> Option<Kind> {
    let tree = report.tree;
    if !matches!(tree.value, Value::Map(_)) {
        report.refuse(
            "",
            format!("is no Kubernetes object: {}", tree.kind()),
            "begin with apiVersion and kind",
        );
        return None;
    }
    let kind = tree.text_of("kind").unwrap_or_default();
    let version = tree.text_of("apiVersion").unwrap_or_default();
    let (read, wanted) = match kind {
        "StatefulSet" => (Kind::Set, "apps/v1"),
        "Service" => (Kind::Service, "v1"),
        "Secret" => (Kind::Keyed(KeyedKind::Secret), "v1"),
        "ConfigMap" => (Kind::Keyed(KeyedKind::ConfigMap), "v1"),
        _ => {
            other(kind, report);
            return None;
        }
    };
    if version == wanted {
        return Some(read);
    }
    let message = if version.is_empty() {
        format!("a {kind} needs an apiVersion")
    } else {
        format!("{:?} is no version of {kind} that the sandbox reads", shortened(version))
    };
    report.refuse("apiVersion", message, format!("write apiVersion: {wanted}"));
    None
}

fn other(kind: &str, report: &mut Report<'_>) {
    if let Some((_, why)) = NOTED.iter().find(|(name, _)| *name == kind) {
        report.note("kind", format!("{kind} is left out: {why}"));
    } else if let Some((_, why, hint)) = REFUSED.iter().find(|(name, ..)| *name == kind) {
        report.refuse("kind", format!("{kind} {why}"), *hint);
    } else if kind.is_empty() {
        report.refuse("kind", "is no Kubernetes object: there is no kind", "begin with apiVersion and kind");
    } else {
        let hint = nearest(kind, ["StatefulSet", "Service", "Secret", "ConfigMap"])
            .map_or_else(|| "leave it out in the sandbox".to_owned(), |near| format!("did you mean {near}?"));
        report.refuse("kind", format!("{} is not known to the sandbox", shortened(kind)), hint);
    }
}
