//! StatefulSets on this machine, without Kubernetes: one process tree under an init of its own.
//!
//! ```text
//! up ──▶ sweeper (outside) ──▶ init (own pid, mount, net, ipc, uts, cgroup and, unless root, user namespace)
//!                               ├─ pod holder of each pod (own pid, net, ipc, uts namespaces)
//!                               │   └─ containers (own pid and mount namespaces, an overlay over `/` as root)
//!                               ├─ server of each volume that is a forgetful one (init's own namespaces)
//!                               └─ node process (init's own namespaces)
//! ```
//!
//! Init is API server, kubelet and controller of every StatefulSet in one. Nothing outside the state folder and the cgroups of
//! the sandbox changes on the host, and one SIGKILL of init ends all of it: the kernel kills what is in its pid namespace,
//! drops its mounts and networks and frees its loop devices; the [`sweeper`] removes cgroups and folder.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::host::cgroup::{self, limits::Available};
use crate::host::namespace::{self, Spawn, spawn};
use crate::host::user_namespace::is_root_of_machine;

mod attach_block;
mod board;
mod claim_kind;
pub mod client;
mod container;
mod control;
mod controller;
pub mod dns;
mod error;
pub mod forgetful;
mod holder;
pub mod image;
mod init;
mod injections;
pub mod manifest;
mod network;
mod node_process;
mod pod;
pub mod pod_spec;
pub mod probe;
mod protocol;
mod reaper;
mod rollout;
mod set;
mod set_change;
mod set_faults;
mod state_dir;
mod sweeper;
mod wanted;

pub use claim_kind::ClaimKind;
pub use error::SandboxError;
pub use state_dir::{StateDir, state_root};

use image::Bounds;
use pod_spec::{ImageFile, Limits, SetSpec};
use state_dir::Setup;
use sweeper::LOCK_DESCRIPTOR;

/// How long a killed sandbox may take to be gone.
const DOWN_LIMIT: Duration = Duration::from_secs(20);

/// How to run a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Options {
    /// Its name: the folder, the node's name.
    pub name: String,
    /// Where all sandboxes keep their state; see [`state_root`].
    pub state_root: PathBuf,
    /// Whether it stays when the caller goes.
    pub keep: bool,
    /// The `seatrial` program, whose hidden subcommands the sandbox is made of: `/proc/self/exe`, but in tests.
    pub program: PathBuf,
    /// The node process's arguments after the program, run in init's namespaces and started again when it dies.
    pub node: Option<Vec<String>>,
    /// The claim templates whose volumes forget what nobody has synced; see [`forgetful`].
    pub forgetful: BTreeSet<ClaimsOf>,
}

/// The claims that a StatefulSet has by one of its templates. Another set may have a template of the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimsOf {
    /// The StatefulSet's name.
    pub set: String,
    /// The template's name.
    pub template: String,
}

/// A sandbox that is there.
#[derive(Debug)]
pub struct Sandbox {
    dir: StateDir,
    /// The end of this pipe ends a sandbox that is not kept.
    lifeline: Option<OwnedFd>,
    sweeper: Option<Pid>,
}

/// A line of `sandbox ls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The sandbox's name.
    pub name: String,
    /// Whether it runs; a dead one was kept and still has its volumes and logs.
    pub is_alive: bool,
    /// The StatefulSets in it.
    pub stateful_sets: Vec<String>,
}

impl Options {
    /// Whether a claim template of a set has forgetful volumes.
    fn is_forgetful(&self, set: &str, template: &str) -> bool {
        self.forgetful.iter().any(|claims| claims.set == set && claims.template == template)
    }
}

impl Sandbox {
    /// Makes a sandbox and starts a StatefulSet in it, and `others` beside it; returns when its init answers, which is
    /// before the pods are ready. All must have names of their own and one namespace. What dead sandboxes left is swept
    /// first.
    pub fn up(spec: SetSpec, others: Vec<SetSpec>, mut options: Options) -> Result<Self, SandboxError> {
        let is_root = is_root_of_machine();
        let sets: Vec<&SetSpec> = std::iter::once(&spec).chain(&others).collect();
        sets.iter().try_for_each(|set| refuse_foreign_users(set, is_root))?;
        StateDir::of(&options.state_root, &options.name)?;
        let alone = state_dir::lock_root(&options.state_root)?;
        // The kernel tells loop devices' images by their real paths.
        let real = fs::canonicalize(&options.state_root);
        options.state_root =
            real.map_err(|source| SandboxError::State { path: options.state_root.clone(), source })?;
        let dir = StateDir::of(&options.state_root, &options.name)?;
        sweep_dead(&options.state_root);
        if dir.path().exists() && !dir.is_alive() {
            return Err(SandboxError::Dead(options.name));
        }
        dir.create()?;
        let lock = dir
            .lock()
            .map_err(|source| dir.error(source))?
            .ok_or_else(|| SandboxError::Exists(options.name.clone()))?;
        drop(alone);
        if let Err(error) = unpack_images(&sets, &dir, is_root) {
            let _ = dir.remove();
            return Err(error);
        }
        let cgroup = cgroup::delegated_root().map(|root| root.join("seatrial"));
        let own = dir.unique_name().map_err(|source| dir.error(source))?;
        let cgroup = cgroup.map(|ours| ours.join(&own));
        let cgroup = cgroup.filter(|path| cgroup::create_fresh(path).is_ok());
        cgroup
            .iter()
            .flat_map(|own| own.parent().into_iter().chain([own.as_path()]))
            .for_each(cgroup::pass_on);
        let blkio = cgroup::old_blkio().filter(|_| is_root).map(|root| root.join("seatrial").join(&own));
        let blkio = blkio.filter(|path| cgroup::create_fresh(path).is_ok());
        let limited =
            if sets.iter().any(|set| has_limits(set)) { Available::here().legacy } else { Vec::new() };
        let limited: Vec<PathBuf> =
            limited.into_iter().map(|root| root.join("seatrial").join(&own)).collect();
        let limited = limited.into_iter().filter(|path| cgroup::create_fresh(path).is_ok()).collect();
        let keep = options.keep;
        place_program(&options.program, &dir)?;
        dir.fill(&Setup {
            spec,
            others,
            options,
            cgroup,
            blkio,
            limited,
            is_root,
            claims: ClaimKind::here(),
        })?;
        match start(&dir, lock, keep) {
            Ok(sandbox) => Ok(sandbox),
            Err(error) => {
                let _ = dir.remove();
                Err(error)
            }
        }
    }

    /// A sandbox that runs already.
    pub fn attach(state_root: &Path, name: &str) -> Result<Self, SandboxError> {
        let dir = StateDir::of(state_root, name)?;
        if !dir.is_alive() {
            return Err(SandboxError::Absent(name.to_owned()));
        }
        Ok(Self { dir, lifeline: None, sweeper: None })
    }

    /// Every sandbox below `state_root`, alive or kept; sweeps the others.
    pub fn list(state_root: &Path) -> Vec<Listed> {
        if let Ok(_alone) = state_dir::lock_root(state_root) {
            sweep_dead(state_root);
        }
        StateDir::all(state_root)
            .into_iter()
            .filter_map(|dir| {
                let setup = dir.setup().ok()?;
                let stateful_sets = setup.sets().map(|set| set.name.clone()).collect();
                Some(Listed { name: dir.name(), is_alive: dir.is_alive(), stateful_sets })
            })
            .collect()
    }

    /// Ends a sandbox, alive or dead, and removes everything of it.
    pub fn down(state_root: &Path, name: &str) -> Result<(), SandboxError> {
        let dir = StateDir::of(state_root, name)?;
        if !dir.path().exists() {
            return Err(SandboxError::Absent(name.to_owned()));
        }
        Self { dir, lifeline: None, sweeper: None }.stop()
    }

    /// Ends this sandbox and removes everything of it; returns when it is gone.
    pub fn stop(mut self) -> Result<(), SandboxError> {
        let down = |source| SandboxError::Down { name: self.dir.name(), source };
        if self.dir.is_alive()
            && let Ok(init) = self.dir.init_process()
            && let Some(init) = init.open().map_err(down)?
        {
            init.signal(Signal::SIGKILL).map_err(down)?;
        }
        drop(self.lifeline.take());
        if let Some(sweeper) = self.sweeper.take() {
            waitpid(sweeper, None).map_err(|errno| down(errno.into()))?;
        }
        wait_until_dead(&self.dir).map_err(down)?;
        self.dir.remove().map_err(down)
    }

    /// Moves the calling process, which must have one thread, into the sandbox's network, so that it reaches pods by
    /// their addresses and names. Files and sockets by path stay what they are.
    pub fn enter(&self) -> Result<(), SandboxError> {
        let enter = || {
            let gone = || io::Error::new(io::ErrorKind::NotFound, "its init is gone");
            let init = self.dir.init_process()?.open()?.ok_or_else(gone)?;
            let user =
                if self.dir.setup()?.is_root { CloneFlags::empty() } else { CloneFlags::CLONE_NEWUSER };
            namespace::enter(&init, user | CloneFlags::CLONE_NEWNET)
        };
        enter().map_err(|source| SandboxError::Enter { name: self.name(), source })
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.dir.name()
    }

    /// Its folder.
    pub fn dir(&self) -> &StateDir {
        &self.dir
    }

    /// `POD/CONTAINER.log` of every container, appended over restarts, and `node.log`. Gone with the sandbox: whoever
    /// wants to keep them copies them first.
    pub fn logs_dir(&self) -> PathBuf {
        self.dir.logs()
    }
}

/// Runs a hidden subcommand of which a sandbox is made, or `None` where `name` is none of them. The result is the exit
/// code. Must be called while the process has one thread.
pub fn hidden_main(name: &str, arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Option<i32> {
    match name {
        "__sandbox-sweep" => Some(sweeper::sweeper_main(arguments)),
        "__sandbox-init" => Some(init::init_main(arguments)),
        "__sandbox-pod" => Some(holder::pod_main(arguments)),
        "__sandbox-container" => Some(container::container_main()),
        "__sandbox-exec" => Some(container::exec_main()),
        forgetful::SUBCOMMAND => Some(forgetful::volume_main(arguments)),
        _ => None,
    }
}

/// Unpacks each image once, for all pods of all sets.
fn unpack_images(sets: &[&SetSpec], dir: &StateDir, is_root: bool) -> Result<(), SandboxError> {
    let mut unpacked = BTreeSet::new();
    for ImageFile { name, file, id } in sets.iter().flat_map(|set| &set.images) {
        if !unpacked.insert(id) {
            continue;
        }
        let failed =
            |source| SandboxError::Image { name: name.clone(), file: file.clone(), source: Box::new(source) };
        let folder = dir.image(id);
        // Under another name.
        if folder.exists() {
            continue;
        }
        fs::create_dir_all(&folder)
            .and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(0o755)))
            .map_err(|source| dir.error(source))?;
        let mut image = image::open(file, name, Bounds::default()).map_err(failed)?;
        if image.id.hex() != *id {
            return Err(failed(image::ImageError::Changed));
        }
        image.unpack(&folder, is_root, Bounds::default()).map_err(failed)?;
    }
    Ok(())
}

fn has_limits(spec: &SetSpec) -> bool {
    let mut containers = spec.pod.init_containers.iter().chain(&spec.pod.containers);
    containers.any(|container| container.limits != Limits::default())
}

fn refuse_foreign_users(spec: &SetSpec, is_root: bool) -> Result<(), SandboxError> {
    if is_root {
        return Ok(());
    }
    for container in spec.pod.init_containers.iter().chain(&spec.pod.containers) {
        for (field, id) in [("runAsUser", container.run_as_user), ("runAsGroup", container.run_as_group)] {
            if let Some(id) = id.filter(|&id| id != 0) {
                return Err(SandboxError::RunAs { container: container.name.clone(), field, id });
            }
        }
        let user = container.image.as_ref().map_or("", |image| image.user.as_str());
        if container.run_as_user.is_none() && !["", "0", "root", "0:0", "root:root"].contains(&user) {
            return Err(SandboxError::ImageUser { container: container.name.clone(), user: user.to_owned() });
        }
    }
    Ok(())
}

fn start(dir: &StateDir, lock: File, keep: bool) -> Result<Sandbox, SandboxError> {
    let state = |source| dir.error(source);
    let program = dir.program();
    let argv = [
        CString::new(program.as_os_str().as_bytes()).map_err(|error| state(error.into()))?,
        c"__sandbox-sweep".to_owned(),
        CString::new(dir.path().as_os_str().as_bytes()).map_err(|error| state(error.into()))?,
    ];
    let (life_end, lifeline) = io::pipe().map_err(state)?;
    let (mut report, report_end) = io::pipe().map_err(state)?;
    let diary = OpenOptions::new().create(true).append(true).open(dir.diary()).map_err(state)?;
    let descriptors =
        [(life_end.as_fd(), 0), (report_end.as_fd(), 1), (diary.as_fd(), 2), (lock.as_fd(), LOCK_DESCRIPTOR)];
    let sweeper = spawn(&Spawn {
        argv: &argv,
        namespaces: CloneFlags::empty(),
        identity: None,
        descriptors: &descriptors,
        leads_group: false,
    })
    .map_err(|source| SandboxError::Program { program: program.clone(), source })?;
    drop((life_end, report_end, lock));

    let mut said = String::new();
    report.read_to_string(&mut said).map_err(state)?;
    if said.trim() == init::READY {
        return Ok(Sandbox {
            dir: dir.clone(),
            lifeline: (!keep).then(|| lifeline.into()),
            sweeper: Some(sweeper),
        });
    }
    drop(lifeline);
    let _ = waitpid(sweeper, None);
    if said.trim().is_empty() {
        let diary = fs::read_to_string(dir.diary()).unwrap_or_default();
        said = format!("its init ended without a word\n{}", diary.trim());
    }
    Err(SandboxError::Start(said.trim().to_owned()))
}

/// Links or copies the program into the sandbox's folder, so that rebuilding it changes nothing in there.
fn place_program(program: &Path, dir: &StateDir) -> Result<(), SandboxError> {
    let wrap = |source| SandboxError::Program { program: program.to_owned(), source };
    let original = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    if fs::hard_link(&original, dir.program()).is_ok() {
        return Ok(());
    }
    fs::copy(program, dir.program()).map(drop).map_err(wrap)
}

/// Removes what sandboxes left whose processes are gone: cgroups, and the folders of those that were not kept. The
/// caller holds the root's lock, so that no sandbox is swept that is just being made.
fn sweep_dead(state_root: &Path) {
    for dir in StateDir::all(state_root) {
        let Ok(Some(_lock)) = dir.lock() else { continue };
        let kept = dir.setup().is_ok_and(|setup| setup.options.keep);
        // What cannot be swept now is swept by the next one who looks; nobody is waiting for it.
        let _ = if kept { dir.sweep_cgroups() } else { dir.remove() };
    }
}

fn wait_until_dead(dir: &StateDir) -> io::Result<()> {
    let deadline = std::time::Instant::now() + DOWN_LIMIT;
    while dir.is_alive() {
        if std::time::Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes do not end"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
