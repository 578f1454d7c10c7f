//! All StatefulSets of a manifest, with the Services that govern them.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;

use super::keyed::Found;
use super::report::{Findings, Report};
use super::service::{self, Governing};
use super::set::{MAX_REPLICAS, Set};
use super::tree::Node;
use super::{Document, Programs, fields, treatments, typed};
use crate::platform::sandbox::pod_spec::SetSpec;

/// More sets than one machine runs in a useful way.
const MOST: usize = 20;

/// A StatefulSet with its document.
pub(super) struct Read<'a> {
    set: Set,
    document: &'a Document<'a>,
    tree: &'a Node,
}

/// Reads every StatefulSet. One that cannot be read at all is missing in the answer.
pub(super) fn read<'a>(
    documents: &'a [(&'a Document<'a>, Node)],
    keyed: &[Found],
    programs: &Programs<'_>,
    findings: &mut Findings,
) -> Vec<Read<'a>> {
    let mut all: Vec<Read<'a>> = Vec::new();
    for (index, (document, tree)) in documents.iter().enumerate() {
        let mut report = Report::new(**document, tree, findings);
        if index == MOST {
            report.refuse("kind", format!("is one StatefulSet more than {MOST}"), "run fewer at a time");
            break;
        }
        let typed = typed::read::<StatefulSet>(&mut report);
        treatments::apply(&mut report, &fields::STATEFUL_SET);
        let Some(typed) = typed else { continue };
        let set = Set::read(&typed, keyed, programs, &mut report);
        refuse_conflicts(&set, &all, &mut report);
        all.push(Read { set, document, tree });
    }
    all
}

/// What a set cannot have in common with those before it.
fn refuse_conflicts(set: &Set, before: &[Read<'_>], report: &mut Report<'_>) {
    if before.iter().any(|other| other.set.name == set.name) {
        let message = format!("is the second StatefulSet {}", set.name);
        report.refuse("metadata.name", message, "give it another name, or leave one of them out");
        return;
    }
    if let Some(Read { set: first, .. }) = before.first()
        && first.namespace != set.namespace
    {
        let message = format!("is {}, and that of {} is {}", set.namespace, first.name, first.namespace);
        report.refuse("metadata.namespace", message, "run StatefulSets of one namespace together");
    }
    // A claim has the name of its template and its pod, and all claims are in one namespace.
    let claims: BTreeSet<String> = before.iter().flat_map(|other| other.set.claim_names()).collect();
    if let Some(claim) = set.claim_names().find(|name| claims.contains(name)) {
        let message = format!("claims would have the name {claim}-0 as those of another StatefulSet have");
        report.refuse("spec.volumeClaimTemplates", message, "give the claim template another name");
    }
    let replicas = before.iter().map(|other| other.set.replicas).sum::<u32>();
    if set.replicas <= MAX_REPLICAS && replicas + set.replicas > MAX_REPLICAS {
        let message = format!("is {}, and the StatefulSets before it have {replicas}", set.replicas);
        let hint = format!("the sandbox takes {MAX_REPLICAS} pods together");
        report.refuse("spec.replicas", message, hint);
    }
}

/// Finds the Service that each set names, and says what becomes of the others. A set without one is missing in the answer.
pub(super) fn govern(
    sets: Vec<Read<'_>>,
    services: &[(&Document<'_>, Node)],
    findings: &mut Findings,
) -> Vec<SetSpec> {
    if sets.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(Read<'_>, Option<Governing>)> = sets.into_iter().map(|read| (read, None)).collect();
    for (document, tree) in services {
        let mut report = Report::new(**document, tree, findings);
        let Some(service) = typed::read::<Service>(&mut report) else { continue };
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let namespace = service.metadata.namespace.as_deref().unwrap_or("default");
        let mut named: Vec<_> = found
            .iter_mut()
            .filter(|(read, _)| read.set.service == name && read.set.namespace == namespace)
            .collect();
        if named.is_empty() {
            let message = format!("Service {name} is left out: only the governing Service has a name");
            report.note("metadata.name", message);
            continue;
        }
        if named.iter().any(|(_, governing)| governing.is_some()) {
            report.refuse("metadata.name", format!("is the second Service {name}"), "leave one of them out");
            continue;
        }
        treatments::apply(&mut report, &fields::SERVICE);
        for (read, governing) in &mut named {
            *governing = Some(service::read(&service, &read.set, &mut report));
        }
    }
    let governed = found.into_iter().filter_map(|(Read { set, document, tree }, governing)| {
        if governing.is_none() && !set.service.is_empty() {
            Report::new(*document, tree, findings).refuse(
                "spec.serviceName",
                format!("there is no Service {} in namespace {}", set.service, set.namespace),
                "add a headless Service of that name to the manifest (clusterIP: None)",
            );
        }
        governing.map(|governing| set.governed_by(governing))
    });
    governed.collect()
}
