//! One container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Container as Given, ContainerPort};

use super::{Around, env, identity, mounts, probes};
use crate::platform::sandbox::manifest::names::{LABEL_HINT, refuse_label};
use crate::platform::sandbox::manifest::program;
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::service::port_number;
use crate::platform::sandbox::pod_spec::Container;

/// Reads the container at `path`.
pub(super) fn read(given: &Given, path: &str, around: &Around<'_>, report: &mut Report<'_>) -> Container {
    let (run_as_user, run_as_group) = identity::user_and_group(given, path, around.security, report);
    let working_dir = given.working_dir.clone().filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if working_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
        report.refuse(&format!("{path}.workingDir"), "is no absolute path", "begin it with a slash");
    }
    let ports = ports(given.ports.as_deref().unwrap_or_default(), path, report);
    let mut probe = |field: &str, probe: &Option<_>| {
        let place = probes::Place { path: format!("{path}.{field}"), ports: &ports, container: given };
        probe.as_ref().and_then(|probe| probes::read(probe, &place, around.find, report))
    };
    let readiness = probe("readinessProbe", &given.readiness_probe);
    let liveness = probe("livenessProbe", &given.liveness_probe);
    let startup = probe("startupProbe", &given.startup_probe);
    for (field, probe) in [("livenessProbe", &liveness), ("startupProbe", &startup)] {
        if probe.as_ref().is_some_and(|probe| probe.success_threshold != 1) {
            report.refuse(
                &format!("{path}.{field}.successThreshold"),
                "must be 1 for this kind of probe",
                "leave it out",
            );
        }
    }
    Container {
        name: given.name.clone(),
        argv: program::argv(given, path, around.find, report).unwrap_or_default(),
        working_dir,
        env: env::read(given, path, around.near, report),
        mounts: mounts::read(
            given.volume_mounts.as_deref().unwrap_or_default(),
            path,
            &around.volumes,
            report,
        ),
        run_as_user,
        run_as_group,
        ports,
        readiness,
        liveness,
        startup,
    }
}

/// The ports that have names.
fn ports(given: &[ContainerPort], path: &str, report: &mut Report<'_>) -> BTreeMap<String, u16> {
    let mut named = BTreeMap::new();
    for (index, port) in given.iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let number = port_number(&format!("{path}.containerPort"), port.container_port, report);
        let (Some(number), Some(name)) = (number, &port.name) else {
            continue;
        };
        // IANA_SVC_NAME, which is what Kubernetes asks of a port's name.
        if let Some(message) = refuse_label(name, 15) {
            report.refuse(&format!("{path}.name"), message, LABEL_HINT);
        } else if named.insert(name.clone(), number).is_some() {
            report.refuse(&format!("{path}.name"), "another port has this name", "give it another name");
        }
    }
    named
}
