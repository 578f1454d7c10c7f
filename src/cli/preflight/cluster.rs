//! What every experiment needs: a server that is new enough, what install has made, rights, agents, no Halt.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

use super::Findings;
use crate::platform::kubernetes::access::Access;
use crate::platform::kubernetes::failure::words;
use crate::resource::{ALLOW_LABEL, Halt, NodeAgent};

/// The oldest minor version whose tokens name their node and whose custom resources have selectable fields.
const OLDEST: u32 = 32;
/// An agent that has not been heard of for this long is gone.
const SILENCE: SignedDuration = SignedDuration::from_mins(1);
/// What install makes, so that rights hold.
const POLICIES: [&str; 7] = [
    "seatrial-agents",
    "seatrial-authors",
    "seatrial-injections",
    "seatrial-made",
    "seatrial-runners",
    "seatrial-tokens",
    "seatrial-verdicts",
];

const INSTALL: &str = "seatrial install | kubectl apply --server-side -f -";

/// A cluster and the namespaces of interest.
pub(super) struct Server<'a> {
    pub(super) access: &'a Access,
    pub(super) namespace: &'a str,
    pub(super) system: &'a str,
}

impl Server<'_> {
    /// Looks at everything.
    pub(super) async fn look(&self, findings: &mut Findings) {
        self.version(findings);
        if !self.definitions(findings).await {
            return;
        }
        self.policies(findings).await;
        self.controller(findings).await;
        self.halts(findings).await;
        self.opted_in(findings).await;
        self.rights(findings).await;
        self.agents(findings).await;
    }

    fn version(&self, findings: &mut Findings) {
        let Access { context, server, version, .. } = self.access;
        let minor =
            version.trim_start_matches('v').split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        let what = format!("Kubernetes {version} ({context}, {server})");
        match minor {
            Some(minor) if minor >= OLDEST => findings.good(what),
            Some(_) => findings.unmet(what, format!("Seatrial needs 1.{OLDEST} or later")),
            None => findings.note(format!("{what}: the version is not understood")),
        }
    }

    async fn definitions(&self, findings: &mut Findings) -> bool {
        let api: Api<CustomResourceDefinition> = Api::all(self.access.client.clone());
        let mut missing = Vec::new();
        for definition in crate::resource::definitions() {
            let name = definition.name_any();
            match api.get_opt(&name).await {
                Ok(Some(_)) => {}
                Ok(None) => missing.push(name),
                Err(error) => {
                    findings.note(format!("the definitions cannot be looked at: {}", words(&error)));
                    return true;
                }
            }
        }
        if missing.is_empty() {
            findings.good("the custom resources are defined");
        } else {
            findings.unmet(format!("not installed: {}", missing.join(", ")), INSTALL);
        }
        missing.is_empty()
    }

    async fn policies(&self, findings: &mut Findings) {
        let api: Api<ValidatingAdmissionPolicyBinding> = Api::all(self.access.client.clone());
        match api.list_metadata(&ListParams::default()).await {
            Ok(found) => {
                let missing: Vec<_> = POLICIES
                    .into_iter()
                    .filter(|name| !found.items.iter().any(|item| item.name_any() == *name))
                    .collect();
                if missing.is_empty() {
                    findings.good("admission policies hold agents, runners and authors to what is theirs");
                } else {
                    findings
                        .unmet(format!("admission policies are not bound: {}", missing.join(", ")), INSTALL);
                }
            }
            Err(error) => {
                findings.note(format!("the admission policies cannot be looked at: {}", words(&error)));
            }
        }
    }

    async fn controller(&self, findings: &mut Findings) {
        let api: Api<Deployment> = Api::namespaced(self.access.client.clone(), self.system);
        match api.get_opt("seatrial-controller").await {
            Ok(found) => {
                let ready =
                    found.as_ref().and_then(|found| found.status.as_ref()?.ready_replicas).unwrap_or(0);
                match found {
                    Some(_) if ready > 0 => {
                        findings.good(format!("{ready} controllers are ready in {}", self.system));
                    }
                    Some(_) => findings.unmet(
                        format!("no controller is ready in {}", self.system),
                        format!("kubectl --namespace {} describe pods", self.system),
                    ),
                    None => findings.unmet(format!("there is no controller in {}", self.system), INSTALL),
                }
            }
            Err(error) => findings.note(format!("the controller cannot be looked at: {}", words(&error))),
        }
    }

    async fn halts(&self, findings: &mut Findings) {
        let api: Api<Halt> = Api::all(self.access.client.clone());
        match api.list(&ListParams::default()).await {
            Ok(found) if found.items.is_empty() => findings.good("no Halt is in force"),
            Ok(found) => {
                for halt in found {
                    let name = halt.name_any();
                    let why = halt.spec.reason.unwrap_or_else(|| "no reason given".into());
                    findings.unmet(
                        format!("Halt {name} is in force: {why}"),
                        format!("kubectl delete halt {name}"),
                    );
                }
            }
            Err(error) => findings.note(format!("Halts cannot be looked at: {}", words(&error))),
        }
    }

    async fn opted_in(&self, findings: &mut Findings) {
        let namespace = self.namespace;
        let api: Api<Namespace> = Api::all(self.access.client.clone());
        match api.get_metadata_opt(namespace).await {
            Ok(Some(found)) if found.labels().get(ALLOW_LABEL).is_some_and(|value| value == "true") => {
                findings.good(format!("namespace {namespace} agreed to be broken"));
            }
            Ok(Some(_)) => findings.unmet(
                format!("namespace {namespace} has not agreed to be broken"),
                format!("kubectl label namespace {namespace} {ALLOW_LABEL}=true"),
            ),
            Ok(None) => findings
                .unmet(format!("there is no namespace {namespace}"), "name another one with --namespace"),
            Err(error) => {
                findings.note(format!("namespace {namespace} cannot be looked at: {}", words(&error)));
            }
        }
    }

    /// What the author policy will ask of whoever runs this.
    async fn rights(&self, findings: &mut Findings) {
        let asked = [
            ("seatrial.dev", "experiments", None, "create"),
            ("", "pods", None, "delete"),
            ("", "pods", Some("exec"), "create"),
            ("", "pods", Some("log"), "get"),
        ];
        let api: Api<SelfSubjectAccessReview> = Api::all(self.access.client.clone());
        let mut missing = Vec::new();
        for (group, resource, subresource, verb) in asked {
            let attributes = ResourceAttributes {
                namespace: Some(self.namespace.into()),
                group: Some(group.into()),
                resource: Some(resource.into()),
                subresource: subresource.map(Into::into),
                verb: Some(verb.into()),
                ..ResourceAttributes::default()
            };
            let spec =
                SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            match api.create(&PostParams::default(), &review).await {
                Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {}
                Ok(_) => {
                    let what = subresource.map_or_else(|| resource.into(), |sub| format!("{resource}/{sub}"));
                    missing.push(format!("{verb} {what}"));
                }
                Err(error) => return findings.note(format!("rights cannot be asked for: {}", words(&error))),
            }
        }
        if missing.is_empty() {
            findings.good(format!("you may run experiments in namespace {}", self.namespace));
        } else {
            findings.unmet(
                format!("you may not {} in namespace {}", missing.join(", "), self.namespace),
                "an experiment does nothing that its author could not do by hand: ask for a role like `edit`",
            );
        }
    }

    async fn agents(&self, findings: &mut Findings) {
        let nodes: Api<Node> = Api::all(self.access.client.clone());
        let agents: Api<NodeAgent> = Api::all(self.access.client.clone());
        let all = ListParams::default();
        let (nodes, agents) = tokio::join!(nodes.list_metadata(&all), agents.list(&all));
        let (nodes, agents) = match (nodes, agents) {
            (Ok(nodes), Ok(agents)) => (nodes.items, agents.items),
            (Err(error), _) | (_, Err(error)) => {
                return findings.note(format!("nodes and agents cannot be looked at: {}", words(&error)));
            }
        };
        let now = Timestamp::now();
        let mut alive = 0;
        for node in &nodes {
            let name = node.name_any();
            let agent = agents.iter().find(|agent| agent.name_any() == name);
            match agent.and_then(|agent| agent.status.as_ref()) {
                Some(status) if now.duration_since(status.seen_at) < SILENCE => {
                    alive += 1;
                    let said = [status.faults.join(", ")];
                    let said = said.iter().chain(&status.missing).cloned().collect::<Vec<_>>().join("; ");
                    findings.good(format!(
                        "node {name}: kernel {}, cgroups {}, {said}",
                        status.kernel, status.cgroups,
                    ));
                }
                Some(status) => {
                    findings
                        .note(format!("node {name}: its agent was last heard of at {:.0}", status.seen_at));
                }
                None => findings.note(format!("node {name} has no agent")),
            }
        }
        if alive == 0 {
            findings.note("no agent is alive: only faults through the API server can be injected");
        }
    }
}
