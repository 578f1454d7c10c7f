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
use nix::sys::wait::WaitStatus;
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
    /// How, once it has.
    ended: watch::Receiver<Option<WaitStatus>>,
}

impl Mounted {
    /// Mounts the volume that `folder` keeps, with room for so many bytes, and starts its server.
    pub fn mount(world: &World, folder: &Path, size: u64, at: &Path) -> io::Result<Self> {
        let is_new = Folder::is_empty(folder);
        let program = CString::new(world.dir.program().as_os_str().as_bytes())?;
        let argv = [
            program,
            CString::new(SUBCOMMAND)?,
            CString::new(folder.as_os_str().as_bytes())?,
            CString::new(size.to_string())?,
        ];
        let device = OpenOptions::new().read(true).write(true).open(DEVICE)?;
        // As mount.fuse3(8) does; a subtype tells people what it is.
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
            device.as_raw_fd()
        );
        mount::filesystem("fuse.seatrial", at, MsFlags::MS_NODEV, &options)?;
        // Nobody else keeps the device open: the kernel ends the volume with its server.
        let server = spawn(&Spawn {
            argv: &argv,
            namespaces: CloneFlags::empty(),
            identity: None,
            descriptors: &[(device.as_fd(), DEVICE_DESCRIPTOR)],
            leads_group: false,
        });
        // Nobody could mount anything in the place of a volume that answers nothing.
        let server = server.inspect_err(|_| {
            let _ = mount::detach(at);
        })?;
        let status = world.reaper.adopt(server);
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            // Without its receiver there is nobody who asks.
            let _ = sender.send(status.await.ok());
        });
        Ok(Self { is_new, server, reaper: world.reaper.clone(), ended })
    }

    /// Whether nothing is on its disk yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Waits for the end of its server, after which every call on it is answered with an error.
    pub async fn ended(&self) -> Option<WaitStatus> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Cuts the power of a volume that does not answer, so that nobody waits for it any longer.
    pub fn kill(&self) {
        self.reaper.signal(self.server, Signal::SIGKILL);
    }

    /// Unmounts it, and waits until nobody uses it any more and its server has made everything durable, or has lost its
    /// power as it was asked to. An error where it has not.
    pub async fn unmount(self, at: &Path) -> io::Result<()> {
        mount::detach(at)?;
        let status = if let Ok(status) = tokio::time::timeout(RELEASE_LIMIT, self.ended()).await {
            status
        } else {
            tracing::warn!("somebody still uses an unmounted volume: its power is cut");
            self.kill();
            self.ended().await
        };
        match status {
            Some(WaitStatus::Exited(_, 0)) => Ok(()),
            other => Err(io::Error::other(format!(
                "the server of the volume at {} has ended before everything was durable: {other:?}",
                at.display()
            ))),
        }
    }
}
