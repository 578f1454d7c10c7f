//! Where a container sees its volumes.

use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::VolumeMount;

use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::Mount;
use crate::yaml::nearest;

/// The mounts of the container at `path`; `volumes` are the names that there are.
pub(super) fn read(
    given: &[VolumeMount],
    path: &str,
    volumes: &[&str],
    report: &mut Report<'_>,
) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for (index, mount) in given.iter().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        if !volumes.contains(&mount.name.as_str()) {
            let hint = nearest(&mount.name, volumes.iter().copied()).map_or_else(
                || "write it under volumes or volumeClaimTemplates".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            let message = format!("there is no volume {:?}", shortened(&mount.name));
            report.refuse(&format!("{path}.name"), message, hint);
        }
        let at = PathBuf::from(&mount.mount_path);
        let at_path = format!("{path}.mountPath");
        if !at.is_absolute() || has_parents(&at) || at == Path::new("/") {
            let message = format!("{:?} is no folder for a mount", shortened(&mount.mount_path));
            report.refuse(&at_path, message, "write an absolute path without ..");
        } else if mounts.iter().any(|other| other.path == at) {
            report.refuse(&at_path, "another volume is mounted there", "write another path");
        }
        let sub_path = mount.sub_path.clone().filter(|sub| !sub.is_empty()).map(PathBuf::from);
        if sub_path.as_ref().is_some_and(|sub| sub.is_absolute() || has_parents(sub)) {
            report.refuse(
                &format!("{path}.subPath"),
                "leads out of the volume",
                "write a path without a slash at its beginning and without ..",
            );
        }
        mounts.push(Mount {
            volume: mount.name.clone(),
            path: at,
            sub_path,
            read_only: mount.read_only.unwrap_or(false),
        });
    }
    mounts
}

fn has_parents(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}
