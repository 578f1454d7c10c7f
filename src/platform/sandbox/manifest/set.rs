//! The StatefulSet itself: from the Kubernetes type to what is run.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::names::{LABEL_HINT, refuse_label};
use super::report::Report;
use super::service::Governing;
use super::{Programs, keyed, pod};
use crate::api::counted;
use crate::experiment::quantity;
use crate::platform::sandbox::pod_spec::{ClaimTemplate, ImageFile, PodTemplate, SetSpec, StartOrder};

/// More pods than one machine runs in a useful way.
pub(super) const MAX_REPLICAS: u32 = crate::experiment::MOST_IN_SANDBOX;

/// A StatefulSet whose Service is still to be found.
pub(super) struct Set {
    pub name: String,
    pub namespace: String,
    pub service: String,
    pub replicas: u32,
    first_ordinal: u32,
    start: StartOrder,
    min_ready: Duration,
    pub pod: PodTemplate,
    claims: Vec<ClaimTemplate>,
    near: keyed::Near,
    images: Vec<ImageFile>,
}

impl Set {
    /// Reads `set`; what it refuses is in the report.
    pub(super) fn read(
        set: &StatefulSet,
        keyed: &[keyed::Found],
        programs: &Programs<'_>,
        report: &mut Report<'_>,
    ) -> Self {
        let name = set.metadata.name.clone().unwrap_or_default();
        let namespace = set.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        // A pod's name, which has a dash and an ordinal after this one, is a label of at most 63 letters.
        for (path, name, longest) in [("metadata.name", &name, 52), ("metadata.namespace", &namespace, 63)] {
            if let Some(message) = refuse_label(name, longest) {
                report.refuse(path, message, LABEL_HINT);
            }
        }
        let empty = StatefulSetSpec::default();
        let spec = set.spec.as_ref().unwrap_or_else(|| {
            report.refuse("spec", "a StatefulSet needs a spec", "");
            &empty
        });
        let claims = claims(spec.volume_claim_templates.as_deref().unwrap_or_default(), report);
        let near = keyed::Near::in_namespace(&namespace, keyed);
        let pod = pod::read(&spec.template, &claims, &near, programs, report);
        let images = images(&pod, programs);
        check_selector(spec, &pod.labels, report);
        let service = spec.service_name.clone().unwrap_or_default();
        if service.is_empty() {
            report.refuse(
                "spec.serviceName",
                "pods have no names without a governing Service",
                "write serviceName and add a headless Service of that name (clusterIP: None)",
            );
        }
        let start = match spec.pod_management_policy.as_deref() {
            Some("Parallel") => StartOrder::Parallel,
            Some(_) | None => StartOrder::Ordered,
        };
        let first = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        Self {
            replicas: number("spec.replicas", spec.replicas.unwrap_or(1), MAX_REPLICAS, report),
            first_ordinal: number("spec.ordinals.start", first, 1_000_000, report),
            start,
            min_ready: seconds("spec.minReadySeconds", spec.min_ready_seconds.unwrap_or(0).into(), 0, report),
            name,
            namespace,
            service,
            pod,
            claims,
            near,
            images,
        }
    }

    /// What the names of its claims begin with, before the pod's ordinal.
    pub(super) fn claim_names(&self) -> impl Iterator<Item = String> {
        self.claims.iter().map(|claim| format!("{}-{}", claim.name, self.name))
    }

    /// The set with its Service.
    pub(super) fn governed_by(self, service: Governing) -> SetSpec {
        SetSpec {
            name: self.name,
            namespace: self.namespace,
            service: self.service,
            publish_not_ready: service.publish_not_ready,
            service_ports: service.ports,
            replicas: self.replicas,
            first_ordinal: self.first_ordinal,
            start: self.start,
            min_ready: self.min_ready,
            pod: self.pod,
            claims: self.claims,
            images: self.images,
            secrets: self.near.secrets,
            config_maps: self.near.config_maps,
        }
    }
}

/// The images that the containers of `pod` have, each once.
fn images(pod: &PodTemplate, programs: &Programs<'_>) -> Vec<ImageFile> {
    let used = |id: &str| {
        let mut all = pod.init_containers.iter().chain(&pod.containers);
        all.any(|container| container.image.as_ref().is_some_and(|image| image.id == id))
    };
    let mut images: Vec<ImageFile> = Vec::new();
    for given in programs.images {
        let id = given.id.hex();
        if used(&id) {
            images.push(ImageFile { name: given.name.clone(), file: given.file.clone(), id });
        }
    }
    images
}

/// A count from 0 to `highest`.
fn number(path: &str, value: i32, highest: u32, report: &mut Report<'_>) -> u32 {
    match u32::try_from(value) {
        Ok(value) if value <= highest => value,
        Ok(_) | Err(_) => {
            report.refuse(path, format!("is {value}"), format!("the sandbox takes 0 to {highest}"));
            0
        }
    }
}

/// Seconds from `lowest` to a day.
pub(super) fn seconds(path: &str, value: i64, lowest: u64, report: &mut Report<'_>) -> Duration {
    const HIGHEST: u64 = 24 * 60 * 60;
    match u64::try_from(value) {
        Ok(value) if (lowest..=HIGHEST).contains(&value) => Duration::from_secs(value),
        Ok(_) | Err(_) => {
            let hint = format!("the sandbox takes {lowest} to {HIGHEST} seconds");
            report.refuse(path, format!("is {}", counted(value, "second")), hint);
            Duration::from_secs(lowest)
        }
    }
}

/// A cluster refuses a set whose selector does not match its own pods.
fn check_selector(spec: &StatefulSetSpec, labels: &BTreeMap<String, String>, report: &mut Report<'_>) {
    let wanted = spec.selector.match_labels.clone().unwrap_or_default();
    if wanted.is_empty() && spec.selector.match_expressions.is_none() {
        report.refuse(
            "spec.selector",
            "a StatefulSet needs a selector",
            "write matchLabels with the labels of spec.template.metadata.labels",
        );
    }
    for (key, value) in &wanted {
        if labels.get(key) != Some(value) {
            report.refuse(
                "spec.selector.matchLabels",
                format!("wants {key}={value}, which the template's pods do not have"),
                "write the labels of spec.template.metadata.labels",
            );
        }
    }
}

fn claims(templates: &[PersistentVolumeClaim], report: &mut Report<'_>) -> Vec<ClaimTemplate> {
    let mut claims: Vec<ClaimTemplate> = Vec::new();
    for (index, template) in templates.iter().enumerate() {
        let path = format!("spec.volumeClaimTemplates[{index}]");
        let name = template.metadata.name.clone().unwrap_or_default();
        if let Some(message) = refuse_label(&name, 63) {
            report.refuse(&format!("{path}.metadata.name"), message, LABEL_HINT);
        } else if claims.iter().any(|claim| claim.name == name) {
            let message = format!("there is another claim template {name}");
            report.refuse(&format!("{path}.metadata.name"), message, "give it another name");
        }
        let size = claim_size(template, &path, report);
        claims.push(ClaimTemplate { name, size });
    }
    claims
}

fn claim_size(template: &PersistentVolumeClaim, path: &str, report: &mut Report<'_>) -> u64 {
    let path = format!("{path}.spec.resources.requests");
    let requests =
        template.spec.as_ref().and_then(|spec| spec.resources.as_ref()).and_then(|of| of.requests.as_ref());
    let Some(storage) = requests.and_then(|requests| requests.get("storage")) else {
        report.refuse(&path, "the claim does not say how large it is", "write requests: {storage: 1Gi}");
        return 0;
    };
    for other in requests.into_iter().flat_map(|requests| requests.keys()).filter(|key| *key != "storage") {
        report.refuse(&format!("{path}.{other}"), "a claim requests nothing but storage", "leave it out");
    }
    match quantity::bytes(&storage.0) {
        Ok(0) => {
            report.refuse(
                &format!("{path}.storage"),
                "a claim of no bytes holds nothing",
                "write for example 1Gi",
            );
            0
        }
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("{:?} {error}", super::tree::shortened(&storage.0));
            report.refuse(&format!("{path}.storage"), message, "write for example 1Gi");
            0
        }
    }
}
