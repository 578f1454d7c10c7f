//! Where a sandbox keeps its files, and whether it is alive.
//!
//! `<state>/sandboxes/NAME/` holds everything of one sandbox. Its processes hold a lock on the file `lock` there (flock(2)): the kernel drops
//! it with the last of them, so a folder whose lock is free belongs to nobody and may be swept, and no reused pid can
//! be taken for a sandbox.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Pid;
use secrecy::{ExposeSecret, SecretSlice};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::claim_kind::ClaimKind;
use super::pod_spec::{KeyRef, Keyed, KeyedKind, SetSpec};
use super::{Options, SandboxError};
use crate::host::cgroup;
use crate::host::process::ProcessId;
use crate::host::user_namespace::is_root_of_machine;
use crate::store::Secrets;

/// How long killed processes may take to leave their cgroups.
const CGROUP_LIMIT: Duration = Duration::from_secs(5);

/// The folder of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

/// What init needs to know; written before it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// What to run: the first StatefulSet of the manifest.
    pub spec: SetSpec,
    /// What runs beside it: the others.
    #[serde(default)]
    pub others: Vec<SetSpec>,
    /// How to run it.
    pub options: Options,
    /// The folder of the sandbox's cgroups, where there can be one.
    pub cgroup: Option<PathBuf>,
    /// The folder of its cgroups in version 1's blkio, where that has the limits on I/O.
    pub blkio: Option<PathBuf>,
    /// The folders of its cgroups in those of version 1's hierarchies in which memory and processors are limited, where a set
    /// has limits.
    pub limited: Vec<PathBuf>,
    /// Whether root outside is root inside.
    pub is_root: bool,
    /// What its claims are.
    pub claims: ClaimKind,
}

/// `SEATRIAL_STATE`; or `/var/lib/seatrial` as root, `$XDG_STATE_HOME/seatrial` or `~/.local/state/seatrial` otherwise.
pub fn state_root() -> Result<PathBuf, SandboxError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = set("SEATRIAL_STATE") {
        return std::path::absolute(&root).map_err(|source| SandboxError::State { path: root, source });
    }
    if is_root_of_machine() {
        return Ok(PathBuf::from("/var/lib/seatrial"));
    }
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("seatrial"))
        .ok_or(SandboxError::NoStateRoot)
}

/// Keeps others from making or sweeping sandboxes while the result is held.
pub fn lock_root(root: &Path) -> Result<File, SandboxError> {
    let lock = || {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(root)?;
        let file = OpenOptions::new().create(true).append(true).open(root.join("lock"))?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|source| SandboxError::State { path: root.to_owned(), source })
}

impl Setup {
    /// Every StatefulSet.
    pub fn sets(&self) -> impl Iterator<Item = &SetSpec> {
        std::iter::once(&self.spec).chain(&self.others)
    }

    /// The cgroup of the guardians, made where it is missing: what stops the node's own cgroup (a session that is frozen,
    /// a limit of its memory) must not stop those who end its faults.
    pub fn guardian_cgroup(&self) -> Option<PathBuf> {
        let path = self.cgroup.as_ref()?.join("guardians");
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
            Ok(()) | Err(_) => Some(path),
        }
    }

    /// The folder of the sandbox's cgroups in each hierarchy.
    pub fn cgroups(&self) -> impl Iterator<Item = &Path> {
        // Version 2 first: there the kernel kills whoever is left.
        self.cgroup.iter().chain(&self.blkio).chain(&self.limited).map(PathBuf::as_path)
    }

    /// Removes the cgroups of a sandbox whose processes are gone.
    pub fn sweep_cgroups(&self) -> io::Result<()> {
        for path in self.cgroups() {
            cgroup::remove(path, CGROUP_LIMIT)?;
            // The folder of all sandboxes goes with the last one; the kernel keeps it while there is another.
            let _ = path.parent().map(fs::remove_dir);
        }
        Ok(())
    }
}

impl StateDir {
    /// The folder of the sandbox `name` below `root`, whether it is there or not.
    pub fn of(root: &Path, name: &str) -> Result<Self, SandboxError> {
        let is_name = name.len() <= 40
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && !name.ends_with('-')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_name {
            return Err(SandboxError::Name(name.to_owned()));
        }
        Ok(Self { path: root.join("sandboxes").join(name) })
    }

    /// The folder that a path names.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Every sandbox folder below `root`.
    pub fn all(root: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(root.join("sandboxes")) else {
            return Vec::new();
        };
        let mut found: Vec<Self> =
            entries.filter_map(|entry| Some(Self { path: entry.ok()?.path() })).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// Makes the folder, for its owner only.
    pub fn create(&self) -> Result<(), SandboxError> {
        let make = || {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(self.root())?;
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)
        };
        make().map_err(|source| self.error(source))
    }

    /// A name that no other sandbox of this machine has, for what is kept outside the folder: other state folders may
    /// hold sandboxes of the same name.
    pub fn unique_name(&self) -> io::Result<String> {
        let folder = fs::metadata(&self.path)?;
        Ok(format!("{}-{:x}-{:x}", self.name(), folder.dev(), folder.ino()))
    }

    /// Fills it with what init needs.
    pub fn fill(&self, setup: &Setup) -> Result<(), SandboxError> {
        let make = || {
            for folder in [self.volumes(), self.undo(), self.logs(), self.scratch()] {
                fs::create_dir_all(folder)?;
            }
            // They are those of the namespace, which all sets have together.
            self.keep_keyed(KeyedKind::Secret, &setup.spec.secrets)?;
            self.keep_keyed(KeyedKind::ConfigMap, &setup.spec.config_maps)?;
            fs::write(self.path.join("setup.json"), serde_json::to_vec(setup)?)
        };
        make().map_err(|source| self.error(source))
    }

    /// Writes what Secrets or ConfigMaps hold into files of their own, which nobody but their owner can read.
    fn keep_keyed(&self, kind: KeyedKind, all: &[Keyed]) -> io::Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        for keyed in all {
            let path = self.keyed_folder(kind).join(&keyed.name);
            folder.create(&path)?;
            for key in &keyed.keys {
                let mut file = OpenOptions::new();
                let mut file = file.create_new(true).write(true).mode(0o600).open(path.join(&key.name))?;
                file.write_all(key.content.expose_secret())?;
            }
        }
        Ok(())
    }

    fn keyed_folder(&self, kind: KeyedKind) -> PathBuf {
        self.path.join(match kind {
            KeyedKind::Secret => "secrets",
            KeyedKind::ConfigMap => "configmaps",
        })
    }

    /// The Secrets of the manifest.
    pub fn secrets(&self) -> Secrets {
        Secrets::at(self.keyed_folder(KeyedKind::Secret))
    }

    /// What a key of a Secret or a ConfigMap holds.
    pub fn key(&self, of: &KeyRef) -> io::Result<SecretSlice<u8>> {
        let path = self.keyed_folder(of.kind).join(&of.object).join(&of.key);
        fs::read(path)
            .map(Into::into)
            .map_err(|error| io::Error::new(error.kind(), format!("{of} cannot be read: {error}")))
    }

    /// An error about this folder.
    pub fn error(&self, source: io::Error) -> SandboxError {
        SandboxError::State { path: self.path.clone(), source }
    }

    /// What init was given.
    pub fn setup(&self) -> io::Result<Setup> {
        self.read("setup.json")
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> io::Result<T> {
        Ok(serde_json::from_slice(&fs::read(self.path.join(file))?)?)
    }

    /// Remembers init, as the sandbox's outside sees it.
    pub fn write_init(&self, init: ProcessId) -> io::Result<()> {
        fs::write(self.path.join("init.json"), serde_json::to_vec(&init)?)
    }

    /// Init by pid and start time, so that nobody else is taken for it who gets its pid later.
    pub fn init_process(&self) -> io::Result<ProcessId> {
        self.read("init.json")
    }

    /// Init's pid, while the sandbox lives.
    pub fn init(&self) -> io::Result<Pid> {
        Ok(Pid::from_raw(self.init_process()?.pid))
    }

    /// Takes the lock that says that the sandbox lives; `None` while somebody has it. It belongs to the open file, so
    /// every process that inherits it holds it, and closing one copy does not release it.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new().create(true).append(true).open(self.path.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Whether a process of the sandbox lives.
    pub fn is_alive(&self) -> bool {
        self.path.join("lock").exists() && self.lock().is_ok_and(|lock| lock.is_none())
    }

    /// Removes what a dead sandbox left outside itself: its cgroups.
    pub fn sweep_cgroups(&self) -> io::Result<()> {
        self.setup().map_or(Ok(()), |setup| setup.sweep_cgroups())
    }

    /// Removes cgroups and folder of a dead sandbox.
    pub fn remove(&self) -> io::Result<()> {
        self.sweep_cgroups()?;
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state root, two levels up.
    pub fn root(&self) -> &Path {
        self.path.parent().and_then(Path::parent).unwrap_or(&self.path)
    }

    /// The sandbox's name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The socket on which init listens.
    pub fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// Images and mount points of claims.
    pub fn volumes(&self) -> PathBuf {
        self.path.join("volumes")
    }

    /// A pod's emptyDirs.
    pub fn pod_volumes(&self, uid: &str) -> PathBuf {
        self.path.join("pods").join(uid)
    }

    /// The node's undo records.
    pub fn undo(&self) -> PathBuf {
        self.path.join("undo")
    }

    /// `POD/CONTAINER.log`, and `node.log`.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The files of an image.
    pub fn image(&self, id: &str) -> PathBuf {
        self.path.join("images").join(id)
    }

    /// Where each container mounts its root before it moves in; nothing is ever written here.
    pub fn scratch(&self) -> PathBuf {
        self.path.join("root")
    }

    /// What init, sweeper and pods say about themselves.
    pub fn diary(&self) -> PathBuf {
        self.path.join("sandbox.log")
    }

    /// The program that the sandbox runs, which stays the same when it is rebuilt.
    pub fn program(&self) -> PathBuf {
        self.path.join("seatrial")
    }
}
