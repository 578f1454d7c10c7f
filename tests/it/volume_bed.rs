//! A volume for one test, of either kind that a sandbox has, whose power can be cut.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use nix::mount::{MntFlags, umount2};
use nix::sched::CloneFlags;
use nix::sys::mman::{MapFlags, MsFlags, ProtFlags, mmap, msync, munmap};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use seatrial::host::forgetful::{self, Cut, Left};
use seatrial::host::namespace::{Spawn, spawn};
use seatrial::host::{mount, shutdown};
use tempfile::TempDir;

use crate::node_fixture::eventually;
use crate::node_power::Disk;

/// As much room as a volume has here.
pub const SIZE: u64 = 64 << 20;

/// What a volume is, and how its power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An ext4 image that is shut down.
    Shutdown,
    /// A forgetful volume that loses what was not synced.
    Lose,
    /// One that tears it.
    Tear(u32),
}

/// A mounted volume.
pub struct Bed {
    pub how: How,
    /// Unmounted before its folder goes.
    kind: Kind,
    home: TempDir,
}

enum Kind {
    Image(Disk),
    Forgetful { at: PathBuf, server: Option<Pid> },
}

impl Bed {
    pub fn new(how: How) -> Self {
        let home = TempDir::new().expect("a temporary folder can be made");
        let kind = match how {
            How::Shutdown => Kind::Image(Disk::of(home.path(), SIZE)),
            How::Lose | How::Tear(_) => {
                let at = home.path().join("volume");
                fs::create_dir(&at).expect("writable");
                Kind::Forgetful { at, server: None }
            }
        };
        let mut bed = Self { how, kind, home };
        if matches!(bed.kind, Kind::Forgetful { .. }) {
            bed.mount();
        }
        bed
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        match &self.kind {
            Kind::Image(disk) => &disk.mount,
            Kind::Forgetful { at, .. } => at,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Whether nothing that was not synced is there after a cut.
    pub fn loses(&self) -> bool {
        !matches!(self.how, How::Tear(_))
    }

    /// Whoever serves a forgetful volume.
    pub fn server(&self) -> Pid {
        let server = match self.kind {
            Kind::Forgetful { server, .. } => server,
            Kind::Image(_) => None,
        };
        server.expect("somebody serves it")
    }

    /// Cuts its power.
    pub fn shut_down(&self) -> Left {
        let device = shutdown::device_of(self.root()).expect("there").expect("a filesystem of its own");
        let how = match self.how {
            How::Shutdown => {
                shutdown::shut_down(self.root(), device).expect("it can be shut down");
                return Left::default();
            }
            How::Lose => Cut::Lose,
            How::Tear(seed) => Cut::Tear { seed },
        };
        forgetful::cut(self.root(), device, how).expect("it can be shut down")
    }

    /// Cuts its power and mounts it again. Nothing may be open on it.
    pub fn cut(&mut self) -> Left {
        let left = self.shut_down();
        self.unmount();
        self.mount();
        left
    }

    /// A child that another test has just started has all descriptors of this process, until it executes its program.
    /// Says how its server has ended, if it has one.
    pub fn unmount(&mut self) -> Option<WaitStatus> {
        match &mut self.kind {
            Kind::Forgetful { at, server } => {
                eventually("nobody uses it", Duration::from_secs(10), || mount::unmount(at).ok());
                Some(waitpid(server.take().expect("it was mounted"), None).expect("a child"))
            }
            Kind::Image(disk) => {
                disk.unmount();
                None
            }
        }
    }

    /// What a forgetful volume's server keeps it in.
    pub fn disk(&self) -> PathBuf {
        self.home.path().join("volume.disk")
    }

    pub fn mount(&mut self) {
        let disk = self.disk();
        match &mut self.kind {
            Kind::Image(disk) => disk.mount(),
            Kind::Forgetful { at, server } => *server = Some(serve(at, &disk)),
        }
    }

    /// Kills whoever serves it, and mounts it again. Nothing may be open on it.
    pub fn kill_server(&mut self) {
        kill(self.server(), Signal::SIGKILL).expect("it lives");
        self.unmount();
        self.mount();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Kind::Forgetful { at, server } = &mut self.kind {
            let _ = umount2(at, MntFlags::MNT_DETACH);
            if let Some(server) = server.take() {
                let _ = kill(server, Signal::SIGKILL);
                let _ = waitpid(server, None);
            }
        }
    }
}

/// What init does for a claim.
fn serve(at: &Path, disk: &Path) -> Pid {
    let device: File =
        OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("the kernel has FUSE");
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
        device.as_raw_fd()
    );
    mount::filesystem("fuse.seatrial", at, nix::mount::MsFlags::MS_NODEV, &options).expect("root may mount");
    let text = |bytes: &[u8]| CString::new(bytes).expect("no zero byte");
    let argv = [
        text(env!("CARGO_BIN_EXE_seatrial").as_bytes()),
        text(b"__sandbox-volume"),
        text(disk.as_os_str().as_bytes()),
        text(SIZE.to_string().as_bytes()),
    ];
    spawn(&Spawn {
        argv: &argv,
        namespaces: CloneFlags::empty(),
        identity: None,
        descriptors: &[(device.as_fd(), 3)],
        leads_group: false,
    })
    .expect("the program starts")
}

pub fn create(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create_new(true).open(path).expect("writable")
}

/// A file with this content, durable with its name.
pub fn durable(bed: &Bed, name: &str, bytes: &[u8]) {
    let mut file = create(&bed.path(name));
    file.write_all(bytes).expect("writable");
    file.sync_all().expect("syncs");
    sync_folder(bed);
}

pub fn sync_folder(bed: &Bed) {
    File::open(bed.root()).and_then(|root| root.sync_all()).expect("syncs");
}

pub fn read(bed: &Bed, name: &str) -> Option<Vec<u8>> {
    let path = bed.path(name);
    path.symlink_metadata().is_ok().then(|| fs::read(path).expect("readable"))
}

pub fn names(bed: &Bed) -> BTreeSet<String> {
    let entries =
        fs::read_dir(bed.root()).expect("readable").map(|entry| entry.expect("readable").file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| name != "lost+found").collect()
}

/// A shared map of a whole file.
pub struct Map(std::ptr::NonNull<libc::c_void>, usize);

impl Map {
    pub fn of(file: &File, length: usize) -> Self {
        let size = NonZeroUsize::new(length).expect("not empty");
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new map anywhere, which nobody else knows.
        let at = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0) };
        Self(at.expect("files can be mapped"), length)
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the map lives as long as this, and the file is as long as the map.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast(), self.1) }
    }

    pub fn sync(&self) {
        // SAFETY: the map lives.
        unsafe { msync(self.0, self.1, MsFlags::MS_SYNC) }.expect("syncs");
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: nobody has the map any more.
        let _ = unsafe { munmap(self.0, self.1) };
    }
}
