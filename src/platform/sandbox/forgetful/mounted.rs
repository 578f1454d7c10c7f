//! Init's side of a forgetful volume: its mount and its server.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::watch;

use super::folder::Folder;
use super::{DEVICE, DEVICE_DESCRIPTOR, SUBCOMMAND};
use crate::host::mount;
use crate::host::namespace::{Spawn, spawn};
use crate::platform::sandbox::init::World;
use crate::platform::sandbox::reaper::Reaper;

/// For how long the last users of an unmounted volume may keep it, and its server what it has to write.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);

/// A forgetful volume that is mounted.
pub struct Mounted {
    is_new: bool,
    server: Pid,
    reaper: Reaper,
    has_ended: watch::Receiver<bool>,
}

impl Mounted {
    /// Mounts the volume that `folder` keeps, with room for so many bytes, and starts its server.
    pub fn mount(world: &World, folder: &Path, size: u64, at: &Path) -> io::Result<Self> {
        let is_new = Folder::is_empty(folder);
        let device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
        // As mount.fuse3(8) does; a subtype tells people what it is.
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
            device.as_raw_fd()
        );
        mount::filesystem("fuse.seatrial", at, MsFlags::MS_NODEV, &options)?;
        let program = CString::new(world.dir.program().as_os_str().as_bytes())?;
        let argv = [
            program,
            CString::new(SUBCOMMAND)?,
            CString::new(folder.as_os_str().as_bytes())?,
            CString::new(size.to_string())?,
        ];
        // Nobody else keeps the device open: the kernel ends the volume with its server.
        let server = spawn(&Spawn {
            argv: &argv,
            namespaces: CloneFlags::empty(),
            identity: None,
            descriptors: &[(device.as_fd(), DEVICE_DESCRIPTOR)],
            leads_group: false,
        })?;
        let ended = world.reaper.adopt(server);
        let (sender, has_ended) = watch::channel(false);
        tokio::spawn(async move {
            let _ = ended.await;
            let _ = sender.send(true);
        });
        Ok(Self { is_new, server, reaper: world.reaper.clone(), has_ended })
    }

    /// Whether nothing is on its disk yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Waits for the end of its server, after which every call on it is answered with an error.
    pub async fn ended(&self) {
        let mut has_ended = self.has_ended.clone();
        let _ = has_ended.wait_for(|&ended| ended).await;
    }

    /// Cuts the power of a volume that does not answer, so that nobody waits for it any longer.
    pub fn kill(&self) {
        self.reaper.signal(self.server, Signal::SIGKILL);
    }

    /// Unmounts it, and waits until nobody uses it any more and its server has made everything durable.
    pub async fn unmount(self, at: &Path) -> io::Result<()> {
        mount::detach(at)?;
        if tokio::time::timeout(RELEASE_LIMIT, self.ended()).await.is_err() {
            tracing::warn!("somebody still uses an unmounted volume: its power is cut");
            self.kill();
            self.ended().await;
        }
        Ok(())
    }
}
