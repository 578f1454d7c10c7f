//! Files that are made for a pod: Secrets, ConfigMaps and fields of its own.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use secrecy::{ExposeSecret, SecretSlice};

use super::environment::{PodFacts, field};
use crate::platform::sandbox::pod_spec::{Shown, ShownFile, ShownVolume};
use crate::platform::sandbox::set::Set;

/// Writes the files of every such volume, readable for the pod's group where it has one, as a kubelet makes them.
pub fn show(set: &Set, facts: &PodFacts) -> io::Result<()> {
    for volume in &set.spec.pod.shown_volumes {
        let folder = set.world.dir.pod_volumes(&facts.uid).join(&volume.name);
        show_volume(set, facts, volume, &folder).map_err(|error| {
            io::Error::new(error.kind(), format!("volume {} cannot be filled: {error}", volume.name))
        })?;
    }
    Ok(())
}

fn show_volume(set: &Set, facts: &PodFacts, volume: &ShownVolume, folder: &Path) -> io::Result<()> {
    for file in &volume.files {
        let at = folder.join(&file.path);
        at.parent().map_or(Ok(()), fs::create_dir_all)?;
        let content: SecretSlice<u8> = match &file.content {
            Shown::Key(of) => set.world.dir.key(of)?,
            Shown::Field(path) => field(path, &set.spec, facts).into_bytes().into(),
            Shown::Text(text) => text.as_bytes().to_vec().into(),
        };
        write(&at, content.expose_secret(), file, set.fs_group().map(|group| group.id))?;
    }
    Ok(())
}

/// Nobody may read it before it has its permissions.
fn write(at: &Path, content: &[u8], file: &ShownFile, group: Option<u32>) -> io::Result<()> {
    let mut opened = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(at)?;
    opened.write_all(content)?;
    let mut mode = file.mode;
    if group.is_some() {
        chown(at, None, group)?;
        mode |= 0o440;
    }
    opened.set_permissions(fs::Permissions::from_mode(mode))
}
