//! Looks for programs on this machine.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a shell searches where `PATH` is not set, and where a service's `PATH` is short.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds a program of this machine: an absolute path is taken as it is, a name is searched in `PATH` and then in the
/// usual folders. `None` where there is no such file or it cannot be executed.
pub fn on_this_machine(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return is_executable(Path::new(program)).then(|| PathBuf::from(program));
    }
    if program.is_empty() || program.contains('/') {
        return None;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).chain(env::split_paths(USUAL)).collect();
    folders
        .into_iter()
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}
