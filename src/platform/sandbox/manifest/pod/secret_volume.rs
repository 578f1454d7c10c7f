//! Volumes that show a Secret as files.

use std::path::{Component, PathBuf};

use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource, Volume};

use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::{Secret, SecretFile, SecretKey, SecretVolume};

/// The permissions of a file where none are written.
const USUAL_MODE: i32 = 0o644;

/// The Secret `name` that the field at `path` refers to; where there is none, that is refused, or noted where it is
/// `optional`.
pub(super) fn refer<'a>(
    name: &str,
    optional: Option<bool>,
    path: &str,
    secrets: &'a [Secret],
    report: &mut Report<'_>,
) -> Option<&'a Secret> {
    let found = secrets.iter().find(|secret| secret.name == name);
    if found.is_none() {
        let message = format!("there is no Secret {:?} in the files", shortened(name));
        missing(path, message, optional, report);
    }
    found
}

/// Says that something is missing.
pub(super) fn missing(path: &str, message: String, optional: Option<bool>, report: &mut Report<'_>) {
    if optional == Some(true) {
        report.note(path, format!("left out, because it is optional and {message}"));
    } else {
        let hint = "add the Secret as a document, for example from `kubectl get secret NAME -o yaml`, or write optional: true where it can be missing";
        report.refuse(path, message, hint);
    }
}

/// Reads `volume`, whose source this is; `path` is the volume's.
pub(super) fn read(
    volume: &Volume,
    source: &SecretVolumeSource,
    path: &str,
    secrets: &[Secret],
    report: &mut Report<'_>,
) -> SecretVolume {
    let path = format!("{path}.secret");
    let name = source.secret_name.clone().unwrap_or_default();
    let secret = refer(&name, source.optional, &format!("{path}.secretName"), secrets, report);
    let usual = mode(source.default_mode.unwrap_or(USUAL_MODE), &format!("{path}.defaultMode"), report);
    let files = match (secret, &source.items) {
        (None, _) => Vec::new(),
        (Some(secret), None) => {
            let file = |key: &SecretKey| SecretFile {
                key: key.name.clone(),
                path: PathBuf::from(&key.name),
                mode: usual,
            };
            secret.keys.iter().map(file).collect()
        }
        (Some(secret), Some(items)) => {
            let items = (0..).zip(items);
            items
                .filter_map(|(index, item)| {
                    item_of(secret, item, source.optional, usual, &format!("{path}.items[{index}]"), report)
                })
                .collect()
        }
    };
    SecretVolume { name: volume.name.clone(), secret: name, files }
}

/// One key of `secret` under a path of its own.
fn item_of(
    secret: &Secret,
    item: &KeyToPath,
    optional: Option<bool>,
    usual: u32,
    path: &str,
    report: &mut Report<'_>,
) -> Option<SecretFile> {
    if !secret.keys.iter().any(|key| key.name == item.key) {
        let message = format!("there is no key {:?} in Secret {}", shortened(&item.key), secret.name);
        missing(&format!("{path}.key"), message, optional, report);
        return None;
    }
    let at = PathBuf::from(&item.path);
    if item.path.is_empty() || !at.components().all(|part| matches!(part, Component::Normal(_))) {
        let hint = "write a path without a slash at its beginning and without ..";
        report.refuse(&format!("{path}.path"), "is no path in the volume", hint);
        return None;
    }
    let mode = item.mode.map_or(usual, |own| mode(own, &format!("{path}.mode"), report));
    Some(SecretFile { key: item.key.clone(), path: at, mode })
}

fn mode(mode: i32, path: &str, report: &mut Report<'_>) -> u32 {
    u32::try_from(mode).ok().filter(|mode| *mode <= 0o777).unwrap_or_else(|| {
        report.refuse(path, format!("{mode} are no permissions"), "write for example 0400");
        USUAL_MODE.unsigned_abs()
    })
}
