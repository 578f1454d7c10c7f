//! Volumes whose files are made for the pod: Secrets, ConfigMaps, fields of the pod, and several of them in one.

use std::path::{Component, PathBuf};

use k8s_openapi::api::core::v1::{Container, DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use super::field::{self, Use};
use super::refer::Reference;
use super::resources;
use crate::platform::sandbox::manifest::keyed::Near;
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::pod_spec::{KeyRef, KeyedKind, Shown, ShownFile, ShownVolume};

/// The permissions of a file where none are written.
const USUAL_MODE: i32 = 0o644;

/// Reads `volume`, which is at `path`; `None` where it is of another kind.
pub(super) fn read(
    volume: &Volume,
    path: &str,
    near: &Near,
    containers: &[&Container],
    report: &mut Report<'_>,
) -> Option<ShownVolume> {
    let mut maker = Maker { near, containers, report, usual: 0, files: Vec::new() };
    if let Some(source) = &volume.secret {
        let path = format!("{path}.secret");
        maker.usual =
            maker.mode(source.default_mode, USUAL_MODE.unsigned_abs(), &format!("{path}.defaultMode"));
        let reference = Reference {
            kind: KeyedKind::Secret,
            name: source.secret_name.as_deref().unwrap_or_default(),
            optional: source.optional,
            path: &format!("{path}.secretName"),
        };
        maker.keyed(&reference, source.items.as_deref(), &path);
    } else if let Some(source) = &volume.config_map {
        let path = format!("{path}.configMap");
        maker.usual =
            maker.mode(source.default_mode, USUAL_MODE.unsigned_abs(), &format!("{path}.defaultMode"));
        let reference = Reference {
            kind: KeyedKind::ConfigMap,
            name: &source.name,
            optional: source.optional,
            path: &format!("{path}.name"),
        };
        maker.keyed(&reference, source.items.as_deref(), &path);
    } else if let Some(source) = &volume.downward_api {
        let path = format!("{path}.downwardAPI");
        maker.usual =
            maker.mode(source.default_mode, USUAL_MODE.unsigned_abs(), &format!("{path}.defaultMode"));
        maker.fields(source.items.as_deref(), &path);
    } else if let Some(source) = &volume.projected {
        let path = format!("{path}.projected");
        maker.usual =
            maker.mode(source.default_mode, USUAL_MODE.unsigned_abs(), &format!("{path}.defaultMode"));
        for (index, source) in source.sources.iter().flatten().enumerate() {
            maker.projection(source, &format!("{path}.sources[{index}]"));
        }
    } else {
        return None;
    }
    Some(ShownVolume { name: volume.name.clone(), files: maker.files })
}

struct Maker<'m, 'r> {
    near: &'m Near,
    containers: &'m [&'m Container],
    report: &'m mut Report<'r>,
    usual: u32,
    files: Vec<ShownFile>,
}

impl Maker<'_, '_> {
    /// One source of several.
    fn projection(&mut self, source: &VolumeProjection, path: &str) {
        if let Some(secret) = &source.secret {
            let path = format!("{path}.secret");
            let reference = Reference {
                kind: KeyedKind::Secret,
                name: &secret.name,
                optional: secret.optional,
                path: &format!("{path}.name"),
            };
            self.keyed(&reference, secret.items.as_deref(), &path);
        }
        if let Some(config) = &source.config_map {
            let path = format!("{path}.configMap");
            let reference = Reference {
                kind: KeyedKind::ConfigMap,
                name: &config.name,
                optional: config.optional,
                path: &format!("{path}.name"),
            };
            self.keyed(&reference, config.items.as_deref(), &path);
        }
        if let Some(fields) = &source.downward_api {
            self.fields(fields.items.as_deref(), &format!("{path}.downwardAPI"));
        }
        // The others are refused by the table.
    }

    /// All keys, or those that are named.
    fn keyed(&mut self, reference: &Reference<'_>, items: Option<&[KeyToPath]>, path: &str) {
        let Some(keyed) = reference.find(self.near, self.report) else {
            return;
        };
        let key_ref = |key: &str| {
            Shown::Key(KeyRef { kind: reference.kind, object: keyed.name.clone(), key: key.to_owned() })
        };
        match items {
            None => {
                for key in &keyed.keys {
                    self.add(PathBuf::from(&key.name), self.usual, key_ref(&key.name), path);
                }
            }
            Some(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}.items[{index}]");
                    let key = reference.key(keyed, &item.key, &format!("{path}.key"), self.report);
                    if key.is_some()
                        && let Some(at) = self.path(&item.path, &path)
                    {
                        let mode = self.mode(item.mode, self.usual, &format!("{path}.mode"));
                        self.add(at, mode, key_ref(&item.key), &format!("{path}.path"));
                    }
                }
            }
        }
    }

    fn fields(&mut self, items: Option<&[DownwardAPIVolumeFile]>, path: &str) {
        for (index, item) in items.unwrap_or_default().iter().enumerate() {
            let path = format!("{path}.items[{index}]");
            let content = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), None) => {
                    field::read(field, Use::File, &format!("{path}.fieldRef"), self.report).map(Shown::Field)
                }
                (None, Some(of)) => {
                    let path = format!("{path}.resourceFieldRef");
                    resources::field(of, None, self.containers, &path, self.report).map(Shown::Text)
                }
                (Some(_), Some(_)) | (None, None) => {
                    let hint = "write either fieldRef: {fieldPath: metadata.name} or resourceFieldRef";
                    self.report.refuse(&path, "must name one field", hint);
                    None
                }
            };
            if let Some(content) = content
                && let Some(at) = self.path(&item.path, &path)
            {
                let mode = self.mode(item.mode, self.usual, &format!("{path}.mode"));
                self.add(at, mode, content, &format!("{path}.path"));
            }
        }
    }

    fn add(&mut self, at: PathBuf, mode: u32, content: Shown, path: &str) {
        if self.files.iter().any(|other| other.path.starts_with(&at) || at.starts_with(&other.path)) {
            let message = format!("another file of the volume is at {}", at.display());
            self.report.refuse(path, message, "give one of them another path by items");
            return;
        }
        self.files.push(ShownFile { path: at, mode, content });
    }

    /// A path in the volume; that of the field is `item` with `.path` behind it.
    fn path(&mut self, path: &str, item: &str) -> Option<PathBuf> {
        let at = PathBuf::from(path);
        if !path.is_empty() && at.components().all(|part| matches!(part, Component::Normal(_))) {
            return Some(at);
        }
        let hint = "write a path without a slash at its beginning and without ..";
        self.report.refuse(&format!("{item}.path"), "is no path in the volume", hint);
        None
    }

    fn mode(&mut self, own: Option<i32>, usual: u32, path: &str) -> u32 {
        let Some(mode) = own else { return usual };
        u32::try_from(mode).ok().filter(|mode| *mode <= 0o777).unwrap_or_else(|| {
            self.report.refuse(path, format!("{mode} are no permissions"), "write for example 0400");
            usual
        })
    }
}
