//! One container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container as Given, ContainerPort};

use super::{Around, env, hooks, identity, mounts, probes, resources};
use crate::platform::sandbox::image;
use crate::platform::sandbox::manifest::names::{LABEL_HINT, refuse_label};
use crate::platform::sandbox::manifest::program::{self, Where};
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::service::port_number;
use crate::platform::sandbox::manifest::signal;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::{Container, Unpacked};

/// In which list a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Init,
    Main,
}

/// Reads the container at `path`.
pub(super) fn read(
    given: &Given,
    kind: Kind,
    path: &str,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Container {
    let programs = Where::of(given, around.programs);
    let image = programs.image();
    let image_user = image.map(|image| image.config.user.as_str());
    let (run_as_user, run_as_group) =
        identity::user_and_group(given, path, around.security, image_user, report);
    let working_dir = given.working_dir.clone().filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if working_dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
        report.refuse(&format!("{path}.workingDir"), "is no absolute path", "begin it with a slash");
    }
    let ports = ports(given.ports.as_deref().unwrap_or_default(), path, report);
    let is_sidecar = kind == Kind::Init && given.restart_policy.is_some();
    if kind == Kind::Init && !is_sidecar {
        refuse_what_needs_a_sidecar(given, path, report);
    }
    let place = |field: &str| probes::Place {
        path: format!("{path}.{field}"),
        ports: &ports,
        container: given,
        programs,
    };
    let mut probe = |field: &str, probe: &Option<_>| {
        let place = place(field);
        probe.as_ref().and_then(|probe| probes::read(probe, &place, report))
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
    let lifecycle = given.lifecycle.as_ref();
    let hooks = lifecycle.map(|lifecycle| hooks::read(lifecycle, &place("lifecycle"), report));
    let hooks = hooks.unwrap_or_default();
    Container {
        name: given.name.clone(),
        image: image.map(unpacked),
        argv: program::argv(given, path, programs, report).unwrap_or_default(),
        working_dir: working_dir.or_else(|| {
            let own = image.map(|image| image.config.working_dir.as_str());
            // It is one from the root, whether it says so or not.
            own.filter(|dir| !dir.is_empty()).map(|dir| Path::new("/").join(dir))
        }),
        env: env::read(given, path, around, report),
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
        rights: identity::rights(given, path, report),
        limits: resources::limits(given, path, report),
        is_sidecar,
        post_start: hooks.post_start,
        pre_stop: hooks.pre_stop,
        stop_signal: hooks
            .stop_signal
            .or_else(|| image.and_then(|image| stop_signal(&image.config.stop_signal, path, report))),
    }
}

/// What a container has of its image.
fn unpacked(image: &image::Given) -> Unpacked {
    let variable = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    Unpacked {
        id: image.id.hex(),
        user: image.config.user.clone(),
        env: image.config.env.iter().map(variable).collect(),
    }
}

/// The signal that the image wants to be ended by.
fn stop_signal(name: &str, path: &str, report: &mut Report<'_>) -> Option<i32> {
    if name.is_empty() {
        return None;
    }
    let number = signal::number(name);
    if number.is_none() {
        let message = format!("the image wants to be ended by {}, and gets SIGTERM", shortened(name));
        report.note(&format!("{path}.image"), message);
    }
    number
}

/// What an init container that runs to its end cannot have, as in a cluster.
fn refuse_what_needs_a_sidecar(given: &Given, path: &str, report: &mut Report<'_>) {
    for (field, is_there) in [
        ("lifecycle", given.lifecycle.is_some()),
        ("livenessProbe", given.liveness_probe.is_some()),
        ("readinessProbe", given.readiness_probe.is_some()),
        ("startupProbe", given.startup_probe.is_some()),
    ] {
        if is_there {
            report.refuse(
                &format!("{path}.{field}"),
                "an init container that runs to its end has none",
                "write restartPolicy: Always where it is a sidecar, or leave it out",
            );
        }
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
