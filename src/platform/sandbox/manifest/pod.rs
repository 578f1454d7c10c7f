//! The pod template.

use k8s_openapi::api::core::v1::{Container as Given, PodSecurityContext, PodSpec, PodTemplateSpec, Volume};

use super::Programs;
use super::keyed::Near;
use super::names::{LABEL_HINT, refuse_label};
use super::report::Report;
use super::set::seconds;
use crate::experiment::quantity;
use crate::platform::sandbox::pod_spec::{ClaimTemplate, Container, EmptyDir, PodTemplate, ShownVolume};

mod container;
mod env;
mod field;
mod hooks;
mod identity;
mod mounts;
mod probes;
mod refer;
mod resources;
mod shown;

const SPEC: &str = "spec.template.spec";

/// Kubernetes gives a pod this many seconds to end.
const DEFAULT_GRACE: i64 = 30;

/// What the containers of a pod need to know of the pod and the manifest.
struct Around<'a> {
    programs: &'a Programs<'a>,
    security: Option<&'a PodSecurityContext>,
    /// Names of volumes and claims that may be mounted.
    volumes: Vec<&'a str>,
    near: &'a Near,
    /// All containers, which references to resources name.
    containers: Vec<&'a Given>,
}

/// Reads the template; what it refuses is in the report.
pub(super) fn read(
    template: &PodTemplateSpec,
    claims: &[ClaimTemplate],
    near: &Near,
    programs: &Programs<'_>,
    report: &mut Report<'_>,
) -> PodTemplate {
    let empty = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&empty);
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let all: Vec<&Given> = init.iter().chain(&spec.containers).collect();
    let (empty_dirs, shown_volumes) = volumes_of(volumes, claims, near, &all, report);
    let claim_names = claims.iter().map(|claim| claim.name.as_str());
    // A volume that the table refuses is mounted by name all the same; one refusal says enough.
    let volume_names = volumes.iter().map(|volume| volume.name.as_str());
    let security = spec.security_context.as_ref();
    let around = Around {
        programs,
        security,
        volumes: claim_names.chain(volume_names).collect(),
        near,
        containers: all,
    };

    if spec.containers.is_empty() {
        report.refuse(&format!("{SPEC}.containers"), "a pod needs a container", "write at least one");
    }
    let mut names = Vec::new();
    let init_containers = containers(init, container::Kind::Init, &around, &mut names, report);
    let containers = containers(&spec.containers, container::Kind::Main, &around, &mut names, report);
    let metadata = template.metadata.clone().unwrap_or_default();
    PodTemplate {
        labels: metadata.labels.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        service_account: spec
            .service_account_name
            .clone()
            .or_else(|| spec.service_account.clone())
            .unwrap_or_else(|| "default".to_owned()),
        init_containers,
        containers,
        empty_dirs,
        shown_volumes,
        grace: seconds(
            &format!("{SPEC}.terminationGracePeriodSeconds"),
            spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE),
            0,
            report,
        ),
        hostname_is_fqdn: spec.set_hostname_as_fqdn.unwrap_or(false),
        fs_group: security
            .and_then(|security| security.fs_group)
            .and_then(|id| identity::id(id, &format!("{SPEC}.securityContext.fsGroup"), report)),
        fs_group_of_root: security.and_then(|security| security.fs_group_change_policy.as_deref())
            == Some("OnRootMismatch"),
        strict_groups: security.and_then(|security| security.supplemental_groups_policy.as_deref())
            == Some("Strict"),
        supplemental_groups: security
            .and_then(|security| security.supplemental_groups.as_deref())
            .unwrap_or_default()
            .iter()
            .enumerate()
            .filter_map(|(index, id)| {
                identity::id(*id, &format!("{SPEC}.securityContext.supplementalGroups[{index}]"), report)
            })
            .collect(),
    }
}

/// The containers of one list; `names` holds those of both lists, because they share one space of names.
fn containers(
    list: &[Given],
    kind: container::Kind,
    around: &Around<'_>,
    names: &mut Vec<String>,
    report: &mut Report<'_>,
) -> Vec<Container> {
    let field = match kind {
        container::Kind::Init => "initContainers",
        container::Kind::Main => "containers",
    };
    let mut read = Vec::new();
    for (index, container) in list.iter().enumerate() {
        let path = format!("{SPEC}.{field}[{index}]");
        let name = &container.name;
        if let Some(message) = refuse_label(name, 63) {
            report.refuse(&format!("{path}.name"), message, LABEL_HINT);
        } else if names.contains(name) {
            let message = format!("there is another container {name}");
            report.refuse(&format!("{path}.name"), message, "give it another name");
        }
        names.push(name.clone());
        read.push(container::read(container, kind, &path, around, report));
    }
    read
}

fn volumes_of(
    volumes: &[Volume],
    claims: &[ClaimTemplate],
    near: &Near,
    containers: &[&Given],
    report: &mut Report<'_>,
) -> (Vec<EmptyDir>, Vec<ShownVolume>) {
    let mut dirs: Vec<EmptyDir> = Vec::new();
    let mut shown: Vec<ShownVolume> = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{SPEC}.volumes[{index}]");
        if let Some(message) = refuse_label(&volume.name, 63) {
            report.refuse(&format!("{path}.name"), message, LABEL_HINT);
        } else if volumes[..index].iter().any(|other| other.name == volume.name) {
            let message = format!("there is another volume {}", volume.name);
            report.refuse(&format!("{path}.name"), message, "give it another name");
        }
        if claims.iter().any(|claim| claim.name == volume.name) {
            report.note(&path, "the claim template of the same name takes its place, as in a cluster");
            continue;
        }
        let sources = [
            volume.config_map.is_some(),
            volume.downward_api.is_some(),
            volume.empty_dir.is_some(),
            volume.projected.is_some(),
            volume.secret.is_some(),
        ];
        if sources.into_iter().filter(|is_there| *is_there).count() > 1 {
            report.refuse(&path, "has several sources", "make a volume of each, or one that is projected");
        }
        if let Some(volume) = shown::read(volume, &path, near, containers, report) {
            shown.push(volume);
            continue;
        }
        // Without any source a volume is an emptyDir, as in a cluster; other sources are refused by the table.
        let source = volume.empty_dir.clone().unwrap_or_default();
        let in_memory = source.medium.as_deref() == Some("Memory");
        let size_path = format!("{path}.emptyDir.sizeLimit");
        let size = source.size_limit.and_then(|limit| match quantity::bytes(&limit.0) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let message = format!("{:?} {error}", super::tree::shortened(&limit.0));
                report.refuse(&size_path, message, "write for example 1Gi");
                None
            }
        });
        if size.is_some() && !in_memory {
            report.note(&size_path, "not enforced in the sandbox, except in memory");
        }
        dirs.push(EmptyDir { name: volume.name.clone(), in_memory, size });
    }
    (dirs, shown)
}
