//! A pod's volumes: claims, which outlive it, emptyDirs and folders for files that are made for it, which do not.
//!
//! As root a claim is an image file with an ext4 filesystem on a loop device, mounted once in init's mount namespace
//! and bound from there into containers. It is attached anew for every pod sandbox, and only when no device has the
//! image any more: a filesystem that was shut down, or whose last user still lives, is never used again. Where an
//! experiment tears writes it is a [`forgetful`] volume. As an ordinary user, and where nothing can make a filesystem, a
//! claim is a folder (see [`ClaimKind`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::MsFlags;

use super::owner;
use crate::host::loop_device::{self, LoopDevice};
use crate::host::mount;
use crate::node::LocatedVolume;
use crate::platform::sandbox::claim_kind::{ClaimKind, FORMAT, PROGRAMS};
use crate::platform::sandbox::forgetful;
use crate::platform::sandbox::init::World;
use crate::platform::sandbox::pod_spec::{ClaimTemplate, EmptyDir};
use crate::platform::sandbox::set::Set;

/// How long the last users of a volume may take to go.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);
/// Below this there is no room for a journal.
const SMALLEST_IMAGE: u64 = 16 << 20;

/// The volumes of one pod sandbox, mounted.
#[derive(Default)]
pub struct Volumes {
    claims: Vec<Claim>,
    empty_dirs: Vec<(String, PathBuf)>,
    /// Filled once the pod has its address.
    shown: Vec<(String, PathBuf)>,
}

struct Claim {
    located: LocatedVolume,
    keeper: Keeper,
}

/// What a claim's bytes are in.
enum Keeper {
    Folder,
    Image(PathBuf),
    Forgetful(forgetful::Mounted),
}

impl Volumes {
    /// Makes what is not there yet and mounts it.
    pub async fn mount(set: &Set, pod: &str, uid: &str) -> io::Result<Self> {
        let mut volumes = Self::default();
        match volumes.fill(set, pod, uid).await {
            Ok(()) => Ok(volumes),
            Err(error) => {
                let _ = volumes.unmount().await;
                Err(error)
            }
        }
    }

    async fn fill(&mut self, set: &Set, pod: &str, uid: &str) -> io::Result<()> {
        for template in &set.spec.claims {
            let claim = mount_claim(set, pod, template).await;
            self.claims.push(claim.map_err(|error| {
                io::Error::new(error.kind(), format!("claim {}: {error}", template.name))
            })?);
        }
        for template in &set.spec.pod.empty_dirs {
            let path = set.world.dir.pod_volumes(uid).join(&template.name);
            make_empty_dir(template, &path, set.fs_group())?;
            self.empty_dirs.push((template.name.clone(), path));
        }
        for volume in &set.spec.pod.shown_volumes {
            let path = set.world.dir.pod_volumes(uid).join(&volume.name);
            fs::create_dir_all(&path)?;
            self.shown.push((volume.name.clone(), path));
        }
        Ok(())
    }

    /// Where a volume is, by its name.
    pub fn path(&self, name: &str) -> Option<&Path> {
        let claim = self.claims.iter().find(|claim| claim.located.claim == name);
        let claim = claim.map(|claim| claim.located.path.as_path());
        claim.or_else(|| {
            let mut folders = self.empty_dirs.iter().chain(&self.shown);
            folders.find(|(known, _)| known == name).map(|(_, path)| path.as_path())
        })
    }

    /// Whether the files of a volume are made for the pod, which never writes to them.
    pub fn is_shown(&self, name: &str) -> bool {
        self.shown.iter().any(|(known, _)| known == name)
    }

    /// The claims, for the node.
    pub fn located(&self) -> Vec<LocatedVolume> {
        self.claims.iter().map(|claim| claim.located.clone()).collect()
    }

    /// Waits until a volume answers no more, for ever where none of them can.
    pub async fn broken(&self) {
        let servers: Vec<_> = self.forgetful().map(|server| Box::pin(server.ended())).collect();
        if servers.is_empty() {
            return std::future::pending().await;
        }
        futures::future::select_all(servers).await;
    }

    /// Cuts the power of every volume that may not answer, so that no process has to wait for it.
    pub fn give_up(&self) {
        self.forgetful().for_each(forgetful::Mounted::kill);
    }

    fn forgetful(&self) -> impl Iterator<Item = &forgetful::Mounted> {
        self.claims.iter().filter_map(|claim| match &claim.keeper {
            Keeper::Forgetful(mounted) => Some(mounted),
            Keeper::Folder | Keeper::Image(_) => None,
        })
    }

    /// Unmounts the claims, all of them even where one fails; returns when nobody uses them any more. The pod's processes
    /// must be gone.
    pub async fn unmount(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        for claim in std::mem::take(&mut self.claims) {
            outcome = outcome.and(claim.unmount().await);
        }
        outcome
    }
}

impl Claim {
    async fn unmount(self) -> io::Result<()> {
        let Self { located, keeper } = self;
        match keeper {
            Keeper::Folder => Ok(()),
            Keeper::Image(image) => {
                let unmount = move || {
                    unmount_patiently(&located.path)?;
                    wait_until_detached(&image)
                };
                tokio::task::spawn_blocking(unmount).await.map_err(io::Error::other)?
            }
            Keeper::Forgetful(mounted) => mounted.unmount(&located.path).await,
        }
    }
}

/// Forgets the emptyDirs and the files of a pod that is gone for good.
pub async fn remove_empty_dirs(set: &Set, uid: &str) -> io::Result<()> {
    let folder = set.world.dir.pod_volumes(uid);
    let in_memory = set.spec.pod.empty_dirs.iter().filter(|template| template.in_memory);
    let in_memory: Vec<PathBuf> = in_memory.map(|template| folder.join(&template.name)).collect();
    let remove = move || {
        for path in in_memory {
            if path.exists() && is_mount_point(&path)? {
                unmount_patiently(&path)?;
            }
        }
        if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) }
    };
    tokio::task::spawn_blocking(remove).await.map_err(io::Error::other)?
}

async fn mount_claim(set: &Set, pod: &str, template: &ClaimTemplate) -> io::Result<Claim> {
    let world = &set.world;
    let path = world.dir.volumes().join(format!("{}-{pod}", template.name));
    let is_new = !path.exists();
    fs::create_dir_all(&path)?;
    let mut located = LocatedVolume { claim: template.name.clone(), path: path.clone(), device: None };
    match world.setup.claims {
        ClaimKind::Filesystem => {}
        ClaimKind::FolderOfUser | ClaimKind::FolderWithoutFormat => {
            owner::open(&path, is_new, set.fs_group())?;
            return Ok(Claim { located, keeper: Keeper::Folder });
        }
    }
    if world.setup.options.is_forgetful(&set.spec.name, &template.name) {
        return mount_forgetful(set, located, template.size).await;
    }
    let image = path.with_extension("img");
    let is_new = !image.exists();
    if is_new {
        format_image(world, &image, template.size).await?;
    }
    let mounted = path.clone();
    let attached = image.clone();
    let group = set.fs_group();
    let mount = move || {
        // An earlier attempt may have failed half-way.
        if is_mount_point(&mounted)? {
            unmount_patiently(&mounted)?;
        }
        wait_until_detached(&attached)?;
        let device = LoopDevice::attach(&attached)?;
        mount::device(device.path(), "ext4", &mounted)?;
        let _ = fs::remove_dir(mounted.join("lost+found"));
        owner::open(&mounted, is_new, group)?;
        Ok::<_, io::Error>(device.path().to_owned())
    };
    located.device = Some(tokio::task::spawn_blocking(mount).await.map_err(io::Error::other)??);
    Ok(Claim { located, keeper: Keeper::Image(image) })
}

async fn mount_forgetful(set: &Set, located: LocatedVolume, size: u64) -> io::Result<Claim> {
    let path = located.path.clone();
    let disk = path.with_extension("disk");
    let mounted = forgetful::Mounted::mount(&set.world, &disk, size, &path)?;
    let is_new = mounted.is_new();
    let group = set.fs_group();
    let open = move || {
        owner::open(&path, is_new, group)?;
        fs::File::open(&path)?.sync_all()
    };
    let opened = tokio::task::spawn_blocking(open).await;
    let claim = Claim { located, keeper: Keeper::Forgetful(mounted) };
    if let Err(error) = opened.map_err(io::Error::other).flatten() {
        let _ = claim.unmount().await;
        return Err(error);
    }
    Ok(claim)
}

/// A sparse file with an empty filesystem; appears under its name only when it is complete.
async fn format_image(world: &World, image: &Path, size: u64) -> io::Result<()> {
    let unfinished = image.with_extension("new");
    fs::File::create(&unfinished)?.set_len(size.max(SMALLEST_IMAGE))?;
    let mut format = Command::new(FORMAT);
    format
        .args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"])
        .arg(&unfinished)
        .env("PATH", PROGRAMS)
        .stdin(Stdio::null());
    let formatted = world.reaper.run(&mut format).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot run {FORMAT}: {error}; hint: install e2fsprogs"))
    })?;
    if !formatted {
        return Err(io::Error::other(format!("{FORMAT} failed; its words are in sandbox.log")));
    }
    fs::rename(unfinished, image)
}

fn make_empty_dir(template: &EmptyDir, path: &Path, group: Option<owner::Group>) -> io::Result<()> {
    let is_new = !path.exists();
    fs::create_dir_all(path)?;
    if template.in_memory && !is_mount_point(path)? {
        let size = template.size.map_or(String::new(), |size| format!("size={size},"));
        mount::filesystem("tmpfs", path, MsFlags::MS_NODEV, &format!("{size}mode=777"))?;
    }
    owner::open(path, is_new, group)
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = path.parent().unwrap_or(path);
    Ok(fs::metadata(path)?.dev() != fs::metadata(parent)?.dev())
}

/// The mount namespaces of dead containers go a moment after their processes.
fn unmount_patiently(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + RELEASE_LIMIT;
    loop {
        match mount::unmount(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

fn wait_until_detached(image: &Path) -> io::Result<()> {
    let deadline = Instant::now() + RELEASE_LIMIT;
    while loop_device::is_attached(image)? {
        if Instant::now() >= deadline {
            let text = format!("somebody still uses the old mount of {}", image.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
