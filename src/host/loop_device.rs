//! An image file as a block device (loop(4)).
//!
//! A device made here frees itself when its last user is gone (LO_FLAGS_AUTOCLEAR), so that nothing is left of it even
//! when everybody is killed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::libc;

const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// An attached device; while this is held, it stays. A mount holds it as well.
pub struct LoopDevice {
    path: PathBuf,
    _held: File,
}

impl LoopDevice {
    /// Attaches `image` to a free device.
    pub fn attach(image: &Path) -> io::Result<Self> {
        let backing = OpenOptions::new().read(true).write(true).open(image)?;
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        loop {
            // SAFETY: this request takes no argument and answers with a device's number.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            // SAFETY: both are plain numbers, for which all zeroes is a value.
            let mut config: LoopConfig = unsafe { std::mem::zeroed() };
            config.fd = backing.as_raw_fd() as u32;
            config.info.flags = LO_FLAGS_AUTOCLEAR;
            // SAFETY: `config` has the layout that LOOP_CONFIGURE reads.
            if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } == 0 {
                return Ok(Self { path, _held: device });
            }
            let error = io::Error::last_os_error();
            // Somebody else was quicker: ask for another one.
            if error.raw_os_error() != Some(libc::EBUSY) {
                return Err(error);
            }
        }
    }

    /// `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether any loop device is attached to `image`, so that attaching it again would corrupt it.
pub fn is_attached(image: &Path) -> io::Result<bool> {
    for entry in fs::read_dir("/sys/block")? {
        let backing = entry?.path().join("loop/backing_file");
        if fs::read_to_string(backing).is_ok_and(|path| Path::new(path.trim_end()) == image) {
            return Ok(true);
        }
    }
    Ok(false)
}
