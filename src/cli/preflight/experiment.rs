//! What one experiment needs: a target that is there, healthy and free, and nobody who would say no.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, PostParams};
use kube::core::SelectorExt;
use kube::{Api, ResourceExt};

use super::Findings;
use super::cluster::Server;
use crate::api::Ordinal;
use crate::controller::TARGET_LABEL;
use crate::experiment::{Change, Experiment, Group, Step, Store, Work};
use crate::platform::kubernetes::attachable;
use crate::platform::kubernetes::cluster::{Cluster, FollowError};
use crate::platform::kubernetes::failure::words;
use crate::platform::kubernetes::rights::needed;
use crate::platform::kubernetes::snapshots::{claims_of, obstacle};
use crate::resource;
use crate::spec;
use crate::spec::document::Document;

/// Looks at everything.
pub(super) async fn look(server: &Server<'_>, document: &Document, findings: &mut Findings) {
    let experiment = match spec::experiment(document) {
        Ok(experiment) => experiment,
        Err(problems) => return problems.iter().for_each(|problem| findings.invalid(problem)),
    };
    findings.good(format!("{} is valid", experiment.name));
    if let Some(why) = experiment.needs_sandbox() {
        findings.refused(why);
    }
    accepted(server, document, findings).await;
    if experiment.target.stateful_set().is_none() {
        findings.note("pods by selector: their health is what the plan below sees");
    }
    for set in sets_of(&experiment) {
        target(server, set, findings).await;
    }
    secrets(server, &experiment, findings).await;
    free(server, &experiment, findings).await;
    budgets(server, &experiment, findings).await;
    rights(server, &experiment, findings).await;
    snapshots(server, &experiment, findings).await;
    attach(server, &experiment, findings).await;
    guards(server, document, &experiment, findings).await;
}

/// Asks the API server itself, policies and all, without keeping anything.
async fn accepted(server: &Server<'_>, document: &Document, findings: &mut Findings) {
    let api: Api<resource::Experiment> = Api::namespaced(server.access.client.clone(), server.namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let Ok(mut object) = serde_yaml::from_str::<resource::Experiment>(&document.text) else {
        return findings.note("the file is not what a client would send");
    };
    object.metadata.namespace = None;
    match api.create(&dry_run, &object).await {
        Ok(_) => findings.good("the API server would take it"),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            findings.refused(format!(
                "Experiment {} is there already: an Experiment runs once",
                object.name_any()
            ));
        }
        Err(error) => findings.refused(words(&error)),
    }
}

/// Every StatefulSet that it acts on.
fn sets_of(experiment: &Experiment) -> impl Iterator<Item = &str> {
    experiment.target.stateful_set().into_iter().chain(experiment.other_sets())
}

async fn target(server: &Server<'_>, name: &str, findings: &mut Findings) {
    let sets: Api<StatefulSet> = Api::namespaced(server.access.client.clone(), server.namespace);
    let set = match sets.get_opt(name).await {
        Ok(Some(set)) => set,
        Ok(None) => {
            return findings.unmet(
                format!("there is no StatefulSet {name} in namespace {}", server.namespace),
                "apply its manifest first, or name its namespace with --namespace",
            );
        }
        Err(error) => return findings.note(format!("the target cannot be looked at: {}", words(&error))),
    };
    let asked = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    let what = format!("StatefulSet {name}: {ready} of {asked} pods are ready");
    if ready == asked {
        findings.good(what);
    } else {
        findings.unmet(what, format!("kubectl --namespace {} describe statefulset {name}", server.namespace));
    }
    let template = set.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
    if template.host_network == Some(true) {
        findings.refused(format!(
            "pods of {name} use the network of their nodes: cutting them would cut the nodes"
        ));
    }
    if let Some(class) = template.runtime_class_name {
        findings.note(format!(
            "pods of {name} use the runtime class {class}: in a sandboxed runtime processes are not found"
        ));
    }
}

/// Whether the Secrets that it names are there, and theirs to read who asks. Only the names of keys are looked at.
async fn secrets(server: &Server<'_>, experiment: &Experiment, findings: &mut Findings) {
    let api: Api<Secret> = Api::namespaced(server.access.client.clone(), server.namespace);
    for name in experiment.target.store.as_ref().map(Store::secrets).unwrap_or_default() {
        match api.get_opt(name.as_str()).await {
            Ok(Some(secret)) => {
                let keys: Vec<_> = secret.data.unwrap_or_default().into_keys().collect();
                findings.good(format!("Secret {name} has {}", keys.join(", ")));
            }
            Ok(None) => findings.unmet(
                format!("there is no Secret {name} in namespace {}", server.namespace),
                "create it first: the runner waits for it, and is given up after three minutes",
            ),
            Err(error) => findings.refused(format!("Secret {name} is not yours to read: {}", words(&error))),
        }
    }
}

async fn free(server: &Server<'_>, experiment: &Experiment, findings: &mut Findings) {
    for name in experiment.keys() {
        free_of(server, &name, findings).await;
    }
}

async fn free_of(server: &Server<'_>, name: &str, findings: &mut Findings) {
    let leases: Api<Lease> = Api::namespaced(server.access.client.clone(), server.namespace);
    match leases.list(&ListParams::default().labels(&format!("{TARGET_LABEL}={name}"))).await {
        Ok(found) => match found.items.first().and_then(|lease| lease.spec.as_ref()?.holder_identity.clone())
        {
            Some(holder) => {
                findings.note(format!("{name} is being broken by run {holder}: this one would wait"));
            }
            None => findings.good(format!("nobody else breaks {name}")),
        },
        Err(error) => findings.note(format!("other runs cannot be looked at: {}", words(&error))),
    }
}

/// What disruption budgets say of the target's pods now.
async fn budgets(server: &Server<'_>, experiment: &Experiment, findings: &mut Findings) {
    let client = &server.access.client;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), server.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), server.namespace);
    let all = ListParams::default();
    let (budgets, pods) = tokio::join!(budgets.list(&all), pods.list_metadata(&all));
    let (Ok(budgets), Ok(pods)) = (budgets, pods) else {
        return findings.note("disruption budgets cannot be looked at");
    };
    for set in sets_of(experiment) {
        let ours = pods.items.iter().filter(|pod| {
            pod.owner_references().iter().any(|owner| owner.kind == "StatefulSet" && owner.name == set)
        });
        let ours: Vec<_> = ours.collect();
        for budget in &budgets.items {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
            let Ok(selector) = kube::core::Selector::try_from(selector) else {
                continue;
            };
            if !ours.iter().any(|pod| selector.matches(pod.labels())) {
                continue;
            }
            let allowed = budget.status.as_ref().map_or(0, |status| status.disruptions_allowed);
            findings.note(format!(
                "PodDisruptionBudget {} allows {allowed} disruptions of {set} now",
                budget.name_any()
            ));
        }
    }
}

/// The StatefulSet that a step acts on.
async fn set_of(
    server: &Server<'_>,
    experiment: &Experiment,
    step: &Step,
) -> Result<Option<StatefulSet>, kube::Error> {
    let sets: Api<StatefulSet> = Api::namespaced(server.access.client.clone(), server.namespace);
    match experiment.other_set(step).or(experiment.target.stateful_set()) {
        Some(name) => sets.get_opt(name).await,
        None => Ok(None),
    }
}

/// Whether the runner will have what the steps need beyond its own rights.
async fn rights(server: &Server<'_>, experiment: &Experiment, findings: &mut Findings) {
    for (step, work) in experiment.works() {
        let Some(right) = needed(work) else { continue };
        let name = &step.name;
        match right.is_of_runners(&server.access.client, server.namespace).await {
            Ok(None) => findings.good(format!("step {name}: its runner may do it")),
            Ok(Some(why)) => findings.unmet(format!("step {name} needs more than a runner has"), why),
            Err(error) => {
                findings
                    .note(format!("step {name}: the rights of its runner are not known: {}", words(&error)));
            }
        }
    }
}

/// Whether snapshots of the target can be taken, where a step takes any, and whether there are any where a step denies
/// them.
async fn snapshots(server: &Server<'_>, experiment: &Experiment, findings: &mut Findings) {
    let client = &server.access.client;
    for (step, work) in experiment.works() {
        if work.denies_snapshots() {
            match obstacle(client, server.namespace, &[], None).await {
                Ok(None) => {}
                Ok(Some(why)) => findings.unmet(format!("step {} has no snapshots to deny", step.name), why),
                Err(error) => findings.note(format!(
                    "step {}: whether there are snapshots to deny is not known: {}",
                    step.name,
                    words(&error)
                )),
            }
        }
        let Work::Action(Change::TakeSnapshot { claims, class, .. }) = work else {
            continue;
        };
        let Ok(Some(set)) = set_of(server, experiment, step).await else {
            continue; // said above
        };
        let claims = claims_of(&set, &ordinals(&set), claims);
        match obstacle(client, server.namespace, &claims, class.as_deref()).await {
            Ok(None) => {
                findings.good(format!("step {}: {} claims can have snapshots", step.name, claims.len()));
            }
            Ok(Some(why)) => findings.unmet(format!("step {} cannot take snapshots", step.name), why),
            Err(error) => findings.note(format!("snapshots cannot be looked at: {}", words(&error))),
        }
    }
}

/// Every ordinal that a StatefulSet asks for.
fn ordinals(set: &StatefulSet) -> Vec<Ordinal> {
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let start = set.spec.as_ref().and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0);
    (start..start.saturating_add(replicas)).filter_map(|ordinal| u32::try_from(ordinal).ok()).collect()
}

/// Whether the target's volumes are attached to nodes, where a step blocks them on the way to or from one.
async fn attach(server: &Server<'_>, experiment: &Experiment, findings: &mut Findings) {
    let client = &server.access.client;
    for (step, work) in experiment.works() {
        let Some((members, claims)) = attachable::meant(work) else { continue };
        let Ok(Some(set)) = set_of(server, experiment, step).await else {
            continue; // said above
        };
        let meant = members.among(ordinals(&set).into_iter());
        match attachable::volumes(client, server.namespace, &set, &meant, claims).await {
            Ok(Ok(found)) => {
                findings.good(format!(
                    "step {}: {} volumes are attached to nodes, and for these members alone",
                    step.name,
                    found.len()
                ));
            }
            Ok(Err(why)) => {
                findings.unmet(format!("step {} cannot block volumes between nodes", step.name), why);
            }
            Err(error) => findings.note(format!("volumes cannot be looked at: {}", words(&error))),
        }
    }
}

/// What the guards say of the plan, with the target as it is now.
async fn guards(server: &Server<'_>, document: &Document, experiment: &Experiment, findings: &mut Findings) {
    let Ok(cluster) = follow(server, &experiment.target.group).await else {
        return;
    };
    if let Ok(others) = Cluster::others_of(&server.access.client, server.namespace, experiment).await {
        let problems = spec::against_target(document, experiment, cluster.facts(), Some(&others));
        problems.err().into_iter().flatten().for_each(|problem| findings.invalid(problem));
    }
    let mut others = Vec::new();
    for name in experiment.other_sets() {
        if let Ok(other) = follow(server, &Group::StatefulSet(name.to_owned())).await {
            others.push(crate::platform::Cluster::snapshots(&other).borrow().clone());
        }
    }
    let snapshot = crate::platform::Cluster::snapshots(&cluster).borrow().clone();
    experiment.warnings().into_iter().for_each(|warning| findings.note(warning));
    let plan = crate::plan::preview(experiment, &snapshot, &others, None, 0);
    if plan.refusals.is_empty() {
        findings.good("guards have nothing against it, as things are now");
    }
    plan.refusals.iter().for_each(|refusal| findings.refused(refusal));
}

async fn follow(server: &Server<'_>, group: &Group) -> Result<Cluster, FollowError> {
    Cluster::follow(&server.access.client, server.namespace, group, None).await
}
